"""A dry validation: would the plans of these trials be accepted? Nothing is executed, and no real instrument asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdl.campaign._planner_worker import build_planner
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.seeds import derive_seed
from sdl.lab.interlocks import interlocks_of
from sdl.lab.opening import connect_lab
from sdl.lab.procedure import BoundStep
from sdl.lab.rehearsing import run_virtually
from sdl.model import FileFault
from sdl.virtual import VirtualClock

__all__ = ["Validation", "proposals", "validate"]


@dataclass(frozen=True)
class Validation:
    """What became of a dry validation."""

    trials: int
    plans: int
    """Plans drawn: each step on each station that may have it."""
    seconds: float
    """Wall seconds that drawing them took, the opening of the lab left out."""
    faults: Mapping[int, Sequence[tuple[str, str, FileFault]]] = field(default_factory=dict)
    """Trial → step, station and fault, with the line of the plan."""

    @property
    def ok(self) -> bool:
        """Whether every plan would be accepted."""
        return not self.faults


def proposals(loaded: LoadedCampaign, n: int) -> list[dict[str, Any]]:
    """Parameters of trials all over the problem's space, by the campaign's seed; fewer in a small pool."""
    problem = loaded.spec.problem
    planner = build_planner("random", {})
    drawn = planner.propose(problem, [], n, derive_seed(loaded.spec.seed, "validate", n))
    return [problem.check(proposal.parameters) for proposal in drawn]


def validate(loaded: LoadedCampaign, parameters: Sequence[Mapping[str, Any]]) -> Validation:
    """Draw every plan of some trials on simulated devices, and hold it against limits and interlocks.

    Args:
        loaded: the campaign and its lab.
        parameters: of each trial.

    Raises:
        SdlError: the lab cannot be opened, or has no simulation.
    """
    return run_virtually(lambda clock: _validate(loaded, parameters, clock))


async def _validate(loaded: LoadedCampaign, parameters: Sequence[Mapping[str, Any]], clock: VirtualClock) -> Validation:
    steps = list(_everywhere(loaded.procedure.steps, loaded))
    names = list(dict.fromkeys(step.spec.station for step in steps))
    faults: dict[int, list[tuple[str, str, FileFault]]] = {}
    async with connect_lab(loaded.lab, names, clock) as lab:
        locks = interlocks_of(loaded.lab.spec, loaded.lab.file)
        for station in lab.stations.values():
            await station.bind([item for item in locks if item.device in station.devices])
        begun = time.perf_counter()
        for name, station in lab.stations.items():
            orders = [
                (number, step, values)
                for number, values in enumerate(parameters, 1)
                for step in steps
                if step.spec.station == name
            ]
            found = await station.check_plans([(step, values) for _, step, values in orders])
            for (number, step, _), complaints in zip(orders, found, strict=True):
                faults.setdefault(number, []).extend((step.name, name, fault) for fault in complaints)
        seconds = time.perf_counter() - begun
    return Validation(
        len(parameters), len(parameters) * len(steps), seconds, {n: f for n, f in sorted(faults.items()) if f}
    )


def _everywhere(steps: Sequence[BoundStep], loaded: LoadedCampaign) -> Iterator[BoundStep]:
    """Each step on each of its stations, with places from which and to which it can move the sample."""
    where = [loaded.procedure.sample.place] if loaded.procedure.sample is not None else [""]
    for step in steps:
        choices = list(step.spec.into) or [""]
        for station in step.spec.every_station:
            bound = step.on(station)
            if step.spec.into:
                for source in where:
                    for target in choices:
                        yield bound.handing(source, target)
            else:
                yield bound
        if step.spec.into:
            where = choices
