"""The recipe of a campaign as its journal has it: steps with their times and places, without the code of plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from pydantic import ValidationError

from sdl.campaign.jobs import units_of
from sdl.journal.state import CampaignState
from sdl.lab.procedure import BoundStep, Procedure
from sdl.lab.spec import LabSpec
from sdl.lab.timing import step_timing
from sdl.model import CampaignSpec, InputError
from sdl.protocols import RunRecord

__all__ = ["Recipe", "recipe_of"]


@dataclass(frozen=True)
class Recipe:
    """What a timetable of a campaign depends on besides its trials."""

    lab: LabSpec
    spec: CampaignSpec
    procedure: Procedure
    """Cannot be executed: its plans are not loaded."""
    units: Mapping[str, str]
    """Parameter → unit."""

    @property
    def stations(self) -> tuple[str, ...]:
        """Stations that its steps can be done on, in their order."""
        return tuple(dict.fromkeys(name for index in range(len(self.procedure.steps)) for name in self.every(index)))

    def every(self, index: int) -> tuple[str, ...]:
        """Stations that can do a step, also those that only do it after faults."""
        step = self.procedure.steps[index].spec
        return (step.station, *step.other_stations)

    def choices(self, index: int) -> tuple[str, ...]:
        """Stations among which a step goes where it is done soonest."""
        step = self.procedure.steps[index].spec
        return (step.station, *(step.other_stations if step.choose == "any" else ()))

    def index(self, step: str) -> int | None:
        """Position of a step; None where the procedure does not have it any more."""
        return next((i for i, s in enumerate(self.procedure.steps) if s.name == step), None)


def recipe_of(state: CampaignState) -> Recipe | None:
    """The recipe of a campaign; None where its journal does not have the lab file in full.

    Args:
        state: of the campaign.
    """
    text, spec = state.created.get("lab", {}).get("text"), state.spec
    if not text or spec is None:
        return None
    lab = _lab(text)
    procedure = lab.procedures.get(spec.procedure) if lab is not None else None
    if lab is None or procedure is None:
        return None
    names = spec.problem.parameter_names
    faults: list[str] = []
    steps = tuple(
        BoundStep(s, _no_plan, (), (), tuple(n for n in names if n not in s.with_), None, timing=step_timing(s, faults))
        for s in procedure.steps
    )
    raw = state.created.get("procedure", {})
    bound = Procedure(spec.procedure, steps, procedure.analysis, _no_analysis, raw, procedure.sample)
    return Recipe(lab, spec, bound, units_of(spec))


@lru_cache(maxsize=4)
def _lab(text: str) -> LabSpec | None:
    """A lab file as a record; None when it is not one, or not in the form of this release."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return LabSpec.model_validate(YAML(typ="safe", pure=True).load(text))
    except (YAMLError, ValidationError):
        return None


def _no_plan(**_: Any) -> Iterator[Any]:
    raise InputError("this recipe was read from a journal, which has no code of plans")


def _no_analysis(runs: Sequence[RunRecord], **options: Any) -> NoReturn:
    raise InputError("this recipe was read from a journal, which has no code of analyses")
