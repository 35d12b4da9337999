"""`sdl schedule`: the chart, what runs and comes next, who waits for what, and the same for machines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Nursery
from support.stations import run_stations, stations_lab

from sdl.campaign.timeline import timeline
from sdl.cli._gantt import Block, Kind, Row, draw, hours
from sdl.journal import Store, kinds

STATIONS = ("coating", "transport", "furnace_a", "furnace_b", "probing")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a campaign that has ended."""
    folder = tmp_path_factory.mktemp("ended")
    run_stations(stations_lab(folder))
    return folder


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a campaign that a fault has paused while other trials were under way."""
    folder = tmp_path_factory.mktemp("paused")
    run_stations(stations_lab(folder, faulty_above=28.0))
    return folder


def test_chart_for_people(ended: Path, nursery: Nursery) -> None:
    """A row a station with the trials in it, the use of each, and the bottleneck in words; nothing needs colour."""
    process = nursery.run("schedule", "films", cwd=ended)
    assert process.status == 0, process.err
    assert "\x1b" not in process.out
    lines = process.out.splitlines()
    assert re.match(r"films .*ended, 1:\d\d h of lab time", lines[0])
    chart = {line.split()[0]: line for line in lines if "█" in line and line.startswith(STATIONS)}
    assert set(chart) >= {"coating", "furnace_a", "furnace_b"}
    for station in ("furnace_a", "furnace_b"):
        annealed = re.findall(r"(\d)█+", chart[station])
        with Store.open(ended / "sdl.db", create=False) as store:
            done = timeline(store.state(store.resolve("films")))
        assert annealed == [str(bar.trial) for bar in done.bars if bar.station == station]
    assert all(len(line) <= 100 for line in chart.values())
    assert any(re.match(r"furnace_a +\d\d% +\d\d% +\d+% +\d+% +\d+%$", line) for line in lines)
    assert "furnace_a and furnace_b were busy" in process.out
    assert "times the" in process.out
    assert "now ▼" not in process.out
    assert "as planned" not in process.out
    assert nursery.run("schedule", "films", "--plan", cwd=ended).out.count("as planned") == len(STATIONS)


def test_paused_campaign(paused: Path, nursery: Nursery) -> None:
    """What comes next is planned from the record, with what each trial waits for and waits that are over."""
    process = nursery.run("schedule", "films", cwd=paused)
    assert process.status == 0, process.err
    assert "now ▼" in process.out or "▼ now" in process.out
    assert "×" in process.out
    assert "░" in process.out
    waiting = [line for line in process.out.splitlines() if line.startswith("trial ") and " h " not in line]
    assert any("a person: see sdl show" in line for line in waiting)
    assert any("where the sample of trial" in line and "EXCEEDED by" in line for line in waiting)
    assert re.search(r"trial \d has waited [\d:]+ for carry, allowed are 4:00", process.out)


def test_for_machines(paused: Path, nursery: Nursery) -> None:
    """`--json` prints one object with the same numbers as the record."""
    process = nursery.run("schedule", "films", "--json", cwd=paused)
    said = json.loads(process.out)
    with Store.open(paused / "sdl.db", create=False) as store:
        state = store.state(store.resolve("films"))
        steps = len(list(store.entries(state.id, kinds={kinds.STEP_STARTED})))
    done = timeline(state, live=False)
    assert (said["status"], said["campaign"]) == ("paused", state.id)
    assert len(said["done"]) == steps
    assert [bar["end"] for bar in said["done"]] == [bar.end for bar in done.bars]
    assert {use["station"]: use["blocked"] for use in said["stations"]} == {u.station: u.blocked for u in done.uses}
    assert said["bottleneck"]["sentence"] == done.bottleneck.sentence if done.bottleneck else False
    assert sum(wait["broken"] for wait in said["waits"]) == 1
    pending = {trial.number for trial in state.trials.values() if trial.status.pending}
    assert {item["trial"] for item in said["next"]} == pending
    assert {item["trial"] for item in said["plan"]} == pending
    assert all(item["start"] >= said["now"] for item in said["plan"])
    assert said["running"] == []


def test_while_it_runs(ended: Path, nursery: Nursery, tmp_path: Path) -> None:
    """Of a campaign that is under way, the steps that run are shown with their ends, and the others' turns."""
    with Store.open(ended / "sdl.db", create=False) as store:
        entries = list(store.entries(store.resolve("films")))
    begun = 0
    with Store.open(tmp_path / "sdl.db") as store:
        store.create("c1", "films")
        with store.writer("c1") as writer:
            for entry in entries:
                writer.append(entry.kind, entry.body, durable=False)
                begun += entry.kind == kinds.STEP_STARTED and entry.body["step"] == "anneal"
                if begun == 2:
                    break
            process = nursery.run("schedule", "films", cwd=tmp_path)
            said = json.loads(nursery.run("schedule", "films", "--json", cwd=tmp_path).out)
        dead = json.loads(nursery.run("schedule", "films", "--json", cwd=tmp_path).out)
    assert process.status == 0, process.err
    assert "running" in process.out.splitlines()[0]
    assert re.search(r"trial 1 +anneal +furnace_a ", process.out)
    assert {(item["trial"], item["step"]) for item in said["running"]} >= {(1, "anneal"), (2, "anneal")}
    assert "▓" in process.out or "░" in process.out
    # Its process has gone: nothing runs any more.
    assert (dead["status"], dead["running"]) == ("interrupted", [])
    assert (1, "anneal") in {(item["trial"], item["step"]) for item in dead["next"]}


