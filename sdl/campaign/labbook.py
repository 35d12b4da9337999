"""The campaigns of one lab in a store, and the lab's own chain, read again only where they have grown."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from sdl.campaign._labfacts import LabFacts, lab_facts
from sdl.campaign.inventory import Inventory, Memo, take_stock
from sdl.journal import Entry, JournalError, LeaseHeld, Store, kinds
from sdl.journal.labs import lab_chain
from sdl.journal.state import CampaignState, fold
from sdl.lab.spec import LabSpec, StockSpec
from sdl.lab.yamlfile import faults_of, read_yaml
from sdl.model import InputError

__all__ = ["LabBook", "lab_spec", "record"]

_PATIENCE_S: Final = 5.0
"""Wall seconds to wait for somebody else who writes to the chain of a lab."""
_LOOK_S: Final = 0.05
"""Wall seconds between two tries."""
_KINDS: Final = kinds.KINDS - {kinds.DOCUMENT, kinds.RUN_INTERRUPTED, kinds.REHEARSAL_QUOTED, kinds.TRIAL_SCHEDULED}
"""What the inventory depends on; documents are many, and none of it."""


class LabBook:
    """The campaigns of one lab in a store, and the lab's own chain, read again only where they have grown."""

    def __init__(self, store: Store, lab: str) -> None:
        self.lab = lab
        """Name of the lab."""
        self._store = store
        self._states: dict[str, CampaignState] = {}
        self._read: dict[str, int] = {}
        """Chain → number of the last entry that was read."""
        self._facts = LabFacts()
        self._memo = Memo()

    @property
    def facts(self) -> LabFacts:
        """What the lab's own chain says, as of the last refresh."""
        return self._facts

    @property
    def states(self) -> list[CampaignState]:
        """The lab's campaigns as of the last refresh, the oldest first; runs and documents left out."""
        return [state for state in self._states.values() if state.created.get("lab", {}).get("name") == self.lab]

    def refresh(self, but: Collection[str] = ()) -> LabBook:
        """Read what is new; returns itself.

        Args:
            but: ids of campaigns that need not be read, because their holder knows them better.

        Raises:
            StoreError: the store cannot be read.
        """
        for head in self._store.campaigns():
            if head.id not in but:
                state = self._states.get(head.id, CampaignState(id=head.id))
                for entry in self._new(head.id, head.seq):
                    state = fold(state, entry)
                self._states[head.id] = state
        chain = lab_chain(self.lab)
        for head in self._store.labs():
            if head.id == chain:
                self._facts = lab_facts(self._new(chain, head.seq), self._facts)
        return self

    def _new(self, chain: str, seq: int) -> list[Entry]:
        after = self._read.get(chain, 0)
        if seq <= after:
            return []
        # Those written since the head was read are left for the next time, so that none is folded twice.
        found = [e for e in self._store.entries(chain, after=after, kinds=_KINDS) if e.seq <= seq]
        self._read[chain] = seq
        return found

    def inventory(self, stock: Mapping[str, StockSpec] | None = None, *live: CampaignState) -> Inventory:
        """The inventory as of the last refresh.

        Args:
            stock: of the lab file; amounts are in its units.
            live: states of campaigns that are under way here; they take the place of what the store said of them.

        Raises:
            InputError: an amount on record does not convert to the stock's unit.
        """
        known = {state.id for state in live}
        others = [state for state in self.states if state.id not in known]
        return take_stock([*others, *live], self._facts, stock, memo=self._memo)


# ── which lab, and writing to its chain ──


def lab_spec(store: Store | None, file: Path | None) -> LabSpec:
    """The lab that a person means: that of a lab file, or the only one whose campaigns a store has.

    Args:
        store: an open store; None where there is none yet.
        file: the lab file, where it is given.

    Raises:
        InputError: the file has faults; or there is no lab in the store, or there are several.
    """
    if file is not None:
        read = read_yaml(file)
        try:
            return LabSpec.model_validate(read.data)
        except ValidationError as error:
            raise InputError(faults_of(error, LabSpec, read)) from None
    texts = {lab["name"]: str(lab["text"]) for lab in _labs(store)} if store is not None else {}
    if len(texts) != 1:
        there = f"campaigns of several labs: {', '.join(texts)}" if texts else "no campaign yet"
        raise InputError(f"the store has {there}; say which lab with --lab LAB.yaml")
    (text,) = texts.values()
    return LabSpec.model_validate(_parsed(text))


def _labs(store: Store) -> Iterator[Mapping[str, Any]]:
    """The lab files of a store's campaigns as they are on record, the newest last."""
    for head in store.campaigns():
        for entry in store.entries(head.id, kinds={kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED}):
            yield entry.body["lab"]


def _parsed(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def record(store: Store, lab: str, kind: str, body: Mapping[str, Any]) -> Entry:
    """Put an entry into the chain of a lab, which is begun with the first; return once it is on the disk.

    Raises:
        LeaseHeld: somebody else writes to it, for longer than it takes.
        StoreError: the store cannot be written.
    """
    chain = lab_chain(lab)
    if all(head.id != chain for head in store.labs()):
        with suppress(JournalError):  # somebody else has begun it a moment ago
            store.create(chain, lab)
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with store.writer(chain) as writer:
                return writer.append(kind, body)
        except LeaseHeld:
            if time.monotonic() > end:
                raise
            time.sleep(_LOOK_S)
