"""Line charts with bands, as SVG that stands in a page by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["DASHES", "Series", "chart"]

_WIDTH, _HEIGHT = 620, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 46
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 2")
"""Lines differ by their dashes as well as by colour; colours are the classes `c0` … of the page's style sheet."""


@dataclass(frozen=True)
class Series:
    """A curve over 1, 2, 3 …, and its band."""

    label: str
    style: int
    """Index of its colour and dashes; −1 for the reference."""
    middle: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class _Axes:
    steps: int
    low: float
    high: float
    log: bool

    def x(self, step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (step - 1) / max(1, self.steps - 1)

    def y(self, value: float) -> float:
        at, low, high = (self._scaled(v) for v in (value, self.low, self.high))
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.log else value


def chart(title: str, x_label: str, y_label: str, series: Sequence[Series], *, log: bool = False) -> str:
    """A chart of curves over evaluations.

    Args:
        title: what it shows, for those who cannot see it.
        x_label: of the horizontal axis.
        y_label: of the vertical axis, with its unit.
        series: the curves; bands are drawn below all lines.
        log: logarithmic vertical axis.
    """
    axes = _axes(series, log)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">',
        f"<title>{escape(title)}</title>",
        *_grid(axes),
        *(_band(axes, s) for s in series if len(s.low)),
        *(_line(axes, s) for s in series),
        f'<text class="label" x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        f'<text class="label" transform="translate(14 {_HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>",
        "</svg>",
    ]
    return "\n".join(parts)


def _axes(series: Sequence[Series], log: bool) -> _Axes:
    values = [v for s in series for v in (*s.middle, *s.low, *s.high) if math.isfinite(v)]
    steps = max((len(s.middle) for s in series), default=2)
    if log:
        above = [v for v in values if v > 0] or [0.1, 1.0]
        low = 10.0 ** math.floor(math.log10(max(min(above), max(above) * 1e-8)))
        return _Axes(steps, low, max(10.0 ** math.ceil(math.log10(max(above))), 10 * low), True)
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0 and high <= 1:
        return _Axes(steps, 0.0, 1.0, False)
    pad = 0.04 * (high - low) or 0.5
    return _Axes(steps, low - pad, high + pad, False)


def _grid(axes: _Axes) -> list[str]:
    found = []
    for value in _ticks(axes):
        y = axes.y(value)
        found.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        found.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step in _steps(axes.steps):
        x = axes.x(step)
        found.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        found.append(f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{step}</text>')
    return found


def _ticks(axes: _Axes) -> list[float]:
    if axes.log:
        first, last = round(math.log10(axes.low)), round(math.log10(axes.high))
        return [10.0**power for power in range(first, last + 1, max(1, (last - first) // 6))]
    span = axes.high - axes.low
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    return [step * i for i in range(math.ceil(axes.low / step - 1e-9), math.floor(axes.high / step + 1e-9) + 1)]


def _steps(steps: int) -> list[int]:
    width = max(1, round(steps / 6 / 5) * 5) if steps > 12 else 1
    return sorted({1, *range(width, steps + 1, width)} - ({width} if width == 2 else set()))


def _line(axes: _Axes, series: Series) -> str:
    points = " ".join(f"{axes.x(i + 1):.1f},{axes.y(v):.1f}" for i, v in enumerate(series.middle) if math.isfinite(v))
    dash = "3 3" if series.style < 0 else DASHES[series.style % len(DASHES)]
    return (
        f'<polyline class="{_class(series)}" points="{points}" stroke-dasharray="{dash}">'
        f"<title>{escape(series.label)}</title></polyline>"
    )


def _band(axes: _Axes, series: Series) -> str:
    above = [f"{axes.x(i + 1):.1f},{axes.y(v):.1f}" for i, v in enumerate(series.high)]
    below = [f"{axes.x(i + 1):.1f},{axes.y(v):.1f}" for i, v in enumerate(series.low)]
    return f'<polygon class="band {_class(series)}" points="{" ".join([*above, *reversed(below)])}"/>'


def _class(series: Series) -> str:
    return "reference" if series.style < 0 else f"c{series.style % 7}"
