"""Where a job can go: which stations and places lead to the end of its procedure."""

from __future__ import annotations

from collections.abc import Iterator

from sdl.campaign.scheduling.problem import Job, Lab

__all__ = ["Route"]


class Route:
    """How far a job gets in the lab as it is, waits for others left out."""

    def __init__(self, job: Job, lab: Lab) -> None:
        """Find out how far the job gets, from where it is."""
        self.job, self.lab = job, lab
        self._depth: dict[tuple[int, str | None], int] = {}
        self.goal = self._goal()

    @property
    def whole(self) -> bool:
        """Whether it can be done to its end."""
        return self.goal == len(self.job.tasks)

    def targets(self, index: int, place: str | None) -> Iterator[tuple[str | None, str | None]]:
        """Where a task may put the sample: (place that it takes meanwhile or None, place afterwards)."""
        task = self.job.tasks[index]
        for target in task.into or (None,):
            entered = None if target == place else target
            if entered is not None and self.lab.places[entered].slots == 0:
                continue
            after = None if task.frees else (target if target is not None else place)
            if self.goal_depth(index + 1, after) >= self.goal:
                yield entered, after

    def goal_depth(self, index: int, place: str | None) -> int:
        """Index of the first task that cannot be done when task `index` finds the sample in `place`."""
        if index == len(self.job.tasks):
            return index
        key = (index, place)
        if key not in self._depth:
            self._depth[key] = self._deepest(index, place)
        return self._depth[key]

    def _deepest(self, index: int, place: str | None) -> int:
        task = self.job.tasks[index]
        if not self.lab.choices(task, place):
            return index
        best = index
        for target in task.into or (None,):
            if target is not None and target != place and self.lab.places[target].slots == 0:
                continue
            after = None if task.frees else (target if target is not None else place)
            best = max(best, self.goal_depth(index + 1, after))
        return best

    def _goal(self) -> int:
        """Up to where it should go now: to the end; else before the chain of maximum waits that cannot be finished."""
        job = self.job
        first = job.coming
        goal = self.goal_depth(first, job.bound_for)
        if goal == len(job.tasks):
            return goal
        if not job.in_flight:
            return first
        begins = goal
        while begins > 0 and job.tasks[begins].max_wait is not None:
            begins -= 1
        return begins if first <= begins < goal else goal
