"""Which tasks to start now, and when to look again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from campaign.scheduling.executor import Executor
from campaign.scheduling.labs import World, worlds
from campaign.scheduling.thin_film import thin_film_job, thin_film_lab
from hypothesis import HealthCheck, given, settings

from sdl.campaign.scheduling.bound import lower_bound
from sdl.campaign.scheduling.problem import Job, Lab, PlaceNow, Planned, Running, Schedule, Situation, StationNow, Task
from sdl.campaign.scheduling.ready import Mode, due, legal, started, wake_at
from sdl.campaign.scheduling.rule import plan_by_rule

MODES: tuple[Mode, ...] = ("lookahead", "first_come", "one_by_one")


def _situation(*jobs: Job, now: float = 0.0) -> Situation:
    return Situation(now, jobs, thin_film_lab())


@given(world=worlds())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_all_modes_agree_on_what_is_legal(world: World) -> None:
    """What any mode starts is legal, one start after the other, by the same measure."""
    situation = Situation(60.0, world.jobs, world.lab)
    schedule = plan_by_rule(situation)
    for mode in MODES:
        at = situation
        for planned in due(situation, schedule, mode):
            assert legal(at, planned)
            at = started(at, planned)
            assert not legal(at, planned)
        assert due(situation, schedule, mode) or not world.jobs


def test_the_first_film_is_coated_at_once_and_the_third_when_its_bed_is_in_sight() -> None:
    """Of three films one begins now; a chain of maximum waits does not begin before the schedule says so."""
    jobs = [thin_film_job(n) for n in range(3)]
    schedule = plan_by_rule(_situation(*jobs))
    for mode in MODES:
        assert [(p.job, p.step) for p in due(_situation(*jobs), schedule, mode)] == [(0, "coat")]
    busy = [
        replace(thin_film_job(n), next=2, place=bed, running=Running(2, furnace, None, 0.0, 1800.0))
        for n, bed, furnace in ((0, "bed_a", "furnace_a"), (1, "bed_b", "furnace_b"))
    ]
    situation = _situation(*busy, jobs[2], now=300.0)
    schedule = plan_by_rule(situation)
    for mode in MODES:
        assert due(situation, schedule, mode) == ()
    coat = schedule.of(2, 0)
    assert coat is not None
    assert wake_at(situation, schedule) == coat.start


def test_first_come_starts_early_what_keeps_nobody_waiting() -> None:
    """A task planned for later starts at once, on its preferred station, when no maximum wait depends on it."""
    task = Task("mix", ("a", "b"), {"a": 10.0, "b": 10.0})
    situation = Situation(0.0, (Job(1, 0, 0.0, (task,)),), Lab({"a": StationNow(), "b": StationNow()}))
    later = Schedule((Planned(1, 0, "mix", "b", None, 50.0, 60.0),), "rule", 60.0)
    assert due(situation, later, "lookahead") == ()
    assert [p.start for p in due(situation, later, "first_come")] == [0.0]
    assert wake_at(situation, later) == 50.0


def test_a_task_does_not_overtake_the_one_that_is_planned_before_it() -> None:
    """The robot waits for the film it is promised to while the place that this film needs is about to be left."""
    leaving = replace(
        thin_film_job(1), next=3, place="bed_a", running=Running(3, "transport", "probe_stage", 0.0, 40.0)
    )
    lab = replace(thin_film_lab(), stations={**thin_film_lab().stations, "robot_b": StationNow()})
    carry = Task("to_furnace", ("robot_b",), {"robot_b": 40.0}, into=("bed_a",))
    first, second = (Job(n, 0, 0.0, (thin_film_job(2).tasks[0], carry), next=1) for n in (2, 3))
    into_b = replace(second, tasks=(second.tasks[0], replace(carry, into=("bed_b",))))
    situation = Situation(10.0, (leaving, first, into_b), lab)
    plan = (
        Planned(2, 1, "to_furnace", "robot_b", "bed_a", 10.0, 50.0),
        Planned(3, 1, "to_furnace", "robot_b", "bed_b", 10.0, 50.0),
    )
    assert due(situation, Schedule(plan, "rule", 50.0)) == ()
    assert [p.job for p in due(situation, Schedule(plan[1:], "rule", 50.0))] == [3]


@pytest.mark.parametrize("mode", MODES)
def test_a_lab_is_never_left_waiting_for_nothing(mode: Mode) -> None:
    """When a schedule has nothing to start, nothing is under way and nothing is to come, the way on is found."""
    lab = Lab({"robot": StationNow()}, {"a": PlaceNow(), "b": PlaceNow()})
    tasks = tuple(Task(f"to_{p}", ("robot",), {"robot": 1.0}, into=(p,)) for p in "ab")
    jobs = (
        Job(1, 0, 0.0, (*tasks, replace(tasks[0], step="out", into=(), frees=True)), next=1, place="a"),
        Job(2, 0, 0.0, (*tasks[::-1], replace(tasks[0], step="out", into=(), frees=True))),
    )
    empty = Schedule((), "rule", 0.0)
    assert [p.job for p in due(Situation(0.0, jobs, lab), empty, mode)] == [1]


def test_minimum_waits_are_waited_for() -> None:
    """A film that has to cool for 30 s is not taken before, and that is when to look again."""
    lab = Lab({"robot": StationNow()})
    tasks = (Task("a", ("robot",), {"robot": 1.0}), Task("b", ("robot",), {"robot": 1.0}, min_wait=30.0))
    job = Job(1, 0, 0.0, tasks, next=1, ready=100.0)
    for now, expected in ((110.0, 0), (130.0, 1)):
        situation = Situation(now, (job,), lab)
        for mode in MODES:
            assert len(due(situation, plan_by_rule(situation), mode)) == expected
    assert wake_at(Situation(110.0, (job,), lab), Schedule((), "rule", 0.0)) == 130.0


def test_a_wait_that_has_been_missed_does_not_keep_the_film() -> None:
    """A film that has waited too long is carried to the furnace all the same, in every mode."""
    coated = replace(thin_film_job(1), next=1, place="chuck", ready=0.0)
    situation = _situation(coated, now=5000.0)
    for mode in MODES:
        assert [p.step for p in due(situation, plan_by_rule(situation), mode)] == ["to_furnace"]


def test_nothing_starts_on_a_station_that_cannot_be_used() -> None:
    """A schedule from before the station was lost is not followed there, and others go on."""
    situation = _situation(thin_film_job(1))
    schedule = plan_by_rule(situation)
    lab = thin_film_lab()
    lab = replace(lab, stations={**lab.stations, "coating": StationNow(usable=False)})
    for mode in MODES:
        assert due(replace(situation, lab=lab), schedule, mode) == ()


@pytest.mark.parametrize(
    ("in_flight", "mode", "most"),
    [
        (4, "lookahead", 1.10),
        (8, "lookahead", 1.10),
        (16, "lookahead", 1.10),
        (1, "lookahead", 2.6),
        (4, "one_by_one", 2.6),
    ],
)
def test_how_far_the_makespan_is_from_the_bound(in_flight: int, mode: Mode, most: float) -> None:
    """Forty films: with four and more in flight within ten percent of the furnaces' work, and never below it."""
    jobs = [thin_film_job(n) for n in range(40)]
    makespan = Executor(thin_film_lab(), mode, in_flight=in_flight).run(jobs)
    assert 1.0 <= makespan / lower_bound(jobs, thin_film_lab()) <= most


@pytest.mark.parametrize("mode", ["lookahead", "first_come"])
def test_a_job_of_low_priority_is_not_left_for_ever(mode: Mode) -> None:
    """While urgent jobs keep coming faster than the station works, the one that is not urgent still has its turn."""
    bake = (Task("bake", ("oven",), {"oven": 60.0}),)
    jobs = [Job(0, 0, 0.0, bake), *(Job(n, 2, 50.0 * (n - 1), bake) for n in range(1, 120))]
    executor = Executor(Lab({"oven": StationNow()}), mode)
    executor.run(jobs)
    assert next(d.start for d in executor.done if d.job == 0) < 40 * 60.0
