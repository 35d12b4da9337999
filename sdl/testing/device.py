"""Conformance kit for devices: what a campaign relies on, as one call in a plug-in's own test.

    from sdl.testing import check_device

    def test_conformance():
        check_device("my_doser", simulator="my_doser", exercise=[Act("", 5.0)]).require()

Each check starts the simulated instrument anew, connects a driver of its own, and writes down what it saw; none is left
out because another one failed. With `address=` the same is done to a real instrument: what would put faults into it is
skipped and says so, and nothing acts unless `acts=True`.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdl.protocols import Effect
from sdl.testing import _device_acting as acting
from sdl.testing import _device_doubt as doubt
from sdl.testing import _device_faults as faults
from sdl.testing import _device_reading as reading
from sdl.testing import _device_time as timing
from sdl.testing._case import Act, DeviceCase
from sdl.testing._identity import Identity, identity_of
from sdl.testing._report import CheckReport
from sdl.testing._runner import Check, run_checks

__all__ = ["DEVICE_CHECKS", "DeviceReport", "check_case", "check_device"]

LIMIT = 300.0
"""Wall seconds for one check."""

_Check = Callable[[DeviceCase], Awaitable[str]]

_CHECKS: dict[str, tuple[_Check, str]] = {
    "connects": (reading.connects, ""),
    "units": (reading.has_units, ""),
    "shapes": (reading.keeps_shapes, ""),
    "event_model": (reading.agrees_with_event_model, ""),
    "limits": (reading.keeps_limits, ""),
    "effects": (reading.declares_effects, ""),
    "acts": (acting.does_its_acts, ""),
    "safe_state": (acting.confirms_safe_state, ""),
    "safe_while_acting": (acting.is_safe_while_acting, ""),
    "cancel": (acting.survives_cancelling, ""),
    "refuse": (faults.meets("refuse"), "Answered with the protocol's own error: a Fault with device and address."),
    "hang": (faults.meets("hang"), "Without an answer: a Fault with device and address, in bounded time."),
    "eof": (faults.meets("cut"), "With the connection closed: a Fault with device and address, in bounded time."),
    "garbage": (faults.meets("garbage"), "Answered with bytes that mean nothing: a Fault with device and address."),
    "reconnect": (faults.works_again, ""),
    "nobody": (faults.finds_nobody, ""),
    "unconfirmed": (faults.admits_no_confirmation, ""),
    "arming": (doubt.arms_its_acts, ""),
    "answer_lost": (
        doubt.answers_for("lose", "the answer lost"),
        "An act that was done, and its answer lost: the receipt says what the instrument's own log says, or UNKNOWN.",
    ),
    "no_answer": (
        doubt.answers_for("hang", "no answer"),
        "An act that never reached the instrument: the receipt says so, or UNKNOWN, never that it was done.",
    ),
    "once": (doubt.happens_once, ""),
    "attach": (reading.attaches, ""),
    "stop_exchanges": (acting.is_stopped_by_bytes, ""),
    "close_twice": (reading.closes_twice, ""),
    "leaks": (reading.leaves_nothing, ""),
    "virtual_time": (timing.keeps_virtual_time, ""),
}

DEVICE_CHECKS = tuple(_CHECKS)
"""Names of the checks, in their order."""


@dataclass(frozen=True)
class DeviceReport(CheckReport):
    """All checks of one device."""

    case: DeviceCase
    identity: Identity
    """Driver, versions, and what the instrument says of itself."""

    def as_json(self) -> dict[str, Any]:
        """For a file or a program."""
        return {
            **super().as_json(),
            "device": self.case.name,
            "simulated": not self.case.address,
            "acts": self.case.may_act,
            **self.identity.as_json(),
        }


def check_device(
    driver: str | Callable[..., Any],
    *,
    name: str = "device",
    simulator: str | Callable[..., Any] | None = None,
    instruments: Mapping[str, Mapping[str, Any]] | None = None,
    simulation: Mapping[str, Any] | None = None,
    address: str = "",
    options: Mapping[str, Any] | None = None,
    effects: Mapping[str, Effect] | None = None,
    prepare: Iterable[Act] | None = None,
    exercise: Iterable[Act] | None = None,
    arrange: Callable[[Any, Act], object] | None = None,
    beyond: Iterable[Act] = (),
    acts: bool | None = None,
    timeout: float | None = None,
    patience: float = 30.0,
    speed: float = 100.0,
    seed: int = 1,
    folder: Path | None = None,
    only: Collection[str] | None = None,
) -> DeviceReport:
    """Check that a driver keeps what a campaign relies on. Must not be called from within an event loop.

    Args:
        driver: registered name, `package.module:Class`, `file.py:Class`, or the class.
        name: name of the device, and of its simulated instrument.
        simulator: registered name of the simulator, or its factory. None for a real instrument, and for a device
            without one.
        instruments: settings of the simulated instruments; by default one with the device's name.
        simulation: options of the simulator.
        address: where a real instrument answers. Faults are not put into it.
        options: of the driver.
        effects: as in a lab file.
        prepare: acts after connecting, without which the device cannot be read; by default `trigger`.
        exercise: acts to try; by default each settable number with limits, and `trigger`.
        arrange: called with the simulation right before each act, to do what a person at the bench would do first.
        beyond: acts that have to be refused, beside those that the limits tell.
        acts: whether the device may act; by default a simulated one may and a real one may not.
        timeout: wall seconds for one exchange; by default 0.5 for a simulated instrument.
        patience: wall seconds that one act may take.
        speed: lab seconds a wall second of a simulated instrument.
        seed: of the simulation.
        folder: to which `file.py:Class` is relative.
        only: names of the checks to make; by default all (`DEVICE_CHECKS`).

    Returns:
        The report of all checks; `report.require()` raises with every failure.

    Raises:
        ValueError: `only` names a check that there is not.
    """
    case = DeviceCase(
        driver=driver,
        name=name,
        address=address,
        simulator=simulator,
        instruments=instruments or {},
        simulation=simulation or {},
        options=options or {},
        effects=effects or {},
        prepare=None if prepare is None else tuple(prepare),
        exercise=None if exercise is None else tuple(exercise),
        arrange=arrange,
        beyond=tuple(beyond),
        acts=acts,
        timeout=timeout,
        patience=patience,
        speed=speed,
        seed=seed,
        folder=folder or Path(),
    )
    return check_case(case, only=only)


def check_case(
    case: DeviceCase, *, only: Collection[str] | None = None, tell: Callable[[str], None] | None = None
) -> DeviceReport:
    """As `check_device`, of a case that was written down.

    Args:
        case: the device.
        only: names of the checks to make; by default all.
        tell: called with the name of each check before it is made.

    Raises:
        ValueError: `only` names a check that there is not.
    """
    unknown = set(only or ()) - set(DEVICE_CHECKS)
    if unknown:
        raise ValueError(f"no check {', '.join(sorted(unknown))}; there are: {', '.join(DEVICE_CHECKS)}")
    identity = identity_of(case)
    if case.exercise is None and identity.exercise and case.may_act:
        case = case.at(exercise=identity.exercise)

    def checks() -> Iterable[Check]:
        for name, (check, about) in _CHECKS.items():
            if only is None or name in only:
                if tell is not None:
                    tell(name)
                about = about or " ".join((check.__doc__ or "").split())
                yield Check(name, about, functools.partial(check, case), virtual=name == "virtual_time")

    results = run_checks(checks(), LIMIT)
    return DeviceReport(f"{case.name}, {case.label}", results, case, identity)
