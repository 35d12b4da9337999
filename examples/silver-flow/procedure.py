"""Plans of the silver-flow lab: ordinary Bluesky plans. Times are lab time, flows uL/min, temperatures degC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp


def condition(heater: Any, *, temperature: float) -> Iterator[Any]:
    """Bring the reactor to its temperature and record where it settled."""

    @bpp.run_decorator(md={"plan_name": "condition", "temperature": temperature})
    def settle() -> Iterator[Any]:
        yield from bps.mv(heater, temperature)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([heater])

    return (yield from settle())


def react(
    silver_pump: Any,
    reductant_pump: Any,
    stabiliser_pump: Any,
    seed_pump: Any,
    heater: Any,
    spectrometer: Any,
    *,
    silver_flow: float,
    reductant_flow: float,
    stabiliser_flow: float,
    seed_flow: float,
    reactor_volume: float = 270.0,
    volumes: float = 1.6,
    spectra: int = 3,
) -> Iterator[Any]:
    """Pump `volumes` reactor volumes (uL) through, then take spectra; the pumps stop whatever happens.

    A tubular reactor replaces its content once; what is pumped beyond one volume covers axial dispersion.
    """
    flows = {
        silver_pump: silver_flow,
        reductant_pump: reductant_flow,
        stabiliser_pump: stabiliser_flow,
        seed_pump: seed_flow,
    }
    replaced = 60 * volumes * reactor_volume / sum(flows.values())

    @bpp.run_decorator(md={"plan_name": "react", "spectra": spectra, "wait_s": replaced})
    def measure() -> Iterator[Any]:
        for pump, flow in flows.items():
            yield from bps.abs_set(pump.rate, flow, group="flows")
        yield from bps.wait("flows")
        yield from bps.sleep(replaced)
        for _ in range(spectra):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([spectrometer, heater, *flows])

    def stop() -> Iterator[Any]:
        for pump in flows:
            yield from bps.abs_set(pump.rate, 0, group="stop")
        yield from bps.wait("stop")

    return (yield from bpp.finalize_wrapper(measure(), stop))
