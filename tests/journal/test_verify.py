"""One flipped or missing byte anywhere in the record is detected."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.postgres import execute, rows

from sdl.journal import Damage, Store, StoreError
from sdl.journal._canonical import is_canonical
from sdl.journal._forms import filler
from sdl.journal._schema import PLACES

_C1 = PLACES
"""Place before the first entry of `c1`."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with two campaigns of 40 entries, some with bodies longer than a page."""
    path = tmp_path_factory.mktemp("sound") / "sdl.db"
    _fill(path)
    return path


def _fill(place: str | Path) -> None:
    with Store.open(place) as store:
        for campaign in ("c1", "c2"):
            store.create(campaign, f"silver {campaign}")
            with store.writer(campaign) as writer:
                for i in range(40):
                    writer.post("document", {"i": i, "µ": "x" * (6000 if i % 10 == 0 else 40), "v": [0.1 * i, None]})
        assert store.verify() == []


@pytest.fixture
def copy(place: str | Path, sound: Path) -> str | Path:
    """A store like `sound`, of each kind."""
    if isinstance(place, str):
        _fill(place)
        return place
    return Path(shutil.copy(sound, place))


def _findings(path: str | Path) -> list[Damage]:
    """What opening and verifying say; an error in words counts as a finding."""
    try:
        with Store.open(path) as store:
            return store.verify()
    except StoreError as error:
        return [Damage("", 0, str(error))]


_COLUMNS = [
    *(("packed", c) for c in ("place", "form", "at", "body", "hash")),
    *(("forms", c) for c in ("chain", "number", "kind", "pieces")),
    *(("chains", c) for c in ("number", "campaign")),
    *(("heads", c) for c in ("campaign", "seq", "hash", "epoch")),
    *(("campaigns", c) for c in ("id", "name", "created_at", "hash")),
    *(("leases", c) for c in ("campaign", "epoch")),
    *(("meta", c) for c in ("key", "value")),
]


_KEYS = {"packed": "place", "forms": "chain || '/' || number", "chains": "number", "campaigns": "id", "meta": "key"}


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_of_a_value(sound: Path, tmp_path: Path, seed: int) -> None:
    """Fifty flipped bits a seed, each anywhere in any value of any table of the record: all are found."""
    rng = random.Random(seed)
    copy = tmp_path / "copy.db"
    for _ in range(50):
        shutil.copy(sound, copy)
        table, column = rng.choice(_COLUMNS)
        with sqlite3.connect(copy) as db:
            key = _KEYS.get(table, "campaign")
            found = db.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
            row, value = rng.choice(found)
            if isinstance(value, int):
                flipped = (value ^ 1 << rng.randrange(64)) if rng.random() < 0.5 else value ^ 1 << rng.randrange(8)
                flipped = (flipped + 2**63) % 2**64 - 2**63
                db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {key} = ?", (flipped, row))
            else:
                raw = bytearray(value if isinstance(value, bytes) else value.encode())
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
                cast = "?" if isinstance(value, bytes) else "CAST(? AS TEXT)"
                db.execute(f"UPDATE OR IGNORE {table} SET {column} = {cast} WHERE {key} = ?", (bytes(raw), row))
            changed = db.total_changes
        db.close()
        assert changed == 0 or _findings(copy), f"{table}.{column} of {row}"


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_on_the_disk(sound: Path, tmp_path: Path, seed: int) -> None:
    """A bit of the file flipped in or near an entry's text: found, or it lies where nothing is stored; no traceback."""
    rng = random.Random(100 + seed)
    raw = sound.read_bytes()
    with sqlite3.connect(sound) as db:
        bodies = [body.encode() for (body,) in db.execute("SELECT body FROM packed WHERE length(body) > 12")]
    db.close()
    marks = [spot for body in bodies if (spot := raw.find(body[:1000])) > 0]
    copy = tmp_path / "copy.db"
    content, found = _content(sound), 0
    for _ in range(25):
        spot = rng.choice(marks) - 40 + rng.randrange(120)
        damaged = bytearray(raw)
        damaged[spot] ^= 1 << rng.randrange(8)
        copy.write_bytes(damaged)
        if _findings(copy):
            found += 1
        else:  # free space keeps remains of texts that were moved
            assert _content(copy) == content, f"byte {spot}"
    assert found > 12


