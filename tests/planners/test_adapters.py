"""Peers as planners: told what they should be, valid whatever they answer, pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from sdl.model import Exhausted, InputError, MissingExtra, Outcome, Problem, Trial, TrialStatus
from sdl.planners.random import RandomPlanner
from sdl.testing.planner import check_planner, problems, response

PEERS = {"optuna": "optuna", "physbo": "physbo", "nimo": "nimo", "baybe": "baybe", "ax": "ax", "blop": "blop"}
KITS = problems()


def _planner(name: str, **options: Any) -> Any:
    pytest.importorskip(PEERS[name])
    module = import_module(f"sdl.planners.adapters.{name}")
    return getattr(module, f"{name.capitalize()}Planner")(**options)


def _trials(problem: Problem, count: int) -> list[Trial]:
    """Observed trials at random points, one failed, one infeasible and one running."""
    found = RandomPlanner().propose(problem, (), count + 3, 7)
    statuses = [TrialStatus.OBSERVED] * count + [TrialStatus.FAILED, TrialStatus.INFEASIBLE, TrialStatus.RUNNING]
    trials = []
    for i, (proposal, status) in enumerate(zip(found, statuses, strict=True)):
        y = response(proposal.parameters)
        asked = (*problem.objectives, *problem.outcome_constraints)
        outcomes = {o.name: Outcome(value=y if o.name == "y" else -0.5 * y) for o in asked}
        told = outcomes if status is TrialStatus.OBSERVED else {}
        trials.append(Trial(number=i + 1, parameters=proposal.parameters, status=status, outcomes=told))
    return trials


def _ask(planner: Any, problem: Problem, n: int = 1, seed: int = 5, count: int = 4) -> list[Any]:
    """Proposals that are valid and free, and the same when asked again."""
    trials = _trials(problem, count)
    found = planner.propose(problem, trials, n, seed)
    assert len(found) == n
    taken = [t.parameters for t in trials if t.status is not TrialStatus.FAILED]
    for proposal in found:
        assert problem.check(proposal.parameters) == proposal.parameters
        assert proposal.parameters not in taken
        assert "fallback" not in proposal.reason.details
        assert proposal.reason.summary == f"chosen by {planner.name}"
    assert len({tuple(p.parameters.items()) for p in found}) == n
    return found


CASES = [
    ("physbo", "pool"),
    ("nimo", "pool"),
    ("baybe", "pool"),
    ("baybe", "mixture"),
    ("ax", "mixture"),
    ("ax", "few components"),
    ("ax", "outcome constraint"),
    ("blop", "pool"),
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_peer_proposes(name: str, kind: str) -> None:
    """With observed, failed, infeasible and running trials a peer itself chooses a valid, free point."""
    _ask(_planner(name), KITS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS if os.environ.get("SDL_PEERS") == "full" else ["optuna"])
def test_a_peer_keeps_the_contract(name: str) -> None:
    """All of the conformance kit; `make peers` runs it for every peer, some of which need minutes."""
    refuses = () if name in ("ax", "blop") else ("outcome constraint",)
    assert check_planner(_planner(name), seeds=(0, 1), refuses=refuses, seconds=300).ok


@pytest.mark.parametrize("name", ["optuna", "baybe"])
def test_a_peer_is_pure(name: str) -> None:
    """Several at once are the same when asked again, and leave the global generators as they were."""
    import numpy as np

    planner = _planner(name)
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    first = _ask(planner, KITS["pool"], n=3)
    planner.propose(KITS["box"], (), 1, 9)
    assert _ask(planner, KITS["pool"], n=3) == first
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]


def test_a_pool_without_native_support_is_marked() -> None:
    """Optuna's point is mapped to the nearest free row, and says how far that was."""
    found = _ask(_planner("optuna"), KITS["pool"], n=4)
    assert all(0 < p.reason.details["mapped_to_row"] < 2 for p in found if "mapped_to_row" in p.reason.details)
    assert any("mapped_to_row" in p.reason.details for p in found)


def test_a_native_pool_is_not_mapped() -> None:
    """PHYSBO chooses among the rows themselves."""
    assert not any("mapped_to_row" in p.reason.details for p in _ask(_planner("physbo"), KITS["pool"], n=2))


def test_before_the_peer_is_asked() -> None:
    """Without observed trials the first points are random ones of the seed, and no peer is imported for them."""
    planner = _planner("optuna")
    one, two = (planner.propose(KITS["box"], (), 1, seed)[0] for seed in (1, 2))
    assert one.parameters != two.parameters
    assert one.reason.summary == "drawn at random, before optuna is asked"


@pytest.mark.parametrize("name", [name for name in PEERS if name not in ("ax", "blop")])
def test_outcome_constraints_are_refused(name: str) -> None:
    """A problem that a peer cannot take is refused before the campaign, with the planner that takes it."""
    with pytest.raises(InputError, match=f"planner '{name}' takes no outcome constraints.* use planner 'bayes'"):
        _planner(name).propose(KITS["outcome constraint"], (), 1, 0)


