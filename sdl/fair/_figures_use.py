"""How well the stations of a campaign were used, as a figure of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sdl.fair._plot import GRID, GROUND, INFEASIBLE, INK, OBSERVED, WARNED, Figure, axis, figure, layout
from sdl.fair._words import duration, hover, plot_text

if TYPE_CHECKING:
    from sdl.campaign.timeline import Timeline, Use

__all__ = ["utilisation"]


def utilisation(shown: Timeline) -> Figure:
    """A bar a station: the shares of the time in which it worked, was set up, was blocked, and had nothing to do."""
    looks = (
        ("work", "at work", OBSERVED, ""),
        ("setup", "set-up", WARNED, "/"),
        ("blocked", "blocked by a sample that waits", INFEASIBLE, "x"),
        ("idle", "idle", GRID, ""),
    )
    stations = [plot_text(name, 40) for name in reversed(shown.stations)]
    uses = list(reversed(shown.uses))
    data = [_shares(uses, stations, *look) for look in looks]
    x = axis("share of the time / %", range=[0, 100], fixedrange=True)
    y = axis("", type="category", categoryorder="array", categoryarray=stations, fixedrange=True)
    plan = layout(x, y, 130 + 34 * len(stations))
    plan |= {"barmode": "stack", "bargap": 0.3, "uniformtext": {"minsize": 9, "mode": "hide"}}
    plan["legend"] = {**plan["legend"], "traceorder": "normal"}
    busiest = max(shown.uses, key=lambda use: use.busy)
    alt = "; ".join(f"{use.station} was busy {100 * use.busy:.0f} %" for use in shown.uses)
    text = f"How the stations spent the {_span(busiest.total)}: {alt}."
    return figure("utilisation", "How well the stations were used", text, data, plan)


def _shares(
    uses: Sequence[Use], stations: Sequence[str], part: str, name: str, colour: str, pattern: str
) -> dict[str, Any]:
    seconds = [float(getattr(use, part)) for use in uses]
    shares = [100 * use.share(value) for use, value in zip(uses, seconds, strict=True)]
    words = [
        hover([f"{use.station}: {name}", f"{share:.1f} %, {_span(value)}"])
        for use, share, value in zip(uses, shares, seconds, strict=True)
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": list(stations),
        "x": shares,
        "text": [f"{share:.0f} %" if share >= 3 else "" for share in shares],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": INK if part == "idle" else GROUND},
        "hovertext": words,
        "hoverinfo": "text",
        "marker": {
            "color": colour,
            "line": {"color": GROUND, "width": 0.5},
            "pattern": {"shape": pattern, "fgcolor": GROUND, "fillmode": "overlay", "solidity": 0.15},
        },
    }


def _span(seconds: float) -> str:
    return duration(round(seconds * 1e9))
