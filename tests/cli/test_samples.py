"""`sdl samples`: where they are, what people say of them, and their labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import Nursery
from support.film import Lab, Session, into_store, write_film

from sdl.cli._labels import barcode_svg
from sdl.journal import Store, kinds

HANA = {"LOGNAME": "hana"}
NOTE = ("--note", "seen on the bench")


@pytest.fixture
def film(tmp_path: Path) -> Iterator[Store]:
    """Four samples: one archived, one in quarantine in transit, one on a bed, one consumed."""
    lab = Lab()
    for item in ("ink", "substrate", "tip"):
        lab.receive(item, 10)
    session = Session(lab)
    for number in (1, 2, 3, 4):
        session.propose(number)
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    session.through(2, "coat")
    session.start(2, "carry")
    session.act(2, "robot", "carry")
    session.end(2, "fault")
    session.finish(2, kinds.TRIAL_FAILED)
    lab.locate("4f9a1c-2", "chuck")
    session.write((kinds.SAMPLE_LOCATED, {"sample": "4f9a1c-2", "place": "bed_b", "slot": 1, "by": "x", "note": ""}))
    session.through(3, "coat", "carry", "anneal")
    session.through(4, "coat")
    about = {"trial": 4, "sample": "4f9a1c-4", "step": "coat", "message": "dissolved"}
    session.write((kinds.SAMPLE_CONSUMED, about))
    with Store.open(tmp_path / "sdl.db") as store:
        into_store(store, session)
        yield store


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()[1:]}


def test_samples_for_people(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Each sample in the lab has a line with its label, status and place; with --all also what is gone."""
    process = nursery.run("samples", cwd=tmp_path)
    assert process.status == 0, process.err
    found = rows(process.out)
    assert set(found) == {"4f9a1c-1", "4f9a1c-2", "4f9a1c-3"}
    assert found["4f9a1c-1"].startswith("-0001 archived tray, slot 1 films 1 ")
    assert "quarantined" in found["4f9a1c-2"]
    assert "live bed_a films 3" in found["4f9a1c-3"]
    assert nursery.run("samples", "films", "--lab", write_film(tmp_path / "lab"), cwd=tmp_path).out == process.out
    whole = rows(nursery.run("samples", "list", "--all", cwd=tmp_path).out)
    assert "consumed out of the lab films 4" in whole["4f9a1c-4"]
    assert nursery.run("samples", "flims", cwd=tmp_path).status == 2


