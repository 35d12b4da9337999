"""Plans and analysis of the dosing lab. Volumes are uL, temperatures degC, concentrations mmol/L."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from sdl.model import Outcome
from sdl.protocols import RunRecord


def dose(stock_pump: Any, diluent_pump: Any, *, stock_volume: float, diluent_volume: float) -> Iterator[Any]:
    """Dispense one volume after the other, then read both pumps."""
    volumes = {stock_pump: stock_volume, diluent_pump: diluent_volume}

    @bpp.run_decorator(md={"plan_name": "dose"})
    def deliver() -> Iterator[Any]:
        for pump, volume in volumes.items():
            yield from bps.checkpoint()
            yield from bps.mv(pump.dispense, volume)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([*volumes])

    return (yield from deliver())


def measure(block: Any, *, temperature: float) -> Iterator[Any]:
    """Set the block's temperature and read it."""

    @bpp.run_decorator(md={"plan_name": "measure"})
    def read() -> Iterator[Any]:
        yield from bps.mv(block.setpoint, temperature)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([block])

    return (yield from read())


def concentration(runs: Sequence[RunRecord], *, stock: float, wanted: float) -> dict[str, Outcome]:
    """Concentration of the mixture from the volumes dosed, and the temperature it was set to.

    Args:
        runs: of the trial.
        stock: concentration of the stock solution.
        wanted: the one wanted.
    """
    volumes = runs[-1].start["parameters"]
    share = volumes["stock_volume"] / (volumes["stock_volume"] + volumes["diluent_volume"])
    (setpoint,) = runs[-1].readings("block-setpoint")
    return {
        "deviation": Outcome(value=abs(stock * share - wanted), unit="mmol/L"),
        "temperature": Outcome(value=setpoint, unit="degC"),
    }
