"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CampaignName", "Json", "Settings", "StorePath"]

StorePath = Annotated[
    Path, typer.Option("--store", metavar="FILE", help="The file that keeps the journal.", envvar="SDL_STORE")
]
CampaignName = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="A campaign by its name, id, or a unique prefix of either.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a field of the campaign, or fill an input of the lab."),
]
