"""A sample of what `make chaos` does in full."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.harness import Harness, Reference, doubles, spread
from chaos.runs import Case, Result

_SINGLES, _DOUBLES = 54, 6
_COORDINATOR, _WORKER, _EITHER = 16, 24, 4


def _wrong(results: list[Result]) -> list[str]:
    return [f"kill at {r.case} ({'; '.join(r.died + r.worker_died)}): {text}" for r in results for text in r.violations]


@pytest.mark.slow
def test_every_sort_of_point_is_there(reference: Reference) -> None:
    """Points cover each phase of transactions and of requests over both links, and every dispense is armed and run."""
    phases = Counter((point.split()[0], point.split()[-2]) for point in reference.points)
    for link in ("pump", "modbus"):
        assert {phase for name, phase in phases if name == link} == {"before", "half", "sent", "answered"}
    assert {phase for name, phase in phases if name == "journal"} == {"before", "committed", "told"}
    runs = [p for p in reference.points if p.startswith("pump") and "RUN" in p]
    assert Counter(p.split()[-2] for p in runs) == dict.fromkeys(("before", "half", "sent", "answered"), 6)
    for kind in ("trial.proposed", "action.dispatched", "action.armed", "action.done", "step.done", "trial.observed"):
        assert any(kind in p and " before #" in p for p in reference.points), kind
    assert len(reference.points) > 500


def _judge(results: list[Result], least: int) -> None:
    """Nothing is wrong, so many did die, and nobody was asked."""
    assert _wrong(results) == []
    died = sum(len(result.died) + len(result.worker_died) for result in results)
    assert died >= least, f"only {died} points were reached"
    assert [question for result in results for question in result.asked] == []
    assert sum(result.receipts for result in results) > 0, "no dispense was cut off"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_anywhere_nothing_is_lost_or_repeated(harness: Harness, reference: Reference) -> None:
    """SIGKILL at seeded points, at some again during recovery: each campaign comes to the undisturbed one's end.

    The instruments live on and keep the log that is compared with the journal: every acknowledged entry is there, each
    intended volume was delivered exactly once, and no person had to say what became of a dispense.
    """
    cases = [Case((point,)) for point in spread(reference.points, _SINGLES, seed=11)]
    cases += [Case(pair) for pair in doubles(len(reference.points), _DOUBLES, seed=11)]
    _judge(harness.run(cases, reference), _SINGLES)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_with_a_worker_nothing_is_lost_or_repeated(harness: Harness, worker_reference: Reference) -> None:
    """The same with the station in a worker: the coordinator dies, or the worker, or one after the other.

    What the worker had acknowledged is in its spool, and came into the journal once.
    """
    here, there = worker_reference.points, worker_reference.worker_points
    cases = [Case((point,), ()) for point in spread(here, _COORDINATOR, seed=12)]
    cases += [Case((), (point,)) for point in spread(there, _WORKER, seed=13)]
    pairs = zip(doubles(len(here), _EITHER, seed=14), doubles(len(there), _EITHER, seed=15), strict=True)
    cases += [Case((one[0],), (other[0],)) for one, other in pairs]
    _judge(harness.run(cases, worker_reference), _COORDINATOR + _WORKER)
