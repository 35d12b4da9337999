"""Journals written by every release are read by this one, and mean what they meant."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from support.corpus import dump, load, summary

import sdl
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState, fold

_CORPUS = Path(__file__).parent / "corpus"
_DIGESTS = {
    "0.1.0": "4b5e36349e8e33a7b6f09720e3dc214f1a9d83b41805968e1774bdbbd81bcb40",
}
"""Version → digest of its folder. A line is added with each release, and none is ever changed."""
_HOW = (
    "A later release adds a corpus of its own (tests/journal/corpus/README.md) and never writes an older one again: "
    "whoever has a journal of that release cannot do so either. Where the fold of an old journal differs, mend "
    "sdl.journal.state"
)
_JOURNALS = sorted(_CORPUS.glob("*/*.jsonl"))


def _digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    total = sha256()
    for file in sorted(folder.iterdir()):
        total.update(f"{file.name}\0{sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def test_the_corpus_is_as_it_was_released() -> None:
    """This release has a corpus, and those of earlier releases are untouched."""
    found = {
        folder.name: _digest(folder) for folder in _CORPUS.iterdir() if folder.is_dir() and folder.name[0].isdigit()
    }
    assert sdl.__version__ in found, f"release {sdl.__version__} has no journals in {_CORPUS.name}. {_HOW}"
    assert found == _DIGESTS, _HOW


@pytest.mark.parametrize("journal", _JOURNALS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_journal_of_a_release(place: str | Path, journal: Path) -> None:
    """Each journal loads, verifies, keeps its text, folds to what its release said of it, and can be lengthened."""
    campaign = load(journal.read_text(), place)
    with Store.open(place) as store:
        assert store.verify() == [], _HOW
        told = json.loads(json.dumps(summary(store.state(campaign))))
        assert told == json.loads(journal.with_suffix(".summary.json").read_text()), _HOW
        (row,) = store.list_campaigns()
        assert (row.status, row.trials) == (told["status"], len(told["trials"]))
        with store.writer(campaign) as writer:
            assert writer.append(kinds.CAMPAIGN_PAUSED, {"message": "read", "advice": ""}).seq == told["seq"] + 1
        assert store.verify() == []
    assert dump(place, campaign).startswith(journal.read_text())


@pytest.mark.parametrize("journal", _JOURNALS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_journal_cut_short_anywhere(tmp_path: Path, journal: Path) -> None:
    """A journal that ends after any of its entries folds: a process may have died there."""
    with Store.open(tmp_path / "sdl.db") as store:
        campaign = load(journal.read_text(), store.location)
        state = CampaignState(id=campaign)
        for entry in store.entries(campaign):
            state = fold(state, entry)
            assert state.seq == entry.seq, _HOW


def test_the_corpus_covers_what_a_campaign_records() -> None:
    """Between them the journals of the first release hold every way in which a trial and a session can end."""
    texts = [path.read_text() for path in _CORPUS.glob("0.1.0/*.jsonl")]
    told = {json.loads(line)["kind"] for text in texts for line in text.split("\n")[:-1]}
    assert told >= {
        kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED, kinds.CAMPAIGN_PAUSED, kinds.CAMPAIGN_ENDED,
        kinds.CAMPAIGN_ABORTED, kinds.SESSION_OPENED, kinds.LAB_OPENED, kinds.SESSION_CLOSED, kinds.TRIAL_PROPOSED,
        kinds.TRIAL_APPROVED, kinds.TRIAL_OBSERVED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED, kinds.STEP_STARTED,
        kinds.STEP_DONE, kinds.STEP_FAILED, kinds.DOCUMENT, kinds.RUN_INTERRUPTED, kinds.STATION_SAFE,
        kinds.STATION_LOST, kinds.INTERLOCK_TRIPPED, kinds.ACTION_DISPATCHED, kinds.ACTION_ARMED, kinds.ACTION_ACKED,
        kinds.ACTION_DONE, kinds.ACTION_ABORTED, kinds.ACTION_DOUBTFUL, kinds.ACTION_RESOLVED, kinds.ACTION_SKIPPED,
    }  # fmt: skip


def test_the_corpus_covers_what_becomes_of_an_action() -> None:
    """Actions of the first release were done, settled by an instrument and by a person in each way, and carried on."""
    told = [json.loads(path.read_text()) for path in _CORPUS.glob("0.1.0/*.summary.json")]
    actions = [action for campaign in told for trial in campaign["trials"] for action in trial.get("actions", ())]
    ends = {(action["status"], action["by"].partition(":")[0]) for action in actions}
    assert ends >= {
        ("done", ""), ("resolved_done", "instrument"), ("resolved_done", "person"), ("quarantined", "person"),
    }  # fmt: skip
    assert any(action["tries"] == 2 and "delivered" in action["carried"] for action in actions), "none was carried on"
    bodies = [
        json.loads(json.loads(line)["body"])
        for path in _CORPUS.glob("0.1.0/*.jsonl")
        for line in path.read_text().split("\n")[:-1]
    ]
    assert "not_done" in {body.get("verdict") for body in bodies}
    assert any("station" in body.get("origin", {}) for body in bodies), "none came from a worker"
