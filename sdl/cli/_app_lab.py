"""The commands about samples and stock, and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import As, Json, StorePath
from sdl.cli._root import DEFAULT_STORE, By, LabFile, ListUnlessTold, Note, app

samples = typer.Typer(cls=ListUnlessTold, help="Where samples are and what became of them; `list` unless told.")
app.add_typer(samples, name="samples")
stock = typer.Typer(cls=ListUnlessTold, help="What is left of what trials use up; `list` unless told.")
app.add_typer(stock, name="stock")


@samples.command("list")
def samples_list(
    campaign: Annotated[str, typer.Argument(metavar="[CAMPAIGN]", help="Default: every campaign of the lab.")] = "",
    lab: LabFile = None,
    store: StorePath = DEFAULT_STORE,
    everything: Annotated[bool, typer.Option("--all", help="Also those consumed or out of the lab.")] = False,
    json: Json = False,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write their labels with bar codes, an HTML page to print.")
    ] = None,
    as_: As = "",
) -> None:
    """List samples: where each is, and what it is good for."""
    from sdl.cli._samples import samples_command

    samples_command(campaign, lab, store, everything, json, labels, as_)


@samples.command("locate")
def samples_locate(
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="Its id, bar code or label, or the first part.")],
    place: Annotated[str, typer.Option(metavar="PLACE", help="Where it is: a place of the lab file.")] = "",
    slot: Annotated[int | None, typer.Option(help="Which of its slots; default: the first free one.")] = None,
    out: Annotated[bool, typer.Option("--out", help="It is out of the lab.")] = False,
    note: Note = "",
    by: By = "",
    lab: LabFile = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Say where a sample is; goes on record with your name."""
    from sdl.cli._samples import locate_command

    locate_command(sample, place, slot, out, note, by, lab, store)


@samples.command("quarantine")
def samples_quarantine(
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="Its id, bar code or label, or the first part.")],
    note: Note = "",
    by: By = "",
    lab: LabFile = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Say that nobody is to use a sample; goes on record with your name."""
    from sdl.cli._samples import quarantine_command

    quarantine_command(sample, note, by, lab, store)


@stock.command("list")
def stock_list(lab: LabFile = None, store: StorePath = DEFAULT_STORE, json: Json = False, as_: As = "") -> None:
    """List the lots of a lab: what is left, set aside for trials, and free."""
    from sdl.cli._stock import stock_command

    stock_command(lab, store, json, as_)


@stock.command("receive")
def stock_receive(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Stock of the lab file.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="As in '50 mL', or a number in the stock's unit.")],
    lot: Annotated[str, typer.Option(metavar="LOT", help="What is written on it.")],
    expires: Annotated[str, typer.Option(metavar="DATE", help="Last day of its use, as in 2027-03-31.")] = "",
    note: Note = "",
    by: By = "",
    lab: LabFile = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Say that a lot came in, or more of it; goes on record with your name."""
    from sdl.cli._stock import receive_command

    receive_command(item, amount, lot, expires, note, by, lab, store)


@stock.command("count")
def stock_count(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Stock of the lab file.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="What is left, as in '38 mL'.")],
    lot: Annotated[str, typer.Option(metavar="LOT", help="What is written on it.")],
    note: Note = "",
    by: By = "",
    lab: LabFile = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Say how much of a lot is left; from here on it is counted from that."""
    from sdl.cli._stock import count_command

    count_command(item, amount, lot, note, by, lab, store)
