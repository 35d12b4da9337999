from __future__ import annotations

from bluesky import RunEngine
from bluesky.plans import count

from sdl.devices.soft import SoftDetector
from sdl.protocols import HasSafeState


async def test_a_soft_detector_reads_its_value() -> None:
    """One number, with its unit, that counts up when triggered."""
    detector = SoftDetector(name="det", value=2.0, step=0.5, unit="nm")
    await detector.connect()
    await detector.trigger()
    assert (await detector.read())["det-value"]["value"] == 2.5
    assert (await detector.describe())["det-value"]["units"] == "nm"
    assert isinstance(detector, HasSafeState)


def test_a_soft_detector_in_a_plan(run_engine: RunEngine) -> None:
    """Each event of a run is a reading of its own."""
    detector, values = SoftDetector(name="det", step=1.0), []
    run_engine(count([detector], 3), lambda n, d: values.append(d["data"]["det-value"]) if n == "event" else None)
    assert values == [1.0, 2.0, 3.0]
