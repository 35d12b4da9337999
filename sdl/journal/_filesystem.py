"""Where a store's file lies, whether a database can work there, and what is on the disk for certain."""

from __future__ import annotations

import os
from pathlib import Path

from sdl.journal._errors import StoreError

__all__ = ["check_place", "filesystem_of", "sync"]

_NETWORK = {
    "9p2000.L", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "pvfs2", "smb3", "smbfs",
}  # fmt: skip


def check_place(path: Path) -> None:
    """Refuse a path where no store can be.

    Raises:
        StoreError: a folder, no folder to hold it, no right to write, an empty file, or a network filesystem.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it, such as {path / 'sdl.db'}")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}; make it first")
    kind = filesystem_of(path.parent.resolve(), _mounts())
    if kind in _NETWORK:
        raise StoreError(
            f"{path} is on a network filesystem ({kind}), where SQLite's locks do not hold and data is lost. "
            "Keep the store on a local disk of the machine that runs the campaign"
        )
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"{path}: no right to write in the folder {path.parent}, and SQLite keeps its log there")
    if path.exists():
        _check_file(path)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"{path} is not a regular file")
    if path.stat().st_size == 0:
        raise StoreError(f"{path} is empty, so it is no store; delete it, and a store is made in its place")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"{path} is read-only; a store needs the right to read and write it")


def filesystem_of(folder: Path, mounts: str) -> str:
    """Type of the filesystem that holds a folder, from the text of /proc/mounts (proc(5)); empty when unknown."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = fields[1].encode().decode("unicode_escape") if "\\" in fields[1] else fields[1]
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text(errors="replace")
    except OSError:
        return ""


def sync(path: Path) -> None:
    """Have a file, or the list of files of a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
