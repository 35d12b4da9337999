"""Where stop cards and stop marks lie, and how files get there whole. Standard library only."""

from __future__ import annotations

import fcntl
import os

__all__ = ["lab_key", "stop_folder", "write_whole"]


def stop_folder() -> str:
    """`stop/` in `$SDL_STATE_DIR`, else in `$XDG_STATE_HOME/sdl`, else in `~/.local/state/sdl`."""
    state = os.environ.get("SDL_STATE_DIR")
    if not state:
        base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        state = os.path.join(base, "sdl")
    return os.path.join(state, "stop")


def lab_key(file: str | os.PathLike[str]) -> str:
    """What stands for a lab in names of files: the stem of its lab file, and a digest of the resolved path."""
    import hashlib

    path = os.path.realpath(os.fspath(file))
    stem = os.path.splitext(os.path.basename(path))[0]
    readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in stem)[:40]
    return f"{readable}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def write_whole(path: str, text: str, *, lock: bool = False) -> int:
    """Write a file so that readers find all of it or none; return its open descriptor, which the caller closes.

    Args:
        path: of the file.
        text: its content.
        lock: whether it is to be locked (flock) before anybody can find it, for as long as the descriptor is open.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        if lock:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.rename(part, path)
    except BaseException:
        os.close(descriptor)
        os.unlink(part)
        raise
    return descriptor
