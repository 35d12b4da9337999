"""The checker that judges the fault-point runs sees what it is there to see."""

from __future__ import annotations

import ast
import copy
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chaos import checker
from chaos.checker import Ack, Record, check, history_of, read_store
from chaos.harness import Harness, Reference

Edit = Callable[[Record], None]


@pytest.fixture(scope="module")
def sound(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """The record of a campaign, and a copy of its store."""
    with harness.bench() as bench:
        session = bench.session(1, None)
        assert session.status == 0, session.err
        copied = tmp_path_factory.mktemp("store") / "sdl.db"
        with closing(sqlite3.connect(bench.store)) as source, closing(sqlite3.connect(copied)) as target:
            source.backup(target)
        return bench.record(), copied


def _copy(record: Record) -> Record:
    return copy.deepcopy(record)


def test_a_sound_record_has_nothing_wrong(sound: tuple[Record, Path], reference: Reference) -> None:
    """Of an undisturbed campaign the checker has nothing to say, and it has looked at something."""
    record, _ = sound
    assert check(record, reference.history) == []
    assert len(record.acks) == len(record.entries) > 50
    assert sum(line["action"] == "run" for line in record.truth) == 6


def test_it_imports_nothing_that_it_judges() -> None:
    """The checker is written with the standard library alone."""
    tree = ast.parse(Path(checker.__file__).read_text())
    found = {a.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    found |= {str(n.module).split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert found <= sys.stdlib_module_names


def _lines(record: Record, action: str, pump: str = "stock_pump") -> list[int]:
    return [i for i, e in enumerate(record.truth) if e["instrument"] == pump and e["action"] == action]


def _repeat_a_run(record: Record) -> None:
    """The second dispense of the pump was done once more after it had ended."""
    run, target = _lines(record, "run")[1], _lines(record, "target")[1]
    truth = list(record.truth)
    later = max(line["wall"] for line in truth)
    again = [{**truth[i], "number": 99, "wall": later + n} for n, i in enumerate((run, target))]
    again[1]["total"] = {"INF": _total(record) + again[1]["volume"], "WDR": 0.0}
    record.truth = [*truth, *again]


def _total(record: Record, pump: str = "stock_pump") -> float:
    return float([e["total"]["INF"] for e in record.truth if e["instrument"] == pump and "total" in e][-1])


def _miss_a_run(record: Record) -> None:
    """The last dispense of the pump never began."""
    begin = _lines(record, "run")[-1]
    record.truth = [e for i, e in enumerate(record.truth) if i < begin or e["instrument"] != "stock_pump"]


def _stop_half_way(record: Record) -> None:
    """The last dispense of the pump delivered half."""
    truth = list(record.truth)
    end = _lines(record, "target")[-1]
    half = truth[end]["volume"] / 2
    truth[end] = {**truth[end], "volume": half, "total": {"INF": _total(record) - half, "WDR": 0.0}}
    record.truth = truth


def _deliver_a_little_more(record: Record) -> None:
    """A continued dispense delivered a hundredth of a microlitre too much."""
    truth = list(record.truth)
    end = _lines(record, "target")[0]
    truth[end] = {**truth[end], "volume": truth[end]["volume"] + 0.01}
    record.truth = truth


def _run_early(record: Record) -> None:
    """A pump began before the order was on the disk."""
    begin = _lines(record, "run")[2]
    (ack,) = [a for a in record.acks if a.kind == "action.armed" and a.action.endswith("/3/dose/1")]
    truth = list(record.truth)
    truth[begin] = {**truth[begin], "wall": ack.wall - 1000}
    record.truth = truth


def _run_first_of_all(record: Record) -> None:
    """A pump ran before anything was dispatched."""
    begin = _lines(record, "run")[0]
    truth = list(record.truth)
    truth[begin] = {**truth[begin], "wall": record.entries[0].at - 1}
    record.truth = truth


def _change_an_entry(record: Record) -> None:
    number = next(i for i, e in enumerate(record.entries) if e.kind == "action.done")
    record.entries[number] = record.entries[number]._replace(text=record.entries[number].text.replace("{}", '{"a":1}'))


def _drop_an_entry(record: Record) -> None:
    del record.entries[20]


def _drop_the_last_entry(record: Record) -> None:
    del record.entries[-1]


def _acknowledge_another(record: Record) -> None:
    record.acks[7] = record.acks[7]._replace(hash="0" * 64)


def _acknowledge_more(record: Record) -> None:
    record.acks.append(Ack("", len(record.entries) + 1, "0" * 64, 0, "document", "-"))


def _tell_twice(record: Record) -> None:
    entry = next(e for e in record.entries if e.kind == "trial.observed")
    record.entries.append(entry._replace(seq=len(record.entries) + 1))


@pytest.mark.parametrize(
    ("doctor", "said"),
    [
        (_repeat_a_run, "repeated: trial 3: stock_pump"),
        (_repeat_a_run, "order: run 2 of "),
        (_repeat_a_run, "total: stock_pump"),
        (_miss_a_run, "lost: trial 3: stock_pump"),
        (_miss_a_run, "total: stock_pump"),
        (_stop_half_way, "lost: trial 3: stock_pump"),
        (_deliver_a_little_more, "repeated: trial 1: stock_pump"),
        (_run_early, "order: run 1 of "),
        (_run_first_of_all, "order: stock_pump ran before any"),
        (_change_an_entry, "chain: entry "),
        (_drop_an_entry, "chain: entry 21 "),
        (_drop_the_last_entry, "chain: the head names entry "),
        (_acknowledge_another, "lost: entry 8 was acknowledged, and is another"),
        (_acknowledge_more, "is gone"),
        (_tell_twice, "history: trial 1 was told 2 times"),
    ],
)
def test_what_is_wrong_is_seen(sound: tuple[Record, Path], reference: Reference, doctor: Edit, said: str) -> None:
    """A doctored record is caught, and the sentence says at what."""
    record = _copy(sound[0])
    doctor(record)
    assert any(said in text for text in check(record, reference.history)), check(record, reference.history)


@pytest.fixture(scope="module")
def spooled(harness: Harness) -> Record:
    """The record of a campaign whose station a worker had."""
    with harness.bench(worker=True) as bench:
        session = bench.session(1, None)
        assert session.status == 0, session.err
        return bench.record()


def test_a_sound_spool_has_nothing_wrong(spooled: Record, reference: Reference) -> None:
    """Of an undisturbed campaign with a worker the checker has nothing to say, and it has looked at something."""
    assert check(spooled, reference.history) == []
    assert spooled.spool is not None
    assert sum("origin" in entry.body for entry in spooled.entries) > 50


def _came(record: Record, kind: str) -> int:
    return next(i for i, e in enumerate(record.entries) if e.kind == kind and "origin" in e.body)


def _comes_twice(record: Record) -> None:
    record.entries.append(record.entries[_came(record, "action.armed")])


def _never_comes(record: Record) -> None:
    del record.entries[_came(record, "action.acked")]


def _comes_as_another(record: Record) -> None:
    number = _came(record, "action.done")
    record.entries[number] = record.entries[number]._replace(kind="action.failed")


def _changed_in_the_spool(record: Record) -> None:
    assert record.spool is not None
    record.spool[5] = record.spool[5]._replace(text="{}")


def _gone_from_the_spool(record: Record) -> None:
    assert record.spool is not None
    record.spool.pop()


def _ran_before_the_spool_had_it(record: Record) -> None:
    assert record.orders is not None
    record.orders = [ack._replace(wall=ack.wall + 10**9) for ack in record.orders if ack.kind == "action.armed"] + [
        ack for ack in record.orders if ack.kind != "action.armed"
    ]


@pytest.mark.parametrize(
    ("doctor", "said"),
    [
        (_comes_twice, "spool: entries came twice"),
        (_never_comes, "(action.acked) never came into the journal"),
        (_comes_as_another, "of the journal is not entry "),
        (_changed_in_the_spool, "spool: chain: entry 6 "),
        (_gone_from_the_spool, "was acknowledged, and is gone"),
        (_ran_before_the_spool_had_it, "began before its action.armed was on the disk"),
    ],
)
def test_what_is_wrong_with_a_spool_is_seen(spooled: Record, reference: Reference, doctor: Edit, said: str) -> None:
    """A doctored spool, or a journal that differs from it, is caught."""
    record = _copy(spooled)
    doctor(record)
    assert any(said in text for text in check(record, reference.history)), check(record, reference.history)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE packed SET body = body || ' ' WHERE place % 1099511627776 = 9",
        "DELETE FROM packed WHERE place % 1099511627776 = 30",
        "DELETE FROM packed WHERE place = (SELECT max(place) FROM packed)",
        "UPDATE packed SET at = at + 1 WHERE place % 1099511627776 = 12",
    ],
)
def test_a_store_that_was_changed_is_seen(
    sound: tuple[Record, Path], reference: Reference, tmp_path: Path, statement: str
) -> None:
    """A changed or missing row of the database itself breaks the chain."""
    record, store = sound
    changed = tmp_path / "sdl.db"
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(changed)) as target:
        source.backup(target)
        assert target.execute(statement).rowcount == 1
        target.commit()
    entries, head = read_store(changed)
    said = check(Record(entries, head, record.truth, record.acks), reference.history)
    assert any(text.startswith("chain: ") for text in said)


def test_another_history_is_seen(sound: tuple[Record, Path], reference: Reference) -> None:
    """Other outcomes, fewer trials, and another end of the campaign are told apart."""
    record = sound[0]
    other = copy.deepcopy(reference.history)
    other[0][3]["deviation"]["value"] += 1e-9
    assert any("history: [1, " in text for text in check(record, other))
    assert any("trials instead of" in text for text in check(record, [*reference.history[:-1], *reference.history]))
    paused = [*reference.history[:-1], ["campaign.paused", None]]
    assert history_of(record.entries)[-1] == ["campaign.ended", "trials"]
    assert any("campaign.ended" in text for text in check(record, paused))
