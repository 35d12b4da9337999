"""Performance metrics against campaigns of which one knows what they have to come to."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stations import run_stations, stations_lab

from sdl.cli._metrics import metrics_command
from sdl.fair._gather import gather_record
from sdl.fair._metrics_search import _expected_best
from sdl.fair.metrics import Metrics, metrics_from, metrics_of, write
from sdl.fair.report import write_report
from sdl.journal import Store, kinds
from sdl.model import InputError


def _of(journal: Any) -> Metrics:
    return metrics_from(journal.entries, journal.id)


def _trial(journal: Any, number: int, peak: float | None, **parameters: Any) -> None:
    """A trial of two steps of a second each, as everything in these journals."""
    values = {"flow": 10.0, "temperature": 60.0, "drops": 3, "salt": "PVP", **parameters}
    journal.propose(number, values).start(number, "mix", "flow").done(number, "mix")
    journal.start(number, "measure", "optics").done(number, "measure")
    if peak is None:
        journal.add(kinds.TRIAL_INFEASIBLE, trial=number, message="nothing grew", lab_seconds=1)
    else:
        journal.observe(number, {"peak": {"value": peak, "sem": 1.0, "unit": "nm"}})


def test_autonomy(new_journal: Any) -> None:
    """Closed while no trial needs a person; semi-closed once one does; piecewise where people proposed all."""
    journal = new_journal().create()
    _trial(journal, 1, 450.0)
    _trial(journal, 2, 451.0)
    assert _of(journal)["autonomy"]["degree_of_autonomy"].value == "closed loop"
    journal.add(kinds.TRIAL_ANNOTATED, trial=1, by="person:hana", text="a remark is no hand in the loop")
    assert _of(journal)["autonomy"]["autonomous_trials"].value == 1
    journal.add(kinds.TRIAL_APPROVED, trial=2, by="person:hana")
    group = _of(journal)["autonomy"]
    assert (group["degree_of_autonomy"].value, group["autonomous_trials"].value) == ("semi-closed loop", 0.5)
    assert group["degree_of_autonomy"].details["by_hand"] == {"approved": 1}
    by_people = new_journal().create()
    body = {"parameters": {}, "reason": {}, "seed": 1, "known_seq": 2, "planner": {"name": "person:hana"}}
    by_people.add(kinds.TRIAL_PROPOSED, trial=1, **body)
    assert _of(by_people)["autonomy"]["degree_of_autonomy"].value == "piecewise"


def test_lifetime(new_journal: Any) -> None:
    """Unassisted is the longest time between two hands in the campaign; assisted all of its sessions together."""
    journal = new_journal().create()  # the session opens with the second entry
    _trial(journal, 1, 450.0)  # 7 entries, a second each
    begun = {"trial": 1, "action": "a", "verdict": "done", "note": ""}
    journal.add(kinds.ACTION_RESOLVED, **begun, by="instrument:pump").add(kinds.SESSION_CLOSED, lab_seconds=9)
    journal.at += 3600_000_000_000  # nobody runs it for an hour
    opened = {"holder": "here", "epoch": 2, "versions": {}, "lab_speed": 10}
    journal.add(kinds.SESSION_OPENED, **opened)
    _trial(journal, 2, 450.0)
    journal.add(kinds.ACTION_RESOLVED, **{**begun, "trial": 2}, by="person:hana")
    _trial(journal, 3, 450.0)
    journal.add(kinds.SESSION_CLOSED, lab_seconds=200)
    group = _of(journal)["lifetime"]
    # In the second session a second is ten lab seconds.
    stretches = group["unassisted_longest"].details["stretches_s"]
    assert stretches == pytest.approx([9, 80, 80])
    assert group["unassisted_longest"].value == pytest.approx(80)
    assert group["unassisted_mean"].value == pytest.approx(169 / 3)
    assert group["assisted"].value == pytest.approx(169)


def test_throughput_and_use(silver_store: Path) -> None:
    """What was demonstrated is never above what no schedule can beat, and follows from trials and hours."""
    with Store.open(silver_store, create=False) as store:
        campaign = store.campaigns()[0].id
        state = store.state(campaign)
        found = metrics_of(store, campaign)
    group = found["throughput"]
    begin = min(step.started_at for trial in state.trials.values() for step in trial.steps)
    end = max(step.ended_at or 0 for trial in state.trials.values() for step in trial.steps)
    demonstrated, theoretical = group["demonstrated"].value, group["theoretical"].value
    assert isinstance(demonstrated, float)
    assert isinstance(theoretical, float)
    hours = (end - begin) / 3.6e12 * state.times[-1].speed
    assert demonstrated == pytest.approx(len(state.trials) / hours, rel=1e-6)
    assert demonstrated <= theoretical * (1 + 1e-9)
    assert group["demonstrated"].details["events"] > 0
    (use,) = found["utilisation"].metrics
    assert (use.title, use.details["devices"][0]) == ("flow", "silver_pump")
    assert 0 < float(use.value or 0) <= 1
    assert set(found.simulated) >= {"silver_pump", "spectrometer"}


def test_precision(new_journal: Any) -> None:
    """Pooled over repeated parameters; replicates that follow each other are said to be; without any, not known."""
    journal = new_journal().create()
    outcomes = [(10.0, 440.0), (20.0, 500.0), (10.0, 444.0), (20.0, 506.0), (20.0, 503.0), (30.0, 480.0)]
    for number, (flow, peak) in enumerate(outcomes, 1):
        _trial(journal, number, peak, flow=flow)
    metric = _of(journal)["precision"]["precision_peak"]
    assert metric.value == pytest.approx(math.sqrt((8.0 + 18.0) / 3))
    assert (metric.unit, metric.details["degrees_of_freedom"]) == ("nm", 3)
    assert metric.details["unbiased_pairs"] == 2
    assert metric.note.startswith("1 of 3 replicates")
    alone = new_journal().create()
    _trial(alone, 1, 450.0)
    none = _of(alone)["precision"]["precision_peak"]
    assert none.value is None
    assert "no parameters were repeated" in none.note


def test_space(new_journal: Any) -> None:
    """Kinds, ranges and volume of the box; points that were tried are counted once."""
    journal = new_journal().create()
    for number, flow in enumerate((10.0, 20.0, 10.0), 1):
        _trial(journal, number, 450.0, flow=flow)
    group = _of(journal)["space"]
    assert group["dimensions"].value == 4
    assert group["dimensions"].details["kinds"] == {"real": 2, "integer": 1, "categorical": 1}
    assert group["size"].value == pytest.approx((100 - 1) * (95 - 20) * 9 * 3)
    assert group["tried"].value == 2


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=8), st.data())
def test_expected_best(values: list[float], data: st.DataObject) -> None:
    """The expected best of n outcomes is the mean over every way to draw them."""
    n = data.draw(st.integers(1, len(values)))
    brute = mean(max(chosen) for chosen in combinations(values, n))
    assert _expected_best(values, n) == pytest.approx(brute, abs=1e-9)


def _pool_campaign(new_journal: Any) -> Any:
    """A pool of 20 candidates whose outcomes are in the journal; the second trial takes the best but one."""
    rows = [(float(i), float(i * i % 19)) for i in range(20)]
    text = "flow,strength\n" + "\n".join(f"{a},{b}" for a, b in rows)
    problem = {
        "parameters": {"flow": {"kind": "real", "low": 0, "high": 19, "unit": "uL/min"}},
        "objectives": {"strength": {"kind": "maximize", "unit": "MPa"}},
        "pool": {"columns": {"flow": [a for a, _ in rows]}},
    }
    journal = new_journal().create(problem=problem, pool="table", stop={})
    journal.entries[0].body["inputs"] = {"table": {"path": "/t.csv", "sha256": "0" * 64, "text": text}}
    order = sorted(rows, key=lambda row: row[1])
    for number, (flow, strength) in enumerate((order[5], order[-2], order[0], order[8]), 1):
        journal.propose(number, {"flow": flow}).start(number, "mix", "flow").done(number, "mix")
        # A noisy reading: the comparison is with what the table says of the candidate.
        noisy = {"value": strength + 0.1, "sem": None, "unit": "MPa"}
        journal.observe(number, {"strength": noisy})
    return journal, [b for _, b in rows], order[-2][1]


def test_efficiency_of_a_pool_is_exact(new_journal: Any) -> None:
    """Against every order in which the candidates can be drawn, from the outcomes that the journal has of them."""
    journal, outcomes, best = _pool_campaign(new_journal)
    group = _of(journal)["efficiency"]
    better = sum(value >= best for value in outcomes)
    assert group["acceleration"].value == pytest.approx((20 + 1) / (better + 1) / 2)
    expected = mean(max(chosen) for chosen in combinations(outcomes, 4))
    middle = median(outcomes)
    assert group["enhancement"].value == pytest.approx((best - middle) / (expected - middle))
    assert "all 20 candidates" in group["acceleration"].note


def _recorded(store: Store, journal: Any, id_: str, name: str, planner: str) -> None:
    store.create(id_, name)
    with store.writer(id_) as writer:
        for entry in journal.entries:
            body = dict(entry.body)
            if entry.kind == kinds.TRIAL_PROPOSED:
                body["planner"] = {**body["planner"], "name": planner}
            if entry.kind == kinds.CAMPAIGN_CREATED:
                body["spec"] = {**body["spec"], "name": name}
            writer.append(entry.kind, body, durable=False)


def test_efficiency_against_a_baseline(new_journal: Any, tmp_path: Path) -> None:
    """A campaign of the same problem that searched at random is found in the store; another problem is refused."""
    mine, random = new_journal().create(), new_journal().create()
    for number, peak in enumerate((470.0, 452.0, 480.0), 1):
        _trial(mine, number, peak, flow=float(number))
    for number, peak in enumerate((500.0, 430.0, 470.0, None, 451.0, 380.0), 1):
        _trial(random, number, peak, flow=40.0 + number)
    assert _of(mine)["efficiency"]["acceleration"].value is None
    with Store.open(tmp_path / "sdl.db") as store:
        _recorded(store, mine, "m", "mine", "bayes")
        assert "--set planner=random" in metrics_of(store, "m")["efficiency"]["acceleration"].note
        _recorded(store, random, "r", "drawn", "random")
        group = metrics_of(store, "m")["efficiency"]
        # Five observed at random; one of them (451) is at least as good as 452; reached with two experiments.
        assert group["acceleration"].value == pytest.approx((5 + 1) / (1 + 1) / 2)
        scores = [-50.0, -20.0, -20.0, -1.0, -70.0]
        expected = mean(max(chosen) for chosen in combinations(scores, 3))
        assert group["enhancement"].value == pytest.approx((-2.0 + 20.0) / (expected + 20.0))
        assert "drawn" in group["acceleration"].note
        _recorded(store, _pool_campaign(new_journal)[0], "p", "pool", "random")
        with pytest.raises(InputError, match="another problem"):
            metrics_of(store, "m", baseline="pool")
        assert metrics_of(store, "m", baseline="drawn")["efficiency"] == group


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a campaign that used stock, on virtual time."""
    campaign = stations_lab(tmp_path_factory.mktemp("films"), trials=3, in_flight=2)
    lab = campaign.parent / "lab.yaml"
    lab.write_text(lab.read_text().replace('substrate: {unit: "1"}', 'substrate: {unit: "1", cost: 250}'))
    run_stations(campaign)
    return campaign.parent / "sdl.db"


