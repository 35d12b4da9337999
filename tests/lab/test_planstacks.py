"""Plans that nobody iterates: Bluesky's warning shows where they were called, in a station's threads as elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import Plan

from sdl.lab._planstacks import write_stacks_late


def _forgotten() -> str:
    """What Bluesky says of a plan that is dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bps.null()
    (warning,) = caught
    return str(warning.message)


def _in_thread(call: Callable[[], Any], late: bool) -> Any:
    with ThreadPoolExecutor(1) as pool:
        if late:
            pool.submit(write_stacks_late).result()
        return pool.submit(lambda: call()).result()


def test_the_warning_of_a_forgotten_plan_is_the_same_to_the_letter() -> None:
    """In a thread that writes stacks late, it has the lines of the stack that it has in any other."""
    late, plain = _in_thread(_forgotten, True), _in_thread(_forgotten, False)
    assert late == plain
    assert "bps.null()" in late
    assert "`null` was never iterated" in late


def test_other_threads_keep_stacks_as_bluesky_does() -> None:
    """Only the thread that asks for it writes stacks late, and there no line is read until somebody reads it."""

    def stack() -> Any:
        plan = bps.null()
        assert isinstance(plan, Plan)
        try:
            return plan._stack
        finally:
            plan.close()

    assert type(_in_thread(stack, False)) is list
    assert type(_in_thread(stack, True)) is not list
    assert type(stack()) is list
