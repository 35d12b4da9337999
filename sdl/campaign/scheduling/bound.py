"""What no schedule can beat."""

from __future__ import annotations

from collections.abc import Iterable

from sdl.campaign.scheduling.problem import Job, Lab

__all__ = ["busiest", "lower_bound"]


def lower_bound(jobs: Iterable[Job], lab: Lab) -> float:
    """Lab seconds that the busiest station, or group of stations that stand in for each other, has to work.

    Set-ups and waits are left out, so a schedule can come close to it and never below.
    """
    return busiest(jobs, lab)[1]


def busiest(jobs: Iterable[Job], lab: Lab) -> tuple[tuple[str, ...], float]:
    """The bottleneck and its bound: the stations, and the lab seconds that each of them has to work at least.

    Each set of stations that some task can choose from has to do all tasks that cannot be done outside of it; they
    share the work evenly at best.
    """
    tasks = [task for job in jobs for task in job.tasks[job.coming :]]
    pools = {frozenset(task.stations) for task in tasks}
    # Pools that overlap work on the same stations, so their unions bound as well.
    pools |= {a | b for a in pools for b in pools if a & b}
    best: tuple[tuple[str, ...], float] = ((), 0.0)
    for pool in sorted(pools, key=sorted):
        work = sum(task.shortest() for task in tasks if pool.issuperset(task.stations))
        able = len([name for name in pool if name in lab.stations]) or 1
        if work / able > best[1]:
            best = (tuple(sorted(pool)), work / able)
    return best
