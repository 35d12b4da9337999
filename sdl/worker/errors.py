"""What can go wrong between a coordinator and a worker, beside what goes wrong at the station itself."""

from __future__ import annotations

from sdl.model import SdlError

__all__ = ["StepInterrupted", "WorkerError", "WorkerLost", "WorkerRefused"]


class WorkerError(SdlError):
    """A worker cannot be used."""


class WorkerLost(WorkerError):
    """The worker does not answer."""


class WorkerRefused(WorkerError):
    """The worker does not do what it was asked; nothing has happened."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        """`lab`, `epoch`, `campaign`, `busy`, `spool`, `step`, `stopped`, `version`, `station` or `malformed`."""
        self._message = message
        super().__init__(message)

    def __reduce__(self) -> tuple[type[WorkerRefused], tuple[str, str]]:
        return type(self), (self.code, self._message)


class StepInterrupted(SdlError):
    """The worker ended during the step, and is back: what the step had done is on record, the rest was not done."""
