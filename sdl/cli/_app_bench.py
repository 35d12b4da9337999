"""The command that benchmarks planners, and its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import Json
from sdl.cli._root import app

bench = typer.Typer(no_args_is_help=True, help="Benchmarks on your own data.")
app.add_typer(bench, name="bench")


@bench.callback()
def bench_options() -> None:
    """Benchmarks on your own data."""


@bench.command("planners")
def bench_planners(
    planner: Annotated[
        list[str], typer.Option(metavar="NAME[:OPTION=VALUE,…]", help="A planner with its options; repeatable.")
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of data sets, each a folder with pool.csv and bench.yaml.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME", help="This set only; repeatable; default: all.")
    ] = None,
    function: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="branin, hartmann6, ackley10, zdt1 or dtlz2; repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each planner on each set.", min=1)] = 20,
    evaluations: Annotated[int, typer.Option(help="At most so many in a run.", min=3)] = 100,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one a core.")] = None,
    dask: Annotated[str, typer.Option(metavar="ADDRESS", help="Run on this Dask cluster instead.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Results; goes on where it was.")] = Path(
        "bench"
    ),
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also give factors against this planner; repeatable.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Go on after the first row of the best 1 %.")] = False,
    timing: Annotated[
        str, typer.Option(metavar="N,N,…", help="Time a proposal with so many observations, as in 10,100,500.")
    ] = "",
    at: Annotated[int, typer.Option(help="Evaluations at which the enhancement is given.", min=3)] = 30,
    json: Json = False,
) -> int:
    """Run planners over tables of measured candidates by the pool convention: how soon is one of the best 1 % found?"""
    from sdl.cli._bench import bench_planners_command

    return bench_planners_command(
        planner, data, sets or [], function or [], seeds, evaluations, workers, dask, out, against or [], full,
        timing, at, json,
    )  # fmt: skip
