"""Effects: what repeating an action on a device would do, and the action that is under way.

A driver declares the effects of its verbs in a class attribute `effects`, by the path of the child that is acted on,
by verb, or by both: `{"rate": Effect.ABSOLUTE, "dispense": Acts(Effect.NON_REPEATABLE, arms=True), "trigger":
Effect.READ}`. A lab file can declare them for anybody's device (`devices.NAME.effects`). What nobody declares is
`NON_REPEATABLE`; `stage` and `unstage` are `ABSOLUTE`, since Bluesky pairs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from sdl.model import SdlError
from sdl.protocols import Acts, Effect

__all__ = [
    "ACTING",
    "Action",
    "InDoubt",
    "Recorder",
    "Target",
    "acts_of",
    "current_action",
    "find_target",
]

ACTING = frozenset({"set", "trigger", "stage", "unstage", "prepare", "kickoff", "complete", "configure"})
"""Commands of plans that may make an instrument do something. `stop` is not among them: it is always allowed."""

_PAIRED = frozenset({"stage", "unstage"})


class InDoubt(SdlError):
    """Whether an action happened is not known. It is neither repeated nor given up before somebody says."""

    def __init__(self, action: str, message: str) -> None:
        self.action = action
        """Id of the action."""
        self._message = message
        super().__init__(message)

    def __reduce__(self) -> tuple[type[InDoubt], tuple[str, str]]:
        return type(self), (self.action, self._message)


class Recorder(Protocol):
    """Where a station's entries go: the campaign's journal, or a worker's spool."""

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Return once the entry is on the disk.

        Raises:
            JournalError: it cannot be recorded, or somebody with a newer epoch has taken the campaign over.
        """
        ...

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        """Hand an entry over and return its body as canonical JSON; committed within 10 ms."""
        ...


@dataclass(frozen=True)
class Target:
    """What a message acts on."""

    device: str
    """Name of the station's device."""
    path: str
    """Path of its child, such as `dispense`; empty for the device itself."""


def find_target(obj: Any, devices: Mapping[str, Any]) -> Target | None:
    """The station's device that an object is, or is a part of; None for a stranger."""
    path: list[str] = []
    current = obj
    for _ in range(20):
        for name, device in devices.items():
            if device is current:
                return Target(name, ".".join(reversed(path)))
        parent = getattr(current, "parent", None)
        if parent is None:
            return None
        path.append(_name_in(parent, current))
        current = parent
    return None


def _name_in(parent: Any, child: Any) -> str:
    attribute = getattr(child, "attr_name", "")  # classic ophyd
    if attribute:
        return str(attribute)
    own, above = str(getattr(child, "name", "")), str(getattr(parent, "name", ""))
    return own.removeprefix(above).lstrip("-_") or own


def acts_of(
    target: Target, verb: str, device: Any, declared: Mapping[str, Effect] | None = None, child: Any = None
) -> Acts:
    """What an action does to the world.

    Args:
        target: what is acted on.
        verb: command of the message.
        device: the station's device, for what its driver declares.
        declared: what the lab file declares for the device; it wins.
        child: the part that is acted on, for what that declares.
    """
    own = getattr(child, "effects", None) if child is not device else None
    sources: list[tuple[Mapping[str, Any], str]] = [(declared or {}, target.path)]
    if isinstance(own, Mapping):
        sources.append((own, ""))
    if isinstance(given := getattr(device, "effects", None), Mapping):
        sources.append((given, target.path))
    for source, path in sources:
        for key in _keys(path, verb):
            if key in source:
                found = source[key]
                return found if isinstance(found, Acts) else Acts(Effect(found))
    return Acts(Effect.ABSOLUTE if verb in _PAIRED else Effect.NON_REPEATABLE)


def _keys(path: str, verb: str) -> list[str]:
    """Under which keys a declaration may stand, the most exact first; a verb alone speaks of the device itself."""
    if not path:
        return [verb]
    parts = path.split(".")
    above = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return [key for prefix in above for key in (f"{prefix}.{verb}", prefix)]


class Action:
    """One action while it is under way, for the driver that carries it out: `current_action()`."""

    def __init__(
        self,
        id_: str,
        carried: Mapping[str, Any],
        arm: Callable[[Mapping[str, Any]], Awaitable[None]],
        acknowledge: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.id = id_
        """From campaign, trial, step and position: the same whenever the same message is executed again."""
        self.carried = carried
        """Evidence of an earlier try that was stopped part-way, such as `{"delivered": 37.2}`; empty on the first."""
        self._arm = arm
        self._acknowledge = acknowledge

    async def arm(self, **evidence: Any) -> None:
        """Put on record that everything is prepared, and that the bytes that act leave next.

        Until then a driver that declares `arms` has done nothing that must not be repeated.

        Args:
            evidence: readings from which the instrument's own record can be told apart later, such as a counter.
        """
        await self._arm(evidence)

    def acknowledge(self, **evidence: Any) -> None:
        """Note that the instrument has taken the command."""
        self._acknowledge(evidence)


_current: ContextVar[Action | None] = ContextVar("sdl_action", default=None)


def current_action() -> Action | None:
    """The action that the calling driver carries out; None outside a campaign."""
    return _current.get()
