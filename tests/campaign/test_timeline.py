"""What a campaign's record says of its schedule: bars, use of the stations, waits, the bottleneck, and what comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stations import run_stations, stations_lab

from sdl.campaign.timeline import Timeline, outlook, timeline
from sdl.journal import Entry, Store, kinds
from sdl.journal.state import CampaignState, fold, fold_all
from sdl.model import TrialStatus

FURNACES = ("furnace_a", "furnace_b")


class Recorded:
    """A campaign's entries and their fold."""

    def __init__(self, path: Path) -> None:
        with Store.open(path, create=False) as store:
            self.id = store.resolve("films")
            self.entries = list(store.entries(self.id))
        self.state = fold_all(self.id, self.entries)
        self.opened = next(entry.at for entry in self.entries if entry.kind == kinds.LAB_OPENED)

    def lab(self, at: int) -> float:
        """Lab seconds of a moment in the first session, on virtual time."""
        return (at - self.opened) / 1e9

    def of(self, *wanted: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in wanted]

    def spans(self) -> dict[tuple[int, str, int], tuple[str, float, float]]:
        """Each attempt, by trial, step and attempt: station, start and end, straight from the entries."""
        found: dict[Any, Any] = {}
        for entry in self.of(kinds.STEP_STARTED, kinds.STEP_DONE, kinds.STEP_FAILED):
            key = (entry.body["trial"], entry.body["step"], entry.body["attempt"])
            if entry.kind == kinds.STEP_STARTED:
                found[key] = (entry.body["station"], self.lab(entry.at), None)
            else:
                found[key] = (*found[key][:2], self.lab(entry.at))
        return found


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Eight trials through four stations, three at a time; one is infeasible."""
    folder = tmp_path_factory.mktemp("ended")
    run_stations(stations_lab(folder))
    return Recorded(folder / "sdl.db")


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The same, paused by a fault while others were under way."""
    folder = tmp_path_factory.mktemp("paused")
    run_stations(stations_lab(folder, faulty_above=28.0))
    return Recorded(folder / "sdl.db")


def check(state: CampaignState, shown: Timeline) -> None:
    """What holds for every timeline."""
    for use in shown.uses:
        parts = (use.work, use.setup, use.blocked, use.idle)
        assert all(part >= -1e-6 for part in parts), use
        assert sum(parts) == pytest.approx(shown.makespan, abs=1e-6)
        own = [bar for bar in shown.bars if bar.station == use.station]
        assert use.work + use.setup == pytest.approx(sum(bar.seconds for bar in own), abs=1e-6)
        for before, after in pairwise(own):
            assert before.end <= after.start + 1e-6, (before, after)
    assert len(shown.bars) == sum(len(trial.steps) for trial in state.trials.values())
    assert shown.makespan >= shown.bound - 1e-6


def test_bars_are_what_the_journal_says(ended: Recorded) -> None:
    """Every attempt is a bar on its station from its start to its end, in lab seconds."""
    shown = timeline(ended.state)
    check(ended.state, shown)
    for bar in shown.bars:
        station, start, end = ended.spans()[bar.trial, bar.step, bar.attempt]
        assert bar.station == station
        assert (bar.start, bar.end) == pytest.approx((start, end), abs=1e-6)
    assert len(shown.bars) == 8 * 4
    assert {bar.status for bar in shown.bars} == {"done"}
    assert shown.stations == ("coating", "transport", *FURNACES, "probing")


def test_planned_bars_are_what_was_scheduled(ended: Recorded) -> None:
    """What was planned when a trial began stands beside what became of it, in the same lab seconds."""
    shown = timeline(ended.state)
    said = {
        (entry.body["trial"], step["step"]): step
        for entry in ended.of(kinds.TRIAL_SCHEDULED)
        for step in entry.body["steps"]
    }
    assert len(said) == len(shown.planned) == 8 * 4
    for bar in shown.planned:
        step = said[bar.trial, bar.step]
        assert bar.station == step["station"]
        assert (bar.start, bar.end) == pytest.approx((step["start"], step["end"]), abs=0.05)
    first = {(bar.trial, bar.step): bar for bar in shown.bars}
    assert first[1, "coat"].start == pytest.approx(said[1, "coat"]["start"], abs=0.05)


