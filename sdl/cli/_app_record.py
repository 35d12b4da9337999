"""The commands that read the record, and their arguments."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import As, CampaignName, Json, StorePath
from sdl.cli._root import DEFAULT_STORE, By, app

stores = typer.Typer(no_args_is_help=True, help="The store itself: check, rebuild, compact, back up, merge.")
app.add_typer(stores, name="store")


class Format(StrEnum):
    """Formats of `sdl export`."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command("list")
def list_(store: StorePath = DEFAULT_STORE, json: Json = False, as_: As = "") -> None:
    """List the campaigns of a store."""
    from sdl.cli._look import list_command

    list_command(store, json, as_)


@app.command()
def show(
    campaign: CampaignName,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", help="Number of a trial.")] = None,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> None:
    """Show a campaign, or one of its trials and why it was proposed."""
    from sdl.cli._look import show_command

    show_command(campaign, trial, store, json, as_)


@app.command()
def export(
    campaign: CampaignName,
    format: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.CSV,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: standard output.")] = None,
    store: StorePath = DEFAULT_STORE,
    as_: As = "",
) -> None:
    """Write a campaign's trials as CSV, JSON or Parquet."""
    from sdl.cli._output import export_command

    export_command(campaign, format.value, out, store, as_)


@app.command()
def report(
    campaign: CampaignName,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: NAME.html.")] = None,
    store: StorePath = DEFAULT_STORE,
    as_: As = "",
) -> None:
    """Write one self-contained HTML page about a campaign."""
    from sdl.cli._output import report_command

    report_command(campaign, out, store, as_)


@app.command()
def verify(
    what: Annotated[
        str, typer.Argument(metavar="[CAMPAIGN|STORE|RELEASE]", help="Default: every campaign of the store.")
    ] = "",
    key: Annotated[str, typer.Option(metavar="KEY", help="Public key that must have signed the release.")] = "",
    against: Annotated[str, typer.Option(metavar="STORE", help="Compare a release with the store it is of.")] = "",
    store: StorePath = DEFAULT_STORE,
    as_: As = "",
) -> int:
    """Recompute the hash chains of a journal, or every hash of a release; exit status 2 when anything differs."""
    from sdl.cli._verify import verify_command

    return verify_command(what, store, key, as_, against)


@app.command()
def tell(
    campaign: CampaignName,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the trial; repeatable.")
    ] = None,
    outcomes: Annotated[
        list[str] | None, typer.Option("--outcome", metavar="NAME=VALUE", help="As in 'peak=451.2 ± 0.3 nm'.")
    ] = None,
    infeasible: Annotated[str, typer.Option(metavar="WHY", help="No material came of it.")] = "",
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV with a trial a line instead.")] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Where they come from.")] = "",
    by: By = "",
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Tell a campaign of a trial that a person made; its planner learns from it."""
    from sdl.cli._tell import tell_command

    return tell_command(campaign, values or [], outcomes or [], infeasible, table, note, by, store)


@app.command()
def tiled(
    campaign: CampaignName,
    uri: Annotated[str, typer.Argument(metavar="URI", help="Of the Tiled server, as in http://host:8000.")],
    key_from: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable that holds the server's API key.")
    ] = "TILED_API_KEY",
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> int:
    """Replay a campaign's finished runs to a Tiled server."""
    from sdl.cli._tiled import tiled_command

    return tiled_command(campaign, uri, store, key_from, json, as_)


@stores.callback()
def store_options() -> None:
    """The store itself."""


@stores.command("check")
def store_check(store: StorePath = DEFAULT_STORE, json: Json = False, as_: As = "") -> int:
    """Check a store from top to bottom; exit status 2 when anything is damaged."""
    from sdl.cli._store import check_command

    return check_command(store, json, as_)


@stores.command("rebuild")
def store_rebuild(store: StorePath = DEFAULT_STORE) -> None:
    """Derive the tables that are made from the journal anew."""
    from sdl.cli._store import rebuild_command

    rebuild_command(store)


@stores.command("compact")
def store_compact(store: StorePath = DEFAULT_STORE) -> None:
    """Give unused space back, and let the database look at what it holds."""
    from sdl.cli._store import compact_command

    compact_command(store)


@stores.command("backup")
def store_backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, which is a store itself.")],
    store: StorePath = DEFAULT_STORE,
    as_: As = "",
) -> None:
    """Copy a store, also while campaigns write to it, and verify the copy."""
    from sdl.cli._store import backup_command

    backup_command(store, out, as_)


@stores.command("merge")
def store_merge(
    other: Annotated[str, typer.Argument(metavar="STORE", help="The other store, a file or an address.")],
    leave: Annotated[
        list[str] | None, typer.Option(metavar="CAMPAIGN", help="Leave this campaign out; repeatable.")
    ] = None,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> None:
    """Take the campaigns of another store into this one; refused where a record has gone two ways."""
    from sdl.cli._store import merge_command
    from sdl.journal.location import location

    merge_command(store, location(other), leave or [], json, as_)
