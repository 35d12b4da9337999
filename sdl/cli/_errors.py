"""Errors as operators see them: what is wrong and what to do, never a traceback."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, Final

from sdl.model import InputError, SdlError

__all__ = ["ABORTED", "BAD_INPUT", "ENDED", "PAUSED", "guarded"]

ENDED: Final = 0
BAD_INPUT: Final = 2
PAUSED: Final = 3
ABORTED: Final = 4
_BROKEN: Final = 1


def guarded(app: Callable[..., Any]) -> int:
    """Call a Typer application; return its exit status, whatever it raised said in plain words."""
    import typer

    if not os.environ.get("SDL_DEBUG"):
        # Libraries log tracebacks of what sdl says in plain words.
        logging.getLogger().addHandler(logging.NullHandler())
    try:
        result = app(standalone_mode=False)
        return result if isinstance(result, int) else ENDED
    except typer.Exit as error:
        return error.exit_code
    except typer.TyperException as error:
        show = getattr(error, "show", None)
        show() if show is not None else _say(str(error))
        return BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        _say("stopped")
        return 130
    except InputError as error:
        _say(*(str(fault) for fault in error.faults))
        return BAD_INPUT
    except SdlError as error:
        _say(str(error))
        return BAD_INPUT
    except BrokenPipeError:
        # Whoever read our output has gone (`sdl list | head`); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ENDED
    except Exception as error:
        if os.environ.get("SDL_DEBUG"):
            raise
        _say(
            f"an error inside sdl, not in your files: {type(error).__name__}: {error}",
            f"details: {_details()}",
        )
        return _BROKEN


def _say(*lines: str) -> None:
    for line in lines:
        print(f"sdl: {line}", file=sys.stderr)


def _details() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="sdl-error-", suffix=".txt", delete=False) as file:
        file.write(traceback.format_exc())
        return file.name
