"""The plan of the tabulated lab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp


def measure(tester: Any, *, replicates: int = 1, **parameters: float | str) -> Iterator[Any]:
    """Set the tester's inputs to the trial's parameters and measure; each replicate is an event."""

    @bpp.run_decorator(md={"plan_name": "measure", "replicates": replicates})
    def crush() -> Iterator[Any]:
        for name, value in parameters.items():
            yield from bps.abs_set(tester.inputs[name], value, group="inputs")
        yield from bps.wait("inputs")
        for _ in range(replicates):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([tester])

    return (yield from crush())
