"""Releases: made whole or not at all, equal byte by byte, and any change of them is found."""

from __future__ import annotations

import getpass
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from pathlib import Path
from socket import gethostname

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sdl.fair._manifest import read_manifest
from sdl.fair.access import PUBLIC, Hidden
from sdl.fair.release import Release, release, verify_release
from sdl.fair.signing import SigningKey, make_key
from sdl.journal import GENESIS, Store
from sdl.model import InputError
from sdl.model.project import AccessPolicy, Project

DAY = date(2026, 11, 22)
LIGHT = ("datacite", "prov")
"""Exports that are made quickly; journal and crate come with them."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A lab's key."""
    return make_key(tmp_path_factory.mktemp("keys") / "signing.pem")


@pytest.fixture(scope="module")
def released(
    soft_store: Path, project: Project, key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """A signed release; a test that changes it copies it first."""
    with Store.open(soft_store, create=False) as store:
        campaign = store.campaigns()[0].id
        out = tmp_path_factory.mktemp("released") / "soft"
        yield release(store, campaign, out, project=project, only=LIGHT, day=DAY, key=key)


def made(store: Path, out: Path, project: Project, **more: object) -> Release:
    """A release of the only campaign of a store."""
    with Store.open(store, create=False) as opened:
        campaign = opened.campaigns()[0].id
        arguments = {"only": LIGHT, "day": DAY, **more}
        return release(opened, campaign, out, project=project, **arguments)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_releases_of_one_day_are_equal_byte_by_byte(
    released: Release, soft_store: Path, project: Project, key: SigningKey, tmp_path: Path
) -> None:
    """Neither the time of day nor the folder leaves a trace."""
    again = made(soft_store, tmp_path / "elsewhere" / "again", project, key=key)
    assert contents(again.folder) == contents(released.folder)
    assert again.identifier == released.identifier
    assert verify_release(again.folder) == []


def test_another_day_is_another_release(released: Release, soft_store: Path, project: Project, tmp_path: Path) -> None:
    """The day of the release is stated, and identifies it with the rest."""
    later = made(soft_store, tmp_path / "later", project, day=date(2026, 11, 23))
    assert later.identifier != released.identifier
    assert read_manifest(later.folder)["released"] == "2026-11-23"


def test_a_folder_that_exists_is_refused(soft_store: Path, project: Project, tmp_path: Path) -> None:
    """Nothing is ever written over, and the advice says what to do."""
    out = tmp_path / "there"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"there exists; .* name another folder with --out"):
        made(soft_store, out, project)
    assert contents(tmp_path) == {"there/mine.txt": b"mine"}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 5_000, 20_000])
def test_a_disk_without_room_leaves_nothing_half(
    soft_store: Path, project: Project, tmp_path: Path, size: int, released: Release
) -> None:
    """Wherever the writing fails, the error says so and neither the folder nor a part of it stays."""
    assert max(len(content) for content in contents(released.folder).values()) > size
    out = tmp_path / "out" / "release"
    with room_for(size), pytest.raises(InputError, match="cannot write"):
        made(soft_store, out, project)
    assert contents(tmp_path) == {}
    assert list((tmp_path / "out").iterdir()) == []


