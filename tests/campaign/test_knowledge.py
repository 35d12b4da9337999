"""Campaign files that bring tables, first trials and prior knowledge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from sdl.campaign import Campaign, load_campaign
from sdl.campaign._poolfile import LARGE_POOL, _cells, _cells_by_row
from sdl.campaign.amendment import amendments
from sdl.campaign.initial import initial_proposals
from sdl.campaign.prior import with_prior
from sdl.fair._table import columns
from sdl.journal import Store
from sdl.journal.state import CampaignState
from sdl.model import CampaignSpec, CategoricalParameter, InputError, MatchCurve, Trial, TrialStatus

LAB = """\
name: soft
inputs: {table: {path: t.csv}, solvents: {path: s.csv}, curve: {path: c.csv}}
devices: {detector: {driver: soft_detector}}
stations: {bench: {devices: [detector]}}
procedures:
  measure:
    steps: [{name: read, station: bench, plan: "plans.py:read"}]
    analysis: {name: "plans.py:analyse"}
"""
PLANS = """\
from bluesky.plans import count
from sdl.model import Outcome
def read(detector, **parameters):
    yield from count([detector])
def analyse(runs):
    p = runs[0].start["parameters"]
    return {"z": Outcome(value=p["x"] * 2, sem=0.1, unit="mm")}
"""
FILES = {
    "lab.yaml": LAB,
    "plans.py": PLANS,
    "t.csv": "x,s,z,z_sem\n1,water,10,0.5\n2,oil,20,0.5\n2,oil,22,0.5\n",
    "s.csv": "name,polarity,mass\nwater,10,18\noil,1,300\nacetone,5,58\n",
    "c.csv": "wavelength,absorbance\n400,0.1\n450,0.9\n500,0.2\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def base(**changes: Any) -> dict[str, Any]:
    return {
        "name": "demo",
        "lab": "lab.yaml",
        "problem": {
            "parameters": {
                "x": {"kind": "real", "low": 0, "high": 5, "unit": "mm"},
                "s": {"kind": "categorical", "levels": ["water", "oil"]},
            },
            "objectives": {"z": {"kind": "minimize", "unit": "mm"}},
        },
        "procedure": "measure",
        "planner": "random",
        "budget": {"trials": 4},
        **changes,
    }


def written(folder: Path, data: dict[str, Any], name: str = "campaign.yaml") -> Path:
    path = folder / name
    YAML(typ="safe").dump(data, path)
    return path


def loaded(folder: Path, **changes: Any) -> CampaignSpec:
    return load_campaign(written(folder, base(**changes))).spec


def problem(**changes: Any) -> dict[str, Any]:
    return {**base()["problem"], **changes}


def test_descriptors_come_from_a_table(folder: Path) -> None:
    """The values of each level are read when the file is, and the specification holds them."""
    table = {"input": "solvents", "key": "name", "columns": ["polarity", "mass"]}
    parameters = {**base()["problem"]["parameters"]}
    parameters["s"] = {"kind": "categorical", "levels": ["water", "oil"], "descriptors": table}
    spec = loaded(folder, problem=problem(parameters=parameters))
    found = spec.problem.parameter("s")
    assert isinstance(found, CategoricalParameter)
    assert found.descriptors == {"water": {"polarity": 10.0, "mass": 18.0}, "oil": {"polarity": 1.0, "mass": 300.0}}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"input": "solvent", "key": "name", "columns": ["mass"]}, "no input 'solvent'; did you mean 'solvents'"),
        ({"input": "solvents", "key": "nam", "columns": ["mass"]}, "no column 'nam'"),
        ({"input": "solvents", "key": "name", "columns": ["weight"]}, "no column 'weight'"),
        ({"input": "solvents", "key": "name"}, "columns is missing; known keys: columns, input, key"),
        ({"input": "solvents", "key": "name", "columns": ["mass"], "unit": "g"}, "unknown key 'unit'"),
        ({"input": "table", "key": "s", "columns": ["x"]}, "level given twice: oil"),
    ],
)
def test_a_table_of_descriptors_that_cannot_be_used(folder: Path, table: dict[str, Any], message: str) -> None:
    """What is wrong with the reference or the table is said, beside other faults of the file."""
    parameters = {**base()["problem"]["parameters"]}
    parameters["s"] = {"kind": "categorical", "levels": ["water", "oil"], "descriptors": table}
    with pytest.raises(InputError) as caught:
        loaded(folder, problem=problem(parameters=parameters), budget={"trials": 0})
    assert message in str(caught.value)
    assert "budget.trials" in str(caught.value)


def test_a_target_curve_comes_from_a_table(folder: Path) -> None:
    """The column of the table is the target; the campaign's specification holds its points."""
    target = {"input": "curve", "column": "absorbance"}
    spec = loaded(folder, problem=problem(objectives={"z": {"kind": "match_curve", "unit": "mm", "target": target}}))
    objective = spec.problem.objectives[0]
    assert isinstance(objective, MatchCurve)
    assert objective.target == (0.1, 0.9, 0.2)


