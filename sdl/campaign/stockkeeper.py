"""Stock for trials: what they need, which lots are set aside for them, and what is free again once they have ended.

Pure functions of the record: what an entry follows from is on record before it, so that whatever a kill left out is
found again.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from sdl.campaign._draws import left_over
from sdl.campaign._shortage import Missing, Need, Shortage
from sdl.campaign.inventory import Inventory, today
from sdl.campaign.jobs import units_of
from sdl.journal import kinds
from sdl.journal.state import CampaignState
from sdl.lab.spec import LabSpec, StepSpec
from sdl.model import FileFault, InputError, Scalar
from sdl.model.units import convert, parse_quantity

if TYPE_CHECKING:
    from sdl.campaign.files import LoadedCampaign

__all__ = ["Need", "Shortage", "StockKeeper"]

Entries = list[tuple[str, dict[str, Any]]]

_TINY = 1e-9
"""Part of an amount that is rounding of sums."""


class StockKeeper:
    """Sets stock aside for the trials of one campaign."""

    def __init__(
        self,
        lab: LabSpec,
        procedure: str,
        units: Mapping[str, str] | None = None,
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Bind a procedure's uses.

        Args:
            lab: the lab file.
            procedure: name of one of its procedures.
            units: parameter → unit.
            defaults: step → values that its plan's arguments have by default.

        Raises:
            InputError: an amount is no argument of the plan, or does not convert to the stock's unit; all at once.
        """
        self._lab = lab
        self._steps = lab.procedures[procedure].steps
        self._units = dict(units or {})
        self._defaults = defaults or {}
        faults = [
            FileFault(f"step {step.name!r}, uses {item!r}: {why}")
            for step in self._steps
            for item in step.uses
            if (why := self._wrong(step, item))
        ]
        if faults:
            raise InputError(faults)

    @classmethod
    def of(cls, loaded: LoadedCampaign) -> StockKeeper:
        """For a campaign that was loaded.

        Raises:
            InputError: an amount is no argument of the plan, or does not convert to the stock's unit; all at once.
        """
        defaults = {step.name: _defaults(step.plan) for step in loaded.procedure.steps}
        return cls(loaded.lab.spec, loaded.procedure.name, units_of(loaded.spec), defaults)

    def _wrong(self, step: StepSpec, item: str) -> str:
        """What is wrong with a use; values of parameters are only known later."""
        if item not in self._lab.stock:
            return "the lab file has no such stock"
        try:
            self._amount(step, item, dict.fromkeys(self._units, 0.0))
        except ValueError as error:
            return str(error)
        return ""

    def _amount(self, step: StepSpec, item: str, parameters: Mapping[str, Scalar]) -> float:
        """The amount that one action, or one attempt of a step, takes, in the stock's unit.

        Raises:
            ValueError: it is no number of 0 or more in a unit that converts.
        """
        said, unit = step.uses[item].amount, self._lab.stock[item].unit
        if not isinstance(said, str) or not said[:1].isalpha():
            amount = parse_quantity(said, unit)
        elif said in step.with_:
            amount = parse_quantity(step.with_[said], unit)
        elif said in parameters:
            own = self._units.get(said, unit)
            value = parse_quantity(parameters[said], own)
            amount = convert(value, own, unit)
        elif said in (defaults := self._defaults.get(step.name, {})):
            amount = parse_quantity(defaults[said], unit)
        else:
            example = "0.2" if unit == "1" else f"0.2 {unit}"
            raise ValueError(f"{said!r} is neither an amount, as in '{example}', nor an argument of the plan")
        if amount < 0:
            raise ValueError(f"{amount:g} {unit} is below 0")
        return amount

    def needs(self, parameters: Mapping[str, Scalar]) -> list[Need]:
        """What each step of a trial takes of each item, each of its actions once.

        Raises:
            InputError: a parameter makes an amount that cannot be.
        """
        found = []
        for step in self._steps:
            for item, use in step.uses.items():
                try:
                    amount = self._amount(step, item, parameters)
                except ValueError as error:
                    raise InputError(f"step {step.name!r}, uses {item!r}: {error}") from None
                own = use.device
                others = (names.get(own or "", own or "") for names in step.other_stations.values())
                devices = tuple(dict.fromkeys((own, *others))) if own else ()
                found.append(Need(step.name, item, amount, self._lab.stock[item].unit, devices, use.path))
        return found

    def reserve(
        self,
        state: CampaignState,
        number: int,
        parameters: Mapping[str, Scalar],
        inventory: Inventory,
        *,
        step: str = "",
        day: date | None = None,
    ) -> Entries | Shortage:
        """Set aside what a trial still lacks: all of it before it begins, what is used up before a step is done again.

        Args:
            state: of the campaign, up to date.
            number: of the trial, which need not be on record yet.
            parameters: of the trial.
            inventory: of the lab, this campaign's state in it.
            step: only for this step, which is about to begin; all of them when empty.
            day: by which lots must not have expired; today.

        Returns:
            Entries to record before the trial or the step begins, none when nothing is lacking; or why it cannot.
        """
        day = day or today()
        needs = [need for need in self.needs(parameters) if step in ("", need.step)]
        lacking = [(need, wanted) for need in needs if (wanted := _lacking(state, number, need, bool(step))) > 0]
        free = {need.item: list(inventory.usable(need.item, day)) for need, _ in lacking}
        wanted_of: dict[str, float] = {}
        for need, wanted in lacking:
            wanted_of[need.item] = wanted_of.get(need.item, 0.0) + wanted
        short = [
            self._missing(item, wanted, inventory, day)
            for item, wanted in wanted_of.items()
            if wanted > sum(amount for _, amount in free[item]) * (1 + _TINY)
        ]
        if short:
            return Shortage(tuple(short))
        items = [item for need, wanted in lacking for item in _taken(need, wanted, free[need.item])]
        if not items:
            return []
        return [(kinds.STOCK_RESERVED, {"trial": number, "items": items}), *self.low(state, inventory, wanted_of, day)]

    def _missing(self, item: str, wanted: float, inventory: Inventory, day: date) -> Missing:
        lots = inventory.of(item)
        return Missing(
            item, self._lab.stock[item].unit, wanted, inventory.free(item, day), sum(lot.left for lot in lots),
            sum(lot.reserved for lot in lots), sum(max(lot.free, 0.0) for lot in lots if lot.expired(day)),
        )  # fmt: skip

    def release(self, state: CampaignState, number: int) -> Entries:
        """Give back what a trial that has ended did not use; nothing while it goes on, or when nothing is left over."""
        trial = state.trials.get(number)
        if trial is not None and trial.status.pending:
            return []
        items = [
            {"item": item.item, "lot": item.lot, "amount": amount, "unit": item.unit, "step": item.step}
            for item, amount in left_over(trial, state.reserved.get(number, ()))
        ]
        return [(kinds.STOCK_RELEASED, {"trial": number, "items": items})] if items else []

    def low(
        self,
        state: CampaignState,
        inventory: Inventory,
        less: Mapping[str, float] | None = None,
        day: date | None = None,
    ) -> Entries:
        """Warn of items of which less is free than the lab file wants, once until there is more on record.

        Args:
            state: of the campaign, up to date.
            inventory: of the lab, this campaign's state in it.
            less: item → amount that is about to be set aside.
            day: by which lots must not have expired; today.
        """
        found: Entries = []
        for item, spec in self._lab.stock.items():
            limit = parse_quantity(spec.warn_below, spec.unit)
            left = inventory.free(item, day or today()) - (less or {}).get(item, 0.0)
            supplied = max((lot.supplied_at for lot in inventory.of(item)), default=0)
            told = item in state.low and state.low[item] >= supplied
            if left < limit and not told and self._concerns(item):
                body = {"item": item, "left": max(left, 0.0), "warn_below": limit, "unit": spec.unit}
                found.append((kinds.STOCK_LOW, body))
        return found

    def _concerns(self, item: str) -> bool:
        """Whether this campaign uses an item."""
        return any(item in step.uses for step in self._steps)