def test_use_of_stations_adds_up_from_the_journal(ended: Recorded) -> None:
    """Work, set-up and blocked time of a station follow from its steps, their temperatures, and where samples lay."""
    shown = timeline(ended.state)
    uses = {use.station: use for use in shown.uses}
    spans = sorted(ended.spans().items(), key=lambda item: item[1][1])
    for name, use in uses.items():
        worked = sum(end - start for station, start, end in ended.spans().values() if station == name)
        assert use.work + use.setup == pytest.approx(worked, abs=1e-6)
    for name in FURNACES:
        hot = [ended.state.trials[trial].parameters["temperature"] for (trial, _, _), (on, _, _) in spans if on == name]
        assert len(hot) > 1
        assert uses[name].setup == pytest.approx(sum(0.5 * abs(b - a) for a, b in pairwise(hot)), abs=1e-6)
    on_chuck = 0.0
    for trial in ended.state.trials:
        # A film lies on the chuck from the end of its coating to the end of the step that carries it away.
        on_chuck += ended.spans()[trial, "carry", 1][2] - ended.spans()[trial, "coat", 1][2]
    assert uses["coating"].blocked == pytest.approx(on_chuck, abs=1e-6)
    assert uses["transport"].blocked == uses["probing"].blocked == 0.0


def test_waits_are_held_against_their_limits(ended: Recorded, paused: Recorded) -> None:
    """Each step but the first has waited for as long as the journal says; a limit that was exceeded is said."""
    waits = {(wait.trial, wait.step): wait for wait in timeline(ended.state).waits}
    assert len(waits) == 8 * 3
    for (trial, step), wait in waits.items():
        before = {"carry": "coat", "anneal": "carry", "measure": "anneal"}[step]
        seconds = ended.spans()[trial, step, 1][1] - ended.spans()[trial, before, 1][2]
        assert wait.seconds == pytest.approx(seconds, abs=1e-6)
        assert (wait.least, wait.most) == ((30.0, 240.0) if step == "carry" else (0.0, None))
        assert not wait.broken
        assert not wait.early
    [late] = timeline(paused.state).broken
    assert (late.step, late.most, late.open) == ("carry", 240.0, True)
    coated = paused.spans()[late.trial, "coat", 1][2]
    closed = paused.of(kinds.SESSION_CLOSED)[-1].at
    assert late.seconds == pytest.approx(paused.lab(closed) - coated, abs=1e-6)


def test_bottleneck_is_named_with_what_would_help(ended: Recorded) -> None:
    """The two furnaces stand in for each other and have most to do; the bound is their work, shared evenly."""
    shown = timeline(ended.state)
    assert shown.bottleneck is not None
    assert shown.bottleneck.stations == FURNACES
    uses = [use for use in shown.uses if use.station in FURNACES]
    assert shown.bottleneck.busy == pytest.approx(sum(use.busy for use in uses) / 2)
    assert shown.bound == pytest.approx(sum(use.work for use in uses) / 2, abs=1e-6)
    busy = round(100 * shown.bottleneck.busy)
    begun = f"furnace_a and furnace_b were busy {busy} % of the time: a third one could shorten these "
    assert shown.bottleneck.sentence.startswith(begun)
    assert "coating stood still" in shown.bottleneck.sentence
    assert "waited to be taken to bed_a or bed_b" in shown.bottleneck.sentence


def test_few_trials_in_flight_are_the_bottleneck(tmp_path: Path) -> None:
    """Where no station is busy, the number of trials in flight is what the words are about."""
    run_stations(stations_lab(tmp_path, trials=2, in_flight=1))
    found = timeline(Recorded(tmp_path / "sdl.db").state).bottleneck
    assert found is not None
    assert found.in_flight == pytest.approx(1.0, abs=0.01)
    assert "No station held the others up" in found.sentence
    assert "On average 1.0 of at most 1 trial were under way at once (`in_flight`): more would help" in found.sentence


def test_sessions_follow_one_another(tmp_path: Path) -> None:
    """Lab time stands still while nobody runs the campaign: the second session goes on where the first one ended."""
    run_stations(stations_lab(tmp_path, trials=2))
    first = Recorded(tmp_path / "sdl.db")
    run_stations(stations_lab(tmp_path, trials=4))
    both = Recorded(tmp_path / "sdl.db")
    shown = timeline(both.state)
    check(both.state, shown)
    assert both.state.sessions == 2
    closed = first.lab(first.of(kinds.SESSION_CLOSED)[-1].at)
    reopened = both.of(kinds.LAB_OPENED)[-1].at
    for bar in (bar for bar in shown.bars if bar.trial > 2):
        step = next(s for s in both.state.trials[bar.trial].steps if s.name == bar.step)
        assert bar.start == pytest.approx(closed + (step.started_at - reopened) / 1e9, abs=1e-6)
    planned = {(plan.trial, plan.step): plan for plan in shown.planned}
    coat = next(bar for bar in shown.bars if (bar.trial, bar.step) == (3, "coat"))
    assert planned[3, "coat"].start == pytest.approx(coat.start, abs=0.05)


