"""The commands that read the record, and their arguments."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import CampaignName, Json, StorePath
from sdl.cli._root import DEFAULT_STORE, app


class Format(StrEnum):
    """Formats of `sdl export`."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command("list")
def list_(store: StorePath = DEFAULT_STORE, json: Json = False) -> None:
    """List the campaigns of a store."""
    from sdl.cli._look import list_command

    list_command(store, json)


@app.command()
def show(
    campaign: CampaignName,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", help="Number of a trial.")] = None,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Show a campaign, or one of its trials and why it was proposed."""
    from sdl.cli._look import show_command

    show_command(campaign, trial, store, json)


@app.command()
def export(
    campaign: CampaignName,
    format: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.CSV,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: standard output.")] = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Write a campaign's trials as CSV, JSON or Parquet."""
    from sdl.cli._output import export_command

    export_command(campaign, format.value, out, store)


@app.command()
def report(
    campaign: CampaignName,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: NAME.html.")] = None,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Write one self-contained HTML page about a campaign."""
    from sdl.cli._output import report_command

    report_command(campaign, out, store)


@app.command()
def verify(
    campaign: Annotated[str, typer.Argument(metavar="[CAMPAIGN]", help="Default: every campaign.")] = "",
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Recompute the hash chain of the journal; exit status 2 when anything is not as it was written."""
    from sdl.cli._look import verify_command

    return verify_command(campaign, store)
