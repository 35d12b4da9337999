"""The silver-flow lab's simulated instruments together, and the example lab on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdl.lab.analyses import measure_peak, read_spectrum, spectral_loss
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.station import Station
from sdl.model import InputError, Outcome
from sdl.protocols import RunRecord
from sdl.simulators._control import ControlClient
from sdl.simulators.silver import SilverFlowTwin
from sdl.simulators.silver_flow import SilverFlowSimulation

EXAMPLE = Path(__file__).parents[2] / "examples" / "silver-flow"
TARGET = {
    "silver_flow": 120.0,
    "reductant_flow": 70.0,
    "stabiliser_flow": 60.0,
    "seed_flow": 50.0,
    "temperature": 72.0,
}


class Bench:
    """The example lab, simulated."""

    def __init__(self) -> None:
        self.lab: Lab = load_lab(EXAMPLE / "lab.yaml")
        assert self.lab.spec.simulation is not None
        block = self.lab.spec.simulation
        self.simulation = SilverFlowSimulation(block.instruments, seed=1, speed=block.speed, **block.options)
        self.clock = LabClock(block.speed)

    async def start(self) -> None:
        self.addresses = await self.simulation.start()
        self.station = Station("flow", build_devices(self.lab, "flow", self.addresses, self.clock), self.clock)
        await self.station.open()

    async def stop(self) -> None:
        await self.station.close()
        await self.simulation.stop()

    async def trial(self, values: Mapping[str, float]) -> dict[str, Outcome]:
        """Execute the procedure and analyse it."""
        procedure = self.lab.procedure("synthesis", tuple(values))
        runs = []
        for step in procedure.steps:
            documents: list[tuple[str, dict[str, Any]]] = []
            plan = step.start(self.station.devices, values)
            await self.station.run(plan, lambda *pair: documents.append(pair), {}, step.time_limit)  # noqa: B023
            by_kind = {kind: tuple(doc for name, doc in documents if name == kind) for kind in ("descriptor", "event")}
            runs.append(RunRecord(step.name, documents[0][1], by_kind["descriptor"], by_kind["event"]))
        return procedure.analyse(runs)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """The example lab with its station open."""
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


async def test_the_example_reaches_its_target(bench: Bench) -> None:
    """A trial at the target's own conditions reproduces the target, also right after a different trial."""
    await bench.trial({**TARGET, "silver_flow": 40.0, "temperature": 40.0})
    outcomes = await bench.trial(TARGET)
    assert outcomes["mismatch"].value < 0.03
    assert outcomes["peak_wavelength"].value == pytest.approx(440.3, abs=1.5)
    assert outcomes["mismatch"].sem is not None
    with await asyncio.to_thread(ControlClient, bench.simulation.control) as control:
        log = await asyncio.to_thread(control.log, "silver_pump")
    assert [entry["action"] for entry in log][-1] == "stop"
    rates = {entry["value"] for entry in log if entry["action"] == "rate"}
    assert rates == {40.0, 120.0}
    states = await bench.station.make_safe()
    assert set(states.values()) == {"safe"}
    assert len(states) == 6


async def test_a_pump_that_stands_still_shows(bench: Bench) -> None:
    """A silver pump that acknowledges and does not move is a fault of that pump."""
    bench.simulation._probes["silver_pump"].faults.inject("stuck")
    with pytest.raises(Exception, match="silver_pump"):
        await bench.trial(TARGET)


def test_target_is_the_twin_at_the_conditions_it_names() -> None:
    """The committed target is what the twin computes at the conditions written in its first lines."""
    wavelength, absorbance = read_spectrum(EXAMPLE / "target.csv")
    flows = {name.removesuffix("_flow"): flow for name, flow in TARGET.items() if name.endswith("_flow")}
    _, computed = SilverFlowTwin(lambda: 0.0, seed=1).steady_state(flows, TARGET["temperature"])
    np.testing.assert_allclose(absorbance, computed, atol=1e-3)
    assert spectral_loss(absorbance, computed) < 1e-3
    assert measure_peak(wavelength, absorbance).peak_wavelength == pytest.approx(440.3, abs=0.5)


def test_settings_are_checked_together() -> None:
    """Unknown roles, keys and options, and addresses used twice, are all reported, with the nearest known name."""
    with pytest.raises(InputError) as caught:
        SilverFlowSimulation(
            {
                "a": {"role": "sliver", "address": 0},
                "b": {"role": "seed", "address": 1, "colour": "red"},
                "c": {"role": "silver", "address": 2, "chain": "rack"},
                "d": {"role": "reductant", "address": 2, "chain": "rack"},
            },
            seed=1,
            speed=1.0,
            reactor_volum="3 uL",
            tanks=0,
        )
    found = {fault.path: fault.message for fault in caught.value.faults}
    assert "did you mean 'silver'" in found["instruments.a.role"]
    assert found["instruments.b.colour"] == "unknown key; known: deadman, role, address, chain, max_volume"
    assert found["instruments.d"] == "address 2 of chain rack is taken by c"
    assert "did you mean 'reactor_volume'" in found["options.reactor_volum"]
    assert "options.tanks" in found
    assert len(found) == 5


async def test_stop_without_start_is_harmless() -> None:
    """A simulation that never started can be stopped."""
    assert EXAMPLE.is_dir()
    simulation = SilverFlowSimulation({"h": {"role": "heater"}}, seed=1, speed=10.0)
    await simulation.stop()
    assert simulation.control == ""


async def test_pumps_share_a_server_only_on_one_chain() -> None:
    """Each pump is a server of its own, but for those that name the same chain."""
    pumps = {
        "a": {"role": "silver", "address": 0, "chain": "rack"},
        "b": {"role": "reductant", "address": 1, "chain": "rack"},
        "c": {"role": "stabiliser", "address": 2},
        "d": {"role": "seed", "address": 3},
    }
    simulation = SilverFlowSimulation(pumps, seed=1, speed=1.0)
    try:
        addresses = await simulation.start()
    finally:
        await simulation.stop()
    ports = {name: address.rpartition("/")[0] for name, address in addresses.items()}
    assert ports["a"] == ports["b"]
    assert len(set(ports.values())) == 3
    assert [address.rpartition("/")[2] for address in addresses.values()] == ["0", "1", "2", "3"]
