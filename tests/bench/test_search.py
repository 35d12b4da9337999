"""Searches: fair, pure, resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from sdl.bench.datasets import find_tasks
from sdl.bench.entrants import Entrant, entrants
from sdl.bench.functions import FUNCTIONS, evaluate, function_task, shortfall
from sdl.bench.running import run_all
from sdl.bench.search import Found, Job, run_job
from sdl.bench.tasks import PoolTask
from sdl.model import InputError, Problem, Proposal, Reason, Trial
from sdl.planners.random import RandomPlanner


@pytest.fixture
def task(table: Path) -> PoolTask:
    """The small table."""
    return find_tasks(table)[0]


class FirstRow(RandomPlanner):
    """Proposes the first row of the pool that was not tried; what it sees is kept for the tests."""

    seen: ClassVar[list[tuple[Problem, tuple[Trial, ...]]]] = []

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        self.seen.append((problem, tuple(trials)))
        assert problem.pool is not None
        tried = [t.parameters for t in trials]
        row = next(problem.pool.row(i) for i in range(len(problem.pool)) if problem.pool.row(i) not in tried)
        return [Proposal(parameters=row, reason=Reason(summary="first", details={"fallback": "always"}))]


class Wild(RandomPlanner):
    """Raises at the third trial, or proposes no row."""

    def __init__(self, raises: bool = True) -> None:
        super().__init__()
        self.raises = raises

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        if self.raises:
            raise ZeroDivisionError("no idea")
        return [Proposal(parameters={"a": 0.123, "solvent": "water"}, reason=Reason(summary="x"))]


FIRST, WILD = Entrant("first", f"{__name__}:FirstRow"), Entrant("wild", f"{__name__}:Wild")


def test_starts_are_the_same_and_pools_are_shuffled(task: PoolTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """All planners of a seed begin with the same two rows, other seeds with others; rows come in another order each."""
    monkeypatch.setattr(Entrant, "load", lambda self: FirstRow() if self.label == "first" else RandomPlanner())
    random = [run_job(Job(Entrant("random", "random"), task, seed, 12, full=True)) for seed in range(4)]
    first = [run_job(Job(FIRST, task, seed, 12, full=True)) for seed in range(4)]
    assert [f.rows[:2] for f in random] == [f.rows[:2] for f in first]
    assert len({f.rows[:2] for f in first}) == 4
    orders = {problem.pool.columns["a"][:8] for problem, _ in FirstRow.seen if problem.pool and len(problem.pool) == 59}
    assert len(orders) >= 4
    assert all(f.fallbacks == 10 for f in first)


def test_a_search_is_pure_and_stops_at_the_first_top_row(task: PoolTask) -> None:
    """The same job gives the same rows; the last one is the first of the top 1 %."""
    job = Job(Entrant("random", "random"), task, 3, 59)
    found, again = run_job(job), run_job(job)
    assert replace(found, cpu=()) == replace(again, cpu=())
    assert found.reached == len(found.rows)
    assert found.rows[-1] in task.good
    assert not set(found.rows[:-1]) & task.good
    assert found.best == tuple(sorted(found.best))


def test_a_planner_that_fails_is_a_result(task: PoolTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises, or that it proposed no row, is kept as the search's end."""
    monkeypatch.setattr(Entrant, "load", lambda self: Wild())
    assert run_job(Job(WILD, task, 0, 20)).error == "ZeroDivisionError: no idea"
    monkeypatch.setattr(Entrant, "load", lambda self: Wild(raises=False))
    found = run_job(Job(WILD, task, 0, 20))
    assert "which is no row" in found.error
    assert len(found.rows) == 2


