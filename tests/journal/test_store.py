"""Opening stores, and finding campaigns in them."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sdl.journal import JournalError, Store, StoreError
from sdl.journal._filesystem import filesystem_of
from sdl.model import InputError


def test_opening_makes_one_file(path: Path) -> None:
    """A store that nobody uses is one file, and opening it again finds what it held."""
    with Store.open(path) as store:
        store.create("c1", "silver")
    assert [p.name for p in path.parent.iterdir()] == ["sdl.db"]
    with Store.open(path, create=False) as store:
        assert [(c.id, c.name, c.seq) for c in store.campaigns()] == [("c1", "silver", 0)]


def _other_program(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (id)")
    db.close()


def _later_release(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = '99'")
    db.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "there is no store at"),
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: p.touch(), "is empty"),
        (lambda p: p.write_text("temperature,yield\n" * 100), "not an SQLite file"),
        (lambda p: p.write_bytes(os.urandom(4096)), "not an SQLite file"),
        (_other_program, "another program"),
        (_later_release, "store format 99"),
        (lambda p: os.mkfifo(p), "not a regular file"),
    ],
)
def test_what_is_no_store_is_refused(path: Path, make, message: str) -> None:
    """Whatever else lies at the path is refused in words, named, and left as it is."""
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(path, create=False)
    assert str(path) in str(caught.value)


def test_no_folder(path: Path) -> None:
    """A missing folder is named."""
    with pytest.raises(StoreError, match="there is no folder"):
        Store.open(path / "x" / "sdl.db")


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to become another user")
def test_read_only(tmp_path: Path) -> None:
    """Without the right to write, the error says so."""
    for mode, where in ((0o444, "file"), (0o644, "folder")):
        path = tmp_path / where / "sdl.db"
        path.parent.mkdir()
        Store.open(path).close()
        path.chmod(mode)
        path.parent.chmod(0o777 if where == "file" else 0o755)
        code = (
            "import os,sys; from pathlib import Path; from sdl.journal._filesystem import check_place\n"
            "os.setuid(65534)\nos.chdir('/')\n"
            "from sdl.journal import StoreError\n"
            "try: check_place(Path(sys.argv[1]))\nexcept StoreError as e: print(e)"
        )
        for folder in (tmp_path, *tmp_path.parents[:3]):
            if folder.owner() == "root" and str(folder).startswith("/tmp/pytest"):
                folder.chmod(0o755)
        out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert ("is read-only" if where == "file" else "no right to write") in out.stdout


def test_network_filesystems_are_recognised() -> None:
    """The mount that holds a folder is the longest one above it; a later mount on one point hides the earlier."""
    mounts = (
        "/dev/sda / ext4 rw 0 0\nsrv:/h /home nfs4 rw 0 0\n/dev/sdb /home/me ext4 rw 0 0\n"
        "//srv/lab /mnt/lab\\040data cifs rw 0 0\n/dev/sdc /over ext4 rw 0 0\nsrv:/o /over nfs rw 0 0\n"
    )
    cases = {
        "/tmp": "ext4", "/home/you": "nfs4", "/home/me/x": "ext4", "/homes": "ext4", "/mnt/lab data/x": "cifs",
        "/over": "nfs",
    }  # fmt: skip
    assert {folder: filesystem_of(Path(folder), mounts) for folder in cases} == cases


def test_network_filesystem_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store on NFS is refused before anything is made there."""
    monkeypatch.setattr("sdl.journal._filesystem._mounts", lambda: "srv:/x / nfs4 rw 0 0\n")
    with pytest.raises(StoreError, match=r"network filesystem \(nfs4\)"):
        Store.open(path)
    assert not path.exists()


def test_resolve(store: Store) -> None:
    """A campaign is found by id, by name, or by a unique prefix; the newest of one name wins."""
    store.create("7f01", "gold")
    store.create("7f02", "gold")
    store.create("a9", "golden-rod")
    assert store.resolve("c1") == store.resolve("silver") == store.resolve("si") == "c1"
    assert store.resolve("7f01") == "7f01"
    assert store.resolve("gold") == "7f02"
    assert store.resolve("golden") == "a9"
    with pytest.raises(InputError, match=r"several campaigns: gold \(7f01\), gold \(7f02\), golden-rod \(a9\)"):
        store.resolve("go")
    with pytest.raises(InputError, match="several campaigns"):
        store.resolve("7f")
    with pytest.raises(InputError, match="did you mean 'silver'"):
        store.resolve("sliver")
    with pytest.raises(InputError):
        store.resolve("")


def test_an_id_is_taken_once(store: Store) -> None:
    """A second campaign with one id is refused and changes nothing."""
    with pytest.raises(JournalError, match="already"):
        store.create("c1", "other")
    assert [c.name for c in store.campaigns()] == ["silver"]
    assert store.verify() == []


def test_a_stranger_can_recompute_the_hash(store: Store) -> None:
    """The documented line, built with the standard library only, gives every hash of a chain."""
    with store.writer("c1") as writer:
        for body in ({"b": 1.5, "a": 'µ"\\\n'}, {}, {"x": [None, True]}):
            writer.append("a kind", body)
    previous = "0" * 64
    for e in store.entries("c1"):
        body = json.dumps(e.body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        line = f'["{previous}","c1",{e.seq},{e.at},"a kind",{body}]'
        previous = hashlib.sha256(line.encode()).hexdigest()
        assert e.hash == previous


def test_entries_after_and_of_kinds(store: Store) -> None:
    """Entries are read page by page in order, from any point, of any kinds."""
    with store.writer("c1") as writer:
        for i in range(1300):
            writer.post("odd" if i % 2 else "even", {"i": i})
    assert [e.body["i"] for e in store.entries("c1")] == list(range(1300))
    assert [e.seq for e in store.entries("c1", after=1298)] == [1299, 1300]
    assert [e.body["i"] for e in store.entries("c1", kinds={"odd"})] == list(range(1, 1300, 2))


def test_light_import() -> None:
    """Importing the journal's vocabulary loads no SQLAlchemy; the store does."""
    code = (
        "import sys, sdl.journal, sdl.journal.kinds, sdl.journal.state\n"
        "assert 'sqlalchemy' not in sys.modules\nsdl.journal.Store\nassert 'sqlalchemy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
