"""Puts a quote on record in the journal of the campaign that it is for."""

from __future__ import annotations

from sdl.campaign._ids import new_campaign_id
from sdl.campaign.rehearsal.quote import Quote
from sdl.journal import Entry, LeaseHeld, Store, kinds
from sdl.model import InputError

__all__ = ["record_quote", "refuse_if_held"]


def refuse_if_held(store: Store, name: str) -> None:
    """Refuse to rehearse a campaign that somebody runs: what it has still to do changes meanwhile.

    Args:
        store: with the campaign, if it is there at all.
        name: of the campaign.

    Raises:
        InputError: somebody runs it.
    """
    campaign = _newest(store, name)
    lease = store.lease(campaign) if campaign else None
    if lease is not None and lease.alive:
        raise InputError(
            f"campaign {name!r} is under way ({lease.holder}), and what it has still to do changes; pause it, or use "
            "another store: --store FILE"
        )


def record_quote(store: Store, quote: Quote) -> Entry:
    """Record a quote in the newest campaign of its name, which is begun with it where there is none.

    Raises:
        InputError: somebody runs the campaign.
        StoreError: the store cannot be written.
    """
    campaign = _newest(store, quote.name)
    if not campaign:
        campaign = new_campaign_id()
        store.create(campaign, quote.name)
    try:
        with store.writer(campaign) as writer:
            return writer.append(kinds.REHEARSAL_QUOTED, {"runs": quote.runs, "quote": quote.as_json()})
    except LeaseHeld as error:
        raise InputError(f"the quote was not recorded: {error}") from error


def _newest(store: Store, name: str) -> str:
    """Id of the newest campaign of a name; empty when there is none."""
    return next((head.id for head in reversed(store.campaigns()) if head.name == name), "")
