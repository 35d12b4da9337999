"""The Gantt chart of the report: what each station did, planned beside actual, and what that means in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.fair._facts import iso
from sdl.fair._plot import (
    BEST,
    CLEAR,
    FAILED,
    GRID,
    GROUND,
    INFEASIBLE,
    Figure,
    axis,
    figure,
    layout,
)
from sdl.fair._words import duration, hover, number, plot_text, with_error
from sdl.model import TrialStatus

if TYPE_CHECKING:
    from sdl.campaign.timeline import Bar, PlannedBar, Timeline
    from sdl.journal.state import CampaignState, TrialState

__all__ = ["gantt", "schedule_notes", "shows_schedule"]

_TRIALS = ("#4477aa", "#228833", "#aa7700", "#aa3377", "#2f8f9d", "#7a5195", "#b35c44", "#5b7f2b")
"""Colours of trials in turn; on white and on black they stand out alike."""
_ACTUAL, _PLANNED = 0.52, 0.16
"""Heights of bars, where the row of a station is 1."""
_LIFT = 0.38
"""How far the plan stands above what became of it."""
_THIN = 0.006
"""Part of the time below which a bar is but a line."""
_MINUTES_UNTIL = 3 * 3600.0
"""Lab seconds up to which the axis counts minutes."""


def shows_schedule(state: CampaignState) -> bool:
    """Whether there is a schedule to show: several stations that several trials share, samples, or a plan on record."""
    steps = [step for trial in state.trials.values() for step in trial.steps]
    if not steps:
        return False
    several = len({step.station for step in steps}) > 1 and state.spec is not None and state.spec.in_flight > 1
    return several or bool(state.samples) or any(trial.scheduled for trial in state.trials.values())


def schedule_notes(shown: Timeline) -> Iterator[str]:
    """What the figures mean, in sentences."""
    if shown.bottleneck is not None:
        yield shown.bottleneck.sentence
    if shown.bound > 0:
        yield (
            f"From the first step to the last it took {_span(shown.makespan)}, "
            f"{shown.makespan / shown.bound:.2f} times the work of the busiest stations, {_span(shown.bound)}."
        )
    limited = [wait for wait in shown.waits if wait.most is not None]
    if not limited:
        return
    broken = shown.broken
    if not broken:
        yield f"All {len(limited)} waits that have a limit were kept."
        return
    worst = max(broken, key=lambda wait: wait.seconds - (wait.most or 0.0))
    yield (
        f"{len(broken)} of {len(limited)} waits that have a limit were longer than it; the worst: trial {worst.trial} "
        f"waited {_span(worst.seconds)} for {worst.step}, where {_span(worst.most or 0.0)} are allowed."
    )


def _span(seconds: float) -> str:
    return duration(round(seconds * 1e9))


# ── the Gantt chart ──


def gantt(state: CampaignState, shown: Timeline) -> Figure:
    """Every step as a bar on the row of its station, with what was planned as an outline above it.

    Args:
        state: of the campaign.
        shown: its timeline, with at least one bar.
    """
    span = shown.end - shown.begin
    scale, unit = (60.0, "min") if span <= _MINUTES_UNTIL else (3600.0, "h")
    rows = {name: len(shown.stations) - 1 - index for index, name in enumerate(shown.stations)}
    good = [bar for bar in shown.bars if bar.status in ("done", "running")]
    bad = [bar for bar in shown.bars if bar.status not in ("done", "running")]
    plans = {(p.trial, p.step): p for p in shown.planned}
    texts = _Texts(state, plans)
    data = [_bars("done", good, rows, scale, texts)] if good else []
    data += list(_faults(bad, rows, scale, texts)) if bad else []
    data += [_outlines(shown.planned, rows, scale)] if shown.planned else []
    data += list(_marks(state, shown.bars, rows, scale))
    ticks: dict[str, Any] = {"tickvals": list(rows.values()), "ticktext": [plot_text(name, 40) for name in rows]}
    y = axis(range=[-0.6, len(rows) - 0.4], fixedrange=True, showgrid=False, **ticks)
    margin = 0.01 * max(span, 1.0)
    ends = [shown.end, *(plan.end for plan in shown.planned)]
    x = axis(f"lab time / {unit}", range=[(shown.begin - margin) / scale, (max(ends) + margin) / scale])
    plan = layout(x, y, 130 + 66 * len(rows))
    plan |= {"barmode": "overlay", "uniformtext": {"minsize": 9, "mode": "hide"}, "dragmode": "zoom"}
    plan["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": row + 0.5, "y1": row + 0.5,
         "line": {"color": GRID, "width": 1}, "layer": "below"}
        for row in list(rows.values())[1:]
    ]  # fmt: skip
    return figure("gantt", "What each station did", _gantt_words(state, shown), data, plan)


def _gantt_words(state: CampaignState, shown: Timeline) -> str:
    trials = len({bar.trial for bar in shown.bars})
    text = (
        f"{len(shown.bars)} steps of {trials} trials on {len(shown.stations)} stations within {_span(shown.makespan)} "
        "of lab time. Each colour and number is a trial; drag to look at a part of it, double-click for all."
    )
    if shown.planned:
        text += " The outlines above the bars are what was planned when the trial began."
    if state.count(TrialStatus.INFEASIBLE):
        text += " A diamond ends a trial that was infeasible."
    if state.count(TrialStatus.FAILED):
        text += " A cross ends one that failed through a fault."
    return text


class _Texts:
    """What hovering over a step tells."""

    def __init__(self, state: CampaignState, plans: Mapping[tuple[int, str], PlannedBar]) -> None:
        self._state, self._plans = state, plans
        spec = state.spec
        self._units = {p.name: p.unit for p in spec.problem.parameters} if spec is not None else {}
        self._about = {number_: self._lines(trial) for number_, trial in state.trials.items()}

    def _lines(self, trial: TrialState) -> list[str]:
        lines = [f"{name} = {number(value, self._units.get(name, ''))}" for name, value in trial.parameters.items()]
        lines += [f"→ {name}: {with_error(outcome)}" for name, outcome in trial.outcomes.items()]
        return [*lines, f"{trial.status.value}: {trial.message}"] if trial.message else lines

    def of(self, bar: Bar) -> str:
        plan = self._plans.get((bar.trial, bar.step))
        steps = self._state.trials[bar.trial].steps
        began = next((s.started_at for s in steps if (s.name, s.attempt) == (bar.step, bar.attempt)), None)
        lines = [
            f"Trial {bar.trial} · {bar.step} on {bar.station} · attempt {bar.attempt}",
            f"{bar.status}, {_span(bar.seconds)}, from {_clock(bar.start)} to {_clock(bar.end)} ({iso(began)})",
        ]
        if plan is not None:
            lines.append(f"planned on {plan.station}, from {_clock(plan.start)} to {_clock(plan.end)}")
        if bar.message:
            lines.append(bar.message)
        return hover([*lines, *self._about[bar.trial]])


def _clock(seconds: float) -> str:
    """Lab time as 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def _colour(trial: int) -> str:
    return _TRIALS[trial % len(_TRIALS)]


