"""The devices of a lab file as cases of the conformance kit."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdl import plugins
from sdl.lab.labfile import Lab
from sdl.lab.simulation import build_simulation
from sdl.lab.yamlfile import read_yaml
from sdl.model import InputError
from sdl.plugins import suggest
from sdl.protocols import Clock, Simulation
from sdl.testing._case import Act, DeviceCase
from sdl.testing._parts import VERBS

__all__ = ["cases_of", "read_exercises"]

MOST_SPEED = 200.0
_LISTS, _NUMBERS = ("prepare", "exercise", "beyond"), ("timeout", "patience")


def cases_of(
    lab: Lab, names: Sequence[str], *, acts: bool, exercises: Mapping[str, Mapping[str, Any]]
) -> Iterator[DeviceCase]:
    """The cases of a lab's devices.

    Args:
        lab: the lab.
        names: devices; all of them when empty.
        acts: whether real instruments may act.
        exercises: what to try, by device; see `read_exercises`.

    Raises:
        InputError: there is no such device.
    """
    known = list(lab.spec.devices)
    for name in [*names, *exercises]:
        if name not in known:
            raise InputError(f"the lab {lab.file.name} has no device {name!r}{suggest(name, known)}")
    for name in names or known:
        spec = lab.spec.devices[name]
        simulation = lab.spec.simulation
        simulated = spec.address is None and simulation is not None and name in simulation.instruments
        yield DeviceCase(
            driver=spec.driver,
            name=name,
            address=spec.address or "",
            simulator=_LabSimulator(lab) if simulated else None,
            instruments=simulation.instruments if simulation is not None and simulated else {},
            options=spec.options,
            effects=spec.effects,
            acts=True if acts and spec.address else None,
            speed=min(simulation.speed, MOST_SPEED) if simulation is not None else 1.0,
            seed=simulation.seed if simulation is not None else 0,
            folder=lab.folder,
            **exercises.get(name, {}),
        )


class _LabSimulator:
    """All simulated instruments of a lab, as its file has them, at the kit's pace."""

    def __init__(self, lab: Lab) -> None:
        assert lab.spec.simulation is not None
        self._lab, self._spec = lab, lab.spec.simulation
        self.__name__ = self._spec.simulator
        # The kit asks what a factory takes: this one takes a clock where the lab's simulator does.
        inner = inspect.signature(plugins.load("sdl.simulators", self._spec.simulator))
        own = inspect.signature(type(self).__call__).parameters
        self.__signature__ = inspect.Signature(
            [p for n, p in own.items() if n != "clock" or "clock" in inner.parameters]
        )

    def __call__(self, instruments: Any, *, seed: int, speed: float, clock: Clock | None = None) -> Simulation:
        changes = {"seed": seed, "speed": speed, "instruments": instruments}
        return build_simulation(self._lab, self._spec.model_copy(update=changes), clock)


def _acts(given: Any, where: str) -> tuple[Act, ...]:
    """Acts as a file has them: `dispense 5` sets a part, `5` the device itself, `trigger` is a verb.

    Raises:
        InputError: it cannot be understood.
    """
    if not isinstance(given, list):
        raise InputError(f"{where}: write a list of acts, as in [dispense 5, trigger]")
    return tuple(_act(str(item).split(), f"{where}: {item!r}") for item in given)


def _act(words: list[str], where: str) -> Act:
    if not words:
        raise InputError(f"{where} is no act; write `dispense 5`, `5` or `trigger`")
    path, verb = words[0], "set"
    above, _, last = path.rpartition(".")
    if last in VERBS:
        path, verb = above, last
    elif len(words) == 1:  # a value for the device itself
        return Act("", _value(path))
    return Act(path, *map(_value, words[1:]), verb=verb)


def _value(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(text) if text.lstrip("+-").isdigit() else number


def read_exercises(path: Path) -> dict[str, dict[str, Any]]:
    """What to try with which device: a YAML file, device → `{prepare, exercise, beyond, timeout, patience}`.

    Raises:
        InputError: it cannot be read, or says what is not known.
    """
    data = read_yaml(path).data
    found: dict[str, dict[str, Any]] = {}
    for device, given in data.items():
        if not isinstance(given, dict):
            raise InputError(f"{path}: {device}: write `exercise: [...]` and the like below it")
        stray = [key for key in given if key not in (*_LISTS, *_NUMBERS)]
        if stray:
            raise InputError(f"{path}: {device}.{stray[0]}: unknown key{suggest(stray[0], [*_LISTS, *_NUMBERS])}")
        lists = {key: _acts(given[key], f"{path}: {device}.{key}") for key in _LISTS if key in given}
        found[str(device)] = {**lists, **{key: float(given[key]) for key in _NUMBERS if key in given}}
    return found
