"""What the record of an effect costs: an action that does nothing, guarded and on record, over a bare RunEngine.

    python benchmarks/effect_cost.py [--actions 400] [--rounds 3]

The device's `set` returns at once. In a station, a `NON_REPEATABLE` action that arms makes three entries, each on the
disk before anything else happens: dispatched, armed, done. Of an `ABSOLUTE` one, dispatched is on the disk before the
device is called, and done follows within a second. A `READ` is not recorded; it costs less than on the bare RunEngine,
since a station does not write out the stacks that Bluesky keeps with plans (`sdl.lab._planstacks`). Time is taken in
the plan, from before the `set` and the wait for it until after both, in wall and in CPU of the whole process; on the
bare RunEngine likewise. The variants take turns, in rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import bluesky.plan_stubs as bps
from _machine import machine
from bluesky import RunEngine
from ophyd_async.core import AsyncStatus, Device

from sdl.campaign.settling import JournalRecorder
from sdl.journal import Store, Writer
from sdl.lab.clock import LabClock
from sdl.lab.effects import current_action
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from sdl.protocols import Acts, Effect

WARM = 20
UNGUARDED = "bare RunEngine"
ACTS = {
    "read": Acts(Effect.READ),
    "absolute": Acts(Effect.ABSOLUTE),
    "non-repeatable": Acts(Effect.NON_REPEATABLE),
    "non-repeatable, arms": Acts(Effect.NON_REPEATABLE, arms=True),
}


class Nothing(Device):
    """Its `set` does nothing, and arms where that is declared."""

    effects: ClassVar[dict[str, Acts]] = {}

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Return at once."""
        action = current_action()
        if action is not None and action.acts.arms:
            await action.arm(counter=value)


class Sample(NamedTuple):
    """Seconds of one action."""

    wall: float
    cpu: float


def actions(device: Nothing, count: int, samples: list[Sample]) -> Iterator[Any]:
    """Set and wait, `count` times."""
    for number in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        yield from bps.abs_set(device, float(number), wait=True)
        samples.append(Sample(time.perf_counter() - wall, time.process_time() - cpu))


def bare(count: int) -> list[Sample]:
    """On a RunEngine made as a station makes it."""
    loop = asyncio.new_event_loop()
    engine = RunEngine({}, loop=loop, context_managers=[], call_returns_result=True)
    device = Nothing("device")
    samples: list[Sample] = []
    engine(actions(device, count, samples))
    loop.call_soon_threadsafe(loop.stop)
    return samples[WARM:]


def guarded(acts: Acts, count: int, writer: Writer, trial: int) -> list[Sample]:
    """In a station, with the journal of a campaign."""
    samples: list[Sample] = []

    async def run() -> None:
        device = Nothing("device")
        device.effects = {"set": acts}  # type: ignore[misc]
        station = Station("bench", {"device": device}, LabClock())
        await station.open()
        recorder = JournalRecorder(writer, lambda entry: None)
        order = StepOrder(writer.campaign, trial, "act", 1, "bench", writer.epoch, recorder)
        try:
            await station.run(actions(device, count, samples), lambda name, doc: None, {}, order=order)
        finally:
            await station.close()

    asyncio.run(run())
    return samples[WARM:]


def measure(count: int, rounds: int) -> dict[str, list[Sample]]:
    """Samples of each variant, which take turns, since the machine's speed drifts."""
    found: dict[str, list[Sample]] = {name: [] for name in (UNGUARDED, *ACTS)}
    trial = 0
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "sdl.db") as store:
        store.create("effects", "effects")
        with store.writer("effects") as writer:
            for _ in range(rounds):
                found[UNGUARDED] += bare(count + WARM)
                for name, acts in ACTS.items():
                    trial += 1
                    found[name] += guarded(acts, count + WARM, writer, trial)
    return found


def table(found: dict[str, list[Sample]]) -> None:
    """Medians and 95th percentiles in milliseconds, and what is added to the bare engine's medians."""

    def middle(samples: list[Sample], of: Callable[[Sample], float]) -> float:
        return 1e3 * statistics.median(of(sample) for sample in samples)

    def high(samples: list[Sample], of: Callable[[Sample], float]) -> float:
        return 1e3 * statistics.quantiles((of(sample) for sample in samples), n=20)[-1]

    print("| action | n | wall ms, median | p95 | CPU ms, median | p95 | added wall | added CPU |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    plain = found[UNGUARDED]
    for name, samples in found.items():
        cells = [f"{part(samples, of):.2f}" for of in (_wall, _cpu) for part in (middle, high)]
        added = [f"{middle(samples, of) - middle(plain, of):.2f}" for of in (_wall, _cpu)]
        print(f"| {name} | {len(samples)} | {' | '.join([*cells, *added])} |")


def _wall(sample: Sample) -> float:
    return sample.wall


def _cpu(sample: Sample) -> float:
    return sample.cpu


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--actions", type=int, default=400, help="of each variant in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine("bluesky", "ophyd-async"))
    table(measure(options.actions, options.rounds))


if __name__ == "__main__":
    main()