def test_all_of_it_is_on_the_disk_before_it_has_its_name(
    soft_store: Path, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders are synced under the name of the part, after which only the name is left to write."""
    synced = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path, path.stat().st_size, (tmp_path / "release").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    files = contents(made(soft_store, tmp_path / "release", project).folder)
    parts = {path: (size, there) for path, size, there in synced if ".part" in str(path)}
    (part,) = {path for path in parts if path.suffix == ".part"}
    assert not any(there for _, there in parts.values())
    found = {path.relative_to(part).as_posix(): size for path, (size, _) in parts.items()}
    assert {name: size for name, size in found.items() if name in files} == {n: len(c) for n, c in files.items()}
    folders = {folder.as_posix() for name in files for folder in Path(name).parents}
    assert folders <= set(found)
    assert synced[-1][0] == tmp_path


def test_what_is_missing_is_said_all_at_once(soft_store: Path, tmp_path: Path) -> None:
    """One error names every key to be added, with an example of each."""
    with pytest.raises(InputError) as caught:
        made(soft_store, tmp_path / "release", Project(name="bare"))
    for key in ("title", "description", "people", "licence", "publisher"):
        assert f"  {key}: " in str(caught.value)
    assert not (tmp_path / "release").exists()


def test_the_manifest_lists_every_file_with_its_hash(released: Release) -> None:
    """Sizes, hashes and the end of the journal are those of the files beside it."""
    manifest = read_manifest(released.folder)
    files = contents(released.folder)
    listed = {file["path"]: file for file in manifest["files"]}
    assert set(files) == {*listed, "release.json", "release.sig", "release.pub"}
    for path, file in listed.items():
        assert (file["bytes"], file["sha256"]) == (len(files[path]), sha256(files[path]).hexdigest())
    assert manifest["journal"]["head"] == released.head


def test_the_journal_can_be_checked_without_sdl(released: Release) -> None:
    """The hash of a line is what the next line begins with, up to the head in the manifest."""
    previous = GENESIS
    for line in (released.folder / "journal.jsonl").read_text().splitlines():
        read = json.loads(line)
        assert (read[0] if line.startswith("[") else read["prev_hash"]) == previous
        previous = sha256(line.encode()).hexdigest() if line.startswith("[") else read["hash"]
    assert previous == read_manifest(released.folder)["journal"]["head"]


def test_nothing_tells_of_machines_or_accounts(released: Release, soft_store: Path) -> None:
    """Folders, host and process of whoever ran it are in the journal, and nowhere in the release."""
    with Store.open(soft_store, create=False) as store:
        stored = "".join(str(entry) for entry in store.entries(store.campaigns()[0].id))
    for secret in (f"{gethostname()}:", str(soft_store.parent)):
        assert all(secret.encode() not in content for content in contents(released.folder).values())
    assert f"{gethostname()}:" in stored
    withheld = read_manifest(released.folder)["journal"]["withheld"]
    shown = [json.loads(line) for line in (released.folder / "journal.jsonl").read_text().splitlines()]
    assert [entry["seq"] for entry in shown if isinstance(entry, dict)] == withheld
    assert f"/{getpass.getuser()}/" not in json.dumps(shown)


def damaged(released: Release, folder: Path) -> Path:
    """A copy to be changed."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(released.folder, folder)
    return folder


def flip(path: Path, place: float, bit: int) -> None:
    """Change one bit of a file, at a part of its length from 0 to 1."""
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1 << bit
    path.write_bytes(content)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.integers(0, 10**6), place=st.floats(0, 1), bit=st.integers(0, 7))
@example(file=0, place=1.0, bit=0)
def test_any_flipped_bit_is_found(released: Release, tmp_path: Path, file: int, place: float, bit: int) -> None:
    """Whichever file of a signed release it is in, the manifest, the key and the signature included."""
    folder = damaged(released, tmp_path / "copy")
    names = sorted(contents(folder))
    name = names[file % len(names)]
    flip(folder / name, place, bit)
    found = verify_release(folder)
    assert any(name in fault.message or name == "release.json" for fault in found), found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), bit=st.integers(0, 7))
