"""Seconds in whole units, as the solver needs them, rounded to the careful side."""

from __future__ import annotations

import math
from dataclasses import replace

from sdl.campaign.scheduling.problem import Job, Lab, Situation, Task

__all__ = ["scaled", "up"]


def up(units: float) -> int:
    """The next whole number of units."""
    return math.ceil(units - 1e-6)


def scaled(situation: Situation, unit: float) -> Situation:
    """The situation in whole units since now."""

    def rounded(seconds: float) -> float:
        return float(math.ceil(seconds / unit - 1e-6))

    def since(time: float) -> float:
        return rounded(time - situation.now)

    def _task(task: Task) -> Task:
        least = rounded(task.min_wait)
        most = None if task.max_wait is None else max(float(math.floor(task.max_wait / unit + 1e-6)), least)
        durations = {name: rounded(seconds) for name, seconds in task.durations.items()}
        return replace(task, durations=durations, min_wait=least, max_wait=most, setup_per=task.setup_per / unit)

    def job(one: Job) -> Job:
        running = one.running
        if running is not None:
            end = since(running.end(situation.now))
            running = replace(running, started=since(running.started), expected_end=max(end, 0.0))
        tasks = tuple(_task(task) for task in one.tasks)
        return replace(one, arrived=since(one.arrived), ready=since(one.ready), tasks=tasks, running=running)

    stations = {n: replace(s, free_at=max(since(s.free_at), 0.0)) for n, s in situation.lab.stations.items()}
    return Situation(0.0, tuple(job(one) for one in situation.jobs), Lab(stations, situation.lab.places))
