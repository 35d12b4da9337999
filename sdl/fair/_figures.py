"""Figures of the search: convergence, parameter slices, calibration of the planner's predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.fair._plot import (
    BEST,
    INK,
    OBSERVED,
    TARGET,
    Figure,
    axis,
    figure,
    layout,
    points,
    strip,
    trial_text,
)
from sdl.fair._words import aim, label, number, plot_text, with_error
from sdl.model import CategoricalParameter, Match, Objective, Outcome, Parameter, RealParameter

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState, TrialState

__all__ = ["calibration", "convergence", "observed", "slices"]


def observed(state: CampaignState, objective: Objective) -> list[TrialState]:
    """Trials that have the outcome, by number."""
    return [trial for trial in state.trials.values() if objective.name in trial.outcomes]


def _best(trials: Sequence[TrialState], objective: Objective) -> TrialState:
    return max(trials, key=lambda t: (objective.score(t.outcomes[objective.name].value), -t.number))


def convergence(state: CampaignState, objective: Objective) -> Figure | None:
    """Every trial's outcome with its standard error, the best so far, and what was sought; None without trials."""
    if not state.trials:
        return None
    trials = observed(state, objective)
    lost, lanes = strip(tuple(state.trials.values()), {number: number for number in state.trials})
    span = [min(state.trials) - 0.5, max(state.trials) + 0.5]
    data = [*_goals(state, objective, span)]
    if trials:
        data += [_running_best(trials, objective, span[1]), *_observations(trials, objective)]
    x = axis("trial", range=span, tickformat="d", **({"dtick": 1} if len(state.trials) <= 10 else {}))
    plan = layout(x, axis(label(objective.name, objective.unit)), 420, lanes)
    alt = _progress(state, trials, objective)
    return figure(f"convergence-{objective.name}", objective.name, alt, [*data, *lost], plan)


def _progress(state: CampaignState, trials: Sequence[TrialState], objective: Objective) -> str:
    text = f"{aim(objective).capitalize()}: {len(trials)} of {len(state.trials)} trials have a value."
    if not trials:
        return text
    first, best = trials[0], _best(trials, objective)
    return (
        f"{text} The first, trial {first.number}, gave {with_error(first.outcomes[objective.name])}; "
        f"the best, trial {best.number}, {with_error(best.outcomes[objective.name])}."
    )


def _observations(trials: Sequence[TrialState], objective: Objective) -> list[dict[str, Any]]:
    found = [t.outcomes[objective.name] for t in trials]
    size = 8 if len(trials) <= 150 else 5
    error = {"type": "data", "array": [o.sem for o in found], "color": OBSERVED, "thickness": 1, "width": 0}
    numbers, values = [t.number for t in trials], [o.value for o in found]
    texts = [trial_text(t) for t in trials]
    dots = points("observed", numbers, values, texts, {"color": OBSERVED, "size": size}, error_y=error)
    best = _best(trials, objective)
    return [dots, _highlight(best.number, best, objective)]


def _highlight(x: Any, best: TrialState, objective: Objective, legend: bool = True) -> dict[str, Any]:
    ring = {"symbol": "circle-open", "color": BEST, "size": 16, "line": {"width": 3}}
    y = best.outcomes[objective.name].value
    return points(f"best: trial {best.number}", [x], [y], [trial_text(best)], ring, showlegend=legend)


def _running_best(trials: Sequence[TrialState], objective: Objective, end: float) -> dict[str, Any]:
    xs: list[float] = []
    ys: list[float] = []
    for trial in trials:
        value = trial.outcomes[objective.name].value
        if not ys or objective.score(value) > objective.score(ys[-1]):
            xs.append(trial.number)
            ys.append(value)
    line = {"shape": "hv", "color": BEST, "width": 2}
    return _line("best so far", [*xs, end], [*ys, ys[-1]], line)


def _line(name: str, x: Sequence[Any], y: Sequence[Any], line: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plot_text(name, 60),
        "x": list(x),
        "y": list(y),
        "line": dict(line),
        "hoverinfo": "name",
        **more,
    }


def _goals(state: CampaignState, objective: Objective, span: Sequence[float]) -> list[dict[str, Any]]:
    """The target of a match, and where the stopping rule is met."""
    goals: list[dict[str, Any]] = []
    reach = state.spec.stop.reach.get(objective.name) if state.spec else None
    if isinstance(objective, Match):
        line = {"color": TARGET, "width": 2, "dash": "dash"}
        goals.append(_line(f"target {number(objective.target)}", span, [objective.target] * 2, line))
    if reach is not None:
        levels = [objective.target - reach, objective.target + reach] if isinstance(objective, Match) else [reach]
        line = {"color": TARGET, "width": 1.5, "dash": "dot"}
        for index, level in enumerate(levels):
            more = {"showlegend": index == 0, "legendgroup": "stop"}
            goals.append(_line("stopping rule", span, [level] * 2, line, **more))
    return goals