def _content(path: Path) -> list[str]:
    with sqlite3.connect(path) as db:
        content = list(db.iterdump())
    db.close()
    return content


def test_a_truncated_file(sound: Path, tmp_path: Path) -> None:
    """A file cut off anywhere is refused or reported; nothing but our own errors comes out."""
    rng = random.Random(5)
    raw = sound.read_bytes()
    copy = tmp_path / "copy.db"
    for size in [0, 1, 100, 4096, *(rng.randrange(len(raw)) for _ in range(40))]:
        copy.write_bytes(raw[:size])
        assert _findings(copy), f"{size} of {len(raw)} bytes"


def test_a_truncated_log(tmp_path: Path) -> None:
    """A write-ahead log cut off anywhere leaves the whole entries before the cut, chain and head agreeing."""
    rng = random.Random(6)
    path, copy = tmp_path / "sdl.db", tmp_path / "copy" / "sdl.db"
    copy.parent.mkdir()
    with Store.open(path) as store:
        store.create("c1", "silver")
        with store.writer("c1") as writer:
            for i in range(60):
                writer.append("x", {"i": i}, durable=False)
            base, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    lengths = set()
    for size in [0, 31, 32, *(rng.randrange(len(log)) for _ in range(20))]:
        copy.write_bytes(base)
        Path(f"{copy}-wal").write_bytes(log[:size])
        Path(f"{copy}-shm").unlink(missing_ok=True)
        with Store.open(copy) as store:
            assert store.verify() == []
            numbers = [e.body["i"] for e in store.entries("c1")]
            assert numbers == list(range(len(numbers)))
            lengths.add(len(numbers))
    assert len(lengths) > 5


@pytest.mark.parametrize(
    ("statements", "seq", "message"),
    [
        ([f"DELETE FROM packed WHERE place={_C1 + 40}"], 39, "the chain ends with entry 39"),
        ([f"DELETE FROM packed WHERE place={_C1 + 7}"], 7, "entry 7 is missing"),
        ([f"DELETE FROM packed WHERE place={_C1 + 1}"], 1, "entry 1 is missing"),
        ([f"DELETE FROM packed WHERE place<{_C1 + PLACES}"], 0, "the chain ends with entry 0"),
        (["DELETE FROM forms WHERE chain=1 AND number=2"], 3, "its form 2 is missing"),
        (["UPDATE forms SET kind='y' WHERE chain=1 AND number=2"], 3, "something in it was changed"),
        (["UPDATE forms SET pieces=NULL WHERE chain=1 AND number=2"], 3, "something in it was changed"),
        ([f"UPDATE packed SET form=1 WHERE place={_C1 + 9}"], 9, "something in it was changed"),
        ([f"UPDATE packed SET body='1' WHERE place={_C1 + 9}"], 9, "it cannot be read"),
        (["UPDATE chains SET campaign='c3' WHERE campaign='c1'"], 0, "has no chain"),
        (["DELETE FROM heads WHERE campaign='c1'"], 0, "has no head"),
        (["DELETE FROM campaigns WHERE id='c1'"], 0, "has no row in the list"),
        (["DELETE FROM leases WHERE campaign='c1'"], 0, "has no lease"),
        (
            [f"UPDATE packed SET place={_C1 + 99} WHERE place={_C1 + 7}",
             f"UPDATE packed SET place={_C1 + 7} WHERE place={_C1 + 8}",
             f"UPDATE packed SET place={_C1 + 8} WHERE place={_C1 + 99}"],
            7, "something in it was changed",
        ),
        ([f"UPDATE packed SET at=at+1 WHERE place={_C1 + 7}"], 7, "was changed"),
        ([f"UPDATE packed SET body=' ' || body WHERE place={_C1 + 7}"], 7, "was changed"),
        (["UPDATE campaigns SET name='gold' WHERE id='c1'"], 0, "name or time of creation was changed"),
        (["UPDATE heads SET epoch=9 WHERE campaign='c1'"], 0, "epoch 9"),
    ],
)  # fmt: skip
def test_tampering(copy: str | Path, statements: list[str], seq: int, message: str) -> None:
    """Deleted, swapped, retyped and reworded rows are found and named; the other campaign is not accused."""
    execute(copy, *statements)
    with Store.open(copy) as store:
        damage = store.verify()
        assert any(d.campaign == "c1" and d.seq == seq and message in d.message for d in damage), damage
        assert all(d.campaign in ("c1", "c3") for d in damage)
        assert [d for d in store.verify("c1") if d.seq] == [d for d in damage if d.seq and d.campaign == "c1"]
        assert store.verify("c2") == []


