"""Samples of trials: the entries that follow from what became of their steps, and the slots into which they go.

Pure functions of the record: what an entry follows from is on record before it, so that whatever a kill left out is
found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdl.campaign._draws import draws, takes
from sdl.campaign.inventory import Holder, Inventory
from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.journal.samples import SampleState, SampleStatus, Spot, apply, may_have_happened, where
from sdl.journal.state import CampaignState, StepState, TrialState
from sdl.lab.spec import LabSpec, SampleSpec, StepSpec
from sdl.model import TrialStatus

if TYPE_CHECKING:
    pass

__all__ = ["NoRoom", "SampleKeeper", "sample_id"]

Entries = list[tuple[str, dict[str, Any]]]


def sample_id(campaign: str, trial: int) -> str:
    """As in `4f9a1c-12`: the random part of the campaign's id, and the trial's number."""
    return f"{campaign.rpartition('-')[2]}-{trial}"


@dataclass(frozen=True)
class NoRoom:
    """Why a step cannot put its sample anywhere."""

    places: tuple[str, ...]
    holders: tuple[tuple[Spot, Holder], ...]

    @property
    def waits(self) -> bool:
        """Whether a trial that goes on may free a slot by itself; else a person has to."""
        return any(holder.pending for _, holder in self.holders)

    def __str__(self) -> str:
        stuck = [(spot, holder) for spot, holder in self.holders if not holder.pending]
        held = "; ".join(
            f"{place} slot {slot}: {holder.sample or f'trial {holder.trial}'} ({holder.status})"
            for (place, slot), holder in self.holders[:6]
        )
        more = f" and {len(self.holders) - 6} more" if len(self.holders) > 6 else ""
        advice = ""
        if stuck and not self.waits:
            id_ = stuck[0][1].sample
            advice = f". Take one away and say so: sdl samples locate {id_} --out --note 'what you did with it'"
        return f"no free slot in {' or '.join(self.places)}: {held}{more}{advice}"


class SampleKeeper:
    """Keeps the samples of one campaign."""

    def __init__(self, lab: LabSpec, procedure: str) -> None:
        """Bind a procedure.

        Args:
            lab: the lab file.
            procedure: name of one of its procedures.
        """
        self._places = lab.places
        self._steps: Mapping[str, StepSpec] = {step.name: step for step in lab.procedures[procedure].steps}
        self._order = {name: index for index, name in enumerate(self._steps)}
        self._sample: SampleSpec | None = lab.procedures[procedure].sample

    # ── slots ──

    def target(
        self, state: CampaignState, number: int, step: str, inventory: Inventory, place: str | None = None
    ) -> Spot | NoRoom | None:
        """Where a step that is about to begin puts the sample; `into` of the entry that it starts.

        Args:
            state: of the campaign, up to date.
            number: of the trial, which need not be on record yet.
            step: name of the step.
            inventory: of the lab, this campaign's state in it.
            place: one of the step's places, where it has been chosen already.

        Returns:
            The first free slot, or the one that an earlier attempt had chosen; None when the step moves no sample; or
            why there is no room.
        """
        places = self._into(step)
        if not places:
            return None
        chosen = (place,) if place is not None else places
        before = self._chosen_before(state.trials.get(number), step)
        if before is not None and before[0] in chosen and self._free(before, state.id, number, inventory):
            return before
        for name in chosen:
            for slot in range(1, self._places[name].slots + 1):
                if self._free((name, slot), state.id, number, inventory):
                    return name, slot
        held = [(spot, holder) for spot, holders in inventory.taken.items() if spot[0] in chosen for holder in holders]
        return NoRoom(chosen, tuple(held))

    def _into(self, step: str) -> tuple[str, ...]:
        if self._sample is None:
            return ()
        into = self._steps[step].into
        return into or ((self._sample.place,) if step == self._sample.made_by else ())

    def _chosen_before(self, trial: TrialState | None, step: str) -> Spot | None:
        attempts = [s.into for s in trial.steps if s.name == step and s.into] if trial is not None else []
        return attempts[-1] if attempts else None

    def _free(self, spot: Spot, campaign: str, number: int, inventory: Inventory) -> bool:
        """Whether nothing but the trial's own sample is in a slot, or may be."""
        return all((h.campaign, h.trial) == (campaign, number) for h in inventory.taken.get(spot, ()))

    def objection(self, number: int, inventory: Inventory, campaign: str) -> str:
        """Why a trial must not go on with its sample, by what people say of it; empty when nothing speaks against it.

        Args:
            number: of the trial.
            inventory: of the lab.
            campaign: id of the trial's campaign.
        """
        found = inventory.samples.get(sample_id(campaign, number))
        if found is None:
            return ""
        if found.sample.status is SampleStatus.QUARANTINED:
            return f"sample {found.sample.id} is in quarantine: {found.sample.message}"
        if found.sample.status is SampleStatus.LIVE and not found.at.place:
            last = found.sample.history[-1]
            return f"sample {found.sample.id} is out of the lab, says {last.by}: {last.note}"
        return ""

    # ── what follows from the record ──

    def due(self, state: CampaignState, number: int) -> Entries:
        """Entries about a trial's sample that follow from the record and are not in it."""
        trial = state.trials.get(number)
        if trial is None or self._sample is None:
            return []
        pen = _Pen(state, trial)
        made = [step for step in trial.steps if step.name == self._sample.made_by and step.into is not None]
        if pen.sample is None and made:
            self._create(pen, state, trial, made)
        if pen.sample is not None:
            self._follow(pen, trial)
            self._conclude(pen, trial)
        return pen.entries

    def _create(self, pen: _Pen, state: CampaignState, trial: TrialState, made: Sequence[StepState]) -> None:
        assert self._sample is not None
        done = [step for step in made if self._complete(trial, step)]
        if not done and (trial.status.pending or not self._loaded(state, trial)):
            return
        last = (done or made)[-1]
        assert last.into is not None
        reserved = [item for item in state.reserved.get(trial.number, ()) if item.step == last.name]
        used = dict.fromkeys((draw.item, draw.lot) for draw in draws(trial, reserved) if draw.amount > 0)
        label = self._sample.label.format(campaign=state.name, trial=trial.number)
        about = {
            "label": label,
            "barcode": pen.id,
            "stock": [{"item": i, "lot": lot} for i, lot in used],
            "parents": [],
        }
        pen.write(kinds.SAMPLE_CREATED, {**_at(last, last.into), **about}, last)
        if not done:
            pen.quarantine(f"step {last.name!r} did not come to its end; {self._why(trial)}")

    def _loaded(self, state: CampaignState, trial: TrialState) -> bool:
        """Whether there may be something of the sample, though the step that makes it never came to its end."""
        assert self._sample is not None
        step = self._sample.made_by
        uses = [item for item in state.reserved.get(trial.number, ()) if item.step == step and item.devices]
        return any(
            action.step == step
            and may_have_happened(action)
            and (action.guarded or any(takes(use, action) for use in uses))
            for action in trial.actions.values()
        )

    def _follow(self, pen: _Pen, trial: TrialState) -> None:
        """Moves, and what became of the sample in steps that are complete."""
        for index, step in enumerate(trial.steps):
            sample = pen.sample
            assert sample is not None
            spec = self._steps.get(step.name)
            if sample.status is not SampleStatus.LIVE or spec is None or not self._complete(trial, step):
                continue
            if step.into is not None:
                self._move(pen, trial, index)
            if spec.archives and pen.sample is not None and pen.sample.spot is not None:
                pen.write(kinds.SAMPLE_ARCHIVED, _at(step, pen.sample.spot), step)
            if spec.consumes:
                message = f"used up by step {step.name!r}"
                pen.write(kinds.SAMPLE_CONSUMED, {"step": step.name, "message": message}, step)

    def _move(self, pen: _Pen, trial: TrialState, index: int) -> None:
        """Record a move that a complete step made, unless it is on record or somebody has said otherwise since."""
        step, sample = trial.steps[index], pen.sample
        assert sample is not None
        assert step.into is not None
        if sample.placed_by is None:
            later = step.started_at > sample.placed_at or (step.ended_at or 0) > sample.placed_at
        else:
            placed = next((i for i, s in enumerate(trial.steps) if (s.name, s.attempt) == sample.placed_by), -1)
            later = index > placed
        if later:
            origin = {"place": sample.place, "slot": sample.slot}
            pen.write(kinds.SAMPLE_MOVED, {**_at(step, step.into), "from": origin}, step)

    def _complete(self, trial: TrialState, step: StepState) -> bool:
        """Whether a step was done, or taken for done by a person: what comes after it has begun."""
        if step.status in ("done", "started"):
            return step.status == "done"
        if step.cause not in ("interrupted", "aborted", "interlock"):
            return False
        index = trial.steps.index(step)
        if index + 1 == len(trial.steps):
            return trial.status is TrialStatus.OBSERVED
        following = trial.steps[index + 1]
        return self._order.get(following.name, -1) > self._order.get(step.name, len(self._order))

    def _conclude(self, pen: _Pen, trial: TrialState) -> None:
        """What becomes of a sample that is still live: in quarantine when its trial came to no good end."""
        sample = pen.sample
        assert sample is not None
        if sample.status is not SampleStatus.LIVE:
            return
        doubt = next((a for a in trial.actions.values() if a.status is ActionStatus.QUARANTINED), None)
        if trial.status is TrialStatus.OBSERVED:
            last = trial.steps[-1]
            pen.write(kinds.SAMPLE_ARCHIVED, _at(last, (sample.place, sample.slot)), last)
        elif not trial.status.pending or doubt is not None:
            at = where(sample, trial).in_words({name: place.slots for name, place in self._places.items()})
            said = doubt.in_words() if doubt is not None else ""
            pen.quarantine(f"{f'{said}: nobody can say; ' if doubt is not None else ''}{self._why(trial)}; it is {at}")

    def _why(self, trial: TrialState) -> str:
        if trial.status.pending:
            return f"trial {trial.number} cannot go on with it"
        return f"trial {trial.number} {trial.status.value}" + (f": {trial.message}" if trial.message else "")


