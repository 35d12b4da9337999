"""The audit of a large store is shared by several processes, and finds what one finds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.postgres import execute

from sdl.journal import Damage, Store, _chains, _share, _verify
from sdl.journal._schema import PLACES

_C1, _C2 = PLACES, 2 * PLACES
_TAMPERED = [
    [],
    [f"UPDATE packed SET at = at + 1 WHERE place IN ({_C1 + 7}, {_C1 + 8}, {_C1 + 14}, {_C1 + 40})"],
    [f"DELETE FROM packed WHERE place IN ({_C1 + 7}, {_C1 + 8})"],
    [f"DELETE FROM packed WHERE place BETWEEN {_C1 + 5} AND {_C1 + 23}"],
    [f"DELETE FROM packed WHERE place = {_C2 + 40}", "UPDATE view_campaigns SET name = 'gold'"],
    *(
        [f"UPDATE packed SET hash = (SELECT hash FROM packed b WHERE b.place = {place - 1}) WHERE place = {place}"]
        for place in (_C2 + 13, _C2 + 14, _C2 + 15)
    ),
    ["DELETE FROM forms WHERE chain = 2"],
]


@pytest.fixture
def filled(place: str | Path) -> str | Path:
    """Two campaigns of 40 entries, with derived tables."""
    with Store.open(place) as store:
        for campaign in ("c1", "c2"):
            store.create(campaign, f"silver {campaign}")
            with store.writer(campaign) as writer:
                for i in range(40):
                    writer.post("document of no run", {"i": i, "text": "銀 µ"})
        store.sync_views()
    return place


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains are cut into parts of seven entries."""
    monkeypatch.setattr(_chains, "_PART", 7)
    monkeypatch.setattr(_share, "_ENTRIES", 20)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("statements", _TAMPERED)
def test_parts_find_what_the_whole_finds(
    filled: str | Path, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in parts or whole, damage is found, and the first damaged entry of a campaign is the same."""
    if statements:
        execute(filled, *statements)
    with Store.open(filled) as store:
        parts = store.verify()
        monkeypatch.setattr(_chains, "_PART", 10**6)
        whole = store.verify()
    assert bool(parts) is bool(statements)
    assert _first(parts) == _first(whole)


def _first(damage: list[Damage]) -> dict[str, int]:
    """Campaign → the first of its entries that is damaged."""
    return {item.campaign: item.seq for item in sorted(damage, reverse=True) if item.seq}


@pytest.mark.usefixtures("parts")
def test_several_processes(filled: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two other processes find what this one does."""
    execute(filled, *_TAMPERED[1], *_TAMPERED[4])
    with Store.open(filled) as store:
        alone = store.verify()
        monkeypatch.setattr(_verify, "_LARGE", 10)
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        assert store.verify() == alone
    assert {item.campaign for item in alone} == {"c1", "c2"}


@pytest.mark.usefixtures("parts")
def test_processes_that_are_killed(filled: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other processes cannot be started, or are killed, this one does their share."""

    class Killed(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.kill()

    execute(filled, f"UPDATE packed SET at = at + 1 WHERE place = {_C2 + 33}")
    monkeypatch.setattr(_verify, "_LARGE", 10)
    monkeypatch.setattr(_share.subprocess, "Popen", Killed)
    with Store.open(filled) as store:
        assert {(d.campaign, d.seq) for d in store.verify()} == {("c2", 33)}