def _bars(name: str, bars: Sequence[Bar], rows: Mapping[str, int], scale: float, texts: _Texts) -> dict[str, Any]:
    thin = _THIN * (max(bar.end for bar in bars) - min(bar.start for bar in bars))
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "legendgroup": name,
        "showlegend": False,
        "y": [rows[bar.station] for bar in bars],
        "base": [bar.start / scale for bar in bars],
        "x": [bar.seconds / scale for bar in bars],
        "width": _ACTUAL,
        "offset": -_ACTUAL / 2 - 0.06,
        "text": [str(bar.trial) for bar in bars],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": "#ffffff"},
        "constraintext": "inside",
        "hovertext": [texts.of(bar) for bar in bars],
        "hoverinfo": "text",
        "marker": {
            "color": [_colour(bar.trial) for bar in bars],
            # A light rim would hide bars that are hardly wider than itself.
            "line": {"color": [GROUND if bar.seconds > thin else _colour(bar.trial) for bar in bars], "width": 0.7},
        },
    }


def _faults(bars: Sequence[Bar], rows: Mapping[str, int], scale: float, texts: _Texts) -> Iterator[dict[str, Any]]:
    """Bars with a pattern, a trace a colour: plotly has no patterns for bars of several colours."""
    name = "fault or interrupted"
    pattern = {"shape": "x", "fgcolor": GROUND, "fillmode": "overlay", "solidity": 0.35}
    for colour in dict.fromkeys(_colour(bar.trial) for bar in bars):
        own = [bar for bar in bars if _colour(bar.trial) == colour]
        look = {"color": colour, "line": {"color": GROUND, "width": 0.7}, "pattern": pattern}
        yield _bars(name, own, rows, scale, texts) | {"marker": look}
    entry = {"type": "bar", "orientation": "h", "name": name, "legendgroup": name, "y": [None], "x": [None]}
    yield entry | {"marker": {"color": FAILED, "pattern": pattern}}


def _outlines(planned: Sequence[PlannedBar], rows: Mapping[str, int], scale: float) -> dict[str, Any]:
    shown = [plan for plan in planned if plan.station in rows]
    words = [
        hover([f"Trial {p.trial} · {p.step} on {p.station}", f"planned from {_clock(p.start)} to {_clock(p.end)}"])
        for p in shown
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": "planned",
        "y": [rows[plan.station] for plan in shown],
        "base": [plan.start / scale for plan in shown],
        "x": [(plan.end - plan.start) / scale for plan in shown],
        "width": _PLANNED,
        "offset": _LIFT - _PLANNED / 2 - 0.06,
        "hovertext": words,
        "hoverinfo": "text",
        "textposition": "none",
        "marker": {"color": CLEAR, "line": {"color": [_colour(plan.trial) for plan in shown], "width": 1.2}},
    }


def _marks(
    state: CampaignState, bars: Sequence[Bar], rows: Mapping[str, int], scale: float
) -> Iterator[dict[str, Any]]:
    """A mark at the last step of each trial that came to no outcome."""
    looks = {
        TrialStatus.INFEASIBLE: {"symbol": "diamond", "color": INFEASIBLE, "size": 10},
        TrialStatus.FAILED: {"symbol": "x", "color": BEST, "size": 9},
    }
    last = {bar.trial: bar for bar in sorted(bars, key=lambda bar: bar.end)}
    for status, marker in looks.items():
        found = [last[t.number] for t in state.trials.values() if t.status is status and t.number in last]
        if found:
            yield {
                "type": "scatter",
                "mode": "markers",
                "name": f"{status.value} trial",
                "x": [bar.end / scale for bar in found],
                "y": [rows[bar.station] - 0.06 - _ACTUAL / 2 for bar in found],
                "text": [hover([f"Trial {b.trial} {status.value}", state.trials[b.trial].message]) for b in found],
                "hoverinfo": "text",
                "marker": {**marker, "line": {"color": GROUND, "width": 1}},
                "cliponaxis": False,
            }
