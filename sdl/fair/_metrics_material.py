"""What a campaign used up: amounts and costs of the stock, in all and for each trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sdl.campaign._draws import draws
from sdl.fair._metric import Metric, MetricGroup
from sdl.model.units import convert

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState
    from sdl.lab.spec import LabSpec

__all__ = ["material"]

_HIGH: Final = 0.8
"""Part of the cost that high-value materials make up."""


@dataclass
class _Used:
    unit: str
    amount: float
    trials: set[int]
    lots: dict[str, float]
    price: float
    """Of one unit; 0 where the lab file has none."""

    @property
    def cost(self) -> float:
        return self.amount * self.price


def material(state: CampaignState, lab: LabSpec | None) -> MetricGroup:
    """The materials that a campaign used.

    Args:
        state: of the campaign.
        lab: the lab file of the journal, for prices; None where there is none.
    """
    used = _used(state, lab)
    trials = len([trial for trial in state.trials.values() if trial.steps])
    currency = lab.currency if lab is not None else ""
    dear = _dear(used)
    metrics = [*_amounts(used, trials, dear), *_costs(used, trials, currency, dear)]
    return MetricGroup("material", "Material usage", tuple(metrics))


def _used(state: CampaignState, lab: LabSpec | None) -> dict[str, _Used]:
    stock = lab.stock if lab is not None else {}
    found: dict[str, _Used] = {}
    for number, trial in state.trials.items():
        for draw in draws(trial, state.reserved.get(number, ())):
            spec = stock.get(draw.item)
            if draw.item not in found:
                unit = spec.unit if spec is not None else draw.unit
                found[draw.item] = _Used(unit, 0.0, set(), {}, spec.cost if spec is not None else 0.0)
            item = found[draw.item]
            amount = convert(draw.amount, draw.unit, item.unit)
            item.amount += amount
            item.trials.add(number)
            item.lots[draw.lot] = item.lots.get(draw.lot, 0.0) + amount
    return found


def _dear(used: Mapping[str, _Used]) -> set[str]:
    """The fewest items that make up most of the cost."""
    total, sum_, found = sum(item.cost for item in used.values()), 0.0, set[str]()
    for name, item in sorted(used.items(), key=lambda pair: -pair[1].cost):
        if item.cost <= 0 or sum_ >= _HIGH * total:
            break
        found.add(name)
        sum_ += item.cost
    return found


def _amounts(used: Mapping[str, _Used], trials: int, dear: set[str]) -> Iterator[Metric]:
    definition = "What the campaign used of the item: by what its actions delivered, never less than that."
    for name, item in used.items():
        details: dict[str, Any] = {
            "per_trial": item.amount / trials if trials else None, "trials": len(item.trials), "lots": item.lots,
            "high_value": name in dear, "cost": item.cost if item.price > 0 else None,
        }  # fmt: skip
        note = "" if item.price > 0 else "no price on record"
        formula = "sum over trials of what each drew from its lots"
        yield Metric(f"used_{name}", name, item.amount, item.unit, definition, formula, note, details)
    if not used:
        why = "the lab file declares no stock that the procedure uses"
        yield Metric("used", "Materials", None, "", definition, "sum over trials", why)


def _costs(used: Mapping[str, _Used], trials: int, currency: str, dear: set[str]) -> Iterator[Metric]:
    total = sum(item.cost for item in used.values())
    priced = [name for name, item in used.items() if item.price > 0]
    why = "" if priced else "no item of the stock has a price in the lab file"
    free = sorted(set(used) - set(priced))
    note = why or (f"without {', '.join(free)}, which have no price" if free else "")
    yield Metric(
        "cost", "Cost of all materials", total if priced else None, currency,
        "What the materials of the campaign cost.", "sum over items of amount × price", note,
        {"per_trial": total / trials if priced and trials else None},
    )  # fmt: skip
    high = sum(used[name].cost for name in dear)
    yield Metric(
        "cost_high_value", "Of that, high-value materials", high if priced else None, currency,
        f"What the fewest items cost that make up at least {_HIGH:.0%} of the cost.",
        "sum over these items of amount × price", why, {"items": sorted(dear)},
    )  # fmt: skip
