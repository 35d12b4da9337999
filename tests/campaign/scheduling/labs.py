"""Random labs and procedures for hypothesis: any that a person could declare and that can be done at all."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from sdl.campaign.scheduling._route import Route
from sdl.campaign.scheduling.problem import Job, Lab, PlaceNow, StationNow, Task

DURATIONS = st.integers(1, 30).map(float)


@dataclass(frozen=True)
class World:
    """A lab and what arrives in it."""

    lab: Lab
    jobs: tuple[Job, ...]


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """Two to four stations, one to four places, and a store that holds everything."""
    stations = {f"s{i}": StationNow() for i in range(draw(st.integers(2, 4)))}
    places = {"store": PlaceNow(capacity=100)}
    for i in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from([None, *stations]))
        places[f"p{i}"] = PlaceNow(capacity=draw(st.sampled_from([1, 1, 1, 2])), station=at)
    return Lab(stations, places)


@st.composite
def procedures(draw: st.DrawFn, lab: Lab, waits: bool = True, keeps: bool = True) -> tuple[Task, ...]:
    """One to five tasks that may visit places and stations several times, with waits, set-ups and kept stations."""
    count = draw(st.integers(1, 5))
    tasks: list[Task] = []
    sample = draw(st.integers(0, 4)) > 0
    rooms = [name for name in lab.places if name != "store"]
    for index in range(count):
        stations = tuple(draw(st.lists(st.sampled_from(list(lab.stations)), min_size=1, max_size=2, unique=True)))
        last = index == count - 1
        into: tuple[str, ...] = ()
        if sample and (index == 0 or last or draw(st.booleans())):
            into = (
                ("store",)
                if last
                else tuple(draw(st.lists(st.sampled_from(rooms), min_size=1, max_size=2, unique=True)))
            )
        least = draw(st.sampled_from([0.0, 0.0, 3.0])) if waits else 0.0
        most = draw(st.sampled_from([None, None, 0.0, 5.0, 20.0])) if waits and index > 0 else None
        keep = index + 1 if keeps and not last and draw(st.integers(0, 5)) == 0 else None
        setup = draw(st.sampled_from([None, None, None, 0.0, 10.0]))
        tasks.append(
            Task(
                f"t{index}",
                stations,
                {name: draw(DURATIONS) for name in stations},
                least,
                None if most is None else most + least,
                into,
                last,
                keep,
                setup,
                0.5 if setup is not None else 0.0,
            )
        )
    return tuple(tasks)


@st.composite
def worlds(draw: st.DrawFn, most: int = 7, waits: bool = True, keeps: bool = True, apart: int = 60) -> World:
    """A lab, and jobs of one to three procedures with priorities that arrive one by one."""
    lab = draw(labs())
    recipes = [draw(procedures(lab, waits, keeps)) for _ in range(draw(st.integers(1, 3)))]
    recipes = [tasks for tasks in recipes if Route(Job(0, 0, 0.0, tasks), lab).whole]
    jobs = []
    for number in range(draw(st.integers(1, most)) if recipes else 0):
        arrived = float(draw(st.integers(0, apart)))
        priority = draw(st.sampled_from([0, 0, 0, 1, 3]))
        jobs.append(Job(number, priority, arrived, draw(st.sampled_from(recipes)), ready=arrived))
    return World(lab, tuple(jobs))
