"""The harness does what it says: it dies where it is told to, and answers as one who looked would."""

from __future__ import annotations

import signal

import pytest

from chaos.checker import check, history_of, read_truth
from chaos.harness import Harness, Reference, doubles, spread


@pytest.mark.parametrize(("phase", "runs"), [("before", False), ("half", False), ("sent", True), ("answered", True)])
def test_it_dies_where_it_is_told_to(harness: Harness, reference: Reference, phase: str, runs: bool) -> None:
    """At half of a request the pump does not run; once all of it has left the pump runs, whoever has died."""
    with harness.bench() as bench:
        killed = bench.session(1, f"pump 00RUN {phase} #1")
        assert killed.status == -signal.SIGKILL
        assert killed.trace.points[-1] == f"pump 00RUN {phase} #1"
        assert bench.session(2, None).status == 0
        first = next(line for line in read_truth(bench.truth) if line["action"] == "run")
        record = bench.record()
    second = [e.at for e in record.entries if e.kind == "session.opened"][1]
    assert (first["wall"] < second) == runs
    assert history_of(record.entries) == reference.history


def test_an_entry_is_acknowledged_once_its_commit_has_returned(harness: Harness) -> None:
    """Killed before a commit the entry is not there; after it, it is there though nobody was told."""
    for phase, there in (("before", False), ("committed", True)):
        with harness.bench() as bench:
            assert bench.session(1, f"journal action.armed {phase} #1").status == -signal.SIGKILL
            record = bench.record()
        assert any(e.kind == "action.armed" for e in record.entries) == there
        assert {ack.seq for ack in record.acks} == {e.seq for e in record.entries if e.kind != "action.armed"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("receipt", {"repeated: trial 2: stock_pump", "total: stock_pump"}),
        ("armed", {"repeated: trial 2: stock_pump", "began before its action.armed was on the disk"}),
        ("commit", {"lost: entry "}),
    ],
)
def test_it_notices_what_is_broken_on_purpose(
    harness: Harness, reference: Reference, broken: str, said: set[str]
) -> None:
    """Pumps that deny what they delivered, ARMED left out, commits that are undone: each run is judged unsound."""
    with harness.bench(broken=broken) as bench:
        first = bench.session(1, "pump 00RUN answered #2")
        if broken != "commit":
            assert first.status == -signal.SIGKILL
            assert bench.session(2, None).status == 0
        found = check(bench.record(), reference.history)
    assert all(any(part in text for text in found) for part in said), found


def test_points_are_chosen_by_seed(reference: Reference) -> None:
    """A seed gives the same points again, all of them within the campaign, and none twice."""
    chosen = spread(reference.points, 100, seed=3)
    assert chosen == spread(reference.points, 100, seed=3) != spread(reference.points, 100, seed=4)
    assert len(set(chosen)) == 100
    assert all(1 <= point <= len(reference.points) for point in chosen)
    pairs = doubles(len(reference.points), 50, seed=3)
    assert pairs == doubles(len(reference.points), 50, seed=3)
    assert all(1 <= first <= len(reference.points) and second >= 1 for first, second in pairs)
