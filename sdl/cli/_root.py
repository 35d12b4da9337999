"""The root of the command and what several of its modules share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

__all__ = ["DEFAULT_STORE", "By", "LabFile", "ListUnlessTold", "Note", "app"]

app = typer.Typer(
    name="sdl",
    help="Run self-driving laboratories: propose, execute, learn, and keep the record.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_STORE = Path("sdl.db")


LabFile = Annotated[
    Path | None, typer.Option("--lab", metavar="LAB.yaml", help="Which lab; default: the only one of the store.")
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="What shows it; those who come after you read it.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who says so; default: your login name.")]


class ListUnlessTold(TyperGroup):
    """Commands of which `list` is meant where none is named, so that `sdl samples silver` lists a campaign's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments with the command that is meant."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
