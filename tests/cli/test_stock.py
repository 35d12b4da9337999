"""`sdl stock`: what is left, and what people receive and count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Nursery
from support.film import LAB, Lab, Session, into_store, write_film

from sdl.journal import Store, kinds

HANA = {"LOGNAME": "hana"}


@pytest.fixture
def film(tmp_path: Path) -> Iterator[Store]:
    """A store with a campaign in the film lab: 2 mL of ink and three substrates, one trial that has its stock."""
    lab = Lab()
    for item, amount in (("ink", 2.0), ("substrate", 3.0), ("tip", 9.0)):
        lab.receive(item, amount)
    session = Session(lab)
    session.propose()
    with Store.open(tmp_path / "sdl.db") as store:
        into_store(store, session)
        yield store


def last(store: Store) -> dict[str, object]:
    return dict(list(store.entries("lab-film"))[-1].body)


def test_stock_for_people(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Each lot has a line with what is left, set aside and free."""
    process = nursery.run("stock", cwd=tmp_path)
    assert process.status == 0, process.err
    (ink,) = [line.split() for line in process.out.splitlines() if line.startswith("ink")]
    assert ink == ["ink", "A", "2", "mL", "0.2", "mL", "1.8", "mL", "–", "–"]
    assert "LOW" not in process.out


def test_stock_json(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """`--json` prints one object a lot."""
    lines = [json.loads(line) for line in nursery.run("stock", "--json", cwd=tmp_path).out.splitlines()]
    assert [line["item"] for line in lines] == ["ink", "substrate", "tip"]
    wanted = {"lot": "A", "unit": "mL", "left": 2.0, "reserved": 0.2, "free": 1.8, "used": 0.0, "expired": False}
    assert wanted.items() <= lines[0].items()


def test_receive_and_count(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """What comes in is converted to the stock's unit and signed; a count is what is left from then on."""
    received = nursery.run(
        "stock", "receive", "ink", "500 uL", "--lot", "B", "--expires", "2199-01-31", cwd=tmp_path, env=HANA
    )  # fmt: skip
    assert received.status == 0, received.err
    assert received.out == "ink, lot B: 0.5 mL left, 0 mL set aside, 0.5 mL free\n"
    told = {"item": "ink", "lot": "B", "amount": 0.5, "unit": "mL", "expires": "2199-01-31", "note": ""}
    assert last(film) == {**told, "by": "person:hana"}
    counted = nursery.run(
        "stock", "count", "ink", "0.3", "--lot", "A", "--note", "weighed", "--by", "ken", cwd=tmp_path
    )  # fmt: skip
    assert counted.status == 0, counted.err
    assert counted.out == "ink, lot A: 0.3 mL left, 0.2 mL set aside, 0.1 mL free\n"
    assert last(film)["by"] == "person:ken"
    nursery.run("stock", "count", "ink", "0", "--lot", "B", "--note", "spilt", cwd=tmp_path)
    assert "LOW: ink: 0.1 mL free, below 0.5 mL" in nursery.run("stock", cwd=tmp_path).out
    assert film.verify() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("receive", "inc", "5", "--lot", "B"), ["lab film has no stock 'inc'; did you mean 'ink'?"]),
        (("receive", "ink", "5 kg", "--lot", "B"), ["cannot convert 5 kg to mL"]),
        (("receive", "ink", "0", "--lot", "B"), ["nothing was received"]),
        (("receive", "ink", "nan", "--lot", "B"), ["'nan' is not a finite number"]),
        (("receive", "ink", "5", "--lot", "B", "--expires", "31.1.2199"), ["is no date; write it as in 2027-03-31"]),
        (("receive", "ink", "5", "--lot", "B", "--expires", "2020-01-31"), ["that day is over"]),
        (("count", "ink", "5", "--lot", "Z", "--note", "n"), ["no lot 'Z' of ink is on record; known: A"]),
        (
            ("receive", "inc", "x", "--lot", " ", "--expires", "soon"),
            ["no stock 'inc'", "' ' is no name of a lot", "'soon' is no date"],
        ),
        (
            ("count", "ink", "x mL", "--lot", "Z"),
            ["'x mL' is not a finite number", "no lot 'Z'", "say how it was counted"],
        ),
        (("count", "ink", "1", "--lot", "A", "--note", "n", "--by", " "), ["whose decision is it?"]),
    ],
)
def test_refusals(film: Store, nursery: Nursery, tmp_path: Path, arguments: tuple[str, ...], said: list[str]) -> None:
    """Whatever is wrong is said at once with the nearest name, and nothing is recorded."""
    process = nursery.run("stock", *arguments, cwd=tmp_path)
    assert process.status == 2, process.out
    for text in said:
        assert text in process.err
    assert film.labs()[0].seq == 3


def test_another_date_for_a_known_lot(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A lot has one date: what came in with another one is another lot."""
    for date, status in (("2199-01-31", 0), ("2199-01-31", 0), ("2199-02-28", 2)):
        process = nursery.run("stock", "receive", "ink", "1", "--lot", "B", "--expires", date, cwd=tmp_path)
        assert process.status == status, process.err
    assert "lot 'B' of ink expires on 2199-01-31, says the record" in process.err


def test_before_the_first_campaign(nursery: Nursery, tmp_path: Path) -> None:
    """With a lab file stock is received into a new store; without one, or with a bad one, no store is made."""
    lab = write_film(tmp_path / "lab")
    none = nursery.run("stock", "receive", "ink", "1", "--lot", "A", cwd=tmp_path)
    assert (none.status, (tmp_path / "sdl.db").exists()) == (2, False)
    made = nursery.run("stock", "receive", "ink", "1", "--lot", "A", "--lab", lab, cwd=tmp_path)
    assert made.status == 0, made.err
    shown = nursery.run("stock", "--lab", lab, cwd=tmp_path)
    assert "ink" in shown.out
    assert nursery.run("stock", cwd=tmp_path).status == 2
    assert "no campaign yet" in nursery.run("list", cwd=tmp_path).out
    assert nursery.run("verify", cwd=tmp_path).status == 0


def test_more_used_than_is_on_record(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Where more was used of a lot than was received, a count is asked for."""
    item = {
        "item": "ink",
        "lot": "A",
        "amount": 3.0,
        "unit": "mL",
        "step": "coat",
        "each": 3.0,
        "devices": [],
        "path": "",
    }
    (campaign,) = film.campaigns()
    with film.writer(campaign.id) as writer:
        writer.append(kinds.STOCK_RESERVED, {"trial": 1, "items": [{**item, "step": "x"}]})
        writer.append(kinds.STEP_STARTED, {"trial": 1, "step": "x", "attempt": 1, "station": "s"})
    out = nursery.run("stock", cwd=tmp_path).out
    assert "ink, lot A: 1 mL more used than is on record; look how much is there: sdl stock count ink AMOUNT" in out


def test_a_lab_without_stock(nursery: Nursery, tmp_path: Path) -> None:
    """A lab file that declares no stock says so."""
    text = LAB[: LAB.index("stock:\n")] + LAB[LAB.index("procedures:") :]
    start = text.index("        uses:\n")
    text = (text[:start] + text[text.index("      - {name: carry") :]).replace(", uses: {tip: 1}", "")
    lab = write_film(tmp_path / "lab", text)
    with Store.open(tmp_path / "sdl.db"):
        process = nursery.run("stock", "--lab", lab, cwd=tmp_path)
    assert (process.status, process.out) == (0, "lab film declares no `stock:`\n"), process.err
