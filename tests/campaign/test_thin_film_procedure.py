"""The plans of the thin-film example on its simulated instruments, with the drivers, in real and in virtual time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sdl.lab.clock import LabClock
from sdl.lab.code import load_object
from sdl.lab.devices import build_devices
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.rehearsing import run_virtually
from sdl.lab.spec import StepSpec
from sdl.lab.station import Station
from sdl.model import Infeasible, Outcome
from sdl.protocols import Clock, RunRecord
from sdl.simulators.film import ideal_film
from sdl.simulators.thin_film import ThinFilmSimulation
from sdl.virtual import VirtualClock

EXAMPLE = Path(__file__).parents[2] / "examples" / "thin-film"
GOOD = {"speed": 4400.0, "volume": 140.0, "anneal_temperature": 255.0, "anneal_time": 22.0}
SHORT = {**GOOD, "anneal_time": 10.0}


class Bench:
    """The example lab with its stations open."""

    def __init__(self, lab: Lab, clock: Clock, simulation: ThinFilmSimulation, stations: dict[str, Station]) -> None:
        self.lab, self.clock, self.simulation, self.stations = lab, clock, simulation, stations

    async def film(self, values: Mapping[str, float], bed: str = "bed_a", until: str = "eject") -> list[RunRecord]:
        """Take one film through the six steps, or up to one of them; what the scheduler would choose is given."""
        at = {"to_furnace": ("chuck", bed), "to_probe": (bed, "probe_stage")}
        runs = []
        for step in self.lab.spec.procedures["film"].steps:
            if step.name == "to_furnace":
                await self.clock.sleep(30.0)
            moved = dict(zip(("source", "target"), at.get(step.name, ()), strict=False))
            station = bed.replace("bed", "furnace") if step.name == "anneal" else step.station
            runs.append(await self._run(step, station, {**step.with_, **moved, **values}))
            if step.name == until:
                break
        return runs

    async def _run(self, step: StepSpec, station: str, values: Mapping[str, Any]) -> RunRecord:
        plan, documents = load_object(step.plan, self.lab.folder), []
        devices = {**self.stations[step.station].devices, **self.stations[station].devices}
        own = step.other_stations.get(station, {})
        wanted = inspect.signature(plan).parameters
        arguments = {name: devices[own.get(name, name)] for name in wanted if name in devices}
        arguments |= {name: value for name, value in values.items() if name in wanted}

        def keep(name: str, document: dict[str, Any]) -> None:
            documents.append((name, document))

        await self.stations[station].run(plan(**arguments), keep, {})
        found = {kind: tuple(doc for name, doc in documents if name == kind) for kind in ("descriptor", "event")}
        return RunRecord(step.name, documents[0][1], found["descriptor"], found["event"])

    def analyse(self, runs: list[RunRecord]) -> dict[str, Outcome]:
        """Outcomes by the example's analysis."""
        spec = self.lab.spec.procedures["film"].analysis
        analysis = load_object(spec.name, self.lab.folder)
        return dict(analysis([run for run in runs if run.step in spec.steps], **spec.with_))


@asynccontextmanager
async def _bench(clock: Clock, **options: Any) -> AsyncIterator[Bench]:
    lab = load_lab(EXAMPLE / "lab.yaml")
    block = lab.spec.simulation
    assert block is not None
    given = {**block.options, **({"deadman": None} if getattr(clock, "virtual", False) else {}), **options}
    simulation = ThinFilmSimulation(block.instruments, seed=block.seed, speed=clock.speed, clock=clock, **given)
    addresses = await simulation.start()
    loop = clock.loop if isinstance(clock, VirtualClock) else None
    stations = {
        name: Station(name, build_devices(lab, name, addresses, clock), clock, loop=loop) for name in lab.spec.stations
    }
    try:
        for station in stations.values():
            await station.open()
        yield Bench(lab, clock, simulation, stations)
    finally:
        for station in stations.values():
            await station.close()
        await simulation.stop()


def _virtually(values: Mapping[str, float], bed: str = "bed_a", **options: Any) -> tuple[dict[str, Outcome], float]:
    """Outcomes of one film on virtual time, and the lab seconds that it took."""

    async def work(clock: VirtualClock) -> tuple[dict[str, Outcome], float]:
        async with _bench(clock, **options) as bench:
            began = clock.now()
            runs = await bench.film(values, bed)
            return bench.analyse(runs), clock.now() - began

    return run_virtually(work)


