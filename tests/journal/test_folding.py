"""Reading for the fold leaves out what the fold passes over, and nothing else."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from support.postgres import execute

from sdl.journal import Store, StoreError, kinds
from sdl.journal._replace import replace
from sdl.journal._schema import PLACES
from sdl.journal.state import CampaignState, fold_all

_NAMES = ("descriptor", "event", "event_page", "stream_resource", "stream_datum", "later_name")


def _documents(rng: random.Random, trial: int) -> list[tuple[str, dict[str, Any]]]:
    """Runs of two stations, some with origins, some never stopped, with texts that look like what is searched for."""
    items: list[tuple[str, dict[str, Any]]] = []
    for run in range(rng.randrange(3)):
        where = {"trial": trial, "step": rng.choice(["read", 'a "name":"event" step', "é\\"]), "attempt": 1}
        station = rng.choice([None, "furnace", 'odd "name":"stop"'])

        def add(name: str, doc: dict[str, Any], where: dict[str, Any] = where, at: str | None = station) -> None:
            origin = {} if at is None else {"origin": {"station": at, "seq": rng.randrange(10**6)}}
            items.append((kinds.DOCUMENT, {**where, "name": name, "doc": doc, **origin}))

        uid = f"{trial}-{run}"
        add("start", {"uid": uid, "name": "event"})
        for _ in range(rng.randrange(6)):
            add(
                rng.choice(_NAMES),
                {"name": rng.choice(["start", "stop"]), "data": {"name": '","name":"event","step":""'}},
            )
        if rng.random() < 0.7:
            add("stop", {"run_start": uid})
    return items


@pytest.mark.parametrize("seed", range(8))
def test_the_same_state(path: Path, seed: int) -> None:
    """Whatever documents there are, of workers or not, the state is the fold over all entries, at any end of it."""
    rng = random.Random(seed)
    with Store.open(path) as store:
        store.create("c1", "silver")
        with store.writer("c1", syncs=False) as writer:
            writer.append(kinds.SESSION_OPENED, {"epoch": 1})
            for trial in range(1, 5):
                proposed = {"trial": trial, "parameters": {}, "planner": {}, "reason": {}, "seed": 1}
                writer.append(kinds.TRIAL_PROPOSED, proposed)
                for kind, body in _documents(rng, trial):
                    writer.append(kind, body, durable=False)
                    if rng.random() < 0.2:
                        assert store.state("c1") == fold_all("c1", store.entries("c1"))
        every = list(store.entries("c1"))
        assert store.state("c1") == fold_all("c1", every)
        for upto in range(1, len(every) + 1, 5):
            assert fold_all("c1", store.for_the_fold("c1", upto=upto)) == fold_all("c1", every[:upto])
        assert len(list(store.for_the_fold("c1"))) <= len(every)


def test_damage_is_seen(path: Path) -> None:
    """A document that the fold passes over is compared with its hash all the same."""
    body = {"trial": 1, "step": "read", "attempt": 1, "name": "event", "doc": {"data": {"x": 1.5}}}
    with Store.open(path) as store:
        store.create("c1", "silver")
        with store.writer("c1") as writer:
            for _ in range(3):
                writer.append(kinds.DOCUMENT, body)
        execute(path, f"UPDATE packed SET body = replace(body, '1.5', '2.5') WHERE place = {PLACES + 2}")
        with pytest.raises(StoreError, match="entry 2 of campaign c1 is damaged"):
            store.state("c1")


def test_replace() -> None:
    """A copy with other values equals that of the standard library, and leaves the record as it was."""
    state = CampaignState(id="c", name="silver", seq=3)
    assert replace(state, seq=4, message="m") == dataclasses.replace(state, seq=4, message="m")
    assert state == CampaignState(id="c", name="silver", seq=3)
    with pytest.raises(AttributeError, match="CampaignState has no field 'sequ'"):
        replace(state, sequ=4)
