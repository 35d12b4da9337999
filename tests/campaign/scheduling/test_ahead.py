"""Looking ahead: never worse than the rule, in time, and as legal."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from random import Random

import pytest
from campaign.scheduling.executor import Executor
from campaign.scheduling.labs import World, worlds
from campaign.scheduling.thin_film import thin_film_job, thin_film_lab
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdl.campaign.scheduling.cpsat import plan_ahead
from sdl.campaign.scheduling.problem import Schedule, Situation, Task, cost, lateness
from sdl.campaign.scheduling.rule import plan_by_rule

pytest.importorskip("ortools")

slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _ahead(situation: Situation, previous: Schedule | None) -> Schedule:
    rule = plan_by_rule(situation, previous)
    return plan_ahead(situation, time_limit=0.03, hint=rule) or rule


@given(world=worlds(most=6))
@slow
def test_a_schedule_that_looks_ahead_is_at_least_as_good_as_the_rule(world: World) -> None:
    """Whatever the lab: no more lateness, no higher cost, and the same tasks."""
    assume(world.jobs)
    situation = Situation(60.0, world.jobs, world.lab)
    rule = plan_by_rule(situation)
    ahead = plan_ahead(situation, time_limit=0.1, hint=rule)
    assume(ahead is not None)
    assert ahead is not None
    assert cost(situation, ahead) <= cost(situation, rule) + 1e-6
    assert lateness(situation, ahead) <= lateness(situation, rule) + 1e-6
    assert {(p.job, p.index) for p in ahead.planned} == {(p.job, p.index) for p in rule.planned}


@given(world=worlds(most=5))
@slow
def test_a_lab_that_looks_ahead_ends_all_jobs_and_keeps_all_waits(world: World) -> None:
    """Following the solver's schedules is as legal as following the rule's."""
    executor = Executor(world.lab, "lookahead", _ahead)
    executor.run(world.jobs)
    tasks = {job.id: job.tasks for job in world.jobs}
    assert len(executor.done) == sum(map(len, tasks.values()))
    for done in executor.done:
        wait = tasks[done.job][done.index].max_wait
        assert done.index == 0 or wait is None or done.wait <= wait + 1e-3


@given(world=worlds(most=5), seed=st.integers(0, 2**16))
@slow
def test_a_lab_that_looks_ahead_ends_all_jobs_when_durations_are_not_as_expected(world: World, seed: int) -> None:
    """Nothing is left behind when tasks take between half and twice their time."""
    rng = Random(seed)
    executor = Executor(world.lab, "lookahead", _ahead, noise=lambda: rng.choice([0.5, 1.0, 1.0, 2.0]))
    executor.run(world.jobs)
    assert len(executor.done) == sum(len(job.tasks) for job in world.jobs)


def _thin_films(rng: Random, count: int) -> Situation:
    jobs = (
        thin_film_job(n, priority=rng.choice([0, 0, 1]), anneal=rng.choice([600.0, 1200.0, 1800.0, 3000.0]))
        for n in range(count)
    )
    return Situation(0.0, tuple(jobs), thin_film_lab())


def test_the_solver_finds_what_the_rule_does_not() -> None:
    """Among films of different annealing times it finds better orders than the rule, some by more than one percent."""
    rng = Random(3)
    gains = []
    for _ in range(5):
        situation = _thin_films(rng, 8)
        rule = plan_by_rule(situation)
        ahead = plan_ahead(situation, time_limit=10.0, hint=rule, effort=0.05)
        gains.append(1.0 if ahead is None else cost(situation, ahead) / cost(situation, rule))
    assert min(gains) < 0.99
    assert max(gains) <= 1.0


def test_the_same_situation_is_planned_in_the_same_way() -> None:
    """The effort is counted in work, not in time: with time enough the answer is the same on a busy machine."""
    situation = _thin_films(Random(3), 8)
    assert plan_ahead(situation, time_limit=10.0) == plan_ahead(situation, time_limit=20.0)


def test_twenty_trials_of_five_steps_are_planned_in_time() -> None:
    """The rule takes a few milliseconds; with the solver 0.2 s are kept, the building of the model included."""
    rng = Random(1)
    by_rule, ahead = [], []
    plan_ahead(_thin_films(rng, 2))
    for _ in range(10):
        situation = _thin_films(rng, 20)
        began = time.perf_counter()
        rule = plan_by_rule(situation)
        by_rule.append(time.perf_counter() - began)
        began = time.perf_counter()
        plan_ahead(situation, hint=rule)
        ahead.append(time.perf_counter() - began)
    # The least of many is what the work takes; the rest is the machine's other work.
    assert min(by_rule) < 0.02
    assert statistics.median(ahead) < 0.25
    assert min(ahead) < 0.2


def test_the_order_on_a_station_with_set_ups_saves_set_up_time() -> None:
    """Baking at 300, 100, 300, 100 degC is planned as two and two, each change costing 10 min."""

    def bake(value: float) -> tuple[Task, ...]:
        return (Task("bake", ("oven",), {"oven": 600.0}, frees=True, setup_value=value, setup_per=3.0),)

    from sdl.campaign.scheduling.problem import Job, Lab, StationNow

    jobs = tuple(Job(n, 0, 0.0, bake(value)) for n, value in enumerate([300.0, 100.0, 300.0, 100.0]))
    situation = Situation(0.0, jobs, Lab({"oven": StationNow(setup_value=300.0)}))
    ahead = plan_ahead(situation, time_limit=10.0, effort=0.05)
    assert ahead is not None
    assert ahead.makespan == pytest.approx(4 * 600.0 + 600.0)


def test_planning_without_the_solver_loads_none_of_it() -> None:
    """OR-tools is an optional extra: it is loaded when a schedule that looks ahead is asked for, and not before."""
    code = (
        "import sys, sdl.campaign.scheduling.cpsat as c, sdl.campaign.scheduling.ready;"
        "assert not any(m.split('.')[0] == 'ortools' for m in sys.modules);"
        "sys.modules['ortools'] = None;"
        "from sdl.campaign.scheduling.problem import *;"
        "jobs = tuple(Job(n, 0, 0.0, (Task('a', ('s',), {'s': 1.0}),) * 2) for n in range(2));"
        "assert c.plan_ahead(Situation(0.0, jobs, Lab({'s': StationNow()}))) is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
