"""Runs checks one after the other, each in an event loop of its own, and writes down what became of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from sdl.testing._report import CheckFailed, CheckResult, CheckStatus, Skip
from sdl.virtual import VirtualLoop

__all__ = ["Check", "run_checks"]


class Check(NamedTuple):
    """One check."""

    name: str
    about: str
    call: Callable[[], Awaitable[str]]
    """Returns the evidence; raises `CheckFailed` or `Skip`."""
    virtual: bool = False
    """Whether it runs on virtual time."""


def run_checks(checks: Iterable[Check], limit: float) -> tuple[CheckResult, ...]:
    """Make every check, also after failures.

    Args:
        checks: in their order.
        limit: wall seconds for one check.
    """
    return tuple(_run(check, limit) for check in checks)


def _run(check: Check, limit: float) -> CheckResult:
    begun = time.monotonic()
    try:
        status, evidence = CheckStatus.PASSED, _in_a_loop(check, limit)
    except Skip as why:
        status, evidence = CheckStatus.SKIPPED, str(why)
    except CheckFailed as error:
        status, evidence = CheckStatus.FAILED, str(error)
    except TimeoutError as error:
        status, evidence = CheckStatus.FAILED, f"no end within {limit:g} s{f': {error}' if str(error) else ''}"
    except Exception as error:  # a driver is anybody's code
        status, evidence = CheckStatus.FAILED, f"raised {type(error).__name__}: {error}"
    return CheckResult(check.name, check.about, status, evidence, time.monotonic() - begun)


def _in_a_loop(check: Check, limit: float) -> str:
    with asyncio.Runner(loop_factory=VirtualLoop if check.virtual else asyncio.new_event_loop) as runner:
        # What a driver's forgotten task raises is for the check of leaks; a report is no place for tracebacks.
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        if check.virtual:  # a limit of virtual time would mean nothing
            return runner.run(_awaited(check))
        return runner.run(asyncio.wait_for(_awaited(check), limit))


async def _awaited(check: Check) -> str:
    return await check.call()
