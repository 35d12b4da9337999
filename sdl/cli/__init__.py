"""The command `sdl`: Typer for the arguments, Rich for people, JSON lines for scripts."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; exit with 0, 2 (bad input), 3 (paused) or 4 (aborted to the safe state)."""
    try:
        if sys.argv[1:2] == ["stop"]:
            # An emergency does not wait for Typer.
            from sdl.cli._stop import stop_main

            sys.exit(stop_main(sys.argv[2:]))
        from sdl.cli._app import app
        from sdl.cli._errors import guarded

        status = guarded(app)
    except KeyboardInterrupt:  # while the above was imported
        status = 130
    sys.exit(status)
