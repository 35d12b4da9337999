"""Plans and analysis of the thin-film lab: ordinary Bluesky plans. Times are lab time.

Arguments `source` and `target` are names of places: where the film is, and where the step takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from sdl.model import Infeasible, Outcome
from sdl.protocols import RunRecord, quick


def coat(
    coater: Any, balance: Any, glovebox: Any, *, speed: float, volume: float, spin_time: float = 45.0
) -> Iterator[Any]:
    """Put a fresh substrate on the chuck, `volume` uL of ink on it, and spin it at `speed` rpm for `spin_time` s.

    The ink's bottle is weighed before and after: it should have lost what was dispensed.
    """

    @bpp.run_decorator(md={"plan_name": "coat"})
    def make() -> Iterator[Any]:
        yield from bps.trigger_and_read([balance, glovebox], name="before")
        yield from bps.trigger(coater.load, wait=True)
        yield from bps.checkpoint()
        yield from bps.mv(coater.dispense, volume)
        yield from bps.checkpoint()
        yield from bps.mv(coater.spin, [{"rpm": speed, "seconds": spin_time}])
        yield from bps.checkpoint()
        yield from bps.mv(coater.vacuum, 0)
        yield from bps.trigger_and_read([coater, balance, glovebox])

    return (yield from make())


def carry(robot: Any, *, source: str, target: str) -> Iterator[Any]:
    """Carry the film from one place to another."""

    @bpp.run_decorator(md={"plan_name": "carry", "source": source, "target": target})
    def move() -> Iterator[Any]:
        yield from bps.mv(robot.carry, {"source": source, "target": target})
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([robot])

    return (yield from move())


def anneal(furnace_a: Any, *, anneal_temperature: float, anneal_time: float) -> Iterator[Any]:
    """Bring the furnace to `anneal_temperature` degC and anneal the film for `anneal_time` min.

    The furnace is called as the one of the step's first station; it may be another one. The film lies on pins, which
    are down while the controller's timer runs. So it is annealed just as long as that counts, however hot the furnace
    was before, and whatever else is busy afterwards.
    """

    @bpp.run_decorator(md={"plan_name": "anneal", "furnace": furnace_a.name})
    def heat() -> Iterator[Any]:
        yield from bps.mv(furnace_a.hold.temperature, anneal_temperature)
        yield from bps.mv(furnace_a.hold, 60 * anneal_time)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([furnace_a])

    return (yield from heat())


def measure(stage: Any, smu: Any, gauge: Any, *, positions: Sequence[float], settle: float = 10.0) -> Iterator[Any]:
    """Read thickness and resistance at `positions` mm, each after `settle` s."""

    @bpp.run_decorator(md={"plan_name": "measure"})
    def probe() -> Iterator[Any]:
        for position in positions:
            yield from bps.checkpoint()
            yield from bps.mv(stage, position)
            yield from bps.sleep(settle)
            yield from bps.trigger_and_read([stage, gauge, smu])
        yield from bps.checkpoint()

    return (yield from probe())


def eject(stage: Any) -> Iterator[Any]:
    """Drop the film into the tray; the stage goes home by itself.

    It is a step of its own: a step that reads the film and is done again has to find it where it was.
    """

    @bpp.run_decorator(md={"plan_name": "eject"})
    def drop() -> Iterator[Any]:
        yield from bps.trigger(stage.eject, wait=True)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([stage])

    return (yield from drop())


@quick
def conductivity(
    runs: Sequence[RunRecord],
    *,
    thickness: str = "gauge_thickness",
    cracked: str = "gauge_cracked",
    sheet: str = "smu-sheet_resistance",
    compliance: str = "smu-compliance",
) -> dict[str, Outcome]:
    """Conductivity of a film, one over the product of its sheet resistance and its thickness, over the positions.

    Args:
        runs: of the trial.
        thickness: data key of the film's thickness, nm.
        cracked: data key of whether it is cracked.
        sheet: data key of its sheet resistance, ohm.
        compliance: data key of whether the voltage was at its limit, as it is where no current flows.

    Returns:
        `conductivity` (MS/m), `sheet_resistance` (ohm) and `thickness` (nm), with standard errors of the mean.

    Raises:
        Infeasible: the film is cracked, or carries no current.
    """
    (run,) = runs[-1:]
    cracks, limited = run.readings(cracked), run.readings(compliance)
    if any(cracks):
        raise Infeasible(f"the film is cracked at {sum(map(bool, cracks))} of {len(cracks)} positions")
    if any(limited):
        raise Infeasible(f"no current at {sum(map(bool, limited))} of {len(limited)} positions: the film has holes")
    sheets = run.readings(sheet)
    thicknesses = run.readings(thickness)
    found = [1e3 / (ohms * nm) for ohms, nm in zip(sheets, thicknesses, strict=True)]
    return {
        "conductivity": _outcome(found, "MS/m"),
        "sheet_resistance": _outcome(sheets, "ohm"),
        "thickness": _outcome(thicknesses, "nm"),
    }


def _outcome(values: Sequence[float], unit: str) -> Outcome:
    sem = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return Outcome(value=mean(values), sem=sem, unit=unit)
