"""With what code a session runs: the revision of the lab's folder and the packages that are installed."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["environment", "revision"]

_HEX: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_INSTALLED: Final = (".dist-info", ".egg-info")


def revision(folder: Path) -> str:
    """The commit that the folder's repository has checked out, as `git:4f9a…`; empty where there is none.

    Read from the files of the repository (gitrepository-layout(5)), which takes no process and less than a
    millisecond. Whether files were changed since that commit it does not say; the hash of the lab file does.
    """
    try:
        git = _repository(folder.resolve())
        commit = _commit(git) if git is not None else ""
    except (OSError, ValueError):
        return ""
    return f"git:{commit}" if commit else ""


def _repository(folder: Path) -> Path | None:
    """The repository's own folder; in a further working tree `.git` is a file that says where that is."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            return parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return None


def _commit(git: Path) -> str:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head if _HEX.fullmatch(head) else ""
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
    for place in (git, shared):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8").strip()
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


@cache
def environment() -> tuple[str, ...]:
    """Every installed package as `NAME==VERSION`, sorted; read from the names of their metadata folders."""
    found = {}
    for place in reversed(sys.path):
        try:
            names = [name for name in os.listdir(place or ".") if name.endswith(_INSTALLED)]
        except OSError:
            continue
        for stem in (name.rsplit(".", 1)[0] for name in names):
            name, dash, version = stem.partition("-")
            if dash:
                found[name.replace("_", "-").lower()] = version.split("-")[0]
    return tuple(f"{name}=={version}" for name, version in sorted(found.items()))