def test_a_retyped_value(sound: Path, path: Path) -> None:
    """A text that was made a blob with the same bytes is found; PostgreSQL keeps to the types of columns."""
    shutil.copy(sound, path)
    execute(path, f"UPDATE packed SET body=CAST(body AS BLOB) WHERE place={_C1 + 7}")
    assert any((d.campaign, d.seq) == ("c1", 7) and "another type" in d.message for d in _findings(path))


def test_a_recomputed_hash_still_breaks_the_chain(copy: str | Path) -> None:
    """Whoever changes an entry and recomputes its own hash is found at the entry after it."""
    from sdl.journal import digest

    (row,) = rows(copy, "SELECT prev_hash, campaign, seq, at, kind FROM entries WHERE campaign='c1' AND seq=7")
    forged = digest(*row, '{"i":0}')
    own = f"'\\x{forged}'" if isinstance(copy, str) else f"x'{forged}'"
    execute(copy, f"UPDATE packed SET form=1, body='{{\"i\":0}}', hash={own} WHERE place={_C1 + 7}")
    assert [(d.campaign, d.seq) for d in _findings(copy)] == [("c1", 8)]


def test_reading_a_damaged_body(copy: str | Path) -> None:
    """Reading a body that is no JSON any more gives an error that names the entry, not a traceback."""
    execute(copy, f"UPDATE packed SET body='{{' WHERE place={_C1 + 7}")
    with Store.open(copy) as store, pytest.raises(StoreError, match="entry 7 of campaign c1 is damaged"):
        list(store.entries("c1"))


@pytest.fixture(scope="module")
def packed_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose last entry has a form with three gaps."""
    path = tmp_path_factory.mktemp("packed") / "sdl.db"
    with Store.open(path) as store:
        store.create("c1", "silver")
        with store.writer("c1") as writer:
            for i in range(4):
                writer.post("document", {"a": i + 0.5, "b": {"k": i + 1.5}, "c": f"x{i}", "d": [i, 2], "e": "end"})
    return path


_PARTS = st.sampled_from(
    ["1", "1.0", "1.00", "-0.5", " 1", "1e3", "[1", "2]", "[1]", "1,2", '{"b":1,"a":2}', '{"a":1}', '"x1"', '"x', 'y1"',
     '"a,b1"', "null", "", "]", '1}', '{"z":1', '1,"a":2', "NaN", '"µ1"', '"\\u00b51"']
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_forged_body_is_canonical_or_found(packed_chain: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whoever recomputes hash and head, too, is found where the body is none that sdl writes, however it is cut."""
    from sdl.journal import digest

    path = tmp_path / "forged.db"
    shutil.copy(packed_chain, path)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        place, form, values = database.execute("SELECT place, form, body FROM packed ORDER BY place DESC").fetchone()
        (pieces,) = database.execute("SELECT pieces FROM forms WHERE number=?", [form]).fetchone()
        lines = data.draw(st.tuples(*[_PARTS] * pieces.count("\n")))
        assert values.count("\n") + 1 == len(lines) > 2
        body = filler(pieces)("\n".join(lines))
        (row,) = database.execute(f"SELECT prev_hash, campaign, seq, at, kind FROM entries WHERE seq={place - _C1}")
        forged = digest(*row, body)
        own = bytes.fromhex(forged)
        database.execute("UPDATE packed SET body=?, hash=? WHERE place=?", ["\n".join(lines), own, place])
        database.execute("UPDATE heads SET hash=?", [forged])
    try:
        written = is_canonical(body)
    except ValueError:
        written = False
    found = _findings(path)
    assert (found == []) == written, (body, found)
