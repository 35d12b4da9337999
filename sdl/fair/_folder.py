"""The folder of a release: there in full or not at all, whatever ends the writing of it, a power cut included."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from sdl.journal._filesystem import sync
from sdl.model import InputError

__all__ = ["new_folder", "refuse_if_there"]


def refuse_if_there(out: Path) -> None:
    """Refuse to write a release where there is something.

    Raises:
        InputError: there is.
    """
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists; a release is never written over: name another folder with --out")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when the block ends without error, and is gone after any other end.

    What a process left that was killed while it wrote the same release is removed first.

    Args:
        out: the release; it must not exist.

    Raises:
        InputError: it exists, or cannot be written.
    """
    refuse_if_there(out)
    part = out.parent / f".{out.name}.{uuid4().hex[:12]}.part"
    lock = -1
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _locked(out.parent):
            _remove_abandoned(out)
            part.mkdir()
            lock = _lock(part)
        yield part
        _to_disk(part)
        part.rename(out)
        with suppress(OSError):  # it is there; the name alone may be lost with the power
            sync(out.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write the release {out}: {reason}; nothing of it was left there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _to_disk(folder: Path) -> None:
    """Have every file, and the lists of files, on the disk: a name must not come to be there before its contents."""
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(where, name))
        sync(Path(where))


def _lock(folder: Path, *, wait: bool = False) -> int:
    """A descriptor that holds a lock on a folder until it is closed, or its process is gone; -1 where there is none.

    Args:
        folder: to lock.
        wait: for as long as another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process holds it, or the file system knows no locks
        os.close(descriptor)
        return -1
    return descriptor


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time looks for what was abandoned, and makes and locks its own folder."""
    lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _remove_abandoned(out: Path) -> None:
    """Remove what killed processes left of the same release: folders that nobody holds a lock on."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.part"):
        with suppress(OSError):
            lock = _lock(left)
            if lock >= 0:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
