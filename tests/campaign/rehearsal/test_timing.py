"""Times of rehearsed trials drawn again: the same decisions as in a running campaign, and the same recovery."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from campaign.rehearsal.laws import LAB, SECONDS, Exact, parts, rules, tasks
from campaign.scheduling.executor import Executor

from sdl.campaign.rehearsal.timing import Rules, Timeline, play
from sdl.campaign.scheduling.problem import Job
from sdl.campaign.scheduling.ready import Mode

ALL = sum(SECONDS.values())


def _played(count: int, with_rules: Rules, law: Exact | None = None, reached: int = 0) -> Timeline:
    return play(parts(count, reached=reached), LAB, with_rules, law or Exact(), Random(1))


def test_one_trial_at_a_time_is_a_sum() -> None:
    """With one trial in flight the end is the sum of all steps, and stations are at work for theirs."""
    line = _played(5, rules(1))
    assert line.end == pytest.approx(5 * ALL)
    assert line.busy["coating"] == pytest.approx(5 * SECONDS["coat"])
    assert line.busy["furnace_a"] + line.busy["furnace_b"] == pytest.approx(5 * SECONDS["anneal"])
    assert [line.begun[n] for n in range(1, 6)] == pytest.approx([n * ALL for n in range(5)])
    assert (line.attempts, line.faults, line.failed, line.people) == (15, 0, 0, 0)


@pytest.mark.parametrize("mode", ["lookahead", "first_come", "one_by_one"])
@pytest.mark.parametrize("in_flight", [2, 3, 6])
def test_it_agrees_with_another_executor(mode: Mode, in_flight: int) -> None:
    """Without chance it ends when an executor does that makes its schedule anew at every step."""
    line = _played(9, replace(rules(in_flight), mode=mode))
    jobs = [Job(n, 0, 0.0, tasks()) for n in range(1, 10)]
    other = Executor(LAB, mode, in_flight=in_flight).run(jobs)
    assert line.end == pytest.approx(other, rel=0.05)
    assert len(line.ended) == 9


def test_a_fault_is_tried_again_after_its_wait() -> None:
    """Ten seconds until it fails, sixty of waiting, then the step as if nothing had been."""
    line = _played(1, rules(1), Exact([("coat", "coating")]))
    assert line.end == pytest.approx(ALL + 10 + 60)
    assert (line.faults, line.failed, line.attempts) == (1, 0, 4)


def test_the_other_station_takes_over() -> None:
    """When the retries on a station are used up, the next one is tried; its bed is where the lab file allows it."""
    line = _played(1, rules(1, retries=0), Exact([("anneal", "furnace_a")]))
    assert line.end == pytest.approx(ALL + 10)
    assert (line.busy["furnace_a"], line.busy["furnace_b"]) == pytest.approx((10, SECONDS["anneal"]))


def test_a_trial_fails_or_a_person_is_asked() -> None:
    """When nothing is left to try, the trial has failed; or a person is needed, and it goes on."""
    failing = [("measure", "probing")] * 2
    line = _played(2, rules(1), Exact(failing))
    assert (line.failed, line.people, len(line.ended)) == (1, 0, 2)
    asked = rules(1)
    asked = replace(asked, recoveries=tuple(replace(r, pauses=True) for r in asked.recoveries))
    line = _played(2, asked, Exact(failing))
    assert (line.failed, line.people, len(line.ended)) == (0, 1, 2)


def test_too_many_failed_trials_in_a_row_need_a_person() -> None:
    """After three failed trials in a row somebody has to look; a trial that succeeds in between counts anew."""
    failing = [("coat", "coating")] * 6
    assert _played(4, rules(1), Exact(failing)).people == 1
    assert _played(4, rules(1), Exact(failing[:4])).people == 0


def test_the_trial_that_reaches_the_goal_is_done_again() -> None:
    """Where reaching a goal ends the campaign, the trial that was to do so is made up for when it fails."""
    failing = [("measure", "probing")] * 2
    line = _played(1, rules(1, replaced=True), Exact(failing), reached=1)
    assert (line.failed, len(line.ended)) == (1, 2)


def test_hours_end_it() -> None:
    """With a budget of hours no trial begins after them; where there is time, rehearsed trials come again."""
    line = _played(4, rules(1, hours=10 * ALL / 3600, most=100))
    assert len(line.begun) == 10
    line = _played(4, rules(1, hours=2.5 * ALL / 3600, most=100))
    assert len(line.begun) == 3


def test_samples_that_stay_block_until_a_person_comes() -> None:
    """A trial that ends early leaves its sample on the chuck; nothing else can begin until somebody takes it away."""
    early = tuple(replace(part, last=0) for part in parts(3))
    line = play(early, LAB, rules(1), Exact(), Random(1))
    assert (len(line.ended), line.people) == (3, 2)
