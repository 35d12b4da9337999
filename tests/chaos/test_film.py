"""A sample of what `make chaos CHAOS="--lab thin-film"` does: four samples in flight, and their campaign is killed."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.checker import Record
from chaos.film import FilmBench
from chaos.film_checker import Books, check, check_books
from chaos.harness import Harness, Reference, doubles, spread
from chaos.runs import Case, scratch

_SINGLES, _DOUBLES = 11, 2
Edit = Callable[[Record], None]


@pytest.fixture(scope="module")
def film() -> Iterator[Harness]:
    """Kills campaigns in the thin-film lab."""
    work = Path(tempfile.mkdtemp(prefix="chaos-film-", dir=scratch()))
    with Harness(work, jobs=3, kind=FilmBench) as harness:
        yield harness
    shutil.rmtree(work)


@pytest.fixture(scope="module")
def undisturbed(film: Harness) -> Reference:
    """What the campaign comes to when nobody kills it."""
    return film.reference()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_with_four_in_flight_nothing_is_lost_or_repeated(film: Harness, undisturbed: Reference) -> None:
    """SIGKILL at seeded points, at some again during recovery: the campaign comes to the undisturbed one's end.

    Each load, dispense, spin, carry, hold and eject was done exactly once, nobody was asked anything, and stock and
    samples on record are those of the instruments' own logs; while the process was dead they were never optimistic.
    """
    cases = [Case((point,)) for point in spread(undisturbed.points, _SINGLES, seed=21)]
    cases += [Case(pair) for pair in doubles(len(undisturbed.points), _DOUBLES, seed=21)]
    results = film.run(cases, undisturbed)
    assert [f"kill at {r.case} ({r.died}): {text}" for r in results for text in r.violations] == []
    assert sum(len(r.died) for r in results) >= _SINGLES
    assert [question for r in results for question in r.asked] == []
    assert sum(r.receipts for r in results) > 0, "no action was cut off"


@pytest.fixture(scope="module")
def sound(film: Harness) -> tuple[Record, Books, list[object]]:
    """Record, ledgers and history of an undisturbed campaign."""
    with film.bench() as bench:
        assert isinstance(bench, FilmBench)
        session = bench.session(1, None)
        assert session.status == 0, session.err
        return bench.record(), bench.books(), bench.judged(None)[0]


def test_a_sound_film_record_has_nothing_wrong(sound: tuple[Record, Books, list[object]]) -> None:
    """Of an undisturbed campaign the checker has nothing to say, and there was something to look at."""
    record, books, history = sound
    assert check(record, history) == []
    assert check_books(record, books, at_rest=True) == []
    done = Counter((line["instrument"][:7], line["action"]) for line in record.truth)
    assert (done["coater", "load"], done["robot", "put"], done["furnace", "timer"], done["stage", "eject"]) == (
        6,
        12,
        6,
        6,
    )
    assert len(books.samples) == 6


def _again(instrument: str, action: str) -> Edit:
    """What an instrument did last is in its log once more."""

    def edit(record: Record) -> None:
        truth = list(record.truth)
        last = [line for line in truth if (line["instrument"], line["action"]) == (instrument, action)][-1]
        truth.insert(truth.index(last) + 1, last)
        record.truth = truth

    return edit


def _never(instrument: str, action: str) -> Edit:
    """What an instrument did last is not in its log."""

    def edit(record: Record) -> None:
        truth = list(record.truth)
        truth.remove([line for line in truth if (line["instrument"], line["action"]) == (instrument, action)][-1])
        record.truth = truth

    return edit


def _unarmed(record: Record) -> None:
    record.acks = [ack for ack in record.acks if not (ack.kind == "action.armed" and "/4/to_probe/" in ack.action)]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_again("coater", "load"), "repeated: trial 6: 2 times load"),
        (_again("coater", "load"), "ledger: substrate: 6 used by the record, 7 by the instruments"),
        (_again("coater", "dispense"), "ledger: ink: "),
        (_again("coater", "spin"), "repeated: trial 6: 2 times spin"),
        (_again("furnace_a", "timer"), "2 times hold"),
        (_never("coater", "dispense"), "lost: trial 6: 0 times dispense"),
        (_never("stage", "eject"), "ledger: sample of trial "),
        (_unarmed, "began before its action.armed was on the disk"),
    ],
)
def test_what_is_wrong_with_films_is_seen(sound: tuple[Record, Books, list[object]], edit: Edit, said: str) -> None:
    """A doctored log or journal is caught, and the sentence says at what."""
    record = copy.deepcopy(sound[0])
    edit(record)
    found = [*check(record, sound[2]), *check_books(record, sound[1], at_rest=True)]
    assert any(said in text for text in found), found
