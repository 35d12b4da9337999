"""The log of an SQLite file, looked at before SQLite does (sqlite.org/walformat.html).

SQLite takes a log up to its first frame that is not whole, and counts the rest as never written: right after a power
cut, and silent loss where a log that was on the disk is damaged later. Its index, the `-shm` file, says how far the log
went. A killed process leaves both, so they can be compared as long as nobody has opened the file.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from sdl.journal._errors import StoreError

__all__ = ["check_log"]

_INDEX_BYTES: Final = 136
_VERSION: Final = 3_007_000
_MAGIC: Final = 0x377F0682
"""Of the log; its lowest bit is set where checksums are big-endian."""
_MASK: Final = 0xFFFFFFFF
_TRIES: Final = 5
_LOCK: Final = "hhqqi"
"""struct flock of Linux: type, whence, start, length, process."""
_OPEN_MARK: Final = 128
"""Byte of the index on which each process that has the file open keeps a lock (sqlite3.c, UNIX_SHM_DMS)."""

_Sum = tuple[int, int]


class _Index(NamedTuple):
    """What the index says of the log."""

    frames: int
    """The last frame of the last transaction; 0 when the log holds nothing."""
    page: int
    """Bytes of a page."""
    checksum: _Sum
    """Of all up to the last frame."""
    salts: bytes


def check_log(path: Path) -> None:
    """Refuse a file whose log ends before the place where its last process left it.

    To be called while the calling process has no connection to the file: it opens the index, and closing that lets go
    of every lock that the process holds on it (fcntl(2), POSIX locks).

    Raises:
        StoreError: the log is cut off or was changed. Nothing is touched.
    """
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    for _ in range(_TRIES):
        claimed = _claimed(index)
        if claimed is None or claimed.frames == 0:
            return
        sound = _sound_frames(log, claimed)
        if sound is None:
            return
        if _claimed(index) == claimed:
            raise StoreError(
                f"{path}: its log {log.name} is damaged or cut off: {sound} of {claimed.frames} pages in it can be "
                f"read, and what was recorded last is in the rest. Nothing was changed. Keep a copy of {path.name}, "
                f"{log.name} and {index.name}; to go on without what is lost, delete {index.name}"
            )
        time.sleep(0.005)  # a living writer has begun the log anew between the two looks


def _claimed(index: Path) -> _Index | None:
    """What the index says; None where there is none, it is not whole or in use, or the machine was started since."""
    try:
        if index.stat().st_mtime < _started_at():
            return None  # after a power cut the index may be ahead of the log, which is right to be shorter
        with index.open("rb") as file:
            head = file.read(_INDEX_BYTES)
            if _in_use(file.fileno()):
                return None
    except OSError:
        return None
    if len(head) < _INDEX_BYTES or head[:48] != head[48:96]:
        return None
    version, _, _, ready, _, page, frames, _, *sums = struct.unpack("=IIIBBHIIII8xII", head[:48])
    if version != _VERSION or not ready or _summed((0, 0), head[:40], sys.byteorder) != tuple(sums[2:]):
        return None
    return _Index(frames, 65536 if page == 1 else page, (sums[0], sums[1]), head[32:40])


def _in_use(index: int) -> bool:
    """Whether another process has the file open: then SQLite goes by the index, and reads no log anew."""
    if sys.platform != "linux":
        return False
    asked = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, _OPEN_MARK, 1, 0)
    kind, *_ = struct.unpack(_LOCK, fcntl.fcntl(index, fcntl.F_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)


def _started_at() -> float:
    """When the machine was started; UTC, seconds since 1970 (proc(5), /proc/stat); 0 where it is not told."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)


def _sound_frames(log: Path, claimed: _Index) -> int | None:
    """How many frames of the log can be read; None when they are all that the index claims."""
    try:
        with log.open("rb") as file:
            head = file.read(32)
            if len(head) < 32:
                return 0
            magic, *_ = struct.unpack(">I", head[:4])
            order = "big" if magic & 1 else "little"
            total = _summed((0, 0), head[:24], order)
            if magic & ~1 != _MAGIC or head[16:24] != claimed.salts or total != struct.unpack(">II", head[24:]):
                return 0
            for number in range(claimed.frames):
                frame = file.read(24 + claimed.page)
                if len(frame) < 24 + claimed.page or frame[8:16] != claimed.salts:
                    return number
                total = _summed(_summed(total, frame[:8], order), frame[24:], order)
                if total != struct.unpack(">II", frame[16:24]):
                    return number
    except OSError:
        return 0
    return None if total == claimed.checksum else claimed.frames - 1


def _summed(start: _Sum, data: bytes, order: str) -> _Sum:
    """SQLite's running checksum over a multiple of 8 bytes (walformat.html, section 4.2)."""
    words = struct.unpack(f"{'>' if order == 'big' else '<'}{len(data) // 4}I", data)
    one, two = start
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return one, two
