"""`sdl bench planners`."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sdl.bench.datasets import find_tasks
from sdl.bench.entrants import Entrant, entrants
from sdl.bench.functions import function_task
from sdl.bench.page import acceleration_text, evaluations_text, figure_text, seconds_text, write_page
from sdl.bench.results import Results, write_parquet
from sdl.bench.running import run_all, time_all
from sdl.bench.search import Found, Job
from sdl.bench.tasks import Task
from sdl.bench.timing import Timing
from sdl.cli._format import console, plain, print_json
from sdl.model import InputError

__all__ = ["bench_planners_command"]

PAGE = "bench.html"


def bench_planners_command(
    planners: list[str],
    data: Path | None,
    sets: list[str],
    functions: list[str],
    seeds: int,
    evaluations: int,
    workers: int | None,
    dask: str,
    out: Path,
    against: list[str],
    full: bool,
    timing: str,
    at: int,
    json: bool,
) -> int:
    """Benchmark planners, write the results into `out` and print them; returns the exit status."""
    chosen = entrants(planners)
    observations = _observations(timing)
    pools = find_tasks(data, sets) if data is not None else []
    tasks = [function_task(name) for name in dict.fromkeys(functions)]
    if not pools and not tasks and not observations:
        raise InputError("nothing to do: give --data FOLDER, --function NAME or --timing 10,100,500")
    _known(against, chosen)
    for entrant in chosen:
        entrant.load()  # a slip in a name or an option is said now, not after an hour
    at_a_time = workers or os.cpu_count() or 1
    everything: list[Task] = [*pools, *tasks]
    jobs = [Job(e, task, seed, evaluations, full) for seed in range(seeds) for task in everything for e in chosen]
    with _progress(len(jobs), json) as done:
        found = run_all(jobs, out, workers=at_a_time, dask=dask, done=done)
    timings: Sequence[Timing] = time_all(chosen, observations, at_a_time) if observations else ()
    labels = tuple(e.label for e in chosen)
    results = Results(labels, tuple(pools), tuple(tasks), tuple(found), tuple(timings), at, tuple(against))
    page = write_page(results, out / PAGE, [_machine(chosen), f"sdl {shlex.join(sys.argv[1:])}"])
    written = [*write_parquet(results, out), page]
    if json:
        print_json(_as_json(results, written))
    else:
        _print(results)
        console().print("written: " + ", ".join(str(path) for path in written), style="dim", markup=False)
    return 0


def _observations(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InputError(f"--timing {text!r}: write numbers of observed trials, as in 10,100,500") from None
    if any(number < 2 for number in found):
        raise InputError(f"--timing {text!r}: at least 2 observed trials, as in 10,100,500")
    return found


def _known(against: Sequence[str], chosen: Sequence[Entrant]) -> None:
    labels = [entrant.label for entrant in chosen]
    for label in against:
        if label not in labels:
            raise InputError(f"--against {label}: no such planner in this benchmark; there are {', '.join(labels)}")


def _machine(chosen: Sequence[Entrant]) -> str:
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    packages = []
    for package in ("self-driving-lab", "numpy", "torch", "botorch"):
        with contextlib.suppress(PackageNotFoundError):
            packages.append(f"{package} {version(package)}")
    planners = [f"{entrant.label} {entrant.load().version}" for entrant in chosen]
    about = [f"{cpu}, {os.cpu_count()} cores", f"Python {platform.python_version()}", *packages, *planners]
    return " · ".join(about)


# -- the terminal ----------------------------------------------------------------------------------------------------


def _print(results: Results) -> None:
    out = console()
    for task in results.pools:
        out.print(_pool_table(results, task.name))
    if results.overalls:
        out.print(_overall_table(results))
    if results.function_summaries:
        out.print(_function_table(results))
    if results.timings:
        out.print(_timing_table(results.timings))
    errors = [(s.planner, s.task, error) for s in results.summaries for error in s.errors]
    errors += [(s.planner, s.task, error) for s in results.function_summaries for error in s.errors]
    for planner, name, error in errors:
        out.print(f"{planner} on {name}: {plain(error)}", style="yellow", markup=False)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _pool_table(results: Results, name: str) -> Table:
    found = [s for s in results.summaries if s.task == name]
    heads = ["seeds", "to top 1 % (90 %)", "acceleration (90 %)", f"EF at {results.at}", "found", "CPU s", "fallbacks"]
    table = _table(name, "planner", *heads, *(f"against {label}" for label in results.against))
    rest = [""] * (4 + len(results.against))
    table.add_row("random, exact", "", str(found[0].random) if found else "", "1", *rest)
    for s in found:
        versus = [figure_text(s.versus[label]) if label in s.versus else "–" for label in results.against]
        mark = " (mapped)" if s.mapped > 0 else ""
        table.add_row(
            plain(s.planner) + mark,
            str(s.seeds),
            evaluations_text(s),
            acceleration_text(s),
            f"{s.enhancement:.2g}",
            f"{100 * s.reached:.0f} %",
            seconds_text(s.cpu),
            str(s.fallbacks),
            *versus,
        )
    return table


def _overall_table(results: Results) -> Table:
    table = _table(
        "over all pools", "planner", "acceleration, geometric mean (95 %)", "least of a pool", "top 1 % found"
    )
    for o in results.overalls:
        reached = f"{100 * o.reached:.1f} %"
        bound = "< " if o.bound else ""
        table.add_row(plain(o.planner), bound + figure_text(o.acceleration), f"{bound}{o.least:.3g}", reached)
    return table


def _function_table(results: Results) -> Table:
    heads = ("planner", "seeds", "evaluations", "left to the best (5th–95th percentile)", "CPU s")
    table = _table("functions", "function", *heads)
    for s in results.function_summaries:
        cells = (plain(s.planner), str(s.seeds), str(s.evaluations), figure_text(s.left), seconds_text(s.cpu))
        table.add_row(s.task, *cells)
    return table


def _timing_table(timings: Sequence[Timing]) -> Table:
    observations = sorted({t.observations for t in timings})
    known = {(t.planner, t.space, t.observations): t for t in timings}
    table = _table(
        "CPU seconds of a proposal, six dimensions", "planner", "space", *(f"{m} observed" for m in observations)
    )
    for planner, space in dict.fromkeys((t.planner, t.space) for t in timings):
        cells = [known.get((planner, space, m)) for m in observations]
        table.add_row(plain(planner), space, *(seconds_text(t.median) if t and t.seconds else "–" for t in cells))
    return table


@contextlib.contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[Found], None]]:
    """A bar on standard error, where that is a terminal."""
    out = Console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda found: None
        return
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda found: progress.advance(task)


# -- for programs ----------------------------------------------------------------------------------------------------


def _as_json(results: Results, written: Sequence[Path]) -> dict[str, Any]:
    def triple(figure: Any) -> list[float]:
        return [figure.value, figure.low, figure.high]

    return {
        "pools": [
            {
                "planner": s.planner,
                "pool": s.task,
                "seeds": s.seeds,
                "evaluations": triple(s.evaluations),
                "random": s.random,
                "acceleration": triple(s.acceleration),
                "against": {label: triple(figure) for label, figure in s.versus.items()},
                "enhancement": s.enhancement,
                "reached": s.reached,
                "cpu_s": s.cpu if s.cpu == s.cpu else None,
                "fallbacks": s.fallbacks,
                "mapped": s.mapped,
                "errors": list(s.errors),
            }
            for s in results.summaries
        ],
        "overall": [
            {"planner": o.planner, "acceleration": triple(o.acceleration), "least": o.least, "reached": o.reached}
            for o in results.overalls
        ],
        "functions": [
            {
                "planner": s.planner,
                "function": s.task,
                "seeds": s.seeds,
                "left": triple(s.left),
                "errors": list(s.errors),
            }
            for s in results.function_summaries
        ],
        "timings": [
            {"planner": t.planner, "space": t.space, "observations": t.observations, "cpu_s": list(t.seconds)}
            for t in results.timings
        ],
        "written": [str(path) for path in written],
    }