def test_samples_json(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """`--json` prints one object a sample, with what it is made of and its history."""
    lines = [json.loads(line) for line in nursery.run("samples", "films", "--json", cwd=tmp_path).out.splitlines()]
    first = lines[0]
    assert first["stock"] == [{"item": "substrate", "lot": "A"}, {"item": "ink", "lot": "A"}]
    assert [event["what"] for event in first["history"]] == ["created", "moved", "moved", "archived"]
    assert (first["place"], first["slot"], first["status"], first["name"]) == ("tray", 1, "archived", "films")


def test_locate(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """What somebody says goes into the lab's chain with the name, and holds; the slot is the first free one."""
    process = nursery.run("samples", "locate", "4f9a1c-2", "--place", "tray", *NOTE, cwd=tmp_path, env=HANA)
    assert process.status == 0, process.err
    assert process.out == "4f9a1c-2 (quarantined): tray, slot 2\n"
    entry = list(film.entries("lab-film"))[-1]
    assert (entry.kind, entry.body) == (
        kinds.SAMPLE_LOCATED,
        {"sample": "4f9a1c-2", "place": "tray", "slot": 2, "by": "person:hana", "note": NOTE[1]},
    )
    out = nursery.run("samples", "locate", "-0001", "--out", *NOTE, cwd=tmp_path)
    assert out.status == 2, "what begins with a dash is an option"
    out = nursery.run("samples", "locate", "4f9a1c-1", "--out", *NOTE, cwd=tmp_path)
    assert (out.status, out.out) == (0, "4f9a1c-1 (archived): out of the lab\n")
    assert "4f9a1c-1" not in nursery.run("samples", cwd=tmp_path).out
    back = nursery.run("samples", "locate", "4f9a1c-1", "--place", "tray", "--slot", "1", *NOTE, cwd=tmp_path)
    assert back.out == "4f9a1c-1 (archived): tray, slot 1\n"


def test_while_a_session_runs(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A person's word is recorded although a session holds the campaign."""
    with film.writer(film.campaigns()[0].id):
        process = nursery.run("samples", "quarantine", "4f9a1c-3", *NOTE, cwd=tmp_path, env=HANA)
    assert (process.status, process.out) == (0, "4f9a1c-3 (quarantined): bed_a\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("locate", "4f9a1c-2", "--place", "try", *NOTE), ["has no place 'try'; did you mean 'tray'?"]),
        (("locate", "4f9a1c-2", "--place", "tray", "--slot", "4", *NOTE), ["tray has slots 1 to 3, and no slot 4"]),
        (
            ("locate", "4f9a1c-2", "--place", "tray", "--slot", "1", *NOTE),
            ["tray is taken: slot 1: 4f9a1c-1 (archived)"],
        ),
        (("locate", "4f9a1c-2", "--place", "bed_a", *NOTE), ["bed_a is taken: slot 1: 4f9a1c-3 (live)"]),
        (("locate", "4f9a1c-4", "--place", "tray", *NOTE), ["4f9a1c-4 is nowhere: dissolved"]),
        (("locate", "4f9a1c-9", "--out", *NOTE), ["no sample '4f9a1c-9'; did you mean"]),
        (("locate", "4f9a1c", "--out", *NOTE), ["fits several samples"]),
        (
            ("locate", "zzz", "--place", "nowhere"),
            ["no sample 'zzz'; see: sdl samples --all", "no place 'nowhere'", "say what you saw"],
        ),
        (("locate", "4f9a1c-2", "--place", "tray", "--out", *NOTE), ["with --place PLACE, or with --out"]),
        (("locate", "4f9a1c-2", *NOTE), ["with --place PLACE, or with --out"]),
        (("quarantine", "4f9a1c-2", *NOTE), ["4f9a1c-2 is quarantined already: trial 2 failed"]),
        (("quarantine", "4f9a1c-4"), ["4f9a1c-4 is consumed already: dissolved", "say what you saw"]),
    ],
)
def test_refusals(film: Store, nursery: Nursery, tmp_path: Path, arguments: tuple[str, ...], said: list[str]) -> None:
    """Whatever is wrong is said at once, with the nearest names; a slot is never given to two; nothing is recorded."""
    process = nursery.run("samples", *arguments, cwd=tmp_path)
    assert process.status == 2, process.out
    for text in said:
        assert text in process.err
    assert film.labs()[0].seq == 4


def test_labels(film: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A page to print has each sample's label and a bar code; a file that cannot be written is said."""
    process = nursery.run("samples", "--labels", "labels.html", cwd=tmp_path)
    assert process.out == "labels of 3 samples: labels.html\n", process.err
    page = (tmp_path / "labels.html").read_text()
    assert page.count("<svg") == 3
    assert "<b>-0003</b>" in page
    wrong = nursery.run("samples", "--labels", "gone/labels.html", cwd=tmp_path)
    assert (wrong.status, "gone/labels.html cannot be written" in wrong.err) == (2, True)


CODE_B_START, CODE_STOP = "11010010000", "1100011101011"


def test_a_bar_code_is_code_128() -> None:
    """Bars begin with a start and end with the stop character of the standard, and sum to whole characters."""
    drawing = ElementTree.fromstring(barcode_svg("4f9a1c-1"))
    bars = [(int(r.attrib["x"]), int(r.attrib["width"])) for r in drawing]
    width = int(drawing.attrib["viewBox"].split()[2])
    modules = "".join("1" if any(x <= at < x + w for x, w in bars) else "0" for at in range(width))
    assert (modules[:10], modules[-10:]) == ("0" * 10, "0" * 10)
    code = modules[10:-10]
    assert code.startswith(CODE_B_START)
    assert code.endswith(CODE_STOP)
    assert (len(code) - 13) % 11 == 0
    assert re.fullmatch("[01]+", code)


def test_no_samples(nursery: Nursery, tmp_path: Path) -> None:
    """Where there is none it says so, and there is no label to print."""
    with Store.open(tmp_path / "sdl.db") as store:
        into_store(store, Session(Lab()))
    assert nursery.run("samples", cwd=tmp_path).out == "no sample is in the lab\n"
    assert nursery.run("samples", "--labels", "x.html", cwd=tmp_path).status == 2
