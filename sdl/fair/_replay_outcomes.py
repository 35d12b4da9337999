"""Outcomes made again: the documents of each trial through the recorded analysis."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sdl.fair._replay_check import TOLERANCE, Check, Verdict, other_versions
from sdl.fair._replay_inputs import Analyses, lab_folder
from sdl.fair._replay_record import Ended, ended
from sdl.journal import kinds
from sdl.journal.runs import runs_of
from sdl.model import Infeasible, InputError, Outcome, SdlError
from sdl.model.measured import in_unit

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["outcomes"]


def outcomes(store: Store, campaign: str, lab: Path | None, now: Mapping[str, str]) -> Iterator[Check]:
    """The comparison of each trial that its analysis ended, in the order of their ends.

    Args:
        store: an open store.
        campaign: id.
        lab: the lab file, where a person says which it is.
        now: versions of packages.

    Raises:
        StoreError: an entry is missing or was changed.
        InputError: there is no such lab file.
    """
    with tempfile.TemporaryDirectory(prefix="sdl-replay-") as inputs:
        analyses: Analyses | None = None
        for one in ended(store, campaign):
            if analyses is None:
                analyses = Analyses(lab_folder(one.created, store.path or Path(), lab), Path(inputs))
            if (check := _outcome(one, analyses, now)) is not None:
                yield check


def _outcome(one: Ended, analyses: Analyses, now: Mapping[str, str]) -> Check | None:
    """The comparison of a trial that its analysis ended; None for one that ended before."""
    procedure = one.created.get("procedure", {})
    analysis = one.body.get("analysis") or procedure.get("analysis", {})
    by = f"{analysis.get('name', '')} {analysis.get('version', '')}".strip()
    if one.kind != kinds.TRIAL_OBSERVED:
        steps = {step["name"] for step in procedure.get("steps", ())}
        failed = f"analysis {analysis.get('name')!r} failed: "
        by_analysis = one.kind == kinds.TRIAL_INFEASIBLE or str(one.body.get("message", "")).startswith(failed)
        if not steps or not steps <= one.done or not by_analysis:
            return None
    try:
        given = analyses(analysis, one.created, runs_of(one.entries, one.trial))
    except InputError as error:
        if one.kind != kinds.TRIAL_FAILED:
            return Check(one.trial, "outcome", by, "impossible", str(error))
        verdict, why = _said(one, kinds.TRIAL_FAILED, str(error))
    except Infeasible as error:
        verdict, why = _said(one, kinds.TRIAL_INFEASIBLE, str(error))
    except Exception as error:  # an analysis is anybody's code
        text = str(error) if isinstance(error, SdlError) else f"{type(error).__name__}: {error}"
        verdict, why = _said(one, kinds.TRIAL_FAILED, text)
    else:
        verdict, why = _values(one, given)
    if verdict == "differs":
        why = "; ".join([why, *other_versions(one.versions, now)])
    return Check(one.trial, "outcome", by, verdict, why)


def _said(one: Ended, kind: str, text: str) -> tuple[Verdict, str]:
    """The analysis gave no outcomes."""
    then = str(one.body.get("message", ""))
    if one.kind == kind and then.endswith(text):
        return "exact", ""
    was = "observed" if one.kind == kinds.TRIAL_OBSERVED else f"{one.kind.removeprefix('trial.')}: {then}"
    return "differs", f"{was} then, {kind.removeprefix('trial.')} now: {text}"


def _values(one: Ended, given: Mapping[str, Outcome]) -> tuple[Verdict, str]:
    if one.kind != kinds.TRIAL_OBSERVED:
        return "differs", f"{one.kind.removeprefix('trial.')} then, observed now"
    then = {name: Outcome.model_validate(outcome) for name, outcome in one.body["outcomes"].items()}
    lacking = sorted(then.keys() ^ given.keys())
    if lacking:
        return "differs", f"only then or only now: {', '.join(lacking)}"
    apart, far = [], []
    for name, was in then.items():
        is_ = _as_recorded(given[name], was.unit)
        if (was.value, was.sem, was.unit) != (is_.value, is_.sem, is_.unit):
            apart.append(name)
            if not _close(was, is_):
                far.append(f"{name} {was.value!r} then, {is_.value!r} {is_.unit} now")
    if far:
        return "differs", "; ".join(far)
    return ("close", f"within {TOLERANCE:g} of the value: {', '.join(apart)}") if apart else ("exact", "")


def _as_recorded(outcome: Outcome, unit: str) -> Outcome:
    """As a campaign records it: the outcome of an objective in the objective's unit."""
    try:
        return in_unit(outcome, unit)
    except ValueError:
        return outcome


def _close(was: Outcome, is_: Outcome) -> bool:
    if was.unit != is_.unit or (was.sem is None) != (is_.sem is None):
        return False
    sems = was.sem is None or is_.sem is None or math.isclose(was.sem, is_.sem, rel_tol=TOLERANCE)
    return sems and math.isclose(was.value, is_.value, rel_tol=TOLERANCE)