def test_an_unsigned_manifest_vouches_for_itself(
    soft_store: Path, project: Project, tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    """Without a signature, any flipped bit of release.json is found as well."""
    base = tmp_path_factory.getbasetemp() / "unsigned"
    if not base.exists():
        made(soft_store, base, project, only=("journal",))
    assert verify_release(base) == []
    copy = tmp_path_factory.mktemp("unsigned-copy") / "copy"
    shutil.copytree(base, copy)
    flip(copy / "release.json", place, bit)
    assert verify_release(copy)


def test_what_was_added_or_taken_away_is_found(released: Release, tmp_path: Path) -> None:
    """A file that is missing, one that is not part of it, and a link in the place of a file."""
    folder = damaged(released, tmp_path / "copy")
    (folder / "prov.json").rename(tmp_path / "prov.json")
    (folder / "notes.txt").write_text("…")
    assert [fault.message for fault in verify_release(folder)] == [
        "prov.json: is missing",
        "notes.txt: is not part of the release",
    ]
    (folder / "notes.txt").unlink()
    (folder / "prov.json").symlink_to(tmp_path / "prov.json")
    assert [fault.message for fault in verify_release(folder)] == ["prov.json: is no ordinary file"]
    (folder / "elsewhere").symlink_to(tmp_path)
    assert "elsewhere: is not part of the release" in {fault.message for fault in verify_release(folder)}


def test_a_changed_entry_of_the_journal_is_named(released: Release, tmp_path: Path) -> None:
    """The first bad entry has its number in the finding."""
    folder = damaged(released, tmp_path / "copy")
    lines = (folder / "journal.jsonl").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if '"trial.proposed"' in line)
    lines[number - 1] = lines[number - 1].replace('"x":0.', '"x":1.')
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")
    found = [fault for fault in verify_release(folder) if fault.seq]
    assert [(fault.seq, "does not follow" in fault.message) for fault in found] == [(number + 1, True)]


def test_a_release_by_another_key_is_told_apart(released: Release, key: SigningKey, tmp_path: Path) -> None:
    """A release that somebody else signed is sound in itself, and not the lab's."""
    folder = damaged(released, tmp_path / "copy")
    other = make_key(tmp_path / "other.pem")
    assert verify_release(folder, key.public) == []
    (fault,) = verify_release(folder, other.public)
    assert other.public in fault.message
    (folder / "release.sig").write_bytes(other.sign((folder / "release.json").read_bytes()))
    assert "release.sig" in verify_release(folder)[0].message


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    """As are a path that names nothing, and a manifest that is no JSON."""
    with pytest.raises(InputError, match="is no release"):
        verify_release(tmp_path)
    (tmp_path / "release.json").write_text("{")
    assert "no JSON" in verify_release(tmp_path)[0].message


def test_a_release_says_which_one_it_replaces(
    released: Release, soft_store: Path, project: Project, tmp_path: Path
) -> None:
    """In the manifest, in the crate and for the registration agency."""
    newer = made(soft_store, tmp_path / "newer", project, replaces=released.identifier)
    assert read_manifest(newer.folder)["replaces"] == released.identifier
    crate = json.loads((newer.folder / "ro-crate-metadata.json").read_text())
    assert any(one.get("identifier") == released.identifier for one in crate["@graph"])
    related = json.loads((newer.folder / "datacite.json").read_text())["relatedIdentifiers"]
    assert {
        "relatedIdentifier": released.identifier,
        "relatedIdentifierType": "URN",
        "relationType": "IsNewVersionOf",
    } in related


def test_a_release_for_the_public_holds_what_the_policy_allows(
    soft_store: Path, project: Project, tmp_path: Path
) -> None:
    """Of closed data only what describes them; of closed metadata nothing; a closed file is left out."""
    closed = project.model_copy(update={"access": AccessPolicy.model_validate({"metadata": "open", "data": "closed"})})
    made(soft_store, tmp_path / "closed", closed, only=(), role=PUBLIC)
    files = contents(tmp_path / "closed")
    assert "ro-crate-metadata.json" in files
    assert "journal.jsonl" not in files
    assert not any(b"trial-1" in content or b"CreateAction" in content for content in files.values())
    assert verify_release(tmp_path / "closed") == []
    with pytest.raises(Hidden, match="metadata are closed"):
        made(soft_store, tmp_path / "none", project.model_copy(update={"access": AccessPolicy()}), role=PUBLIC)
    some = AccessPolicy.model_validate({"metadata": "open", "data": "open", "files": {"prov.json": "closed"}})
    made(soft_store, tmp_path / "some", project.model_copy(update={"access": some}), role=PUBLIC)
    assert "journal.jsonl" in contents(tmp_path / "some")
    assert "prov.json" not in contents(tmp_path / "some")
    assert verify_release(tmp_path / "some") == []