def test_material(films: Path) -> None:
    """What trials used of each item, and what it cost by the lab file's prices."""
    with Store.open(films, create=False) as store:
        group = metrics_of(store, store.campaigns()[0].id)["material"]
    used = group["used_substrate"]
    assert (used.value, used.details["per_trial"], used.details["lots"]) == (3, 1, {"S-1": 3})
    assert (group["cost"].value, group["cost"].unit) == (750, "JPY")
    assert group["cost_high_value"].details["items"] == ["substrate"]


def test_in_the_release_and_in_the_report(films: Path, tmp_path: Path) -> None:
    """The release has them as JSON with definitions; the report as a table; both say the same as the command."""
    with Store.open(films, create=False) as store:
        campaign = store.campaigns()[0].id
        whole = metrics_of(store, campaign)
        (file,) = write(gather_record(store, campaign), tmp_path)
        page = write_report(store, campaign, tmp_path / "report.html").read_text()
    released = json.loads((tmp_path / file.path).read_text())
    assert released == json.loads(json.dumps(whole.as_json()))
    assert "doi.org/10.1038" in file.conforms_to
    for group in released["metrics"].values():
        assert all(metric["definition"] and metric["formula"] for metric in group["metrics"].values())
    assert "Performance metrics" in page
    assert "750 JPY" in page


def test_command(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl metrics` prints values, with --definitions what they mean, with --json all of it."""
    metrics_command("films", "", False, films, False)
    brief = capsys.readouterr().out
    assert "closed loop" in brief
    assert "Share of the trials" not in brief
    metrics_command("films", "", True, films, False)
    assert "Share of the trials" in capsys.readouterr().out
    metrics_command("films", "", False, films, True)
    assert json.loads(capsys.readouterr().out)["metrics"]["material"]["metrics"]["cost"]["value"] == 750


def test_nothing_to_measure(new_journal: Any) -> None:
    """A campaign that has not begun is refused; one without a trial has no figures, and says why."""
    with pytest.raises(InputError, match="has not begun"):
        _of(new_journal())
    found = _of(new_journal().create())
    assert found["autonomy"]["degree_of_autonomy"].value is None
    assert found["throughput"]["demonstrated"].note == "no step was done"
    json.dumps(found.as_json(), allow_nan=False)