def test_faults_of_a_problem_have_their_own_lines(folder: Path) -> None:
    """Two constraints with unknown names are two faults, each at its line."""
    path = folder / "campaign.yaml"
    rules = "\n    - {expression: 'x * q <= 1'}\n    - {expression: 'x <= 4'}\n    - {expression: 'w <= 4'}\n"
    YAML(typ="safe").dump(base(), path)
    lines = path.read_text().replace("problem:\n", f"problem:\n  constraints:{rules}", 1)
    path.write_text(lines)
    with pytest.raises(InputError) as caught:
        load_campaign(path)
    at = {fault.line: fault.message for fault in caught.value.faults}
    numbers = dict(enumerate(lines.splitlines(), 1))
    assert len(at) == 2
    for line, message in at.items():
        assert line is not None
        assert ("q" in message) == ("x * q" in numbers[line])


def test_an_empty_space_is_refused_when_the_file_is_read(folder: Path) -> None:
    """Constraints that no point keeps are an error of the file, before anything runs."""
    with pytest.raises(InputError, match=r"none of .* points drawn satisfies .*x >= 6"):
        loaded(folder, problem=problem(constraints=[{"expression": "x >= 6"}]))
    with pytest.raises(InputError, match=r"problem\.constraints\.0: .*within the limits of its parameters it is 0 … 5"):
        loaded(folder, problem=problem(constraints=[{"sum": {"x": 1}, "at_least": 6}]))


def test_first_trials_are_checked_and_completed(folder: Path) -> None:
    """Values with units are converted; what is fixed or derived is filled in; every wrong trial is named."""
    parameters = {
        **base()["problem"]["parameters"],
        "n": {"kind": "fixed", "value": 3},
        "d": {"kind": "derived", "expression": "x * n", "unit": "mm"},
    }
    spec = loaded(
        folder,
        problem=problem(parameters=parameters),
        initial=[{"x": "0.2 cm", "s": "oil"}, {"x": 1, "s": "water", "n": 3}],
    )
    assert spec.initial == ({"x": 2.0, "s": "oil", "n": 3, "d": 6.0}, {"x": 1.0, "s": "water", "n": 3, "d": 3.0})
    with pytest.raises(InputError) as caught:
        loaded(
            folder, initial=[{"x": 9, "s": "oil"}, {"x": "2 s", "s": "oil"}, {"x": 1, "s": "oil"}, {"x": 1, "s": "oil"}]
        )
    text = str(caught.value)
    for part in ("initial.0: x: 9 mm is outside", "initial.1: x: cannot convert 2 s to mm", "initial.3: is the same"):
        assert part in text
    with pytest.raises(InputError, match="5 trials to begin with, but a budget of 4"):
        loaded(folder, initial=[{"x": i / 2, "s": "oil"} for i in range(5)])


def test_first_trials_of_a_pool_are_rows_of_it(folder: Path) -> None:
    """A trial that is no row of the pool is refused; one that is passes."""
    spec = loaded(folder, pool="table", initial=[{"x": 2, "s": "oil"}])
    assert spec.initial == ({"x": 2.0, "s": "oil"},)
    with pytest.raises(InputError, match=r"initial\.0: is no row of the pool"):
        loaded(folder, pool="table", initial=[{"x": 2, "s": "water"}])


