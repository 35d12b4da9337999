"""Every file of a release with all exports: one changed byte is found, and the file is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sdl.fair import _manifest as manifest
from sdl.fair._verify_against import told_in_part, verify_against
from sdl.fair.release import release, verify_release
from sdl.fair.signing import make_key
from sdl.journal import Store
from sdl.model import InputError
from sdl.model.project import Project

_PLACES = 4
"""Positions in each file, beside its first and its last byte."""


@pytest.fixture(scope="module")
def whole(soft_store: Path, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed release with every export; whoever changes it puts it back."""
    folder = tmp_path_factory.mktemp("whole")
    with Store.open(soft_store, create=False) as store:
        campaign, key = store.campaigns()[0].id, make_key(folder / "signing.pem")
        return release(store, campaign, folder / "out", project=project, day=date(2026, 11, 22), key=key).folder


def test_one_changed_byte_of_any_file_is_found(whole: Path) -> None:
    """First, last and random bytes of each file, journal, manifest, signature and key among them; the file is named."""
    chance = random.Random(6)
    files = [path for path in sorted(whole.rglob("*")) if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".jsonl", ".json", ".parquet", ".nxs", ".maiml", ".zip", ".xml", ".md", ".sig", ".pub"} <= kinds
    for path in files:
        sound, name = path.read_bytes(), path.relative_to(whole).as_posix()
        for place in (0, len(sound) - 1, *(chance.randrange(len(sound)) for _ in range(_PLACES))):
            changed = bytearray(sound)
            changed[place] ^= chance.randrange(1, 256)
            path.write_bytes(changed)
            assert any(name in fault.message for fault in verify_release(whole)), (name, place)
        path.write_bytes(sound)
    assert verify_release(whole) == []


def test_a_byte_more_or_less_is_found_in_any_file(whole: Path) -> None:
    """A file that was cut short, emptied or added to."""
    for path in [path for path in sorted(whole.rglob("*")) if path.is_file()]:
        sound, name = path.read_bytes(), path.relative_to(whole).as_posix()
        for changed in (sound[:-1], b"", sound + b"\n"):
            path.write_bytes(changed)
            assert any(name in fault.message for fault in verify_release(whole)), (name, len(changed))
        path.write_bytes(sound)
    assert verify_release(whole) == []


# ── entries that are told in part ──


def forged(whole: Path, folder: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy, unsigned, in which an entry's line was changed and every hash of a file put right."""
    shutil.copytree(whole, folder)
    for name in (manifest.SIGNATURE, manifest.PUBLIC_KEY):
        (folder / name).unlink()
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines()
    read = json.loads(lines[number - 1])
    if isinstance(read, list):
        own = sha256(lines[number - 1].encode()).hexdigest()
        read = {**dict(zip(("prev_hash", "campaign", "seq", "at", "kind", "body"), read, strict=True)), "hash": own}
    lines[number - 1] = json.dumps(change(read))
    journal.write_text("".join(f"{line}\n" for line in lines))
    body = manifest.read_manifest(folder)
    (listed,) = (file for file in body["files"] if file["path"] == journal.name)
    listed |= {"bytes": journal.stat().st_size, "sha256": manifest.file_hash(journal)}
    body |= {"signed_by": ""}
    body["identifier"] = manifest.identifier_of(body)
    (folder / manifest.MANIFEST).write_bytes(manifest.manifest_text(body))
    return folder


def test_an_entry_that_could_be_told_in_full_may_not_state_its_hash(whole: Path, tmp_path: Path) -> None:
    """Whoever changes a proposal and states its old hash is found out, though every other hash was put right."""
    lines = (whole / "journal.jsonl").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if '"trial.proposed"' in line)
    bare = forged(whole, tmp_path / "bare", number, lambda read: {**read, "body": {"trial": 1}})
    (fault, listed) = verify_release(bare)
    assert (fault.seq, "has other parts than" in fault.message) == (number, True)
    assert "are told in part, but release.json lists" in listed.message
    for withheld, why in (([], "does not say what was left out"), (["nowhere"], "at nowhere, where there is no text")):
        copy = tmp_path / f"copy-{len(withheld)}"
        forged(whole, copy, number, lambda read, withheld=withheld: {**read, "withheld": withheld})
        assert why in verify_release(copy)[0].message


def test_what_is_told_in_part_can_be_checked_against_the_store(whole: Path, soft_store: Path, tmp_path: Path) -> None:
    """The entries are listed; a place that is not named as left out has to be the store's."""
    (first, *_) = told_in_part(whole)
    with Store.open(soft_store, create=False) as store:
        assert verify_against(whole, store) == []

        def renamed(read: dict[str, Any]) -> dict[str, Any]:
            return {**read, "at": read["at"] + 1, "body": {**read["body"], "epoch": 17}}

        changed = forged(whole, tmp_path / "changed", first, renamed)
        assert verify_release(changed) == []
        assert [fault.message.split("entry")[1] for fault in verify_against(changed, store)] == [
            f" {first} states another at than the store's",
            f" {first} shows something that the store's does not say",
        ]
    with Store.open(tmp_path / "other.db") as other, pytest.raises(InputError):
        verify_against(whole, other)
