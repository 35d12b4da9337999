"""Questions to a store: the grammar, units, what is found, and errors that point to the place."""

from __future__ import annotations

import copy
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.postgres import server

from sdl.fair._query_grammar import parse
from sdl.fair.access import PUBLIC, shared
from sdl.fair.query import QueryError, answer, query
from sdl.journal import Store, kinds
from sdl.model import InputError


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def asked(
    request: pytest.FixtureRequest, journal_class: type[Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store of two campaigns of 20 trials: `silver` in uL/min and nm, `other` in mL/min and um, with an outcome more.

    `other` may be seen by everybody, `silver` by its owner.
    """
    if request.param == "sqlite":
        with _filled(tmp_path_factory.mktemp("query") / "sdl.db", journal_class) as store:
            yield store
        return
    with server() as running, _filled(running.create(), journal_class) as store:
        yield store


def _filled(location: str | Path, journal_class: type[Any]) -> Store:
    store = Store.open(location)
    _put(store, journal_class("c-1").create().search(20))
    changed = copy.deepcopy(journal_class().create().entries[0].body["spec"])
    changed |= {"name": "other", "creators": [{"name": "Hana"}], "stop": {}}
    changed["problem"]["parameters"][0] |= {"unit": "mL/min", "low": 0.001, "high": 0.1}
    changed["problem"]["objectives"][0] |= {"unit": "um", "target": 0.45}
    journal = journal_class("c-2").create(**changed)
    journal.entries[0].body["project"] = {"name": "p", "access": {"metadata": "open", "data": "open"}}
    for entry in journal_class().search(20).entries:
        body = dict(entry.body)
        if entry.kind == kinds.TRIAL_PROPOSED:
            body["parameters"] = {**body["parameters"], "flow": body["parameters"]["flow"] / 1000}
        if entry.kind == kinds.TRIAL_OBSERVED:
            peak = {"value": body["outcomes"]["peak"]["value"] / 1000, "sem": 0.00125, "unit": "um"}
            body["outcomes"] = {"peak": peak, "width": {"value": float(body["trial"]), "sem": None, "unit": "nm"}}
        journal.add(entry.kind, **body)
    journal.add(kinds.TRIAL_ANNOTATED, trial=2, by="person:ken", text="odd")
    _put(store, journal)
    return store


def _put(store: Store, journal: Any) -> None:
    name = journal.entries[0].body["spec"]["name"]
    store.create(journal.id, name)
    with store.writer(journal.id) as writer:
        for entry in journal.entries:
            writer.append(entry.kind, entry.body, durable=False)


def _trials(store: Store, text: str, **options: Any) -> list[tuple[str, int]]:
    return [(row[0], row[1]) for row in answer(store, text, **options).rows]


def _expected(store: Store, true: Any) -> list[tuple[str, int]]:
    """The same by looking at every trial, in uL/min and nm."""
    found = []
    for head in store.campaigns():
        for trial in store.state(head.id).trials.values():
            scale = 1000 if head.name == "other" else 1
            values = {**trial.parameters, "flow": trial.parameters["flow"] * scale, "status": trial.status.value}
            values |= {name: o.value * (scale if name == "peak" else 1) for name, o in trial.outcomes.items()}
            if true(values):
                found.append((head.name, trial.number))
    return found


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("flow > 50 uL/min and peak >= 450 nm", lambda v: v["flow"] > 50 and v.get("peak", 0) >= 450),
        ("peak < 0.45 um or status = failed", lambda v: v.get("peak", 1e9) < 450 or v["status"] == "failed"),
        ("not peak < 450 nm", lambda v: not v.get("peak", 1e9) < 450),
        ("peak != 0 nm", lambda v: "peak" in v),
        ("440 nm <= peak < 460 nm", lambda v: 440 <= v.get("peak", 0) < 460),
        ("flow between 20 and 60 uL/min", lambda v: 20 <= v["flow"] <= 60),
        ("salt in [PVP, 'クエン酸'] and drops = 3", lambda v: v["salt"] != "none" and v["drops"] == 3),
        ("salt != none and not drops in [1, 2]", lambda v: v["salt"] != "none" and v["drops"] not in (1, 2)),
        ("salt contains エン", lambda v: v["salt"] == "クエン酸"),
        ("(flow < 20 uL/min or flow > 80 uL/min) and not (salt = PVP or status in [failed, infeasible])",
         lambda v: not 20 <= v["flow"] <= 80 and v["salt"] != "PVP" and v["status"] == "observed"),
        ("width > 5 or (peak > 470 nm and flow > 10 uL/min)",
         lambda v: v.get("width", 0) > 5 or (v.get("peak", 0) > 470 and v["flow"] > 10)),
        ("message contains 'no answer'", lambda v: v["status"] == "failed"),
        ("", lambda v: True),
    ],
)  # fmt: skip
def test_what_is_found(asked: Store, text: str, true: Any) -> None:
    """A question finds the trials, over all campaigns and in whatever units, of which it is true; in order."""
    expected = _expected(asked, true)
    assert _trials(asked, text) == expected
    assert expected, "the question tells nothing"


@settings(max_examples=15)
@given(
    st.recursive(
        st.tuples(
            st.sampled_from(["flow", "peak", "temperature", "drops"]), st.sampled_from(["<", "<=", ">", ">="]),
            st.integers(0, 500),
        ),
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)
        ),
        max_leaves=5,
    )
)  # fmt: skip
def test_any_question(asked: Store, tree: Any) -> None:
    """Whatever conditions are put together, the index finds what looking at every trial finds."""
    units = {"flow": " uL/min", "peak": " nm", "temperature": " degC", "drops": ""}

    def said(node: Any) -> str:
        if node[0] == "not":
            return f"not ({said(node[1])})"
        if node[0] in ("and", "or"):
            return f"({said(node[1])}) {node[0]} ({said(node[2])})"
        return f"{node[0]} {node[1]} {node[2]}{units[node[0]]}"

    def holds(node: Any, values: Any) -> bool:
        if node[0] == "not":
            return not holds(node[1], values)
        if node[0] in ("and", "or"):
            both = [holds(part, values) for part in node[1:]]
            return all(both) if node[0] == "and" else any(both)
        value = values.get(node[0])
        compare = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}[node[1]]
        return value is not None and compare(float(value), float(node[2]))

    assert _trials(asked, said(tree)) == _expected(asked, lambda values: holds(tree, values))


def test_names_of_every_row(asked: Store) -> None:
    """Campaigns by id, name or part of it, trials by number, standard errors, planners, stations and people."""
    assert len(_trials(asked, "campaign = other")) == len(_trials(asked, "campaign != c-1")) == 20
    assert _trials(asked, "campaign contains ilv and trial <= 2") == [("silver", 1), ("silver", 2)]
    assert len(_trials(asked, "peak.sem = 1.25 nm and outcome.peak > 0 nm")) == len(_trials(asked, "peak > 0 nm"))
    assert len(_trials(asked, "planner = bayes")) == len(_trials(asked, "station = flow or device = none")) == 40
    assert {row[0] for row in _trials(asked, "creator = Hana")} == {"other"}
    assert {row[0] for row in _trials(asked, "person = '0000-0002-1825-0097'")} == {"silver"}
    assert _trials(asked, "by = ken") == _trials(asked, "person.by = 'person:ken'") == [("other", 2)]


def test_filters(asked: Store) -> None:
    """Options of the command narrow the question down: campaigns, status, instruments and people."""
    failed = _trials(asked, "", campaigns=["other"], status=["failed", "infeasible"])
    assert failed == [("other", n) for n in (4, 9, 13, 18)]
    assert _trials(asked, "status = failed", instrument=["optics"]) == []
    assert _trials(asked, "trial < 4", person=["ken"]) == [("other", 2)]
    with pytest.raises(InputError, match="silver"):
        _trials(asked, "", campaigns=["silvr"])


def test_columns_and_units(asked: Store) -> None:
    """Values of several campaigns stand in one unit; the columns asked for come in their order."""
    found = answer(asked, "trial = 1", columns=["peak", "flow", "salt", "creator", "status", "peak.sem"])
    names = [column.name for column in found.columns]
    assert names == ["campaign", "trial", "peak", "flow", "salt", "creator", "status", "peak_sem"]
    assert found.units == {"peak": "nm", "flow": "uL/min", "peak_sem": "nm"}
    first, second = found.rows
    assert second[2:4] == pytest.approx(first[2:4])
    assert (first[5], second[5]) == ("Carberry, Josiah", "Hana")
    assert second[7] == pytest.approx(1.25)
    whole = answer(asked, "trial = 4")
    assert [c.name for c in whole.columns] == ["campaign", "trial", "status", "drops", "flow", "salt", "temperature"]


def test_frames_and_files(asked: Store, tmp_path: Path) -> None:
    """pandas and polars frames hold the same; CSV and Parquet read back exactly, with units."""

    import polars
    import pyarrow.parquet as parquet

    text = "peak > 440 nm and campaign = silver"
    frame = query(asked, text)
    other = query(asked, text, frame="polars")
    assert frame.attrs["units"]["peak"] == "nm"
    assert frame.attrs["campaigns"] == {"c-1": "silver"}
    assert list(frame.columns) == other.columns
    assert frame["peak"].tolist() == other["peak"].to_list()
    assert isinstance(other, polars.DataFrame)
    found = answer(asked, text)
    path, about = found.write("csv", tmp_path / "a.csv")
    read = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["peak"]) for row in read] == frame["peak"].tolist()
    assert '"schema:unitText": "nm"' in about.read_text()
    (path,) = found.write("parquet", tmp_path / "a.parquet")
    table = parquet.read_table(path)
    assert table.column("peak").to_pylist() == frame["peak"].tolist()
    assert table.schema.field("peak").metadata[b"unit"] == b"nm"
    for kind in ("json", "xml"):
        with pytest.raises(InputError, match=kind):
            found.write(kind, tmp_path / "a")
    with pytest.raises(InputError, match="pandas and polars"):
        query(asked, text, frame="dask")


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("flow > > 3", 8, "write a name, a number or a text"),
        ("flow >", 7, "ends too early"),
        ("(flow > 3 uL/min", 17, "ends too early"),
        ("peak > 3 nm and flw > 3", 17, "did you mean 'flow'"),
        ("peak > 3 kg", 8, "cannot convert 3 kg"),
        ("peak > 3 nanometre_x", 8, "unknown unit"),
        ("peak > 3", 8, "nm and um|um and nm"),
        ("peak > big", 8, "is a text"),
        ("status > observed", 10, "is a text"),
        ("stauts = observed", 1, "did you mean 'status'"),
        ("flow ~ 3", 6, "cannot read"),
    ],
)
def test_errors_point_to_the_place(asked: Store, text: str, column: int, says: str) -> None:
    """What cannot be read or answered is refused with its column, a caret below it, and what to write."""
    with pytest.raises(QueryError, match=says) as refused:
        answer(asked, text)
    assert refused.value.column == column
    assert str(refused.value).splitlines()[-1] == " " * (column + 1) + "^"


def test_others_see_what_the_policy_lets_them(asked: Store) -> None:
    """For the public and for strangers only open campaigns are asked; names and errors tell nothing of the others."""
    for role in (PUBLIC, shared("Nobody")):
        assert {row[0] for row in _trials(asked, "", role=role)} == {"other"}
        assert answer(asked, "peak > 0", role=role).units["peak"] == "um"
        with pytest.raises(InputError) as refused:
            answer(asked, "", campaigns=["silver"], role=role)
        assert "c-1" not in str(refused.value)


def test_texts_are_bound(asked: Store) -> None:
    """What a person writes is never part of a statement."""
    for text in ('salt = "\' OR 1=1 --"', "salt contains '%'", "salt contains '_'"):
        assert _trials(asked, text) == []
    with pytest.raises(QueryError, match="no campaign that is asked"):
        _trials(asked, '`a" OR 1=1` > 3')


def test_long_questions() -> None:
    """A question is read in a moment up to its limit, however deep; a longer one is refused."""
    assert parse("(" * 900 + "a = 1" + ")" * 900) is not None
    with pytest.raises(InputError, match="characters"):
        parse("a = 1 or " * 600 + "a = 1")


@given(st.text(st.sampled_from("ab .=<>!()[]'\"`,0123e+-%µand or notinbetween\n\tエ"), max_size=40))
def test_any_text(text: str) -> None:
    """Whatever is typed is read, or refused with a place within it or right after it."""
    refused: QueryError | None = None
    try:
        parse(text)
    except QueryError as error:
        refused = error
    if refused is not None:
        assert 1 <= refused.column <= len(text) + 1
        assert str(refused).endswith("^")
