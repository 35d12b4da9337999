"""What no schedule can beat."""

from __future__ import annotations

from campaign.scheduling.executor import Executor
from campaign.scheduling.labs import World, worlds
from campaign.scheduling.thin_film import thin_film_job, thin_film_lab
from hypothesis import HealthCheck, given, settings

from sdl.campaign.scheduling.bound import busiest, lower_bound
from sdl.campaign.scheduling.problem import Job, Lab, StationNow, Task


def test_the_furnaces_are_the_bottleneck_of_thin_films() -> None:
    """Two furnaces share the annealing of ten films."""
    jobs = [thin_film_job(n) for n in range(10)]
    assert busiest(jobs, thin_film_lab()) == (("furnace_a", "furnace_b"), 10 * 1800.0 / 2)


def test_a_station_with_work_of_its_own_counts_it() -> None:
    """One task that can go anywhere does not hide that another cannot."""
    lab = Lab({"a": StationNow(), "b": StationNow()})
    job = Job(1, 0, 0.0, (Task("x", ("a",), {"a": 100.0}), Task("y", ("a", "b"), {"a": 10.0, "b": 10.0})))
    assert lower_bound([job], lab) == 100.0


@given(world=worlds(apart=0))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_lab_is_quicker_than_the_bound(world: World) -> None:
    """Whatever is planned takes at least that long."""
    assert Executor(world.lab).run(world.jobs) >= lower_bound(world.jobs, world.lab) - 1e-6
