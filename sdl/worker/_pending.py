"""What a coordinator waits for from a worker: the end of a step, or the reply to a request."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from sdl.worker import _messages as m
from sdl.worker._past import StepKey

__all__ = ["Asked", "Order", "copy_outcome", "key_of"]


@dataclass
class Order:
    """A step that the worker has to execute."""

    message: m.RunStep
    done: Future[m.Answer]
    sent: float = 0.0
    """Monotonic seconds; 0 when it has not been sent on this connection, or the worker has confirmed it."""
    answer: m.Answer | None = None
    number: int = 0
    """Of the entry with the answer."""


@dataclass
class Asked:
    """A request."""

    message: m.Request
    done: Future[m.Reply]
    lasting: bool
    """Whether it is sent again after a cut."""
    sent: float = 0.0
    """Monotonic seconds; 0 when it has not been sent on this connection."""


def key_of(message: m.RunStep) -> StepKey:
    """Which attempt of which step an order is."""
    return StepKey(message.trial, message.step, message.attempt)


def copy_outcome(source: Future[m.Answer], target: Future[m.Answer]) -> None:
    """Let `target` end as `source` has ended."""
    error = source.exception()
    if error is None:
        target.set_result(source.result())
    else:
        target.set_exception(error)