def _lacking(state: CampaignState, number: int, need: Need, again: bool) -> float:
    """What has to be set aside, in the need's unit.

    Args:
        state: of the campaign.
        number: of the trial.
        need: of one of its steps.
        again: whether that step is about to begin, and may have begun before.
    """
    own = [r for r in state.reserved.get(number, ()) if (r.step, r.item) == (need.step, need.item)]
    if not own:
        return need.amount
    if need.devices or not again:
        return 0.0  # an action that happened is not done again, and one that did not has used nothing
    still = sum(amount for _, amount in left_over(state.trials.get(number), own))
    return need.amount - still if still < need.amount * (1 - _TINY) else 0.0


def _taken(need: Need, wanted: float, free: list[tuple[Any, float]]) -> list[dict[str, Any]]:
    """Items of the entry, lot by lot; takes them off the list of what is free."""
    found = []
    while wanted > 0 and free:
        lot, amount = free[0]
        part = min(amount, wanted) if len(free) > 1 else wanted  # the last may be short by a rounding
        free[0] = (lot, amount - part)
        if free[0][1] <= 0:
            free.pop(0)
        wanted -= part
        found.append(_item(need, lot.lot, part))
    return found


def _item(need: Need, lot: str, amount: float) -> dict[str, Any]:
    return {
        "item": need.item,
        "lot": lot,
        "amount": amount,
        "unit": need.unit,
        "step": need.step,
        "each": need.amount,
        "devices": list(need.devices),
        "path": need.path,
    }


def _defaults(plan: Any) -> dict[str, Any]:
    """Values that a plan's arguments have by default."""
    known: Sequence[inspect.Parameter] = tuple(inspect.signature(plan).parameters.values())
    return {p.name: p.default for p in known if p.default is not p.empty and p.default is not None}
