"""The thin-film lab and its procedure of five steps, as numbers."""

from __future__ import annotations

from sdl.campaign.scheduling.problem import Job, Lab, PlaceNow, StationNow, Task


def thin_film_lab() -> Lab:
    """A coater, two furnaces with a bed each, a robot, and a probe with a stage."""
    names = ("coating", "transport", "furnace_a", "furnace_b", "probing")
    return Lab(
        {name: StationNow() for name in names},
        {
            "chuck": PlaceNow(station="coating"),
            "bed_a": PlaceNow(station="furnace_a"),
            "bed_b": PlaceNow(station="furnace_b"),
            "probe_stage": PlaceNow(station="probing"),
            "tray": PlaceNow(capacity=1000),
        },
    )


def thin_film_job(number: int, arrived: float = 0.0, priority: int = 0, anneal: float = 1800.0) -> Job:
    """Coat, carry, anneal within 5 min of the end of coating, carry, measure."""

    def on(step: str, seconds: float, *stations: str, **rest: object) -> Task:
        return Task(step, stations, dict.fromkeys(stations, seconds), **rest)  # type: ignore[arg-type]

    return Job(
        id=number,
        priority=priority,
        arrived=arrived,
        ready=arrived,
        tasks=(
            on("coat", 180.0, "coating", into=("chuck",)),
            on("to_furnace", 40.0, "transport", into=("bed_a", "bed_b"), max_wait=240.0),
            on("anneal", anneal, "furnace_a", "furnace_b", max_wait=20.0),
            on("to_probe", 40.0, "transport", into=("probe_stage",)),
            on("measure", 240.0, "probing", into=("tray",), frees=True),
        ),
    )
