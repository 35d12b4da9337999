"""Drivers: ophyd-async devices that speak their instrument's own protocol. Import each from its module.

`sdl.devices.ne1000`, `sdl.devices.modbus_heater`, `sdl.devices.scpi_spectrometer`, `sdl.devices.tabulated`,
`sdl.devices.soft`. Every driver is made as `Driver(address, *, name, clock, timeout, **options)` and has
`connect()`, `close()` and `safe_state()`.
"""

from sdl.devices._limits import LimitError

__all__ = ["LimitError"]
