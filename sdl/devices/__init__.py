"""Drivers of instruments, which speak their instrument's own protocol. Import each from its module.

| module of `sdl.devices` | instrument |
| --- | --- |
| `ne1000` | syringe pumps of New Era |
| `modbus_heater` | process controllers with Eurotherm's register map |
| `furnace` | the same with a timer, as on a furnace |
| `scpi_spectrometer` | UV-Vis spectrometers that speak SCPI |
| `keithley2400` | source-measure units behind a four-point probe |
| `mtsics_balance` | balances that speak MT-SICS |
| `spin_coater` | a spin coater with magazine, syringe and vacuum chuck |
| `ur_robot` | robots of Universal Robots that carry |
| `secop` | whatever describes itself over SECoP |
| `epics_stage` | a sample stage on an EPICS motor record |
| `classic_gauge` | an optical thickness gauge, as a device of classic ophyd |
| `tabulated` | an instrument that answers from a table of experiments |
| `soft` | a detector without an instrument |

Every driver but the last and the gauge is made as `Driver(address, *, name, clock, timeout, **options)` and has
`connect()`, `attach()`, `close()` and `safe_state()`. Where the instrument can say who it is, `identity` asks.
"""

from sdl.devices._limits import LimitError

__all__ = ["LimitError"]
