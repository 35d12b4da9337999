"""Checks of a lab file's words about places, samples, stock, times and set-ups, before any of its code is loaded."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from sdl.lab.spec import LabSpec, ProcedureSpec, StepSpec, UseSpec
from sdl.lab.yamlfile import YamlFile
from sdl.model import FileFault
from sdl.model.units import check_unit, parse_quantity
from sdl.plugins import suggest

__all__ = ["check_words"]

_At = tuple[str | int, ...]


def check_words(spec: LabSpec, file: YamlFile, folder: Path) -> Iterator[FileFault]:
    """What is wrong with places, stock, samples, uses, waits, durations and set-ups.

    Args:
        spec: the lab file.
        file: for lines.
        folder: of the lab file, for the arguments of its plans.
    """
    for name, place in spec.places.items():
        if place.station is not None and place.station not in spec.stations:
            yield file.fault(("places", name, "station"), _unknown("station", place.station, spec.stations))
    yield from _stock(spec, file)
    for name, procedure in spec.procedures.items():
        at: _At = ("procedures", name)
        yield from _sample(spec, file, procedure, at)
        yield from _handling(spec, file, procedure, at)
        for index, step in enumerate(procedure.steps):
            here: _At = (*at, "steps", index)
            later = [other.name for other in procedure.steps[index + 1 :]]
            if step.keep_until is not None and step.keep_until not in later:
                why = f"{step.keep_until!r} is no later step{suggest(step.keep_until, later)}"
                yield file.fault((*here, "keep_until"), why)
            yield from _times(file, step, here)
            yield from _uses(spec, file, step, here)
            yield from _arguments(spec, file, step, here, folder)


def _unknown(kind: str, name: str, known: Any) -> str:
    return f"no {kind} {name!r}{suggest(name, list(known))}"


def _stock(spec: LabSpec, file: YamlFile) -> Iterator[FileFault]:
    for name, item in spec.stock.items():
        try:
            check_unit(item.unit)
        except ValueError as error:
            yield file.fault(("stock", name, "unit"), str(error))
            continue
        yield from _quantity(file, ("stock", name, "warn_below"), item.warn_below, item.unit)


def _quantity(file: YamlFile, at: _At, value: str | float, unit: str) -> Iterator[FileFault]:
    """A fault unless a value is a quantity of 0 or more."""
    try:
        if parse_quantity(value, unit) < 0:
            shown = f"{value:g}" if isinstance(value, float) else value
            yield file.fault(at, f"{shown} must not be below 0 {'' if unit == '1' else unit}".rstrip())
    except ValueError as error:
        yield file.fault(at, str(error))


def _sample(spec: LabSpec, file: YamlFile, procedure: ProcedureSpec, at: _At) -> Iterator[FileFault]:
    sample = procedure.sample
    if sample is None:
        return
    names = [step.name for step in procedure.steps]
    if sample.made_by not in names:
        yield file.fault((*at, "sample", "made_by"), _unknown("step", sample.made_by, names))
    if sample.place not in spec.places:
        yield file.fault((*at, "sample", "place"), _unknown("place", sample.place, spec.places))
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(sample.label) if field is not None}
        if fields - {"campaign", "trial"}:
            raise ValueError(f"has {{{min(fields - {'campaign', 'trial'})}}}")
        sample.label.format(campaign="c", trial=1)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        why = f"is no pattern of {{campaign}} and {{trial}}, as in '{{campaign}}-{{trial:04d}}': {error}"
        yield file.fault((*at, "sample", "label"), why)


def _handling(spec: LabSpec, file: YamlFile, procedure: ProcedureSpec, at: _At) -> Iterator[FileFault]:
    """What steps do to the sample, in their order."""
    sample, names = procedure.sample, [step.name for step in procedure.steps]
    made = names.index(sample.made_by) if sample is not None and sample.made_by in names else None
    gone = ""
    for index, step in enumerate(procedure.steps):
        here: _At = (*at, "steps", index)
        for position, place in enumerate(step.into):
            if place not in spec.places:
                yield file.fault((*here, "into", position), _unknown("place", place, spec.places))
        said = [word for word in ("into", "archives", "consumes") if getattr(step, word)]
        for word in said:
            key = (*here, word)
            if sample is None:
                yield file.fault(key, "the procedure has no `sample:`, which says what step makes it and where it is")
            elif made is not None and index < made:
                yield file.fault(key, f"there is no sample yet: it is made by step {sample.made_by!r}")
            elif gone:
                yield file.fault(key, f"step {gone!r} is the last that has the sample")
            elif word == "into" and index == made:
                yield file.fault(key, f"the sample comes into being at {sample.place!r}, as `sample.place` says")
        if step.archives and step.consumes:
            yield file.fault((*here, "consumes"), "what is archived is not consumed; take one of the two out")
        if step.archives or step.consumes:
            gone = gone or step.name


def _times(file: YamlFile, step: StepSpec, at: _At) -> Iterator[FileFault]:
    if step.duration is not None:
        yield from _quantity(file, (*at, "duration"), step.duration.base, "s")
    if step.setup is not None:
        yield from _quantity(file, (*at, "setup", "per_unit"), step.setup.per_unit, "s")
    waits = list(_quantity(file, (*at, "min_wait"), step.min_wait, "s"))
    if step.max_wait is not None:
        waits += _quantity(file, (*at, "max_wait"), step.max_wait, "s")
        if not waits and parse_quantity(step.max_wait, "s") < parse_quantity(step.min_wait, "s"):
            waits.append(file.fault((*at, "max_wait"), f"{step.max_wait} is less than min_wait, {step.min_wait}"))
    yield from waits


def _uses(spec: LabSpec, file: YamlFile, step: StepSpec, at: _At) -> Iterator[FileFault]:
    for item, use in step.uses.items():
        here: _At = (*at, "uses", item)
        if item not in spec.stock:
            yield file.fault(here, _unknown("stock", item, spec.stock))
        elif not _named(use):
            yield from _quantity(file, here, use.amount, spec.stock[item].unit)
        elif use.amount in step.with_:
            yield from _quantity(file, here, step.with_[str(use.amount)], spec.stock[item].unit)
        if use.path and use.device is None:
            yield file.fault((*here, "path"), "is a part of no device; say which with `device`")
        if use.device is not None and step.station in spec.stations:
            yield from _device(spec, file, step, use.device, here)


def _named(use: UseSpec) -> bool:
    """Whether the amount is an argument of the plan."""
    return isinstance(use.amount, str) and use.amount[:1].isalpha()


def _device(spec: LabSpec, file: YamlFile, step: StepSpec, device: str, at: _At) -> Iterator[FileFault]:
    there = spec.stations[step.station].devices
    if device not in there:
        why = f"station {step.station!r} has no device {device!r}{suggest(device, list(there))}"
        yield file.fault((*at, "device"), why)
        return
    for station, names in step.other_stations.items():
        own = names.get(device, device)
        if station in spec.stations and own not in spec.stations[station].devices:
            why = f"station {station!r}, one of other_stations, has no device {own!r} in the place of {device!r}"
            yield file.fault((*at, "device"), why)


# ── arguments of plans ──


def _arguments(spec: LabSpec, file: YamlFile, step: StepSpec, at: _At, folder: Path) -> Iterator[FileFault]:
    """Names that must be arguments of the plan, and no devices."""
    wanted: list[tuple[_At, str]] = []
    if step.duration is not None:
        wanted += [((*at, "duration", "add", n), name) for n, name in enumerate(step.duration.add)]
    if step.setup is not None:
        wanted.append(((*at, "setup", "by"), step.setup.by))
    wanted += [((*at, "uses", item), str(use.amount)) for item, use in step.uses.items() if _named(use)]
    devices = spec.stations[step.station].devices if step.station in spec.stations else ()
    known = _arguments_of(step.plan, folder) if wanted else None
    for here, name in wanted:
        if name in devices:
            yield file.fault(here, f"{name!r} is a device; name an argument of {step.plan} that is a number")
        elif known is not None and name not in known:
            numbers = [argument for argument in known if argument not in devices]
            yield file.fault(here, f"{step.plan} takes no argument {name!r}{suggest(name, numbers)}")


def _arguments_of(plan: str, folder: Path) -> Sequence[str] | None:
    """Arguments of a plan in a file beside the lab file; None where only loading it would tell."""
    module, _, name = plan.partition(":")
    if not module.endswith(".py"):
        return None
    try:
        path = (folder / module).resolve()
        tree = _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, SyntaxError, RecursionError):  # whoever loads the plan says so
        return None
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found or found[-1].decorator_list or found[-1].args.kwarg is not None:
        return None
    arguments = found[-1].args
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


@lru_cache(maxsize=8)
def _parsed(path: Path, changed: int) -> ast.Module:
    """A file's syntax tree; `changed` is its time of change, so that an edited file is read again."""
    return ast.parse(path.read_bytes())
