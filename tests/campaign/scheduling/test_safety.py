"""Which starts can lead into a deadlock."""

from __future__ import annotations

from collections.abc import Callable

from campaign.scheduling.thin_film import thin_film_job, thin_film_lab

from sdl.campaign.scheduling.problem import Job, Lab, PlaceNow, Running, Situation, StationNow, Task
from sdl.campaign.scheduling.safety import always_safe, first_to_finish, safe


def _visit(*places: str) -> tuple[Task, ...]:
    """A robot takes the sample from place to place, then out."""
    moves = [Task(f"to_{place}", ("robot",), {"robot": 10.0}, into=(place,)) for place in places]
    return (*moves, Task("out", ("robot",), {"robot": 10.0}, frees=True))


def _lab(**slots: int) -> Lab:
    return Lab({"robot": StationNow(), "dip": StationNow()}, {name: PlaceNow(count) for name, count in slots.items()})


def _at(number: int, tasks: tuple[Task, ...], done: int, place: str | None) -> Job:
    return Job(number, 0, 0.0, tasks, next=done, place=place)


def test_two_samples_that_would_wait_for_each_other_are_not_let_in_together() -> None:
    """One sample goes from a to b, another from b to a: with one slot each, the second has to wait outside."""
    one, other = _at(1, _visit("a", "b"), 1, "a"), _at(2, _visit("b", "a"), 0, None)
    assert not safe(Situation(0.0, (one, other), _lab(a=1, b=1)), (2, 0, "robot", "b"))
    assert safe(Situation(0.0, (one, other), _lab(a=1, b=2)), (2, 0, "robot", "b"))
    assert safe(Situation(0.0, (one, other), _lab(a=1, b=1)), (1, 1, "robot", "b"))


def test_a_deadlock_is_seen() -> None:
    """Both samples lie where the other has to go: neither can end."""
    jobs = (_at(1, _visit("a", "b"), 1, "a"), _at(2, _visit("b", "a"), 1, "b"))
    assert not safe(Situation(0.0, jobs, _lab(a=1, b=1)))
    assert first_to_finish(Situation(0.0, jobs, _lab(a=1, b=1))) is None
    assert safe(Situation(0.0, jobs, _lab(a=1, b=2)))


def test_what_is_under_way_counts_as_ended() -> None:
    """A sample on its way out of the place that another needs is no obstacle."""
    out = Running(2, "robot", None, 0.0, 10.0)
    leaving = Job(1, 0, 0.0, _visit("a", "b"), next=2, place="b", running=out)
    waiting = _at(2, _visit("a", "b"), 1, "a")
    assert safe(Situation(0.0, (leaving, waiting), _lab(a=1, b=1)))


def test_a_kept_station_is_held_like_a_place() -> None:
    """A robot that stays with a sample needing the dip, while whoever keeps the dip needs the robot: not let in."""

    def both(first: str, second: str) -> tuple[Task, ...]:
        return (Task("hold", (first,), {first: 1.0}, keep_until=1), Task("use", (second,), {second: 1.0}, frees=True))

    keeps = Job(1, 0, 0.0, both("robot", "dip"), next=1, kept=("robot",))
    comes = Job(2, 0, 0.0, both("dip", "robot"))
    assert not safe(Situation(0.0, (keeps, comes), _lab()), (2, 0, "dip", None))
    same = Job(2, 0, 0.0, both("dip", "dip"))
    assert safe(Situation(0.0, (keeps, same), _lab()), (2, 0, "dip", None))


def test_a_station_that_cannot_be_used_keeps_its_own_jobs_and_no_others() -> None:
    """With the second furnace lost, a sample is not carried where it would bar the way of those that can go on."""
    lab = Lab({"robot": StationNow(), "lost": StationNow(usable=False)}, {"a": PlaceNow(), "b": PlaceNow()})
    stuck = _at(1, (*_visit("a", "b")[:2], Task("bake", ("lost",), {"lost": 1.0}, frees=True)), 1, "a")
    able = _at(2, _visit("b"), 0, None)
    assert not safe(Situation(0.0, (stuck, able), lab))
    assert safe(Situation(0.0, (stuck, able), lab), (2, 0, "robot", "b"))
    begun = _at(3, (*_visit("c", "b")[:2], Task("out", ("robot",), {"robot": 1.0}, frees=True)), 1, "c")
    wide = Lab(lab.stations, {**lab.places, "c": PlaceNow()})
    assert not safe(Situation(0.0, (stuck, begun), wide), (1, 1, "robot", "b"))


def test_films_that_go_one_way_need_no_judging() -> None:
    """The thin-film lab has no cycle of places; a procedure that comes back to the chuck makes one."""
    jobs = tuple(thin_film_job(n) for n in range(3))
    assert always_safe(Situation(0.0, jobs, thin_film_lab()))
    again = (*jobs[0].tasks[:4], Task("back", ("transport",), {"transport": 40.0}, into=("chuck",)), jobs[0].tasks[4])
    assert not always_safe(Situation(0.0, (*jobs, Job(9, 0, 0.0, again)), thin_film_lab()))


def test_a_place_taken_by_a_sample_of_no_trial_bars_the_way() -> None:
    """A quarantined sample on the only stage: what needs the stage cannot begin."""
    job: Callable[[Lab], Situation] = lambda lab: Situation(0.0, (_at(1, _visit("a"), 0, None),), lab)  # noqa: E731
    assert safe(job(_lab(a=1)), (1, 0, "robot", "a"))
    barred = Lab(_lab().stations, {"a": PlaceNow(1), "b": PlaceNow(1, taken=1)})
    assert not safe(Situation(0.0, (_at(1, _visit("a", "b"), 0, None),), barred), (1, 0, "robot", "a"))