def test_results_are_kept(task: PoolTask, tmp_path: Path) -> None:
    """A second run searches only what is new or changed: another seed, another cap, another task's rows."""
    random = Entrant("random", "random")
    jobs = [Job(random, task, seed, 10) for seed in (0, 1)]
    first = run_all(jobs, tmp_path, workers=1, done=lambda found: None)
    marked = replace(first[0], error="kept")
    (tmp_path / "parts" / jobs[0].file_name).write_text(marked.to_json(), encoding="utf-8")
    calls: list[Found] = []
    second = run_all([*jobs, Job(random, task, 2, 10)], tmp_path, workers=1, done=calls.append)
    assert [f.error for f in second] == ["kept", "", ""]
    assert len(calls) == 3
    other = replace(task, values=tuple(-v for v in task.values))
    assert run_all([Job(random, other, 0, 10)], tmp_path, workers=1, done=calls.append)[0].error == ""


def test_a_part_cut_short_is_searched_again(task: PoolTask, tmp_path: Path) -> None:
    """Half a file, as after a power cut, counts as none."""
    job = Job(Entrant("random", "random"), task, 0, 8)
    (found,) = run_all([job], tmp_path, workers=1, done=lambda f: None)
    path = tmp_path / "parts" / job.file_name
    path.write_text(path.read_text(encoding="utf-8")[:40], encoding="utf-8")
    (again,) = run_all([job], tmp_path, workers=1, done=lambda f: None)
    assert replace(again, cpu=()) == replace(found, cpu=())


@pytest.mark.parametrize(
    ("text", "label", "name", "options"),
    [
        ("bayes", "bayes", "bayes", {}),
        ("sobol:seed=3", "sobol:seed=3", "sobol", {"seed": 3}),
        ("wide=bayes:samples=512,initial=null", "wide", "bayes", {"samples": 512, "initial": None}),
        ("my.lab:Mine:rate=0.5,name=x", "Mine:rate=0.5,name=x", "my.lab:Mine", {"rate": 0.5, "name": "x"}),
    ],
)
def test_planners_are_read(text: str, label: str, name: str, options: dict[str, object]) -> None:
    """Label, registered name or module:Class, and options with their types."""
    entrant = Entrant.parse(text)
    assert (entrant.label, entrant.name, dict(entrant.options)) == (label, name, options)


def test_planners_that_cannot_be_read() -> None:
    """A slip is refused with the right form; two planners of one label are told apart by the person."""
    with pytest.raises(InputError, match="cannot read the planner"):
        Entrant.parse("bayes samples=3")
    with pytest.raises(InputError, match="is no option; write it as in"):
        Entrant.parse("bayes:samples")
    with pytest.raises(InputError, match="two planners are called"):
        entrants(["bayes", "bayes"])
    with pytest.raises(InputError, match="no plug-in 'randon'"):
        Entrant.parse("randon").load()


OPTIMA = {
    "branin": {"x1": 3.14159265, "x2": 2.275},
    "hartmann6": {f"x{i + 1}": x for i, x in enumerate((0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573))},
    "ackley10": {f"x{i}": 13.0 for i in range(1, 11)},
}


@pytest.mark.parametrize("name", OPTIMA)
def test_functions_have_their_published_optima(name: str) -> None:
    """At the published minimiser the regret is nil, and elsewhere it is not."""
    best = evaluate(name, OPTIMA[name])
    assert shortfall(name, [best])[0] == pytest.approx(0.0, abs=2e-5)
    assert shortfall(name, [evaluate(name, {key: value + 0.3 for key, value in OPTIMA[name].items()})])[0] > 0.05


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in OPTIMA])
def test_fronts_reach_their_hypervolume(name: str) -> None:
    """400 points along the front miss less than 1 % of the hypervolume; three miss more."""
    rest = 0.5 if name == "dtlz2" else 0.0
    front = [evaluate(name, {"x1": i / 399} | {f"x{j}": rest for j in range(2, 7)}) for i in range(400)]
    left = shortfall(name, front)
    assert 0 <= left[-1] < 0.01
    assert left[2] > left[-1]


def test_functions_are_searched() -> None:
    """A search of a function keeps the best so far of each evaluation, the two random starts included."""
    found = run_job(Job(Entrant("random", "random"), function_task("branin"), 0, 15))
    assert len(found.best) == 15
    assert found.best == tuple(sorted(found.best, reverse=True))