def test_first_trials_are_proposed_first(folder: Path) -> None:
    """They come in their order, once each; trials of people do not count, and after them nothing comes."""
    spec = loaded(folder, initial=[{"x": 1, "s": "oil"}, {"x": 2, "s": "oil"}])
    first, second = initial_proposals(spec, [], 5)
    assert first.parameters == {"x": 1.0, "s": "oil"}
    assert first.reason.details["by"] == "campaign file"
    own = Trial(number=1, parameters=first.parameters, status=TrialStatus.FAILED)
    foreign = Trial(number=2, parameters={"x": 4.0, "s": "oil"}, status=TrialStatus.OBSERVED, origin="person")
    assert initial_proposals(spec, [own, foreign], 1) == [second]
    assert initial_proposals(spec, [own, foreign, own], 1) == []


def test_a_budget_of_money_needs_prices(folder: Path) -> None:
    """Where nothing has a price, a budget of money is refused; with a price of the station it passes."""
    with pytest.raises(InputError, match=r"nothing in .*lab\.yaml has a cost"):
        loaded(folder, budget={"cost": 100})
    (folder / "lab.yaml").write_text(LAB.replace("devices: [detector]}", "devices: [detector], cost: 100}"))
    assert loaded(folder, budget={"cost": 100}).budget.cost == 100


def test_prior_knowledge_from_a_table(folder: Path) -> None:
    """Columns are found by name or `rename`, units are converted, replicates stay apart, and what is missing is
    noted."""
    parameters = {**base()["problem"]["parameters"], "y": {"kind": "real", "low": 0, "high": 1, "unit": "1"}}
    given = {"input": "table", "units": {"x": "cm", "z": "cm"}, "kind": "simulation", "cost": 0.1}
    spec = loaded(folder, problem=problem(parameters=parameters), learn_from=[given])
    (source,) = spec.problem.sources
    assert source.parameters == {"x": (10.0, 20.0, 20.0), "s": ("water", "oil", "oil")}
    assert source.outcomes == {"z": (100.0, 200.0, 220.0)}
    assert source.sems == {"z": (5.0, 5.0, 5.0)}
    assert (source.name, source.kind, source.cost) == ("table", "simulation", 0.1)
    assert source.notes == ("has no parameter y",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input": "tabel"}, "no input 'tabel'; did you mean 'table'"),
        ({"input": "curve"}, "none of its columns is one of the parameters"),
        ({"input": "table", "rename": {"x": "q"}}, "no column 'q' for x"),
        ({"input": "table", "rename": {"w": "x"}}, "w: no parameter or outcome of this campaign"),
        ({"input": "table", "units": {"x": "s"}}, "cannot convert 1 s to mm"),
    ],
)
def test_prior_knowledge_that_cannot_be_used(folder: Path, given: dict[str, Any], message: str) -> None:
    """What is wrong with a source is said, with the place in the file."""
    with pytest.raises(InputError) as caught:
        loaded(folder, learn_from=[given])
    assert message in str(caught.value)


def test_prior_knowledge_from_a_campaign(folder: Path) -> None:
    """Observed trials of another campaign in the store become a source in this one's units; renamed, noted, and kept
    as they were when this one began."""
    other = base(name="first")
    other["problem"]["parameters"]["x"] = {"kind": "real", "low": 0.1, "high": 0.4, "unit": "cm"}
    other["problem"]["parameters"]["s"]["levels"] = ["water", "tar"]
    store = folder / "lab.db"
    Campaign.from_yaml(written(folder, other, "first.yaml"), store=store).run(virtual=False)
    given = {"campaign": "first", "cost": 0.5}
    ours = load_campaign(written(folder, base(learn_from=[given])))
    with Store.open(store) as opened:
        first = opened.state(opened.resolve("first"))
        whole = with_prior(ours, opened)
        (source,) = whole.spec.problem.sources
        water = [t for t in first.trials.values() if t.parameters["s"] == "water"]
        assert source.parameters["x"] == pytest.approx([t.parameters["x"] * 10 for t in water])
        assert source.outcomes["z"] == tuple(t.outcomes["z"].value for t in water)
        assert source.sems["z"] == (0.1,) * len(water)
        if len(water) < 4:
            assert source.notes == (f"{4 - len(water)} of its 4 trials have levels that are unknown here",)
        begun = CampaignState(
            id="c", name="demo", spec=CampaignSpec.model_validate(whole.recorded_spec()), created=whole.created_body()
        )
        # It goes on with what it knew, whatever the store says now, and that is no change of the campaign.
        assert with_prior(ours, opened, begun).spec == whole.spec
        assert amendments(begun, ours) == {}
        changed = load_campaign(written(folder, base(learn_from=[{**given, "cost": 0.6}])))
        with pytest.raises(InputError, match="has begun with another learn_from"):
            amendments(begun, changed)
        for wrong, message in (
            ({"campaign": "frist"}, "frist"),
            ({"campaign": "first", "rename": {"q": "x"}}, "rename names q"),
            ({"campaign": "first", "rename": {"s": "x"}}, "s is text here and x is not"),
            ({"campaign": "first", "store": "no.db"}, "there is no store at"),
        ):
            with pytest.raises(InputError, match=message):
                with_prior(load_campaign(written(folder, base(learn_from=[wrong]))), opened)


