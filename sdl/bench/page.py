"""One HTML page about a benchmark: tables and curves, without scripts, network or other files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from sdl.bench import exact
from sdl.bench._svg import DASHES, Series, chart
from sdl.bench.results import Results
from sdl.bench.statistics import Figure, PoolSummary, reached_curve, spread_curve
from sdl.bench.tasks import PoolTask

__all__ = [
    "acceleration_text",
    "evaluations_text",
    "figure_text",
    "render_page",
    "seconds_text",
    "write_page",
]

_STYLE = """
:root{--ink:#24292f;--paper:#fffffe;--line:#e3e6ea;--c0:#0072b2;--c1:#d55e00;--c2:#00795a;--c3:#a8497f;--c4:#b77900;
--c5:#3a7fb5;--c6:#6a6f76}
@media(prefers-color-scheme:dark){:root{--ink:#d7dbe0;--paper:#15181c;--line:#343a41;--c0:#56b4e9;--c1:#ff9350;
--c2:#35c79b;--c3:#e29ac3;--c4:#f0c24a;--c5:#8ab6ff;--c6:#a3a9b0}}
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI','Noto Sans','Noto Sans CJK JP',sans-serif;color:var(--ink);
background:var(--paper);max-width:1320px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.2rem}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
td:first-child,th:first-child,td.text{text-align:left}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(420px,1fr));gap:1rem}figure{margin:0}
svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}svg .label{font-size:13px}
.grid{stroke:var(--line)}polyline{fill:none;stroke-width:2}polyline.reference{stroke:var(--ink)}
.band{stroke:none;opacity:.13}.key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding:0;list-style:none}
.key svg{width:34px;height:10px;margin-right:.4rem}.note{color:var(--c6)}
""" + "".join(f".c{i}{{stroke:var(--c{i})}}.band.c{i}{{fill:var(--c{i})}}" for i in range(7))


def write_page(results: Results, path: Path, about: Sequence[str]) -> Path:
    """Write the page; it is there in full or not at all.

    Args:
        results: what was found.
        path: the HTML file.
        about: lines on the machine, the versions and the command.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(render_page(results, about), encoding="utf-8")
    part.replace(path)
    return path