def test_record_that_stops_anywhere(ended: Recorded) -> None:
    """After any entry about a step: parts add up, and what runs and comes next is every trial under way, once; what is
    planned gives no station to two, keeps waits, and foresees about when a step that runs will end."""
    state = CampaignState(id=ended.id)
    looked = 0
    for entry in ended.entries:
        state = fold(state, entry)
        if entry.kind not in (kinds.STEP_STARTED, kinds.STEP_DONE):
            continue
        shown = timeline(state)
        check(state, shown)
        coming = outlook(state, shown.bars)
        assert coming is not None
        going = [trial for trial, _, _ in coming.running] + [item.trial for item in coming.coming]
        last = {t.number for t in state.trials.values() if t.steps[-1:] and t.steps[-1].name == "measure"}
        done = {n for n in last if state.trials[n].steps[-1].status == "done"}
        assert sorted(going) == sorted({t.number for t in state.trials.values() if t.status.pending} - done)
        _check_plan(coming)
        for trial, step, running in coming.running:
            actual = ended.spans()[trial, step, 1][2]
            assert running.end(coming.now) == pytest.approx(actual, abs=160), (trial, step)
        looked += 1
    assert looked > 50


def _check_plan(coming: Any) -> None:
    spans = [(p.station, p.start, p.end) for p in coming.schedule.planned]
    spans += [(r.station, r.started, r.end(coming.now)) for _, _, r in coming.running]
    for (name, _, end), (other, start, _) in pairwise(sorted(spans)):
        assert name != other or end <= start + 1e-6
    ends = {(p.job, p.step): p.end for p in coming.schedule.planned}
    for planned in coming.schedule.planned:
        if planned.step == "carry" and (planned.job, "coat") in ends:
            assert 30.0 - 1e-6 <= planned.start - ends[planned.job, "coat"] <= 240.0 + 1e-6


def test_outlook_of_a_paused_campaign(paused: Recorded) -> None:
    """Who waits for what is said: a person, a sample in the way; a maximum wait that is over is near."""
    shown = timeline(paused.state, live=False)
    check(paused.state, shown)
    coming = outlook(paused.state, shown.bars, live=False)
    assert coming is not None
    assert coming.running == ()
    found = {item.trial: item for item in coming.coming}
    assert set(found) == {t.number for t in paused.state.trials.values() if t.status.pending}
    assert next(item.why for item in found.values() if item.step == "measure").startswith("a person")
    [carried] = [item for item in found.values() if item.step == "carry"]
    assert carried.why.startswith("bed_")
    assert carried.most == 240.0
    assert carried.left is not None
    assert carried.left < 0
    assert coming.near(carried)
    # Each goes on to its end.
    assert {p.job for p in coming.schedule.planned if p.step == "measure"} == set(found)
    _check_plan(coming)


def test_open_steps_of_a_dead_process_are_interrupted(ended: Recorded) -> None:
    """Where nobody runs the campaign, steps left open are shown as interrupted and planned anew; else they run."""
    entries = []
    for entry in ended.entries:
        entries.append(entry)
        if entry.kind == kinds.STEP_STARTED and entry.body["step"] == "anneal":
            break
    state = fold_all(ended.id, entries)
    for live, status in ((True, "running"), (False, "interrupted")):
        shown = timeline(state, live=live)
        [anneal] = [bar for bar in shown.bars if bar.step == "anneal"]
        assert anneal.status == status
        coming = outlook(state, shown.bars, live=live)
        assert coming is not None
        assert ((1, "anneal") in [(trial, step) for trial, step, _ in coming.running]) is live
        assert ((1, "anneal") in [(item.trial, item.step) for item in coming.coming]) is not live