def test_refusals_and_beginnings(nursery: Nursery, tmp_path: Path) -> None:
    """A name that is none is said with the nearest one; before the first step there is nothing to draw."""
    with Store.open(tmp_path / "sdl.db") as store:
        store.create("c1", "films")
    process = nursery.run("schedule", "flims", cwd=tmp_path)
    assert process.status == 2
    assert "flims" in process.err
    process = nursery.run("schedule", "films", cwd=tmp_path)
    assert (process.status, process.out.splitlines()[1]) == (0, "no step has begun yet")


# ── the chart itself ──


def test_blocks_stand_where_their_times_are() -> None:
    """Ten cells of a minute each: a block begins and ends at its cells, now is a line, and the axis has its marks."""
    blocks = (Block(7, 60, 240, "done"), Block(12, 240, 300, "running"), Block(12, 360, 480, "planned"))
    lines = [line.plain for line in draw([Row("a", blocks), Row("bb", ())], 0, 600, 13, now=300)]
    assert lines[0].index("▼") == 3 + 5
    assert lines[1] == "a   7██▓│12   "[:13]
    assert lines[2] == "bb " + "     │    "
    assert lines[3:] == ["   ┬────────┬", "   0:00"]
    assert hours(3725) == "1:02"


def test_a_fault_is_seen_in_a_single_character() -> None:
    """A short fault is a cross, not the number of its trial."""
    line = draw([Row("a", (Block(3, 0, 10, "failed"), Block(4, 300, 600, "failed")))], 0, 600, 12)[0].plain
    assert line == "a ×    4××××"


KINDS: tuple[Kind, ...] = ("done", "running", "planned", "failed")
spans = st.tuples(st.integers(1, 300), st.floats(0, 500), st.floats(0, 100), st.sampled_from(KINDS))


@given(st.lists(spans, max_size=20), st.integers(20, 200), st.none() | st.floats(0, 600))
def test_lines_fill_the_width(found: Sequence[tuple[int, float, float, Kind]], width: int, now: float | None) -> None:
    """Whatever is drawn, each row fills the width and no more, and a block that is alone is seen."""
    blocks = tuple(Block(trial, start, start + seconds, kind) for trial, start, seconds, kind in found)
    rows = [Row("station", blocks), *(Row("one", (block,)) for block in blocks)]
    lines = [line.plain for line in draw(rows, 0, 600, width, now)]
    first = 0 if now is None else 1
    for line in lines[first : first + len(rows)]:
        assert len(line) == width
    for line in lines[first + 1 : first + len(rows)]:
        assert re.search(r"[█▓░×\d]", line[len("station") :])
