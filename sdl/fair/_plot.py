"""What all figures of the report share: colours, axes, and the record that the template shows.

Colours are after Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with colour-blindness tell apart;
a second set serves dark screens. Meaning never rests on colour alone: markers and dashes differ as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdl.fair._files import need
from sdl.fair._words import hover, number, plot_text, with_error
from sdl.model import TrialStatus

if TYPE_CHECKING:
    from sdl.journal.state import TrialState

__all__ = [
    "BEST",
    "CLEAR",
    "DARK",
    "FAILED",
    "GROUND",
    "INFEASIBLE",
    "INK",
    "OBSERVED",
    "TARGET",
    "WARNED",
    "Figure",
    "axis",
    "figure",
    "layout",
    "points",
    "strip",
    "trial_text",
]

INK, GRID = "#24292f", "#e3e6ea"
OBSERVED, BEST, TARGET = "#0072b2", "#d55e00", "#00795a"
INFEASIBLE, FAILED, WARNED = "#a8497f", "#6a6f76", "#b77900"
CLEAR, GROUND = "rgba(0,0,0,0)", "#fffffe"
DARK: Mapping[str, str] = {
    INK: "#d7dbe0",
    GRID: "#343a41",
    GROUND: "#15181c",
    OBSERVED: "#56b4e9",
    BEST: "#ff9350",
    TARGET: "#35c79b",
    INFEASIBLE: "#e29ac3",
    FAILED: "#a3a9b0",
    WARNED: "#f0c24a",
}
"""Colour of each on a dark screen; the script of the page puts them in place."""

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK JP', sans-serif"


@dataclass(frozen=True)
class Figure:
    """One figure of the report."""

    id: str
    title: str
    alt: str
    """What it shows, in words: caption and text alternative."""
    json: str
    """plotly figure, safe to stand in a script element."""
    height: int
    small: bool = False
    """One of several panels, without tool bar."""


def figure(id: str, title: str, alt: str, data: Sequence[Any], plan: Mapping[str, Any], small: bool = False) -> Figure:
    """Check the traces and the layout with plotly and turn them into JSON.

    Raises:
        MissingExtra: plotly is not installed.
    """
    go = need("plotly.graph_objects", "the report")
    io = need("plotly.io", "the report")
    drawn = go.Figure({"data": list(data), "layout": {**plan, "template": None}})
    text = str(io.to_json(drawn, validate=False))
    # A script element ends at the first "</script", whatever plotly does about it in the version at hand.
    for mark, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(mark, code)
    return Figure(id, title, alt, text, int(plan["height"]), small)


def layout(x: Mapping[str, Any], y: Mapping[str, Any], height: int, lanes: Sequence[str] = ()) -> dict[str, Any]:
    """A quiet layout; `lanes` opens a strip of named lanes below for trials that have no value."""
    plan: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 40, "b": 48},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "hovermode": "closest",
        "modebar": {"bgcolor": CLEAR, "color": FAILED, "activecolor": INK},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "xaxis": dict(x),
        "yaxis": dict(y),
    }
    if lanes:
        share = 0.05 + 0.05 * len(lanes)
        plan["yaxis"]["domain"] = [share + 0.04, 1]
        plan["xaxis"]["anchor"] = "y2"
        plan["yaxis2"] = {
            "domain": [0, share],
            "range": [-0.6, len(lanes) - 0.4],
            "tickvals": list(range(len(lanes))),
            "ticktext": list(lanes),
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        }
    return plan


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with thin grid lines and its title."""
    look = {
        "title": {"text": plot_text(title, 60), "standoff": 10},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "automargin": True,
    }
    return look | more


def points(
    name: str, x: Sequence[Any], y: Sequence[Any], text: Sequence[str], marker: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """A trace of markers with a hover text each."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plot_text(name, 60),
        "x": list(x),
        "y": list(y),
        "text": list(text),
        "hoverinfo": "text",
        "marker": dict(marker),
        **more,
    }


_MARKS = {
    TrialStatus.INFEASIBLE: {"symbol": "diamond-open", "color": INFEASIBLE, "size": 8, "line": {"width": 2}},
    TrialStatus.FAILED: {"symbol": "x-thin-open", "color": FAILED, "size": 8, "line": {"width": 2}},
}


def strip(trials: Sequence[TrialState], x: Mapping[int, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Traces and lane names for infeasible and failed trials, which have no outcome; `x` by trial number."""
    traces: list[dict[str, Any]] = []
    lanes: list[str] = []
    for status, marker in _MARKS.items():
        found = [t for t in trials if t.status is status and t.number in x]
        if found:
            texts = [trial_text(t) for t in found]
            lane = [len(lanes)] * len(found)
            xs = [x[t.number] for t in found]
            traces.append(points(status.value, xs, lane, texts, marker, yaxis="y2", showlegend=False))
            lanes.append(status.value)
    return traces, lanes


def trial_text(trial: TrialState) -> str:
    """What hovering over a trial tells."""
    lines = [f"Trial {trial.number} · {trial.status.value}"]
    lines += [f"{name}: {with_error(outcome)}" for name, outcome in trial.outcomes.items()]
    lines += [f"{name} = {number(value)}" for name, value in trial.parameters.items()]
    return hover([*lines, trial.message] if trial.message else lines)
