"""A campaign in the terminal while it runs: a line a trial, and a status line that stays below."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from sdl.cli._doubts import WAYS
from sdl.cli._format import duration, number, outcome, parameters, plain
from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, TrialState, best_trial
from sdl.model import CategoricalParameter, Parameter

__all__ = ["Progress"]

_WIDEST = 24
"""Characters of a level that are shown."""
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """Prints what happens. On a terminal a status line follows; elsewhere only the lines are printed."""

    def __init__(self, console: Console, several: bool = False) -> None:
        """Args:
        console: where it is printed.
        several: campaigns run at once, so that each line says of which it tells.
        """
        self._console, self._several = console, several
        self._states: dict[str, CampaignState] = {}
        self._activity = "starting"
        self._began = time.monotonic()
        self._ended_before: dict[str, int] = {}
        self._notice = ""
        self._live = (
            Live(get_renderable=self._status, console=console, refresh_per_second=8, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def notice(self, text: str) -> None:
        """Show a text in the status line, and print it."""
        self._notice = text
        self._console.print(Text(text, style="bold yellow"))

    def on_event(self, entry: Entry, state: CampaignState) -> None:
        """Take note of an entry and print its line."""
        self._states[state.id] = state
        self._ended_before.setdefault(state.id, _ended(state))
        line = _LINES.get(entry.kind)
        if line is not None:
            text = line(entry.body, state)
            if text is not None:
                if self._several:
                    text = Text.assemble((f"{state.name}: ", "magenta"), text)
                one_line = entry.kind in _ROWS and self._console.is_terminal
                self._console.print(text, no_wrap=one_line, overflow="ellipsis" if one_line else None)
        activity = _ACTIVITY.get(entry.kind)
        if activity is not None:
            self._activity = activity.format(**{k: v for k, v in entry.body.items() if isinstance(v, str | int)})

    def _status(self) -> RenderableType:
        spin = _SPIN[int(time.monotonic() * 8) % len(_SPIN)]
        parts = [self._notice or self._activity]
        for state in self._states.values():
            if state.spec is None:
                continue
            name = f"{state.name} " if self._several else ""
            parts.insert(len(parts) - 1, f"{name}{len(state.trials)}/{state.spec.budget.trials or '∞'} trials")
            best = best_trial(state)
            if best is not None and not self._several:
                parts.append(f"best {_objectives(best, state)} (trial {best.number})")
            if not self._several:
                parts += self._rate(state)
        text = Text(f"{spin} " + " · ".join(plain(part) for part in parts), style="cyan")
        text.truncate(max(20, self._console.width - 1), overflow="ellipsis")
        return text

    def _rate(self, state: CampaignState) -> list[str]:
        assert state.spec is not None
        done = _ended(state) - self._ended_before[state.id]
        elapsed = time.monotonic() - self._began
        if done < 1 or elapsed <= 0:
            return [duration(elapsed)]
        parts = [f"{60 * done / elapsed:.3g} trials/min", duration(elapsed)]
        if state.spec.budget.trials is not None:
            left = (state.spec.budget.trials - _ended(state)) * elapsed / done
            parts.append(f"at most {duration(left)} left")
        return parts


def _ended(state: CampaignState) -> int:
    return sum(not trial.status.pending for trial in state.trials.values())


def _objectives(trial: TrialState, state: CampaignState) -> str:
    assert state.spec is not None
    names = [o.name for o in state.spec.problem.objectives]
    return ", ".join(f"{name} {outcome(trial.outcomes[name])}" for name in names if name in trial.outcomes)


def _opened(body: Any, state: CampaignState) -> Text:
    verb = "begins" if not state.trials else f"goes on after trial {max(state.trials)}"
    spec = state.spec
    planner = f", planner {spec.planner.name}, seed {spec.seed}" if spec else ""
    text = Text(f"campaign {state.name} ({state.id}) {verb}{planner}", style="bold")
    if spec is not None:
        heads = [f"{name:>{width}}" for name, width in _columns(state).items()]
        text.append("\n    trial  " + "  ".join(heads), style="not bold dim")
    return text


def _columns(state: CampaignState) -> dict[str, int]:
    """Name of each objective and parameter → width of its column."""
    assert state.spec is not None
    objectives = {o.name: max(len(o.name), 19) for o in state.spec.problem.objectives}
    return objectives | {p.name: max(len(p.name), *map(len, _levels(p)), 6) for p in state.spec.problem.parameters}


def _levels(parameter: Parameter) -> list[str]:
    """The levels of a categorical parameter, cut to a width that leaves room for others."""
    return [_cut(level) for level in parameter.levels] if isinstance(parameter, CategoricalParameter) else []


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _cells(trial: TrialState, state: CampaignState) -> str:
    cells = []
    for name, width in _columns(state).items():
        if name in trial.parameters:
            cells.append(f"{_cut(number(trial.parameters[name])):>{width}}")
        elif name in trial.outcomes:
            cells.append(f"{outcome(trial.outcomes[name]):>{width}}")
        else:
            cells.append(" " * width)
    return "  ".join(cells)


def _observed(body: Any, state: CampaignState) -> Text:
    trial = state.trials[body["trial"]]
    best = best_trial(state)
    star = best is not None and best.number == trial.number
    text = Text()
    text.append(f"  {'★' if star else ' '} {trial.number:>5}  ", style="bold green" if star else "green")
    text.append(_cells(trial, state), style="bold" if star else "")
    others = [
        f"{name} {outcome(value.model_copy(update={'sem': None}))}"
        for name, value in trial.outcomes.items()
        if name not in _columns(state)
    ]
    if others:
        text.append("  → " + ", ".join(others), style="dim")
    return text


def _ordered(trial: TrialState, state: CampaignState) -> dict[str, Any]:
    names = state.spec.problem.parameter_names if state.spec else tuple(trial.parameters)
    return {name: trial.parameters[name] for name in names if name in trial.parameters}


def _bad(word: str, style: str) -> Callable[[Any, CampaignState], Text]:
    def line(body: Any, state: CampaignState) -> Text:
        trial = state.trials[body["trial"]]
        text = Text(f"  ✗ {trial.number:>5}  {word}: ", style=style)
        text.append(plain(str(body["message"])))
        return text

    return line


def _step_failed(body: Any, state: CampaignState) -> Text:
    text = Text(f"  trial {body['trial']:>3}  step {body['step']}, attempt {body['attempt']} ", style="yellow")
    text.append(f"{body['cause']}: {plain(str(body['message']))}")
    return text


def _action(body: Any, state: CampaignState) -> str:
    action = state.trials[body["trial"]].actions.get(body["action"])
    return plain(body["action"] if action is None else action.in_words())


def _doubtful(body: Any, state: CampaignState) -> Text:
    text = Text(f"  trial {body['trial']:>3}  IN DOUBT: {_action(body, state)}", style="bold red")
    text.append(f": {plain(str(body['message']))}", style="not bold")
    if body.get("cause") == "interrupted":  # the instrument is asked before a person is
        return text
    key = body["action"].removeprefix(f"{state.id}/")
    text.append(f"\n             settle it: sdl resolve {shlex.quote(key)} {WAYS}", style="not bold default")
    return text


def _resolved(body: Any, state: CampaignState) -> Text:
    verdict = str(body["verdict"]).replace("_", " ")
    note = f": {plain(str(body['note']))}" if body.get("note") else ""
    style = "bold red" if verdict == "quarantine" else "green"
    text = Text(f"  trial {body['trial']:>3}  {_action(body, state)}: {verdict}", style=style)
    text.append(f", says {plain(str(body['by']))}{note}", style="not bold default")
    return text


def _safe(body: Any, state: CampaignState) -> Text | None:
    wrong = {name: said for name, said in body["devices"].items() if said != "safe"}
    if wrong:
        listed = "; ".join(f"{name}: {plain(said)}" for name, said in wrong.items())
        return Text(f"  station {body['station']} is NOT in its safe state: {listed}", style="bold red")
    if body["cause"] == "ended":
        return None
    return Text(f"  station {body['station']} is in its safe state ({body['cause']})", style="dim")


def _finished(word: str, style: str) -> Callable[[Any, CampaignState], Text]:
    def line(body: Any, state: CampaignState) -> Text:
        text = Text(f"campaign {state.name} {word}: {plain(body['message'])}", style=style)
        best = best_trial(state)
        if best is not None:
            text.append(f"\nbest: trial {best.number}, ", style="not bold default")
            told = ", ".join(f"{name} {outcome(value)}" for name, value in best.outcomes.items())
            text.append(told, style="bold default")
            text.append(f"  ← {parameters(_ordered(best, state))}", style="not bold default")
        if body.get("advice"):
            text.append(f"\nwhat to do: {plain(body['advice'])}", style="default")
        return text

    return line


def _amended(body: Any, state: CampaignState) -> Text:
    changes = ", ".join(
        "lab file changed" if name == "lab" else f"{name}: {number(old)} → {number(new)}"
        for name, (old, new) in body["changes"].items()
    )
    return Text(f"campaign {state.name} amended: {changes}", style="dim")


_ROWS = frozenset({kinds.TRIAL_OBSERVED})
"""Rows of the table of trials: cut rather than wrapped, where the terminal is narrow."""

_LINES: dict[str, Callable[[Any, CampaignState], Text | None]] = {
    kinds.SESSION_OPENED: _opened,
    kinds.CAMPAIGN_AMENDED: _amended,
    kinds.TRIAL_OBSERVED: _observed,
    kinds.TRIAL_INFEASIBLE: _bad("infeasible", "magenta"),
    kinds.TRIAL_FAILED: _bad("failed", "red"),
    kinds.STEP_FAILED: _step_failed,
    kinds.ACTION_DOUBTFUL: _doubtful,
    kinds.ACTION_RESOLVED: _resolved,
    kinds.STATION_SAFE: _safe,
    kinds.CAMPAIGN_PAUSED: _finished("paused", "bold yellow"),
    kinds.CAMPAIGN_ENDED: _finished("ended", "bold green"),
    kinds.CAMPAIGN_ABORTED: _finished("aborted to the safe state", "bold red"),
}

_ACTIVITY = {
    kinds.SESSION_OPENED: "connecting the lab",
    kinds.TRIAL_APPROVED: "trial {trial} approved",
    kinds.STEP_STARTED: "trial {trial}: {step} on {station}",
    kinds.STEP_DONE: "trial {trial}: {step} done",
    kinds.TRIAL_OBSERVED: "planning the next trial",
    kinds.TRIAL_INFEASIBLE: "planning the next trial",
    kinds.TRIAL_FAILED: "planning the next trial",
}
