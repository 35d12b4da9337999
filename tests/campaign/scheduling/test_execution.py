"""Labs that follow the schedules: nothing stands still for ever, nothing is given to two, no wait is broken."""

from __future__ import annotations

from random import Random

import pytest
from campaign.scheduling.executor import Executor
from campaign.scheduling.labs import World, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.campaign.scheduling.problem import Job
from sdl.campaign.scheduling.ready import Mode

MODES: tuple[Mode, ...] = ("lookahead", "first_come", "one_by_one")
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _broken_waits(executor: Executor, jobs: tuple[Job, ...]) -> list[str]:
    tasks = {job.id: job.tasks for job in jobs}
    broken = []
    for done in executor.done:
        wait = tasks[done.job][done.index].max_wait
        if done.index > 0 and wait is not None and done.wait > wait + 1e-3:
            broken.append(f"{done}: {done.wait} > {wait}")
    return broken


@pytest.mark.parametrize("mode", MODES)
@given(world=worlds())
@relaxed
def test_every_job_ends_and_every_wait_is_kept_when_durations_are_as_expected(mode: Mode, world: World) -> None:
    """Random labs and re-entrant procedures: all jobs end, no maximum wait is exceeded, nothing is given to two."""
    executor = Executor(world.lab, mode)
    executor.run(world.jobs)
    assert len(executor.done) == sum(len(job.tasks) for job in world.jobs)
    assert _broken_waits(executor, world.jobs) == []


@pytest.mark.parametrize("mode", MODES)
@given(world=worlds(), seed=st.integers(0, 2**16))
@relaxed
def test_every_job_ends_when_durations_are_not_as_expected(mode: Mode, world: World, seed: int) -> None:
    """With tasks that take between half and twice their time no job is left behind and nothing is given to two."""
    rng = Random(seed)
    executor = Executor(world.lab, mode, noise=lambda: rng.choice([0.5, 0.9, 1.0, 1.0, 1.1, 2.0]))
    executor.run(world.jobs)
    assert len(executor.done) == sum(len(job.tasks) for job in world.jobs)


@pytest.mark.parametrize("mode", MODES)
@given(world=worlds(most=5), data=st.data())
@settings(relaxed, max_examples=40)
def test_every_job_ends_when_stations_are_lost_for_a_while(mode: Mode, world: World, data: st.DataObject) -> None:
    """A station that cannot be used keeps nobody waiting for ever: once it is back, all jobs end."""
    lost = {
        name: (float(since), float(since + data.draw(st.integers(1, 200))))
        for name in data.draw(st.lists(st.sampled_from(sorted(world.lab.stations)), max_size=2, unique=True))
        for since in [data.draw(st.integers(0, 100))]
    }
    executor = Executor(world.lab, mode)
    executor.run(world.jobs, lost)
    assert len(executor.done) == sum(len(job.tasks) for job in world.jobs)
