"""The samples of a campaign and the stock that it used, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdl.fair._words import number
from sdl.journal.samples import where

if TYPE_CHECKING:
    from sdl.campaign.inventory import Inventory, Lot
    from sdl.journal import Store
    from sdl.journal.state import CampaignState

__all__ = ["LabStock", "lab_stock", "sample_rows", "stock_rows"]


@dataclass(frozen=True)
class LabStock:
    """The inventory of a campaign's lab, and the campaign's part in it."""

    lab: Inventory
    """Over all campaigns of the store."""
    own: Inventory
    """What this campaign used; what was received is not in it."""
    slots: Mapping[str, int] = field(default_factory=dict)
    """Place → how many samples it holds."""


def lab_stock(store: Store, state: CampaignState) -> LabStock | None:
    """The inventory of a campaign's lab; None where the campaign has neither samples nor stock.

    Args:
        store: with all campaigns of the lab.
        state: of the campaign.

    Raises:
        InputError: an amount on record does not convert to the stock's unit.
    """
    if not state.samples and not state.reserved:
        return None
    from sdl.campaign._labfacts import LabFacts
    from sdl.campaign.inventory import take_stock
    from sdl.campaign.labbook import LabBook
    from sdl.campaign.recipe import recipe_of

    recipe = recipe_of(state)
    stock = recipe.lab.stock if recipe is not None else None
    slots = {name: place.slots for name, place in recipe.lab.places.items()} if recipe is not None else {}
    lab = LabBook(store, state.created.get("lab", {}).get("name", "")).refresh().inventory(stock, state)
    return LabStock(lab, take_stock([state], LabFacts(), stock), slots)


def sample_rows(state: CampaignState, known: LabStock | None) -> Iterator[tuple[str, ...]]:
    """Sample, label, trial, status, where it is, and what is said of it.

    Args:
        state: of the campaign.
        known: the lab's inventory, with what people say of samples; None where only the campaign's journal is at hand.
    """
    for id_, own in sorted(state.samples.items(), key=lambda item: item[1].trial):
        located = known.lab.samples.get(id_) if known is not None else None
        sample = located.sample if located is not None else own
        at = located.at if located is not None else where(own, state.trials.get(own.trial))
        place = at.in_words(known.slots if known is not None else None)
        note = sample.message or (sample.history[-1].note if sample.history else "")
        yield sample.id, sample.label, str(sample.trial), sample.status.value, place, note


def stock_rows(known: LabStock | None) -> Iterator[tuple[str, ...]]:
    """Item, lot, what the campaign used, what is set aside for it, and what is left in the lab."""
    if known is None:
        return
    for key, own in known.own.lots.items():
        lot = known.lab.lots.get(key)
        left = _amount(lot.left, lot) if lot is not None else "–"
        yield own.item, own.lot, _amount(own.used, own), _amount(own.reserved, own), left


def _amount(value: float, lot: Lot) -> str:
    return number(float(value), lot.unit)
