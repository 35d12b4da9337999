"""Schedules by the priority rule."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from campaign.scheduling.labs import World, worlds
from campaign.scheduling.thin_film import thin_film_job, thin_film_lab
from hypothesis import HealthCheck, given, settings

from sdl.campaign.scheduling.problem import (
    Job,
    Lab,
    PlaceNow,
    Running,
    Schedule,
    Situation,
    StationNow,
    Task,
    lateness,
    urgency,
)
from sdl.campaign.scheduling.rule import _what_is_left, plan_by_rule, plan_one_by_one

some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _overlap(spans: list[tuple[float, float, int]], slots: int) -> list[tuple[float, float, int]]:
    """Spans that begin while all slots are taken by other jobs."""
    return [
        span
        for span in spans
        if len({o[2] for o in spans if o[0] <= span[0] + 1e-6 < o[1] - 1e-6 and o[2] != span[2]}) >= slots
    ]


def _faults(situation: Situation, schedule: Schedule) -> list[str]:
    """What is wrong with a schedule in which nothing has begun yet."""
    jobs = {job.id: job for job in situation.jobs}
    found, stations = [], dict[str, list[tuple[float, float, int]]]()
    places = dict[str, list[tuple[float, float, int]]]()
    for number, job in jobs.items():
        mine = sorted((p for p in schedule.planned if p.job == number), key=lambda p: p.index)
        if [p.index for p in mine] != list(range(len(job.tasks))):
            found.append(f"{number} has {len(mine)} of {len(job.tasks)} tasks")
            continue
        lies: tuple[str, float] | None = None
        for p in mine:
            task = job.tasks[p.index]
            wait = p.start - (mine[p.index - 1].end if p.index else situation.now)
            if wait < (task.min_wait if p.index else 0.0) - 1e-6 or (
                p.index and task.max_wait is not None and wait > task.max_wait + 1e-6
            ):
                found.append(f"{p} waits {wait}")
            keep = p.end if task.keep_until is None else mine[task.keep_until].end
            stations.setdefault(p.station, []).append((p.start, keep, number))
            if lies is not None and (p.place is not None or task.frees):
                places.setdefault(lies[0], []).append((lies[1], p.end, number))
                lies = None
            if p.place is not None:
                lies = (p.place, p.start)
            if lies is not None and task.frees:
                places.setdefault(lies[0], []).append((lies[1], p.end, number))
    found += [f"{name}: {span}" for name, spans in stations.items() for span in _overlap(spans, 1)]
    slots = {name: place.slots for name, place in situation.lab.places.items()}
    found += [f"{name}: {span}" for name, spans in places.items() for span in _overlap(spans, slots[name])]
    return found


@given(world=worlds())
@some
def test_a_schedule_has_every_task_and_gives_nothing_to_two(world: World) -> None:
    """Random labs and procedures: stations, slots and waits are respected, and the same is planned each time."""
    situation = Situation(60.0, world.jobs, world.lab)
    schedule = plan_by_rule(situation)
    assert _faults(situation, schedule) == []
    assert schedule == plan_by_rule(situation)


@given(world=worlds())
@some
def test_one_by_one_no_job_begins_before_another_has_ended(world: World) -> None:
    """The schedule of last resort is legal, and no two jobs overlap."""
    situation = Situation(60.0, world.jobs, world.lab)
    schedule = plan_one_by_one(situation)
    assert _faults(situation, schedule) == []
    spans = [
        (min(p.start for p in mine), max(p.end for p in mine), job.id)
        for job in world.jobs
        if (mine := [p for p in schedule.planned if p.job == job.id])
    ]
    assert _overlap(spans, 1) == []


def test_a_coater_coats_the_next_film_while_the_furnaces_anneal() -> None:
    """Two films are annealed at once, and the third is coated just in time for the first bed that becomes free."""
    situation = Situation(0.0, tuple(thin_film_job(n) for n in range(3)), thin_film_lab())
    schedule = plan_by_rule(situation)
    anneals = [p for p in schedule.planned if p.step == "anneal"]
    assert {anneals[0].station, anneals[1].station} == {"furnace_a", "furnace_b"}
    assert anneals[1].start < anneals[0].end
    coat, carry = schedule.of(2, 0), schedule.of(2, 1)
    assert coat is not None
    assert carry is not None
    assert coat.start > 1000.0
    assert 0.0 <= carry.start - coat.end <= 240.0
    assert carry.place == {"furnace_a": "bed_a", "furnace_b": "bed_b"}[anneals[2].station]


def test_the_more_urgent_job_goes_first_and_waiting_makes_urgent() -> None:
    """A job of priority 1 overtakes those that wait, but not one that has waited for ten times its own work."""
    lab = Lab({"oven": StationNow()})
    bake = (Task("bake", ("oven",), {"oven": 60.0}),)
    old, new = Job(1, 0, 0.0, bake), Job(2, 1, 500.0, bake)
    early, late = Situation(500.0, (old, new), lab), Situation(700.0, (old, new), lab)
    assert [p.job for p in plan_by_rule(early).planned] == [2, 1]
    assert [p.job for p in plan_by_rule(late).planned] == [1, 2]
    assert urgency(old, 700.0) == 1.0


def test_a_film_whose_wait_is_running_comes_before_what_is_urgent() -> None:
    """The robot serves the coated film first, although another job has the higher priority."""
    coated = replace(thin_film_job(1), next=1, place="chuck", ready=100.0)
    annealed = replace(thin_film_job(2, priority=5), next=3, place="bed_a", ready=0.0)
    situation = Situation(310.0, (coated, annealed), thin_film_lab())
    schedule = plan_by_rule(situation)
    assert schedule.planned[0].job == 1
    assert lateness(situation, schedule) == 0.0


def test_a_wait_that_has_been_missed_is_planned_all_the_same() -> None:
    """A film that has waited too long goes on as soon as it can."""
    coated = replace(thin_film_job(1), next=1, place="chuck", ready=0.0)
    schedule = plan_by_rule(Situation(5000.0, (coated,), thin_film_lab()))
    assert [p.index for p in schedule.planned] == [1, 2, 3, 4]
    assert schedule.planned[0].start == 5000.0


def test_a_job_goes_as_far_as_it_can_when_a_station_is_lost() -> None:
    """Without the probe nothing new begins, and a coated film is still annealed; the note says what is waiting."""
    lab = thin_film_lab()
    lab = replace(lab, stations={**lab.stations, "probing": StationNow(usable=False)})
    coated = replace(thin_film_job(1), next=1, place="chuck", ready=0.0)
    schedule = plan_by_rule(Situation(10.0, (coated, thin_film_job(2)), lab))
    assert [(p.job, p.step) for p in schedule.planned] == [(1, "to_furnace"), (1, "anneal"), (1, "to_probe")]
    assert "trials 1, 2" in schedule.note


def test_a_film_goes_to_the_furnace_that_can_be_used() -> None:
    """With one furnace lost all films go to the other."""
    lab = thin_film_lab()
    lab = replace(lab, stations={**lab.stations, "furnace_a": StationNow(usable=False)})
    schedule = plan_by_rule(Situation(0.0, tuple(thin_film_job(n) for n in range(3)), lab))
    assert {p.station for p in schedule.planned if p.step == "anneal"} == {"furnace_b"}
    assert {p.place for p in schedule.planned if p.step == "to_furnace"} == {"bed_b"}


def test_a_task_that_overruns_is_expected_to_go_on_for_a_while() -> None:
    """A furnace that should have been done 100 s ago is planned to need a tenth of what it took once more."""
    running = Running(2, "furnace_a", None, 0.0, 1800.0)
    job = replace(thin_film_job(1), next=2, place="bed_a", running=running)
    schedule = plan_by_rule(Situation(1900.0, (job,), thin_film_lab()))
    assert schedule.planned[0].start == pytest.approx(1900.0 + 190.0)


def test_set_up_time_follows_the_order() -> None:
    """An oven at 300 degC that bakes at 100 and at 300 degC heats up once for each change."""

    def bake(value: float) -> tuple[Task, ...]:
        return (Task("bake", ("oven",), {"oven": 600.0}, setup_value=value, setup_per=3.0),)

    jobs = (Job(1, 0, 0.0, bake(100.0)), Job(2, 0, 0.0, bake(300.0)))
    schedule = plan_by_rule(Situation(0.0, jobs, Lab({"oven": StationNow(setup_value=300.0)})))
    assert [p.end - p.start for p in schedule.planned] == [1200.0, 1200.0]


def test_what_is_left_of_the_previous_schedule_still_keeps_all_waits() -> None:
    """Once the first film is coated, the schedule from before it fits as well as one made anew."""
    jobs = tuple(thin_film_job(n) for n in range(3))
    schedule = plan_by_rule(Situation(0.0, jobs, thin_film_lab()))
    coated = replace(jobs[0], next=1, place="chuck", ready=180.0)
    now = Situation(180.0, (coated, *jobs[1:]), thin_film_lab())
    left = _what_is_left(now, schedule)
    assert left is not None
    assert len(left.planned) == len(schedule.planned) - 1
    assert lateness(now, left) == 0.0
    assert left.makespan <= schedule.makespan + 1e-6


def test_twenty_jobs_of_five_tasks_take_milliseconds() -> None:
    """Fast enough to be computed at each change."""
    situation = Situation(0.0, tuple(thin_film_job(n) for n in range(20)), thin_film_lab())
    took = []
    for _ in range(10):
        began = time.thread_time()
        assert len(plan_by_rule(situation).planned) == 100
        took.append(time.thread_time() - began)
    # The least of many, and of the processor's time: the rest is the machine's other work.
    assert min(took) < 0.02


def test_a_slot_taken_by_others_is_not_planned_for() -> None:
    """A rack with two slots, one taken by a sample of no trial, holds one sample at a time."""
    tasks = (
        Task("in", ("robot",), {"robot": 1.0}, into=("rack",)),
        Task("dry", ("fan",), {"fan": 10.0}),
        Task("out", ("robot",), {"robot": 1.0}, frees=True),
    )
    lab = Lab({"robot": StationNow(), "fan": StationNow()}, {"rack": PlaceNow(capacity=2, taken=1)})
    schedule = plan_by_rule(Situation(0.0, (Job(1, 0, 0.0, tasks), Job(2, 0, 0.0, tasks)), lab))
    assert [p.job for p in schedule.planned] == [1, 1, 1, 2, 2, 2]