def test_a_large_pool_is_kept_by_its_hash(folder: Path) -> None:
    """A pool of many rows is read by column, repeated rows merged; the journal has its hash, which shows a change."""
    rng = np.random.default_rng(0)
    n = LARGE_POOL + 500
    x, s = rng.permutation(n) / n * 5, rng.choice(["water", "oil"], n)
    rows = [f"{a!r},{b}" for a, b in zip(x.tolist(), s.tolist(), strict=True)]
    (folder / "t.csv").write_text("\n".join(["x,s", *rows, rows[3], rows[7]]) + "\n")
    ours = load_campaign(written(folder, base(pool="table")))
    pool = ours.spec.problem.pool
    assert pool is not None
    assert len(pool) == n
    assert pool.row(4) == {"x": x[4], "s": s[4]}
    body = ours.created_body()
    assert len(json.dumps(body["spec"])) < 5000
    kept = CampaignSpec.model_validate(body["spec"]).problem.pool
    assert kept is not None
    assert (len(kept), kept.loaded) == (n, False)
    begun = CampaignState(id="c", name="demo", spec=CampaignSpec.model_validate(body["spec"]), created=body)
    assert amendments(begun, ours) == {}
    (folder / "t.csv").write_text("\n".join(["x,s", *rows[1:]]) + "\n")
    with pytest.raises(InputError, match="has begun with another"):
        amendments(begun, load_campaign(folder / "campaign.yaml"))


def test_a_large_pool_is_the_same_without_pyarrow(folder: Path) -> None:
    """Read row by row, where pyarrow is not installed, a long table gives the same columns."""
    rows = [f" {i % 7} , tar oil ,{i / 3!r}" for i in range(LARGE_POOL + 1)]
    (folder / "t.csv").write_text("\n".join(["x,s,rest", *rows]) + "\n")
    path = str(folder / "t.csv")
    one, two = _cells(path, {"x", "s"}, {"s"}), _cells_by_row(path, {"x", "s"}, {"s"})
    assert one is not None
    assert two is not None
    assert list(one["x"]) == two["x"]
    assert one["s"] == two["s"]
    assert two["s"][0] == "tar oil"


def test_a_large_pool_with_a_fault_names_it(folder: Path) -> None:
    """A cell that is no number is named with its line, however long the table."""
    rows = ["1.5,oil"] * LARGE_POOL
    rows[12_000] = "ten,oil"
    (folder / "t.csv").write_text("\n".join(["x,s", *rows]) + "\n")
    with pytest.raises(InputError, match=r"t\.csv:12002: column 'x': 'ten' is no finite number"):
        load_campaign(written(folder, base(pool="table")))


def test_columns_of_the_table_of_trials(folder: Path) -> None:
    """What is fixed, derived or ordinal has a column of its own type, with its unit."""
    parameters = {
        **base()["problem"]["parameters"],
        "gas": {"kind": "fixed", "value": "argon"},
        "n": {"kind": "fixed", "value": 3},
        "p": {"kind": "fixed", "value": 1.5, "unit": "bar"},
        "d": {"kind": "derived", "expression": "x * n", "unit": "mm"},
        "sieve": {"kind": "ordinal", "levels": [1, 2, 5], "unit": "um"},
    }
    spec = loaded(folder, problem=problem(parameters=parameters))
    found = {c.name: (c.type, c.unit) for c in columns(CampaignState(id="c", spec=spec)) if c.role == "parameter"}
    assert found == {
        "x": ("number", "mm"),
        "s": ("text", ""),
        "gas": ("text", ""),
        "n": ("integer", "1"),
        "p": ("number", "bar"),
        "d": ("number", "mm"),
        "sieve": ("number", "um"),
    }