def test_ax_is_told_of_outcome_constraints() -> None:
    """Ax gets the bounds and what was measured of the constrained outcome, with its standard error, in its unit."""
    from sdl.planners.adapters.ax import bounds, measured

    problem = Problem.model_validate(
        {
            "parameters": {"a": {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}},
            "objectives": {"y": {"kind": "minimize", "unit": "1"}},
            "outcome_constraints": {
                "z": {"unit": "1", "at_least": -1.5, "at_most": 0.5},
                "w": {"unit": "1", "at_most": 2},
            },
        }
    )
    outcomes = {"y": Outcome(value=3.0), "z": Outcome(value=0.25, sem=0.1), "w": Outcome(value=1.0)}
    trial = Trial(number=1, parameters={"a": 0.5}, status=TrialStatus.OBSERVED, outcomes=outcomes)
    assert bounds(problem) == ["c0 <= 0.5", "c0 >= -1.5", "c1 <= 2.0"]
    assert measured(problem, trial) == {"m0": -3.0, "c0": (0.25, 0.1), "c1": 1.0}


def test_what_a_peer_ignores_is_on_record() -> None:
    """Prior knowledge and costs, of which no peer is told, are named with the proposal."""
    planner = _planner("optuna")
    for name, ignored in (("prior knowledge", ["sources"]), ("costs", ["trial_cost", "change_cost"])):
        assert planner.propose(KITS[name], (), 1, 0)[0].reason.details["ignored"] == ignored


def test_a_pool_that_is_used_up() -> None:
    """The last free row is proposed, then `Exhausted` is raised."""
    problem = KITS["pool"]
    assert problem.pool is not None
    rows = [problem.check(problem.pool.row(i)) for i in range(len(problem.pool))]
    trials = [
        Trial(
            number=i + 1,
            parameters=row,
            status=TrialStatus.OBSERVED,
            outcomes={"y": Outcome(value=response(row))},
        )
        for i, row in enumerate(rows)
    ]
    planner = _planner("optuna")
    assert [p.parameters for p in planner.propose(problem, trials[1:], 3, 0)] == [rows[0]]
    with pytest.raises(Exhausted):
        planner.propose(problem, trials, 1, 0)


def test_an_absent_peer_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the peer's package is not installed, the message says how to install it."""
    from importlib.metadata import PackageNotFoundError

    from sdl.planners.adapters import _peer
    from sdl.planners.adapters.ax import AxPlanner

    def absent(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(_peer, "version", absent)
    with pytest.raises(MissingExtra, match=r"planner 'ax' needs the extra 'peers'.*self-driving-lab\[peers\]"):
        AxPlanner()


def test_a_failing_peer_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a peer's numbers go wrong a random point stands in, and the proposal says so."""
    planner = _planner("optuna")

    def fail(case: Any, n: int) -> Any:
        raise ValueError("matrix is not positive definite")

    monkeypatch.setattr(planner, "choose", fail)
    (found,) = planner.propose(KITS["box"], _trials(KITS["box"], 4), 1, 0)
    assert found.reason.details["fallback"] == "ValueError: matrix is not positive definite"
    assert found.reason.summary == "drawn at random, since the peer failed"


def test_options_are_checked() -> None:
    """An unknown option is refused with the nearest known one."""
    with pytest.raises(InputError, match="planner 'optuna' has no option 'samplr'; did you mean 'sampler'"):
        _planner("optuna", samplr="tpe")


def test_ax_knows_of_every_trial() -> None:
    """Ax's own experiment, after a call, has observed trials completed, failed and infeasible ones failed, and running
    ones running; none is abandoned, which Ax would take for pending."""
    planner = _planner("ax")
    kept: list[Any] = []
    make: Callable[..., Any] = planner._client
    planner._client = lambda *given: kept.append(make(*given)) or kept[-1]
    _ask(planner, KITS["box"])
    experiment = kept[0]._experiment
    statuses = [trial.status.name for _, trial in sorted(experiment.trials.items())]
    assert statuses == ["COMPLETED"] * 4 + ["RUNNING", "FAILED", "FAILED", "RUNNING"]


def test_an_import_does_not_reach_the_first_answer(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a module draws when it is imported comes before the seed: the first call of a process is as all others."""
    import numpy as np

    from sdl.planners.adapters._peer import Peer, need

    (tmp_path / "drawing_peer.py").write_text("import numpy\nnumpy.random.seed(3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Drawing(Peer):
        name, package = "drawing", "numpy"

        def modules(self) -> tuple[str, ...]:
            return ("drawing_peer",)

        def choose(self, case: Any, n: int) -> Any:
            need("drawing_peer", self.name)
            return case.settle(case.space.from_cube(np.random.random((n, case.space.d))))

    trials = _trials(KITS["box"], 4)
    first = Drawing().propose(KITS["box"], trials, 1, 5)
    assert first[0].reason.summary == "chosen by drawing"
    assert Drawing().propose(KITS["box"], trials, 1, 5) == first
