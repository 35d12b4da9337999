"""`sdl rehearse`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sdl.campaign.files import LoadedCampaign
from sdl.campaign.rehearsal.making import Ground, ground_of, make_quote
from sdl.campaign.rehearsal.recording import record_quote, refuse_if_held
from sdl.campaign.settings import parse_settings
from sdl.cli._format import console, print_json
from sdl.cli._quote import print_quote
from sdl.journal import Store
from sdl.journal.location import StoreLocation, shown

__all__ = ["rehearse_command"]


def rehearse_command(
    path: Path,
    store: StoreLocation,
    runs: int,
    workers: int | None,
    target: str,
    seed: int,
    settings: list[str],
    json: bool,
) -> int:
    """Rehearse a campaign, put its quote on record and print it; returns the exit status."""
    with _progress(runs, json) as done:
        quote, _ = make_quote(
            path,
            parse_settings(settings),
            lambda loaded: _ground(store, loaded),
            runs=runs,
            workers=workers or os.cpu_count() or 1,
            target=target,
            seed=seed,
            done=done,
        )
    with Store.open(store) as opened:
        entry = record_quote(opened, quote)
    if json:
        print_json({"campaign": entry.campaign, "seq": entry.seq, **quote.as_json()})
    else:
        print_quote(quote)
        console().print(
            f"on record in {shown(store)}, campaign {entry.campaign}", style="dim", markup=False, soft_wrap=True
        )
    return 0


def _ground(path: StoreLocation, loaded: LoadedCampaign) -> Ground:
    """What the store says, while nobody runs the campaign."""
    with Store.open(path) as store:
        refuse_if_held(store, loaded.spec.name)
        return ground_of(store, loaded)


@contextlib.contextmanager
def _progress(runs: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal."""
    out = Console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda n: None
        return
    columns = (TextColumn("rehearsing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=runs)
        yield lambda n: progress.update(task, completed=n)