def render_page(results: Results, about: Sequence[str]) -> str:
    """The page as text; see `write_page`."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width">',
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Benchmark of planners</title><style>{_STYLE}</style></head><body><h1>Benchmark of planners</h1>",
        *(f"<p class=note>{escape(line)}</p>" for line in about),
        _key(results),
    ]
    if results.pools:
        parts += _pools(results)
    if results.functions:
        parts += _functions(results)
    if results.timings:
        parts += _timings(results)
    return "\n".join([*parts, "</body></html>"])


def figure_text(figure: Figure, digits: int = 3) -> str:
    """`6.5 (5–9)`."""
    low, high = (f"{value:.{digits}g}" for value in (figure.low, figure.high))
    return f"{figure.value:.{digits}g} ({low}–{high})"


def evaluations_text(summary: PoolSummary) -> str:
    """Evaluations to a top row; `> 100` where most searches found none within 100."""
    return f"> {summary.cap}" if summary.beyond else figure_text(summary.evaluations)


def acceleration_text(summary: PoolSummary) -> str:
    """The acceleration; `< 0.66` where most searches found no top row."""
    if summary.beyond:
        return f"< {summary.acceleration.value:.3g}"
    return figure_text(summary.acceleration)


def seconds_text(seconds: float) -> str:
    """CPU seconds in two digits; `–` where there are none."""
    return "–" if math.isnan(seconds) else f"{seconds:.2g}"


def _key(results: Results) -> str:
    items = [("reference", "3 3", "random, exact")] if results.pools else []
    items += [(f"c{i % 7}", DASHES[i % len(DASHES)], label) for i, label in enumerate(results.planners)]
    lines = [
        f'<li><svg viewBox="0 0 34 10"><polyline class="{css}" stroke-dasharray="{dash}" points="0,5 34,5"/></svg>'
        f"{escape(label)}</li>"
        for css, dash, label in items
    ]
    return f"<ul class=key>{''.join(lines)}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _pools(results: Results) -> list[str]:
    overall = []
    for o in results.overalls:
        bound = "< " if o.bound else ""
        row = [o.planner, bound + figure_text(o.acceleration), f"{bound}{o.least:.3g}", f"{100 * o.reached:.1f} %"]
        overall.append(row)
    parts = [
        "<h2>Measured pools</h2>",
        "<p>Two random rows, then one at a time among those not measured, until a row of the best 1 % is found. "
        "Random search is computed from the hypergeometric distribution.</p>",
    ]
    if overall:
        head = ["planner", "acceleration, geometric mean (95 %)", "least of a pool", "top 1 % found"]
        parts.append(_table(head, overall))
    for task in results.pools:
        found = [s for s in results.summaries if s.task == task.name]
        parts += [f"<h2>{escape(task.name)}</h2>", _pool_table(task, found, results), "<div class=figures>"]
        parts += [f"<figure>{text}</figure>" for text in _pool_charts(task, results)] + ["</div>"]
    return parts


def _pool_table(task: PoolTask, found: Sequence[PoolSummary], results: Results) -> str:
    head = [
        "planner",
        "seeds",
        "evaluations to the top 1 % (90 %)",
        "acceleration (90 %)",
        f"enhancement at {results.at}",
    ]
    head += [f"against {label}" for label in results.against] + ["found", "CPU s a proposal", "fallbacks", "mapped"]
    rows = [["random, exact", "", str(task.random_median), "1", "1", *("" for _ in results.against), "", "", "", ""]]
    for s in found:
        row = [s.planner, str(s.seeds), evaluations_text(s), acceleration_text(s), f"{s.enhancement:.2g}"]
        row += [figure_text(s.versus[label]) if label in s.versus else "–" for label in results.against]
        row += [f"{100 * s.reached:.0f} %", seconds_text(s.cpu), str(s.fallbacks), f"{100 * s.mapped:.0f} %"]
        rows.append(row)
    notes = "".join(f"<p class=note>{escape(s.planner)}: {escape(error)}</p>" for s in found for error in s.errors)
    return f"<p>{len(task)} rows, {len(task.good)} in the top 1 %.</p>{_table(head, rows)}{notes}"


def _pool_charts(task: PoolTask, results: Results) -> list[str]:
    groups = [(i, p, results.of(p, task.name)) for i, p in enumerate(results.planners) if results.of(p, task.name)]
    if not groups:
        return []
    cap = max(f.cap for _, _, found in groups for f in found)
    random = [exact.chance(len(task), len(task.good), m) for m in range(1, cap + 1)]
    reached = [Series("random, exact", -1, random)]
    best = []
    objective = task.problem.objectives[0]
    matched, sign = objective.kind.startswith("match"), -1.0 if objective.kind == "minimize" else 1.0
    unit = "" if objective.unit == "1" else f" ({objective.unit})"
    for style, planner, found in groups:
        middle, low, high = reached_curve(found, cap)
        reached.append(Series(planner, style, middle.tolist(), low.tolist(), high.tolist()))
        # Scores are maximised; people read the outcome itself, or the distance to a target.
        curves = [abs(values) if matched else sign * values for values in spread_curve(found, cap)]
        best.append(Series(planner, style, *[values.tolist() for values in curves]))
    what = f"distance of {objective.name} from its target" if matched else f"best {objective.name} so far"
    return [
        chart(
            f"{task.name}: share of searches that found a top-1 % row",
            "evaluations",
            "share with a top-1 % row",
            reached,
        ),
        chart(f"{task.name}: {what}", "evaluations", what + unit, best),
    ]


def _functions(results: Results) -> list[str]:
    rows = [
        [s.task, s.planner, str(s.seeds), str(s.evaluations), figure_text(s.left), seconds_text(s.cpu)]
        for s in results.function_summaries
    ]
    head = ["function", "planner", "seeds", "evaluations", "left to the best (5th–95th percentile)", "CPU s a proposal"]
    parts = [
        "<h2>Functions</h2>",
        "<p>Simple regret, or for two objectives the hypervolume still missing: median over seeds.</p>",
        _table(head, rows),
        "<div class=figures>",
    ]
    for task in results.functions:
        series = []
        for style, planner in enumerate(results.planners):
            found = results.of(planner, task.name)
            if found:
                curves = [values.tolist() for values in spread_curve(found, max(f.cap for f in found))]
                series.append(Series(planner, style, *curves))
        parts.append(
            f"<figure>{chart(task.name, 'evaluations', f'left to the best of {task.name}', series, log=True)}</figure>"
        )
    return [*parts, "</div>"]


def _timings(results: Results) -> list[str]:
    observations = sorted({t.observations for t in results.timings})
    keys = list(dict.fromkeys((t.planner, t.space) for t in results.timings))
    known = {(t.planner, t.space, t.observations): t for t in results.timings}
    rows = []
    for planner, space in keys:
        cells = [known.get((planner, space, m)) for m in observations]
        rows.append([planner, space, *(seconds_text(t.median) if t and t.seconds else "–" for t in cells)])
    head = ["planner", "space", *(f"{m} observed" for m in observations)]
    return ["<h2>CPU seconds of a proposal, six dimensions</h2>", _table(head, rows)]
