"""What the coordinator needs of a station, wherever its RunEngine runs: in this process, or in a worker's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sdl.journal.actions import ActionState
from sdl.lab.guard import StepOrder
from sdl.lab.hold import Hold
from sdl.lab.procedure import BoundStep
from sdl.model import FileFault, Scalar, SdlError
from sdl.protocols import ActionRecord, Receipt

__all__ = ["OnDocument", "PlanRefused", "StationHost"]

OnDocument = Callable[[str, dict[str, Any]], None]
"""Called with each document's name and content, in the station's thread; must not block."""


class PlanRefused(SdlError):
    """A plan asks for something that it may not do; nothing of it was executed."""

    def __init__(self, faults: Sequence[FileFault]) -> None:
        self.faults = tuple(faults)
        """Every fault found, with the line of the plan."""
        super().__init__("; ".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[PlanRefused], tuple[tuple[FileFault, ...]]]:
        return type(self), (self.faults,)


class StationHost(Protocol):
    """A station that is open. Every coroutine is called in the coordinator's loop."""

    name: str
    busy: Hold
    """Held by the trial that has the station."""

    @property
    def remote(self) -> bool:
        """Whether a worker has it, which goes on with a step when this process ends."""
        ...

    async def run_step(
        self,
        step: BoundStep,
        parameters: Mapping[str, Scalar],
        order: StepOrder,
        on_document: OnDocument,
        metadata: Mapping[str, Any],
    ) -> tuple[str, ...]:
        """Execute a step; return the uids of its runs. A remote station that knows the order already joins it.

        Raises:
            PlanRefused: the plan asks for something that it may not do.
            InDoubt: whether an action happened is not known.
            Fault: the equipment failed, or the time limit passed.
            Infeasible: the trial cannot give a material.
            Aborted: `abort` was called.
        """
        ...

    async def receipt(self, action: ActionRecord) -> Receipt:
        """Ask the action's device what became of it."""
        ...

    def block(self, action: ActionState) -> None:
        """Let nothing act on the action's device until it is settled."""
        ...

    def unblock(self, action: str) -> None:
        """An action (id) is settled."""
        ...

    def blocked(self, devices: tuple[str, ...]) -> ActionState | None:
        """The action in doubt that blocks one of the devices, if any."""
        ...

    async def abort(self, reason: str) -> None:
        """Stop the running plan now."""
        ...

    async def make_safe(self) -> dict[str, str]:
        """Drive the devices to their safe states; return device → `safe` or what went wrong."""
        ...

    async def close(self) -> None:
        """Let the station go."""
        ...
