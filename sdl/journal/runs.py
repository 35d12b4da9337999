"""The Bluesky runs of a trial, put together from the documents in its journal entries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdl.journal import kinds
from sdl.protocols import RunRecord

if TYPE_CHECKING:
    from sdl.journal import Entry

__all__ = ["runs_of", "stop_in_place"]

_Document = Mapping[str, Any]


@dataclass
class _Run:
    step: str
    attempt: int
    start: _Document
    descriptors: list[_Document] = field(default_factory=list)
    events: list[_Document] = field(default_factory=list)

    def finished(self, stop: _Document) -> RunRecord:
        return RunRecord(self.step, self.start, tuple(self.descriptors), tuple(self.events), stop)


class _Collector:
    """Sorts documents to their runs; keeps successful runs in the order of their stop documents."""

    def __init__(self) -> None:
        self.last_attempt: dict[str, int] = {}
        self.ended: list[tuple[int, RunRecord]] = []
        self._open: dict[str, _Run] = {}
        self._run_of_descriptor: dict[str, _Run] = {}

    def begin(self, step: str, attempt: int) -> None:
        self.last_attempt[step] = max(attempt, self.last_attempt.get(step, 0))

    def add(self, body: Mapping[str, Any]) -> None:
        name, doc = body["name"], body["doc"]
        if name == "start":
            self.begin(body["step"], body["attempt"])
            self._open[doc["uid"]] = _Run(body["step"], body["attempt"], doc)
        elif name == "descriptor" and (run := self._open.get(doc["run_start"])):
            run.descriptors.append(doc)
            self._run_of_descriptor[doc["uid"]] = run
        elif name in ("event", "event_page") and (run := self._run_of_descriptor.get(doc["descriptor"])):
            run.events.extend([doc] if name == "event" else _events(doc))
        elif name == "stop":
            self.close(doc, successful=doc.get("exit_status") == "success")

    def close(self, stop: _Document, *, successful: bool) -> None:
        run = self._open.pop(stop["run_start"], None)
        if run is not None and successful:
            self.ended.append((run.attempt, run.finished(stop)))


def _events(page: _Document) -> Iterator[_Document]:
    """The events of an event page (event-model holds each key's values as one column)."""
    for index, seq_num in enumerate(page["seq_num"]):
        yield {
            "descriptor": page["descriptor"],
            "uid": page["uid"][index],
            "time": page["time"][index],
            "seq_num": seq_num,
            "data": {key: column[index] for key, column in page["data"].items()},
            "timestamps": {key: column[index] for key, column in page["timestamps"].items()},
            "filled": {key: column[index] for key, column in page.get("filled", {}).items()},
        }


def stop_in_place(run: str, reason: str) -> dict[str, Any]:
    """An event-model stop document for a run (uid) whose process ended before the RunEngine could write one."""
    return {
        "uid": f"interrupted-{run}",
        "run_start": run,
        "time": time.time(),
        "exit_status": "abort",
        "reason": reason,
    }


def runs_of(entries: Iterable[Entry], trial: int) -> list[RunRecord]:
    """The successful runs of a trial's last attempt of each step, in the order they ended.

    A run is successful when its own stop document says so. One that a crash cut off, that failed or was
    aborted is left out, and so is every run of an attempt that was followed by another of the same step.

    Args:
        entries: entries of one campaign in order; those of other trials and kinds are passed over.
        trial: number of the trial.
    """
    runs = _Collector()
    for entry in entries:
        if entry.body.get("trial") != trial:
            continue
        if entry.kind == kinds.STEP_STARTED:
            runs.begin(entry.body["step"], entry.body["attempt"])
        elif entry.kind == kinds.DOCUMENT:
            runs.add(entry.body)
        elif entry.kind == kinds.RUN_INTERRUPTED:
            runs.close(entry.body["doc"], successful=False)
    return [run for attempt, run in runs.ended if attempt == runs.last_attempt[run.step]]
