"""`make chaos`: kill a campaign at every fault point, or many of them, and at pairs; judge; print what was found."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.bench import Bench, Kill
from chaos.film import FilmBench
from chaos.harness import Harness, Reference, doubles, spread
from chaos.runs import Case, Result, scratch
from chaos.summary import Row, print_table, summary

_MODES = {"process": (False,), "worker": (True,), "both": (False, True)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when anything does not hold."""
    options = _options(argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.with_suffix(".jsonl")
    if not options.resume:
        lines.unlink(missing_ok=True)
    begin = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="chaos-", dir=options.work))
    rows: list[Row] = []
    film = options.lab == "thin-film"
    with Harness(work, options.jobs, FilmBench if film else Bench) as harness, lines.open("a") as log:
        book = _Book(harness, lines, log)
        for worker in (False,) if film else _MODES[options.station]:
            reference = harness.reference(worker=worker)
            rows += (_film_rows if film else _worker_rows if worker else _process_rows)(book, options, reference)
    told = summary(rows, options.seed, time.monotonic() - begin)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print_table(told)
    if not told["violations"]:
        work.rmdir()
    return 1 if told["violations"] else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--lab", choices=("dosing", "thin-film"), default="dosing", help="whose campaign")
    parser.add_argument(
        "--kills", type=int, default=300, metavar="N", help="thin-film has more points: so many of them"
    )
    parser.add_argument("--station", choices=_MODES, default="both", help="in the campaign's process, or in a worker's")
    parser.add_argument("--points", default=":", metavar="A:B", help="only points A to B, as in 100:200 or 100:")
    parser.add_argument("--doubles", type=int, default=500, metavar="N", help="kill during recovery N times")
    parser.add_argument("--seed", type=int, default=1, help="chooses the double kills")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"), help="the figures")
    parser.add_argument("--work", type=Path, default=scratch(), help="where to run; runs with violations stay there")
    parser.add_argument("--resume", action="store_true", help="leave out what --out has already")
    return parser.parse_args(argv)


def _process_rows(book: _Book, options: argparse.Namespace, reference: Reference) -> list[Row]:
    points = reference.points
    singles = book.every("killed once", reference, points, options.points, lambda kill: Case((kill,)))
    pairs = [Case(pair) for pair in doubles(len(points), options.doubles, options.seed)]
    return [singles, book.run("killed twice", reference, pairs)]


def _film_rows(book: _Book, options: argparse.Namespace, reference: Reference) -> list[Row]:
    points = reference.points
    chosen = [Case((point,)) for point in spread(points, options.kills, options.seed)]
    pairs = [Case(pair) for pair in doubles(len(points), options.doubles, options.seed)]
    return [
        book.run("four in flight, killed once", reference, chosen),
        book.run("four in flight, killed twice", reference, pairs),
    ]


def _worker_rows(book: _Book, options: argparse.Namespace, reference: Reference) -> list[Row]:
    here, there = reference.points, reference.worker_points
    rows = [
        book.every("coordinator killed", reference, here, options.points, lambda kill: Case((kill,), ())),
        book.every("worker killed", reference, there, options.points, lambda kill: Case((), (kill,))),
    ]
    number = options.doubles // 3
    pairs = [Case(pair, ()) for pair in doubles(len(here), number, options.seed)]
    pairs += [Case((), pair) for pair in doubles(len(there), number, options.seed + 1)]
    ones, others = (doubles(len(p), options.doubles - 2 * number, options.seed + 2) for p in (here, there))
    pairs += [Case((one[0],), (other[0],)) for one, other in zip(ones, others, strict=True)]
    return [*rows, book.run("two kills, either", reference, pairs)]


class _Book:
    """Runs cases that have not been run, and writes each result down."""

    def __init__(self, harness: Harness, lines: Path, log: Any) -> None:
        self._harness, self._log = harness, log
        found = [json.loads(line) for line in lines.read_text().splitlines()]
        self._known = {_key(result["run"], result["worker"]): result for result in found}

    def every(self, name: str, reference: Reference, points: Sequence[str], only: str, case: Any) -> Row:
        """A kill at every point; those that no number came upon by name."""
        first, _, last = only.partition(":")
        numbers = range(int(first or 1), min(int(last or len(points)), len(points)) + 1)
        row = self.run(name, reference, [case(number) for number in numbers], points)
        if only == ":":
            row.results += self.run(f"{name}, by name", reference, [case(name) for name in row.missed]).results
        return row

    def run(self, name: str, reference: Reference, cases: Sequence[Case], points: Sequence[str] = ()) -> Row:
        """All of some cases."""
        todo = [case for case in cases if _key(case.run, case.worker) not in self._known]
        print(f"{name}: {len(cases)} runs, {len(todo)} to do", flush=True)
        for result in self._harness.run(todo, reference, self._told):
            self._known[_key(result.case.run, result.case.worker)] = result.as_json()
        return Row(name, [self._known[_key(case.run, case.worker)] for case in cases], list(points))

    def _told(self, result: Result) -> None:
        plain = result.as_json()
        print(json.dumps(plain), file=self._log, flush=True)
        for violation in result.violations:
            print(
                f"  {plain['run']} {plain['worker'] or ''} {result.died + result.worker_died}: {violation}", flush=True
            )


def _key(run: Sequence[Kill], worker: Sequence[Kill] | None) -> tuple[Any, ...]:
    return tuple(run), None if worker is None else tuple(worker)


if __name__ == "__main__":
    sys.exit(main())
