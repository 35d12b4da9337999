"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

__all__ = ["As", "CampaignName", "Json", "Settings", "StorePath"]


def _location(text: object) -> object:
    from sdl.journal.location import location

    return location(str(text))


if TYPE_CHECKING:
    from sdl.journal.location import StoreLocation as StorePath
else:  # Typer takes no union for the type of an option; the parser gives one of the two
    StorePath = Annotated[
        str,
        typer.Option(
            "--store",
            metavar="STORE",
            help="What keeps the journal: a file, or postgresql://USER@HOST/DATABASE.",
            envvar="SDL_STORE",
            parser=_location,
        ),
    ]
As = Annotated[
    str, typer.Option("--as", metavar="ROLE", help="What others would see: public or shared:NAME; default: the owner.")
]
CampaignName = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="A campaign by its name, id, or a unique prefix of either.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a field of the campaign, or fill an input of the lab."),
]
