"""Tables of experiments, and pools made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.lab.tables import ColumnSpec, Table, column_specs, pool_from_table, read_table
from sdl.model import InputError, Problem

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"measured data are not there: {DATA}")

CSV = """n, QAg(%) ,base,yield
6,1.50,KOAc,10
6,1.5,KOAc,12
8,2.5,"Cs, OAc",20
6,1.5000001,KOAc,11
"""
SPECS = {"n": ColumnSpec(column="n"), "ag": ColumnSpec(column="QAg(%)"), "base": ColumnSpec(column="base")}
YIELD = {"yield": ColumnSpec(column="yield", unit="percent")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small table with replicates, quoted text and headings that are no names."""
    path = tmp_path / "table.csv"
    path.write_text(CSV)
    return path


def _faults(caught: pytest.ExceptionInfo[InputError]) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.message) for fault in caught.value.faults]


def test_rows_and_replicates(path: Path) -> None:
    """Rows keep their order; settings that differ by rounding are replicates of one another."""
    table = read_table(path, SPECS, YIELD)
    assert len(table) == 4
    assert table.outcomes["yield"] == (10.0, 12.0, 20.0, 11.0)
    assert table.distinct_inputs() == [
        {"n": 6.0, "ag": 1.5, "base": "KOAc"},
        {"n": 8.0, "ag": 2.5, "base": "Cs, OAc"},
    ]
    assert list(table.groups.values()) == [(0, 1, 3), (2,)]


def test_rows_are_found_within_a_millionth_of_the_range(path: Path) -> None:
    """Numbers match within 1e-6 of their column's range, text only exactly; the nearest row is always known."""
    table = read_table(path, SPECS, YIELD)
    assert table.find({"n": 8, "ag": 2.5 + 5e-7, "base": "Cs, OAc"}) == (8.0, 2.5, "Cs, OAc")
    assert table.find({"n": 8, "ag": 2.5 + 5e-6, "base": "Cs, OAc"}) is None
    assert table.find({"n": 8, "ag": 2.5, "base": "cs, oac"}) is None
    assert table.nearest({"n": 8, "ag": 1.9, "base": "Cs, OAc"}) == (8.0, 2.5, "Cs, OAc")


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_every_row_finds_itself(values: list[float]) -> None:
    """Whatever the numbers, each row of a table is found by its own inputs, and belongs to one group."""
    table = Table("t", {"x": tuple(values)}, {"y": tuple(values)})
    assert sorted(row for rows in table.groups.values() for row in rows) == list(range(len(values)))
    for value in values:
        assert table.find({"x": value}) is not None


def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    """Missing columns come with the nearest there is; bad cells with their lines."""
    path = tmp_path / "bad.csv"
    path.write_text("a,b (x),y\n1,1,1\n2,two,nan\n3,3,3\n4,4,\n")
    with pytest.raises(InputError) as caught:
        read_table(path, {"a": ColumnSpec(column="A"), "b": ColumnSpec(column="b(x)")}, YIELD)
    messages = [message for _, message in _faults(caught)]
    assert "did you mean 'b (x)'" in messages[1]
    assert len(messages) == 3
    with pytest.raises(InputError) as caught:
        read_table(path, {"b": ColumnSpec(column="b (x)")}, {"y": ColumnSpec(column="y")})
    assert sorted(line for line, _ in _faults(caught)) == [3, 3, 5]
    assert all(fault.file == str(path) for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("a,y\n", "no rows"),
        ("a,y\n1,2,3\n", "3 cells under 2 headings"),
        ("a,y\n1,2\n,3\n4,5\n", "is no finite number"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: str, says: str) -> None:
    """A file that is no table says why."""
    path = tmp_path / "broken.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        read_table(path, {"a": ColumnSpec(column="a")}, {"y": ColumnSpec(column="y")})
    with pytest.raises(InputError, match="cannot read the table"):
        read_table(tmp_path / "missing.csv", {}, {})


def test_column_specs_are_checked() -> None:
    """Plain text is a column; unknown keys and units are all reported."""
    assert column_specs({"a": "A", "b": {"unit": "mm"}, "c": None})["b"] == ColumnSpec(column="b", unit="mm")
    with pytest.raises(InputError) as caught:
        column_specs({"a": {"colum": "A"}, "b": {"unit": "furlongz"}})
    assert [fault.path for fault in caught.value.faults] == ["a.colum", "b.unit"]


def _problem(**parameters: dict) -> Problem:
    return Problem.model_validate({"parameters": parameters, "objectives": {"y": {"kind": "maximize", "unit": "1"}}})


def test_pool_is_typed_by_the_parameters(path: Path) -> None:
    """A pool holds each setting once: ints for integers, floats for reals, text for levels."""
    problem = _problem(
        n={"kind": "integer", "low": 6, "high": 8},
        ag={"kind": "real", "low": 1, "high": 3, "unit": "percent"},
        base={"kind": "categorical", "levels": ["KOAc", "Cs, OAc"]},
    )
    pool = pool_from_table(path, problem, {"ag": "QAg(%)"})
    assert pool.columns == {"n": (6, 8), "ag": (1.5, 2.5), "base": ("KOAc", "Cs, OAc")}
    assert [type(pool.columns[name][0]) for name in ("n", "ag", "base")] == [int, float, str]


def test_levels_may_look_like_numbers(path: Path) -> None:
    """A categorical parameter reads its column as text, to the letter."""
    problem = _problem(n={"kind": "categorical", "levels": ["6", "8"]})
    assert pool_from_table(path, problem).columns == {"n": ("6", "8")}


def test_pool_outside_of_the_problem_is_refused(path: Path) -> None:
    """Rows outside of the parameters' limits, and columns for unknown parameters, are reported."""
    problem = _problem(
        n={"kind": "integer", "low": 7, "high": 9}, base={"kind": "real", "low": 0, "high": 1, "unit": "1"}
    )
    with pytest.raises(InputError) as caught:
        pool_from_table(path, problem)
    low, *texts = [message for _, message in _faults(caught)]
    assert "outside the limits 7 … 9" in low
    assert [text.split(" is not")[0] for text in texts] == ["base: 'KOAc'", "base: 'Cs, OAc'"]
    with pytest.raises(InputError, match="columns names 'm', which is no parameter"):
        pool_from_table(path, problem, {"m": "n"})


@needs_data
@pytest.mark.parametrize(
    ("file", "inputs", "outcome", "rows", "settings"),
    [
        ("crossed_barrel/replicates.csv", ["n", "theta", "r", "t"], "toughness", None, 600),
        (
            "agnp/replicates.csv",
            ["QAgNO3(%)", "Qpva(%)", "Qtsc(%)", "Qseed(%)", "Qtot(uL/min)"],
            "loss",
            3295,
            164,
        ),
        (
            "direct_arylation/pool.csv",
            ["Base", "Ligand", "Solvent", "Concentration", "Temp_C"],
            "yield",
            1728,
            1728,
        ),
    ],
)
def test_measured_tables(file: str, inputs: list[str], outcome: str, rows: int | None, settings: int) -> None:
    """The measured data are read as they are described: rows and distinct settings."""
    table = read_table(
        DATA / file,
        {f"x{i}": ColumnSpec(column=name) for i, name in enumerate(inputs)},
        {"y": ColumnSpec(column=outcome)},
    )
    assert rows in (None, len(table))
    assert len(table.distinct_inputs()) == settings
