"""Figures of what was done: the best trial's spectrum and the timeline of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdl.fair._curves import Curves
from sdl.fair._facts import iso
from sdl.fair._plot import BEST, FAILED, GROUND, OBSERVED, TARGET, WARNED, Figure, axis, figure, layout
from sdl.fair._words import duration, hover, label, plot_text

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState, StepState

__all__ = ["spectrum", "timeline"]


def spectrum(curves: Curves, trial: int) -> Figure:
    """The best trial's array reading, and the target curve where there is one."""
    data = [
        _curve(
            f"trial {trial}",
            list(curve.x),
            list(curve.y),
            {"color": OBSERVED, "width": 2},
            showlegend=index == 0,
        )
        for index, curve in enumerate(curves.measured)
    ]
    last = curves.measured[-1]
    alt = f"{last.name} of trial {trial}, {len(last.y)} points over {curves.x_name}"
    alt += f", {len(curves.measured)} readings." if len(curves.measured) > 1 else "."
    if curves.target is not None:
        line = {"color": TARGET, "width": 2, "dash": "dash"}
        height = [None if y is None else y * curves.scale for y in curves.target.y]
        data.append(_curve("target", list(curves.target.x), height, line))
        alt += f" Dashed: the target, input {curves.target.name}"
        alt += "." if curves.scale == 1.0 else f", multiplied by {curves.scale:.3g} to fit the scale."
    plan = layout(axis(label(curves.x_name, curves.x_unit)), axis(label(last.name, last.unit)), 420)
    return figure("spectrum", f"Best trial: {last.name}", alt, data, plan)


def _curve(name: str, x: list[Any], y: list[Any], line: dict[str, Any], showlegend: bool = True) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plot_text(name),
        "x": x,
        "y": y,
        "line": line,
        "showlegend": showlegend,
    }


_LOOK = {
    "done": (OBSERVED, ""),
    "failed": (BEST, "x"),
    "interrupted": (WARNED, "/"),
    "started": (FAILED, "."),
}


def timeline(state: CampaignState) -> Figure | None:
    """Every step as a bar on its station's row, by status; None before the first step."""
    steps = [(trial.number, step) for trial in state.trials.values() for step in trial.steps]
    if not steps:
        return None
    stations = list(dict.fromkeys(step.station for _, step in steps))
    data = []
    for status in _LOOK:
        chosen = [(number, step) for number, step in steps if step.status == status]
        if chosen:
            data.append(_bars(state, status, chosen))
    rows: dict[str, Any] = {
        "categoryorder": "array",
        "categoryarray": [plot_text(s, 80) for s in reversed(stations)],
    }
    x, y = axis("time (UTC)", type="date"), axis(type="category", **rows)
    plan = layout(x, y, 130 + 46 * len(stations)) | {"barmode": "overlay", "bargap": 0.35}
    begin, end = min(step.started_at for _, step in steps), max(_end(state, step) for _, step in steps)
    alt = (
        f"{len(steps)} steps on {len(stations)} station{'s' if len(stations) > 1 else ''} "
        f"({', '.join(stations)}) within {duration(end - begin)}."
    )
    return figure("timeline", "Steps by station", alt, data, plan)


def _end(state: CampaignState, step: StepState) -> int:
    return step.ended_at or max(state.updated_at, step.started_at)


def _bars(state: CampaignState, status: str, chosen: list[tuple[int, StepState]]) -> dict[str, Any]:
    colour, pattern = _LOOK[status]
    spans = [_end(state, step) - step.started_at for _, step in chosen]
    texts = []
    for (number, step), span in zip(chosen, spans, strict=True):
        lines = [
            f"Trial {number} · {step.name} · attempt {step.attempt}",
            f"{status}, {duration(span)}",
            step.message,
        ]
        texts.append(hover([line for line in lines if line]))
    return {
        "type": "bar",
        "orientation": "h",
        "name": status,
        "y": [plot_text(step.station, 80) for _, step in chosen],
        "base": [iso(step.started_at) for _, step in chosen],
        "x": [span / 1e6 for span in spans],
        "hovertext": texts,
        "hoverinfo": "text",
        "textposition": "none",
        "marker": {
            "color": colour,
            "line": {"color": GROUND, "width": 1} if len(chosen) <= 200 else {"color": colour, "width": 0.5},
            "pattern": {"shape": pattern, "fgcolor": "#ffffff", "bgcolor": colour, "solidity": 0.25},
        },
    }
