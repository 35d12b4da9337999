"""The exceptions of sdl. Every one that reaches an operator derives from `SdlError` and reads as advice.

Two of them carry the design's central distinction: a `Fault` is the equipment failing (retry, say so, teach the
planner nothing); `Infeasible` is the chemistry or physics failing (the planner learns from it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = [
    "Exhausted",
    "Fault",
    "FileFault",
    "Infeasible",
    "InputError",
    "MissingExtra",
    "Refusal",
    "SdlError",
    "UnsafeState",
]


class SdlError(Exception):
    """Base of every error that sdl raises on purpose."""

    clean = False
    """Whether the action that raised it is known not to have happened."""


@dataclass(frozen=True)
class FileFault:
    """One thing that is wrong in a file a person wrote."""

    message: str
    """What is wrong and what to do about it."""
    file: str = ""
    """The file as the user named it; empty when the fault is in a command-line value."""
    line: int | None = None
    """1-based line in the file."""
    path: str = ""
    """Dotted path of the key, such as `problem.parameters.temperature.high`."""

    def __str__(self) -> str:
        where = self.file + (f":{self.line}" if self.line is not None else "")
        return ": ".join(part for part in (where, self.path, self.message) if part)


class InputError(SdlError):
    """Something a person gave (a file, a flag, a name) cannot be used. Carries every fault found, not the first."""

    def __init__(self, faults: Sequence[FileFault] | str) -> None:
        self.faults: tuple[FileFault, ...] = (FileFault(faults),) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[FileFault, ...]]]:
        return type(self), (self.faults,)


class MissingExtra(SdlError):
    """A feature needs packages of an extra that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self._given = (feature, extra)
        super().__init__(
            f"{feature} needs the extra {extra!r}. Install it with: pip install 'self-driving-lab[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), self._given


class Fault(SdlError):
    """The equipment failed: no answer, a refusal, an alarm, a value that stays out of reach."""

    def __init__(self, device: str, message: str) -> None:
        self.device = device
        """Name of the device that failed, as in the lab file."""
        self._message = message
        super().__init__(f"{device}: {message}" if device else message)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.device, self._message)


class Refusal(Fault):
    """The instrument answered that it does not do what it was asked, so it has not happened."""

    clean = True


class UnsafeState(Fault):
    """A device did not confirm its safe state. Somebody has to go and look."""


class Infeasible(SdlError):
    """The trial cannot give a material: the chemistry or physics failed, the equipment did not."""

    clean = True


class Exhausted(SdlError):
    """A planner has nothing left to propose: every candidate of the space was tried."""