class _Pen:
    """Entries about one sample, and the sample as they leave it."""

    def __init__(self, state: CampaignState, trial: TrialState) -> None:
        self.id = sample_id(state.id, trial.number)
        self.entries: Entries = []
        self._trial = trial.number
        known = state.samples.get(self.id)
        self._samples: Mapping[str, SampleState] = {} if known is None else {self.id: known}

    @property
    def sample(self) -> SampleState | None:
        """As the entries leave it."""
        return self._samples.get(self.id)

    def write(self, kind: str, body: Mapping[str, Any], step: StepState) -> None:
        """Add an entry that follows from a step."""
        full = {"trial": self._trial, "sample": self.id, **body}
        self.entries.append((kind, full))
        self._samples = apply(self._samples, kind, full, step.ended_at or step.started_at)

    def quarantine(self, message: str) -> None:
        """Add the entry that nobody may use it."""
        full = {"trial": self._trial, "sample": self.id, "by": "campaign", "message": message}
        self.entries.append((kinds.SAMPLE_QUARANTINED, full))
        self._samples = apply(self._samples, kinds.SAMPLE_QUARANTINED, full, 0)


def _at(step: StepState, spot: Spot) -> dict[str, Any]:
    return {"step": step.name, "attempt": step.attempt, "place": spot[0], "slot": spot[1]}