async def test_a_film_goes_through_all_stations_at_speed() -> None:
    """Coated, carried, annealed, carried and probed: the outcome is the twin's, and each instrument has its part."""
    async with _bench(LabClock(600.0)) as bench:
        runs = await bench.film(SHORT)
        outcomes = bench.analyse(runs)
        twin = bench.simulation.twin
        logs = {probe.name: [entry["action"] for entry in probe.log] for probe in bench.simulation.probes}
        assert twin.films() == {}
        assert [film.number for film in twin.tray] == [1]
        states = [await station.make_safe() for station in bench.stations.values()]
    ideal = ideal_film(**{**SHORT, "anneal_time": 60 * SHORT["anneal_time"]})
    assert outcomes["conductivity"].value == pytest.approx(1e-6 * ideal.conductivity, rel=0.12)
    assert outcomes["thickness"].value == pytest.approx(ideal.thickness, rel=0.06)
    assert outcomes["conductivity"].unit == "MS/m"
    assert 0 < (outcomes["conductivity"].sem or 0) < 0.05 * outcomes["conductivity"].value
    assert [logs["coater"].count(action) for action in ("load", "dispense", "spin")] == [1, 1, 1]
    assert [logs["robot"].count(action) for action in ("pick", "put")] == [2, 2]
    assert logs["furnace_a"].count("timer") == 1
    assert logs["stage"].count("eject") == 1
    assert {state for station in states for state in station.values()} == {"safe"}


def test_the_balance_sees_what_was_dispensed() -> None:
    """The ink's bottle is lighter by the volume times the ink's density."""

    async def work(clock: VirtualClock) -> list[RunRecord]:
        async with _bench(clock) as bench:
            return await bench.film(GOOD)

    coated = run_virtually(work)[0]
    (before,), (after,) = coated.readings("balance-mass", "before"), coated.readings("balance-mass")
    assert before - after == pytest.approx(1e-3 * GOOD["volume"] * 1.24, abs=2e-3)
    (humidity,) = coated.readings("glovebox-humidity")
    assert humidity == pytest.approx(20.0, abs=2.0)


def test_real_and_virtual_time_agree() -> None:
    """A film made at speed and one made on virtual time, of one seed, differ by less than 2 %."""

    async def at_speed() -> dict[str, Outcome]:
        async with _bench(LabClock(600.0)) as bench:
            return bench.analyse(await bench.film(SHORT, "bed_b"))

    real, (virtual, _) = asyncio.run(at_speed()), _virtually(SHORT, "bed_b")
    for name, outcome in real.items():
        assert outcome.value == pytest.approx(virtual[name].value, rel=0.02), name


def test_measuring_again_finds_the_film() -> None:
    """A film that was measured lies on the stage until it is ejected, which is a step of its own."""

    async def work(clock: VirtualClock) -> tuple[list[float], list[RunRecord], float]:
        async with _bench(clock) as bench:
            steps = {step.name: step for step in bench.lab.spec.procedures["film"].steps}
            assert list(steps) == ["coat", "to_furnace", "anneal", "to_probe", "measure", "eject"]
            runs = await bench.film(SHORT, until="measure")
            twin = bench.simulation.twin
            assert (len(twin.tray), list(twin.films())) == (0, ["probe_stage"])
            again = await bench._run(steps["measure"], "probing", steps["measure"].with_)
            found = [bench.analyse([run])["conductivity"].value for run in (runs[-1], again)]
            began = clock.now()
            ejected = await bench._run(steps["eject"], "probing", {})
            assert [film.number for film in twin.tray] == [1]
            return found, [ejected], clock.now() - began

    (first, second), (ejected,), took = run_virtually(work)
    assert first == pytest.approx(second, rel=0.02)
    assert ejected.readings("stage-position") == [0.0]
    assert took == pytest.approx(10.0, abs=1.0)


def test_virtual_time_is_quick_and_repeats_itself() -> None:
    """Over half an hour of lab time takes seconds; the second time every outcome is the same to the last digit."""
    began = time.monotonic()
    (first, took), (second, again) = _virtually(GOOD), _virtually(GOOD)
    assert took > 2000
    assert time.monotonic() - began < 20
    assert took == pytest.approx(again, abs=1.0)
    for name, outcome in first.items():
        assert outcome.value == pytest.approx(second[name].value, rel=1e-4), name


def test_a_cracked_film_is_infeasible() -> None:
    """A thick film cracks: the plans end in good order, the film is in the tray, and the analysis says why."""

    async def work(clock: VirtualClock) -> tuple[str, list[int]]:
        async with _bench(clock) as bench:
            runs = await bench.film({**GOOD, "speed": 600.0})
            with pytest.raises(Infeasible) as caught:
                bench.analyse(runs)
            return str(caught.value), [film.number for film in bench.simulation.twin.tray]

    message, tray = run_virtually(work)
    assert message == "the film is cracked at 5 of 5 positions"
    assert tray == [1]


def test_a_film_with_holes_is_infeasible() -> None:
    """Too little ink leaves a film that is not cracked and carries no current."""
    with pytest.raises(Infeasible, match="no current at 5 of 5 positions: the film has holes"):
        _virtually({**GOOD, "volume": 50.0})


def test_a_poor_film_has_a_value() -> None:
    """A film that was hardly sintered conducts badly, and the planner gets to know how badly."""
    outcomes, _ = _virtually({**GOOD, "anneal_temperature": 110.0, "anneal_time": 5.0})
    assert 0 < outcomes["conductivity"].value < 0.1
