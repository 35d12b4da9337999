"""Files that are either there in full or not there at all, and packages of the `fair` extra."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdl.journal._filesystem import sync
from sdl.model import InputError, MissingExtra

__all__ = ["need", "replacing", "write_text"]


def need(module: str, feature: str) -> Any:
    """Import a module of the `fair` extra.

    Raises:
        MissingExtra: its package is not installed; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == module.split(".")[0]:
            raise MissingExtra(feature, "fair") from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of an empty temporary file; it takes the place of `path` when the block ends without error.

    Raises:
        InputError: the folder does not exist or cannot be written, or `path` is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}: {path.parent}") from error
    try:
        yield part
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with its line ends as they are."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
