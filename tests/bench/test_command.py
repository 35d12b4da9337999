"""`sdl bench planners`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdl.bench import running
from sdl.cli._bench import bench_planners_command
from sdl.model import InputError

pytest.importorskip("pyarrow")


def _call(table: Path | None, out: Path, **changes: Any) -> int:
    given: dict[str, Any] = {
        "planners": ["random", "other=random"],
        "data": table,
        "sets": [],
        "functions": [],
        "seeds": 3,
        "evaluations": 40,
        "workers": 1,
        "dask": "",
        "out": out,
        "against": ["other"],
        "full": False,
        "timing": "",
        "at": 10,
        "json": False,
    }
    return bench_planners_command(**(given | changes))


def test_a_benchmark_writes_its_results(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parquet with a row a search and an evaluation, a page, a part a search, and tables in the terminal."""
    import pyarrow.parquet as parquet

    out = tmp_path / "out"
    assert _call(table, out, functions=["branin"], timing="4") == 0
    printed = capsys.readouterr().out
    assert "random, exact" in printed
    assert "against other" in printed
    searches = parquet.read_table(out / "searches.parquet").to_pylist()
    assert {(s["planner"], s["task"], s["seed"]) for s in searches} == {
        (p, t, s) for p in ("random", "other") for t in ("small", "branin") for s in range(3)
    }
    evaluations = parquet.read_table(out / "evaluations.parquet").to_pylist()
    assert len(evaluations) == sum(s["evaluations"] for s in searches)
    assert parquet.read_table(out / "timings.parquet").num_rows == 2 * 2 * 3
    assert "Benchmark of planners" in (out / "bench.html").read_text(encoding="utf-8")
    assert len(list((out / "parts").iterdir())) == 12


def test_a_second_call_goes_on(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More seeds of the same planners leave the parts of the first call as they are."""
    out = tmp_path / "out"
    _call(table, out, planners=["random"], against=[], seeds=2)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    capsys.readouterr()
    assert _call(table, out, planners=["random"], against=[], seeds=4, json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["pools"][0]["seeds"] == 4
    after = {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    assert len(after) == 4
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": None}, "nothing to do: give --data FOLDER"),
        ({"planners": ["randon"]}, "no plug-in 'randon'"),
        ({"planners": ["sobol:sed=3"]}, "no option 'sed'; did you mean 'seed'"),
        ({"against": ["ax"]}, "--against ax: no such planner in this benchmark"),
        ({"functions": ["rosenbrock"]}, "no function 'rosenbrock'; known: branin"),
        ({"timing": "10,x"}, "--timing '10,x': write numbers"),
        ({"sets": ["big"]}, "no data set big"),
        ({"dask": "tcp://127.0.0.1:9"}, "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_slips_are_said_before_anything_runs(
    table: Path, tmp_path: Path, changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slip is named with what to write instead."""
    monkeypatch.setattr(running, "CONNECT", "1s")
    with pytest.raises(InputError, match=said):
        _call(table, tmp_path / "out", **{"against": [], **changes})


def test_a_dask_cluster_makes_the_searches(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --dask the searches run on the cluster's workers, and give what processes here give."""
    distributed = pytest.importorskip("distributed")
    here, there = tmp_path / "here", tmp_path / "there"
    _call(table, here, planners=["random"], against=[], seeds=2)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        assert _call(table, there, planners=["random"], against=[], seeds=2, dask=cluster.scheduler_address) == 0
    capsys.readouterr()
    for part in (here / "parts").iterdir():
        ours, theirs = (json.loads((out / "parts" / part.name).read_text(encoding="utf-8")) for out in (here, there))
        assert ours | {"cpu": []} == theirs | {"cpu": []}
