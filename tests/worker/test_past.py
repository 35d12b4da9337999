"""What a spool says, and the numbers of its entries, also after a power cut that lost its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdl.journal import Entry, digest, kinds
from sdl.worker._inflow import Inflow
from sdl.worker._past import EPOCH_RAISED, SPOOL_OPENED, STEP_ANSWERED, STEP_ORDERED, Past, StepKey
from sdl.worker._spool import Spool
from sdl.worker.errors import WorkerError


def past_of(*entries: tuple[str, dict[str, object]]) -> Past:
    """The fold over entries."""
    past = Past()
    for seq, (kind, body) in enumerate(entries, 1):
        past.take(Entry("camp", seq, seq, kind, body, "", ""))
    return past


def opened(incarnation: int) -> tuple[str, dict[str, object]]:
    """A worker takes the chain up."""
    return SPOOL_OPENED, {"station": "bench", "incarnation": incarnation}


DOCUMENT = (kinds.DOCUMENT, {"name": "event", "doc": {}})


def test_numbers_grow_from_worker_to_worker() -> None:
    """A number tells the worker that wrote the entry; every later worker's are higher."""
    past = past_of(opened(1), DOCUMENT, DOCUMENT, opened(2), DOCUMENT)
    numbers = [past.number(seq) for seq in range(1, 6)]
    assert numbers == [1_000_000_001, 1_000_000_002, 1_000_000_003, 2_000_000_004, 2_000_000_005]
    assert [past.next_seq(number) for number in (0, *numbers)] == [1, 2, 3, 4, 5, 6]


def test_an_end_that_was_lost() -> None:
    """Entries in the place of some that a power cut lost are handed out, though their places were known before."""
    # The coordinator has seen 1 000 000 009; the worker's disk kept only two entries of that worker.
    past = past_of(opened(1), DOCUMENT, opened(2), DOCUMENT)
    assert past.next_seq(1_000_000_009) == 3
    assert past.next_seq(2_000_000_003) == 4
    assert past.next_seq(2_000_000_005) is None, "no worker of this spool gave that number out"
    assert past.next_seq(3_000_000_001) is None
    assert past_of(opened(1), DOCUMENT).next_seq(1_000_000_003) is None


def test_orders_epochs_and_answers() -> None:
    """An order without an answer is open; the newest epoch counts."""
    where = {"trial": 1, "step": "a", "attempt": 1}
    answer = {**where, "outcome": "done"}
    past = past_of(opened(1), (EPOCH_RAISED, {"epoch": 4}), (EPOCH_RAISED, {"epoch": 3}), (STEP_ORDERED, where))
    assert [key for key, _ in past.open_orders()] == [StepKey(1, "a", 1)]
    assert past.epoch == 4
    past.take(Entry("camp", 5, 5, STEP_ANSWERED, answer, "", ""))
    assert past.open_orders() == []
    assert past.orders[StepKey(1, "a", 1)].answer == answer


def row(number: int, before: str, text: str = "{}") -> list[object]:
    """An entry as it is sent."""
    seq = number % 1_000_000_000
    return [number, seq, 5, "document", text, before, digest(before, "camp", seq, 5, "document", text)]


def test_only_the_next_entry_is_taken() -> None:
    """A gap, another chain, a changed body and nonsense are refused; what was taken is passed over."""
    inflow = Inflow("camp", 1_000_000_001)
    first = inflow.read(row(1_000_000_002, "0" * 64))
    assert first is not None
    inflow.took(first)
    assert inflow.read(row(1_000_000_002, "0" * 64)) is None
    damaged = row(1_000_000_003, first.hash)
    damaged[4] = '{"a":1}'
    for wrong in (row(1_000_000_004, first.hash), row(1_000_000_003, "1" * 64), damaged, [], [1] * 7):
        with pytest.raises(ValueError, match="entry"):
            inflow.read(wrong)
    following = inflow.read(row(2_000_000_003, "1" * 64))
    assert following is not None, "another worker's first entry, after a power cut that lost the end"
    assert inflow.after == 1_000_000_002


async def test_a_spool_belongs_to_one_station(tmp_path: Path) -> None:
    """A spool is of one station, survives being closed, and numbers what the next worker writes above all before."""
    spool = Spool(tmp_path / "spool.db", "bench", "me")
    chain = spool.chain("camp")
    chain.post(*DOCUMENT)
    await chain.record(*DOCUMENT)
    last = chain.last
    assert [r[0] for r in await chain.rows(1)] == [1_000_000_001, 1_000_000_002, 1_000_000_003]
    chain.close()
    identity = spool.id
    spool.close()
    with pytest.raises(WorkerError, match="is the spool of station 'bench', not of 'oven'"):
        Spool(tmp_path / "spool.db", "oven", "me")
    again = Spool(tmp_path / "spool.db", "bench", "me")
    assert again.id == identity
    chain = again.chain("camp")
    assert chain.last == 2_000_000_004 > last
    assert [r[0] for r in await chain.rows(1)][-1] == chain.last
    chain.close()
    again.close()
