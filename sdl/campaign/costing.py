"""What a campaign has cost: hours of its stations and what it used of the stock, at the lab file's prices."""

from __future__ import annotations

from collections.abc import Mapping

from sdl.campaign._draws import Draw, draws
from sdl.campaign._labtime import LabTime
from sdl.campaign.recipe import recipe_of
from sdl.journal.state import CampaignState
from sdl.lab.spec import LabSpec
from sdl.model.units import convert

__all__ = ["price", "priced", "spent"]


def price(lab: LabSpec, busy: Mapping[str, float], used: Mapping[str, float]) -> float:
    """Money, in the lab's currency.

    Args:
        lab: says what an hour of a station and a unit of an item cost.
        busy: station → lab seconds in which a step was under way there.
        used: item of the stock → amount, in the item's unit.
    """
    stations = sum(lab.stations[name].cost * seconds / 3600 for name, seconds in busy.items() if name in lab.stations)
    return stations + sum(lab.stock[item].cost * amount for item, amount in used.items() if item in lab.stock)


def priced(lab: LabSpec) -> bool:
    """Whether anything in a lab has a price."""
    return any(s.cost > 0 for s in lab.stations.values()) or any(s.cost > 0 for s in lab.stock.values())


def _amount(lab: LabSpec, draw: Draw) -> float:
    """What was drawn, in the unit that has the price."""
    item = lab.stock.get(draw.item)
    if item is None or item.unit == draw.unit:
        return draw.amount
    try:
        return convert(draw.amount, draw.unit, item.unit)
    except ValueError:  # the lab file has been given another kind of unit since; the number is the best there is
        return draw.amount


def spent(state: CampaignState) -> tuple[float, str] | None:
    """What a campaign has cost so far, and the currency; None where its journal does not have the lab file in full.

    Steps under way count up to the last entry on record.
    """
    recipe = recipe_of(state)
    if recipe is None:
        return None
    time = LabTime(state)
    busy: dict[str, float] = {}
    used: dict[str, float] = {}
    for trial in state.trials.values():
        for step in trial.steps:
            end = time.end if step.ended_at is None else time.at(step.ended_at)
            busy[step.station] = busy.get(step.station, 0.0) + max(0.0, end - time.at(step.started_at))
        for draw in draws(trial, state.reserved.get(trial.number, ())):
            used[draw.item] = used.get(draw.item, 0.0) + _amount(recipe.lab, draw)
    return price(recipe.lab, busy, used), recipe.lab.currency
