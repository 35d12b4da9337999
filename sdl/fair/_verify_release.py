"""The audit of a release: every byte of every file, the signature, and the chain of the journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from sdl.fair import _manifest as manifest
from sdl.fair import signing
from sdl.fair._private import texts_of
from sdl.fair.exports.journal import JOURNAL
from sdl.journal import GENESIS, Damage, Entry
from sdl.model import InputError

__all__ = ["verify_release"]


def verify_release(folder: str | Path, key: str = "") -> list[Damage]:
    """Recompute everything that a release states of itself; empty when all is as it was written.

    Args:
        folder: of the release.
        key: public key, as in `ed25519:4f…`, that must have signed it; any by default. Only a key that is known from
            elsewhere shows who made the release; the one that lies in it shows no more than that nothing was changed.

    Raises:
        InputError: the folder is no release, or `key` is no key.
        MissingExtra: the release is signed, and the package cryptography is not installed.
    """
    folder = Path(folder)
    try:
        body = manifest.read_manifest(folder)
    except InputError as error:
        if not (folder / manifest.MANIFEST).is_file():
            raise
        return [Damage("", 0, str(error))]
    return list(_examine(folder, body, key))


def _examine(folder: Path, body: Mapping[str, Any], key: str) -> Iterator[Damage]:
    text = (folder / manifest.MANIFEST).read_bytes()
    try:
        sound = manifest.manifest_text(body) == text and manifest.identifier_of(body) == body.get("identifier")
    except ValueError:  # NaN, or text that is no Unicode: nothing that sdl writes
        sound = False
    if not sound:
        yield Damage(
            "", 0, f"{manifest.MANIFEST}: something in it was changed: its contents do not give its identifier"
        )
    yield from _signature(folder, body, text, key)
    listed = {str(file.get("path")): file for file in body["files"] if isinstance(file, dict)}
    own = {manifest.MANIFEST, *((manifest.SIGNATURE, manifest.PUBLIC_KEY) if body.get("signed_by") else ())}
    for path, file in listed.items():
        yield from _file(folder, path, file)
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    for path in sorted(there - set(listed) - own):
        yield Damage("", 0, f"{path}: is not part of the release")
    if JOURNAL in listed and (folder / JOURNAL).is_file():
        yield from _chain(folder / JOURNAL, body)


def _signature(folder: Path, body: Mapping[str, Any], text: bytes, key: str) -> Iterator[Damage]:
    public = body.get("signed_by") or ""
    if not public:
        if key:
            yield Damage("", 0, f"the release is not signed, and should be by {key}")
        return
    if key and public != key:
        yield Damage("", 0, f"the release is signed by {public}, and should be by {key}")
    try:
        if not signing.is_signed(public, (folder / manifest.SIGNATURE).read_bytes(), text):
            yield Damage("", 0, f"{manifest.SIGNATURE}: is not the signature of {manifest.MANIFEST} by {public}")
        if (folder / manifest.PUBLIC_KEY).read_bytes() != signing.public_pem(public):
            yield Damage("", 0, f"{manifest.PUBLIC_KEY}: is not the key that {manifest.MANIFEST} names")
    except InputError as error:
        yield Damage("", 0, f"{manifest.MANIFEST}: {error}")
    except OSError as error:
        yield Damage("", 0, f"{Path(error.filename or folder).name}: cannot be read: {error.strerror}")


def _file(folder: Path, name: str, stated: Mapping[str, Any]) -> Iterator[Damage]:
    pure, path = PurePosixPath(name), folder / name
    if pure.is_absolute() or ".." in pure.parts:
        yield Damage("", 0, f"{name!r} is no path within a release")
    elif path.is_symlink() or not path.is_file():
        yield Damage("", 0, f"{name}: is missing" if not path.exists() else f"{name}: is no ordinary file")
    else:
        try:
            same = path.stat().st_size == stated.get("bytes") and manifest.file_hash(path) == stated.get("sha256")
        except OSError as error:
            yield Damage("", 0, f"{name}: cannot be read: {error.strerror}")
            return
        if not same:
            yield Damage("", 0, f"{name}: was changed: its size or its SHA-256 is not the one in {manifest.MANIFEST}")


# ── the journal ──


def _chain(path: Path, body: Mapping[str, Any]) -> Iterator[Damage]:
    """The chain from the first entry to the head that the manifest states."""
    stated = body.get("journal")
    stated = stated if isinstance(stated, dict) else {}
    about = body.get("campaign")
    campaign = str(about.get("id", "")) if isinstance(about, dict) else ""
    seq, previous, told_in_part = 0, GENESIS, []
    with path.open("rb") as file:
        for seq, line in enumerate(file, start=1):
            read = _entry(line.rstrip(b"\n"))
            if read is None:
                yield Damage(campaign, seq, f"{JOURNAL}: entry {seq} cannot be read: something in it was changed")
                return
            prev, of, number, own, fault = read
            if line.startswith(b"{"):
                told_in_part.append(seq)
            if fault:
                yield Damage(campaign, seq, f"{JOURNAL}: entry {seq}, told in part, {fault}")
            if prev != previous:
                yield Damage(campaign, seq, f"{JOURNAL}: entry {seq} does not follow the one before: one was changed")
                return
            if (of, number) != (campaign, seq):
                yield Damage(campaign, seq, f"{JOURNAL}: entry {seq} says it is entry {number!r} of {of!r}")
                return
            previous = own
    if (seq, previous) != (stated.get("entries"), stated.get("head")):
        yield Damage(campaign, seq, f"{JOURNAL}: ends with entry {seq}, but {manifest.MANIFEST} states another end")
    if told_in_part != stated.get("withheld"):
        why = f"entries {told_in_part} are told in part, but {manifest.MANIFEST} lists {stated.get('withheld')}"
        yield Damage(campaign, 0, f"{JOURNAL}: {why}")


def _entry(line: bytes) -> tuple[Any, Any, Any, str, str] | None:
    """Hash of the entry before, campaign, number, own hash and what is wrong; None where the line is no entry."""
    try:
        read = json.loads(line)
        if isinstance(read, list):
            return read[0], read[1], read[2], sha256(line).hexdigest(), ""
        return read["prev_hash"], read["campaign"], read["seq"], str(read["hash"]), _fault_in_part(read)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def _fault_in_part(read: Mapping[str, Any]) -> str:
    """Why an entry that states its hash may not do so; empty where it says what was left out, and where.

    Only these entries are not bound by their hash to what is shown of them, so no other may pass for one.
    """
    if set(read) != {*Entry._fields, "withheld"}:
        return f"has other parts than {', '.join(Entry._fields)} and withheld"
    if not re.fullmatch("[0-9a-f]{64}", str(read["hash"])):
        return "states no SHA-256"
    if not read["withheld"]:
        return "does not say what was left out"
    shown = dict(texts_of(read["body"]))
    missing = [place for place in read["withheld"] if place not in shown]
    return f"says that something was left out at {missing[0]}, where there is no text" if missing else ""
