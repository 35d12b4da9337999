"""Many searches: in processes of this machine or on a Dask cluster, each result kept as soon as it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sdl.bench.entrants import Entrant
from sdl.bench.search import Found, Job, fingerprint, run_job
from sdl.bench.timing import Timing, time_proposals
from sdl.model import InputError, MissingExtra
from sdl.waiting import as_they_end

__all__ = ["PARTS", "run_all", "time_all"]

PARTS = "parts"
"""Folder of the results kept, one file a search."""
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")

MANY = 400
"""Observed trials from which on proposals are timed twice and not three times."""

CONNECT = "15s"
"""How long a Dask scheduler may take to answer."""

Done = Callable[[Found], None]


def run_all(jobs: Sequence[Job], folder: Path, *, workers: int, dask: str = "", done: Done) -> list[Found]:
    """Make every search that is not kept already, and return all of them in the order of the jobs.

    Args:
        jobs: the searches.
        folder: results are kept in its folder `parts`; what is there of the same planner version, options, task and
            rules is not searched again.
        workers: processes at a time, one BLAS thread each.
        dask: address of a Dask scheduler to use instead of processes here.
        done: called with each result, those kept first.

    Raises:
        InputError: a planner is not known or refuses its options; the scheduler cannot be reached.
        MissingExtra: a planner's packages, or those of `dask`, are not installed.
    """
    parts = folder / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    results: dict[int, Found] = {}
    for position, job in enumerate(jobs):
        kept = _kept(parts, job)
        if kept is not None:
            results[position] = kept
            done(kept)
    left = {position: job for position, job in enumerate(jobs) if position not in results}
    if left:
        for position, found in _on_dask(left, dask) if dask else _in_processes(left, workers):
            _keep(parts / jobs[position].file_name, found)
            results[position] = found
            done(found)
    return [results[position] for position in range(len(jobs))]


def time_all(chosen: Sequence[Entrant], observations: Sequence[int], workers: int) -> list[Timing]:
    """Time the proposals of planners, in a box and in a pool, after each number of observed trials.

    Args:
        chosen: the planners.
        observations: numbers of observed trials, each at least 2.
        workers: processes at a time, one BLAS thread each.
    """
    wanted = [(e, space, m, 3 if m < MANY else 2) for e in chosen for space in ("box", "pool") for m in observations]
    with _one_thread(), ProcessPoolExecutor(min(workers, len(wanted)), mp_context=get_context("spawn")) as executor:
        try:
            return [future.result() for future in [executor.submit(time_proposals, *each) for each in wanted]]
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _kept(parts: Path, job: Job) -> Found | None:
    path = parts / job.file_name
    try:
        found = Found.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # none there, or cut short by an older release's form
        return None
    return found if found.fingerprint == fingerprint(job, job.entrant.load()) else None


def _keep(path: Path, found: Found) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(found.to_json() + "\n", encoding="utf-8")
    part.replace(path)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Environment of processes that compute on one thread: figures are CPU seconds, and workers do not crowd."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(_THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _in_processes(jobs: Mapping[int, Job], workers: int) -> Iterator[tuple[int, Found]]:
    with _one_thread(), ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as executor:
        try:
            futures = {executor.submit(run_job, job): position for position, job in jobs.items()}
            for future in as_they_end(futures):
                yield futures[future], future.result()
        except BaseException:
            # What is under way ends; what has not begun never does, so Ctrl-C does not wait for the whole benchmark.
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _on_dask(jobs: Mapping[int, Job], address: str) -> Iterator[tuple[int, Found]]:
    try:
        distributed: Any = import_module("distributed")
    except ModuleNotFoundError as error:
        raise MissingExtra("sdl bench --dask", "dask") from error
    try:
        client: Any = distributed.Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`") from error
    with client:
        futures = {client.submit(run_job, job, pure=False): position for position, job in jobs.items()}
        for future in distributed.as_completed(list(futures), loop=client.loop):
            yield futures[future], future.result()
