"""The commands that release a campaign and judge releases, and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._app_run import keys
from sdl.cli._options import As, CampaignName, Json, StorePath
from sdl.cli._root import DEFAULT_STORE, app

fair = typer.Typer(no_args_is_help=True, help="How FAIR a release is.")
app.add_typer(fair, name="fair")

ProjectFile = Annotated[
    Path | None,
    typer.Option("--project", metavar="FILE", help="Who answers for the data; default: as the campaign says."),
]


@app.command()
def release(
    campaign: CampaignName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder.")],
    store: StorePath = DEFAULT_STORE,
    project: ProjectFile = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="EXPORT", help="This export, with journal and crate; repeatable.")
    ] = None,
    replaces: Annotated[
        str, typer.Option(metavar="RELEASE", help="Folder or identifier of the release that this one replaces.")
    ] = "",
    date: Annotated[str, typer.Option(metavar="DAY", help="Day of the release, UTC; default: today.")] = "",
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign with this key; default: your own, see `sdl keys signing`.")
    ] = None,
    no_sign: Annotated[bool, typer.Option("--no-sign", help="Do not sign it.")] = False,
    as_: As = "",
    json: Json = False,
) -> None:
    """Write a campaign into a folder that others can read, cite, check and trust.

    What has to be stated and is not is asked for on a terminal and kept in project.yaml. Two releases of one day are
    equal byte by byte.
    """
    from sdl.cli._release import release_command

    release_command(campaign, out, store, project, only or [], replaces, date, sign, not no_sign, as_, json)


@fair.callback()
def fair_options() -> None:
    """How FAIR a release is."""


@fair.command("check")
def fair_check(
    what: Annotated[str, typer.Argument(metavar="RELEASE|CAMPAIGN", help="Folder of a release, or a campaign.")],
    store: StorePath = DEFAULT_STORE,
    project: ProjectFile = None,
    json: Json = False,
    as_: As = "",
) -> int:
    """Judge a release by the RDA FAIR maturity indicators that need no network; exit status 2 when one fails.

    Of a campaign the release that it would make now is judged. Each indicator that fails says how to mend it.
    """
    from sdl.cli._release import fair_check_command

    return fair_check_command(what, store, project, json, as_)


@keys.command("signing")
def keys_signing(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: your own key.")] = None,
) -> None:
    """Show the key that signs releases, and make it where there is none yet."""
    from sdl.cli._release import signing_key_command

    signing_key_command(file)
