"""Planners as the command line names them: `bayes`, `ax:initial=4`, `wide=bayes:samples=512`, `mylab.plan:Mine`."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from sdl import plugins
from sdl.model import InputError, Outcome, Problem, Trial, TrialStatus
from sdl.protocols import Planner

__all__ = ["Entrant", "entrants", "warm"]


@dataclass(frozen=True)
class Entrant:
    """A planner with its options, under the label that tables and curves show."""

    label: str
    name: str
    """Registered name, or `module:Class` for a planner without an entry point."""
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Entrant:
        """Read `[LABEL=]NAME[:option=value[,option=value…]]`; values are numbers, true, false, null or text.

        Raises:
            InputError: it is not of that form.
        """
        match = re.fullmatch(
            r"(?:(?P<label>[A-Za-z][\w+.-]*)=)?(?P<name>[A-Za-z]\w*(?:-\w+)*|[A-Za-z][\w.]*:[A-Za-z]\w*)(?::(?P<options>.+))?",
            text,
        )
        if match is None:
            raise InputError(
                f"cannot read the planner {text!r}; write it as in bayes, ax:initial=4 or wide=bayes:samples=512"
            )
        options = {}
        for part in (match["options"] or "").split(",") if match["options"] else []:
            key, sign, value = part.partition("=")
            if not sign or not key.strip():
                raise InputError(f"planner {text!r}: {part!r} is no option; write it as in samples=512")
            options[key.strip()] = _scalar(value.strip())
        name = match["name"]
        bare = name.rpartition(":")[2]
        label = match["label"] or (f"{bare}:{match['options']}" if match["options"] else bare)
        return cls(label, name, tuple(sorted(options.items())))

    def load(self) -> Planner:
        """The planner, made once in each process; planners keep no state between calls.

        Raises:
            InputError: there is no such planner, or it refuses an option.
            MissingExtra: packages that it needs are not installed.
        """
        return _loaded(self)

    @property
    def file_name(self) -> str:
        """The label as a part of a file name."""
        return re.sub(r"[^A-Za-z0-9_.=-]+", "_", self.label)


def _scalar(text: str) -> Any:
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@lru_cache(maxsize=32)
def _loaded(entrant: Entrant) -> Planner:
    module, colon, attribute = entrant.name.partition(":")
    if not colon:
        made: Any = plugins.load("sdl.planners", entrant.name)
    else:
        try:
            made = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(f"planner {entrant.name!r} cannot be imported: {error}") from error
    planner: Planner = made(**dict(entrant.options))
    return planner


@lru_cache(maxsize=32)
def warm(entrant: Entrant) -> None:
    """Let a planner import and compile what it does at its first proposal, once in each process.

    That is a cost of the process, not of a proposal.
    """
    box = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    problem = Problem.model_validate(
        {"parameters": {"a": box, "b": box}, "objectives": {"y": {"kind": "maximize", "unit": "1"}}}
    )
    trials = [
        Trial(
            number=i + 1,
            parameters={"a": a, "b": b},
            status=TrialStatus.OBSERVED,
            outcomes={"y": Outcome(value=a - b * b)},
        )
        for i, (a, b) in enumerate([(0.1, 0.7), (0.8, 0.3), (0.4, 0.9), (0.6, 0.1)])
    ]
    with suppress(Exception):  # a planner that fails here fails in the search too, where it is recorded
        _loaded(entrant).propose(problem, trials, 1, 0)


def entrants(texts: list[str]) -> list[Entrant]:
    """Read planners, each label once.

    Raises:
        InputError: one cannot be read, or two have the same label.
    """
    found = [Entrant.parse(text) for text in texts]
    labels = [entrant.label for entrant in found]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(f"two planners are called {', '.join(twice)}; tell them apart, as in wide={texts[0]}")
    return found