def slices(state: CampaignState, objective: Objective) -> list[Figure]:
    """A panel a parameter: the outcome over the parameter's value, the best trial ringed; none without values."""
    if state.spec is None:
        return []
    shown = observed(state, objective)
    parameters = [p for p in state.spec.problem.parameters if any(p.name in t.parameters for t in shown)]
    return [_slice(state, objective, parameter) for parameter in parameters]


def _slice(state: CampaignState, objective: Objective, parameter: Parameter) -> Figure:
    known = [t for t in state.trials.values() if parameter.name in t.parameters]
    at = _positions(parameter)
    x = {t.number: at(t.parameters[parameter.name]) for t in known}
    trials = [t for t in observed(state, objective) if t.number in x]
    best = _best(trials, objective)
    lost, lanes = strip(known, x)
    marker = {"color": OBSERVED, "size": 7 if len(trials) <= 150 else 5, "opacity": 0.75}
    values = [t.outcomes[objective.name].value for t in trials]
    dots = points("observed", [x[t.number] for t in trials], values, [trial_text(t) for t in trials], marker)
    plan = layout(_parameter_axis(parameter), axis(label(objective.name, objective.unit)), 280, lanes)
    plan |= {"showlegend": False, "margin": {"l": 56, "r": 12, "t": 10, "b": 44}}
    if isinstance(objective, Match):
        plan["shapes"] = [_level(objective.target)]
    value = number(best.parameters[parameter.name], "" if _is_text(parameter) else parameter.unit)
    alt = f"{objective.name} over {parameter.name}; the best trial has {value}."
    ring = _highlight(x[best.number], best, objective, legend=False)
    name = f"slice-{objective.name}-{parameter.name}"
    return figure(name, parameter.name, alt, [dots, ring, *lost], plan, small=True)


def _is_text(parameter: Parameter) -> bool:
    return isinstance(parameter, CategoricalParameter)


def _positions(parameter: Parameter) -> Callable[[Any], Any]:
    """Where a value stands on the axis: numbers where they are, levels at 0, 1, 2 …"""
    if not isinstance(parameter, CategoricalParameter):
        return lambda value: value
    places = {level: place for place, level in enumerate(parameter.levels)}
    return places.get


def _parameter_axis(parameter: Parameter) -> dict[str, Any]:
    title = label(parameter.name, "1" if _is_text(parameter) else parameter.unit)
    if isinstance(parameter, CategoricalParameter):
        names = [plot_text(level, 18) for level in parameter.levels]
        span = [-0.5, len(names) - 0.5]
        return axis(title, range=span, tickvals=list(range(len(names))), ticktext=names)
    if isinstance(parameter, RealParameter) and parameter.log:
        decades = math.log10(parameter.high / parameter.low)
        return axis(title, type="log", dtick="D2" if decades < 3 else math.ceil(decades / 6))
    return axis(title)


def _level(y: float) -> dict[str, Any]:
    line = {"color": TARGET, "width": 2, "dash": "dash"}
    return {"type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def calibration(state: CampaignState, objective: Objective) -> Figure | None:
    """The planner's prediction over what was observed; None when no reason holds a prediction of the outcome."""
    pairs = [(t, p, t.outcomes[objective.name]) for t in observed(state, objective) if (p := _predicted(t, objective))]
    if not pairs:
        return None
    inside = sum(_within(p, o) for _, p, o in pairs)
    means, values = [p["mean"] for _, p, _ in pairs], [o.value for _, _, o in pairs]
    ends = [min(*means, *values), max(*means, *values)]
    diagonal = _line("prediction = observation", ends, ends, {"color": INK, "width": 1, "dash": "dot"})
    texts = [f"{trial_text(t)}<br>predicted {p['mean']:.5g} ± {p['sem']:.2g}" for t, p, _ in pairs]
    marker = {"color": OBSERVED, "size": 7}
    bars = {
        "error_y": _bars([p["sem"] for _, p, _ in pairs]),
        "error_x": _bars([o.sem for _, _, o in pairs]),
    }
    dots = points("trials", values, means, texts, marker, **bars)
    plan = layout(
        axis(label(f"observed {objective.name}", objective.unit)),
        axis(label(f"predicted {objective.name}", objective.unit)),
        420,
    )
    alt = (
        f"Before {len(pairs)} trials the planner predicted {objective.name}. {inside} of the observations "
        f"({inside / len(pairs):.0%}) lie within two standard deviations of the prediction; 95% would be ideal. "
        "Bars: one standard deviation."
    )
    return figure(f"calibration-{objective.name}", objective.name, alt, [diagonal, dots], plan)


def _bars(array: Sequence[float | None]) -> dict[str, Any]:
    return {"type": "data", "array": list(array), "color": OBSERVED, "thickness": 1, "width": 0}


def _predicted(trial: TrialState, objective: Objective) -> Mapping[str, float] | None:
    predicted: Mapping[str, Mapping[str, float]] = trial.reason.get("predicted") or {}
    return predicted.get(objective.name)


def _within(predicted: Mapping[str, float], outcome: Outcome) -> bool:
    spread: float = (predicted["sem"] ** 2 + (outcome.sem or 0.0) ** 2) ** 0.5
    return abs(outcome.value - predicted["mean"]) <= 2 * spread