def test_without_a_lab_file_on_record(ended: Recorded) -> None:
    """A journal without the lab file still gives bars and use; waits and words need the file."""
    first = ended.entries[0]
    bare = {**first.body, "lab": {**first.body["lab"], "text": "name: stations"}}
    state = fold_all(ended.id, [first._replace(body=bare), *ended.entries[1:]])
    shown = timeline(state)
    assert len(shown.bars) == 32
    assert sum(shown.uses[0].share(part) for part in (shown.uses[0].work, shown.uses[0].idle)) == pytest.approx(1.0)
    assert (shown.waits, shown.bottleneck, outlook(state, shown.bars)) == ((), None, None)
    assert timeline(CampaignState(id="c")).bars == ()


# ── any record ──

SECOND = 1_000_000_000
Act = tuple[int, int, int]


@st.composite
def journals(draw: st.DrawFn) -> tuple[list[Entry], float]:
    """Entries of sessions at one speed in which stations take steps one at a time; processes die or close in order."""
    speed = draw(st.sampled_from([1.0, 60.0]))
    writer = _Writer(speed)
    for _ in range(draw(st.integers(1, 3))):
        acts = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(0, 90)), max_size=8))
        writer.session(acts, dies=draw(st.booleans()), pause=draw(st.integers(1, 10_000)))
    return writer.entries, speed


class _Writer:
    def __init__(self, speed: float) -> None:
        self.entries: list[Entry] = []
        self.speed, self.now, self.trials = speed, 1_760_000_000 * SECOND, 0
        self.open: list[dict[str, Any]] = []

    def add(self, kind: str, at: int, **body: Any) -> None:
        self.entries.append(Entry("c", len(self.entries) + 1, at, kind, body, "", ""))

    def session(self, acts: Sequence[Act], dies: bool, pause: int) -> None:
        for where in self.open:
            self.add(kinds.STEP_FAILED, self.now, **where, cause="interrupted", message="", device="")
        self.open = []
        self.add(kinds.SESSION_OPENED, self.now, epoch=1, lab_speed=self.speed, virtual=False)
        self.now += SECOND
        self.add(kinds.LAB_OPENED, self.now, addresses={}, speed=self.speed)
        planned = list(self._steps(acts))
        last = max((end for _, _, end in planned), default=self.now)
        events = [(start, 1, where, end) for where, start, end in planned]
        events += [(end, 0, where, end) for where, _, end in planned]
        events.sort(key=lambda event: (event[0], event[1]))
        cut = (self.now + last) // 2 if dies else last
        for at, starts, where, end in events:
            if at > cut or (not starts and end > cut):
                continue
            if starts:
                self.add(kinds.TRIAL_PROPOSED, at, trial=where["trial"], parameters={}, planner={}, reason={}, seed=0)
                self.add(kinds.STEP_STARTED, at, **where, plan="", arguments={})
                if end > cut:
                    self.open.append({key: where[key] for key in ("trial", "step", "attempt")})
            else:
                self.add(kinds.STEP_DONE, at, **{key: where[key] for key in ("trial", "step", "attempt")}, runs=[])
        self.now = cut
        if not dies:
            self.add(kinds.SESSION_CLOSED, self.now, lab_seconds=0.0)
        self.now += pause * SECOND

    def _steps(self, acts: Sequence[Act]) -> Iterator[tuple[dict[str, Any], int, int]]:
        free = [self.now] * 3
        for station, gap, seconds in acts:
            self.trials += 1
            start = free[station] + gap * SECOND
            # A step of no length at all would have no order with the next one.
            free[station] = end = start + (seconds + 1) * SECOND
            yield {"trial": self.trials, "step": "work", "attempt": 1, "station": f"s{station}"}, start, end


@given(journals())
def test_parts_add_up_in_any_record(made: tuple[list[Entry], float]) -> None:
    """However sessions begin, die and go on: bars of a station never overlap, parts add up, and a step that was done
    lasts as long as its entries are apart, times the speed."""
    entries, speed = made
    state = fold_all("c", entries)
    shown = timeline(state)
    check(state, shown)
    for bar in shown.bars:
        step = state.trials[bar.trial].steps[0]
        assert 0 <= bar.start <= bar.end <= shown.now + 1e-6
        if step.status == "done" and step.ended_at is not None:
            assert bar.seconds == pytest.approx((step.ended_at - step.started_at) / 1e9 * speed)
    order = sorted(shown.bars, key=lambda bar: state.trials[bar.trial].steps[0].started_at)
    assert [bar.start for bar in order] == sorted(bar.start for bar in shown.bars)
    assert state.count(TrialStatus.RUNNING) == len(shown.bars)
