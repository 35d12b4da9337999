"""A sample of what `make chaos` does in full."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.harness import Harness, Reference, doubles, spread
from chaos.runs import Case, Result

_SINGLES, _DOUBLES = 100, 6


def _wrong(results: list[Result]) -> list[str]:
    return [f"kill at {r.case} ({'; '.join(r.died)}): {text}" for r in results for text in r.violations]


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


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_anywhere_nothing_is_lost_or_repeated(harness: Harness, reference: Reference) -> None:
    """SIGKILL at 100 seeded points, 6 times again during recovery: each campaign comes to the undisturbed one's end.

    The instruments live on and keep the log that is compared with the journal: every acknowledged entry is there, each
    intended volume was delivered exactly once, and no person had to say what became of a dispense.
    """
    points = len(reference.points)
    cases = [Case((point,)) for point in spread(reference.points, _SINGLES, seed=11)]
    cases += [Case(pair) for pair in doubles(points, _DOUBLES, seed=11)]
    results = harness.run(cases, reference)
    assert _wrong(results) == []
    died = sum(len(result.died) for result in results)
    assert died >= _SINGLES, f"only {died} of {_SINGLES + 2 * _DOUBLES} points were reached"
    assert sum(result.receipts for result in results) > 10, "hardly a dispense was cut off"
    assert [question for result in results for question in result.asked] == []
