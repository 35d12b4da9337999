"""The thin-film lab's simulated instruments together: each answers on its own protocol, around one twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sdl.model import InputError
from sdl.simulators._control import ControlClient
from sdl.simulators.thin_film import ThinFilmSimulation

EXAMPLE = Path(__file__).parents[2] / "examples" / "thin-film"
ROLES = ("coater", "balance", "glovebox", "furnace_a", "furnace_b", "robot", "stage", "probe", "gauge")

Dial = Callable[[str], Awaitable[Any]]


def _block() -> Mapping[str, Any]:
    found: Mapping[str, Any] = YAML(typ="safe").load(EXAMPLE / "lab.yaml")["simulation"]
    return found


def _simulation(**changed: Any) -> ThinFilmSimulation:
    block = _block()
    given = {"seed": 1, "speed": 100.0, **block["options"], **changed}
    return ThinFilmSimulation(block["instruments"], **given)


@pytest.fixture
async def served() -> AsyncIterator[tuple[ThinFilmSimulation, Mapping[str, str]]]:
    """The instruments of the example, and their addresses."""
    simulation = _simulation()
    addresses = await simulation.start()
    yield simulation, addresses
    await simulation.stop()


async def test_every_instrument_answers(served: tuple[ThinFilmSimulation, Mapping[str, str]], dial: Dial) -> None:
    """Each of the nine has an address of its own and says who it is, in its own protocol."""
    simulation, addresses = served
    assert set(addresses) == set(_block()["instruments"])
    assert len({address.partition("/")[2] or address for address in addresses.values()}) == len(addresses)
    asked = {"coater": "ID?\r", "balance": "I4\r", "glovebox": "*IDN?", "smu": "*IDN?", "gauge": "*IDN?"}
    answers = {name: await (await dial(addresses[name])).scpi(word) for name, word in asked.items()}
    assert "SPC" in answers["coater"]
    assert answers["balance"].startswith("I4 A")
    assert "SECoP" in answers["glovebox"]
    assert "MODEL 2400" in answers["smu"]
    assert "gauge" in answers["gauge"]
    greeting = await (await dial(addresses["robot"])).scpi("robotmode")
    assert greeting.startswith("Connected: Universal Robots")
    for furnace in ("furnace_a", "furnace_b"):
        (celsius,) = await (await dial(addresses[furnace])).modbus(3, 1, 1)
        assert celsius == 220
    assert addresses["stage"].startswith("ca://127.0.0.1:")
    assert [probe.name for probe in simulation.probes] == list(addresses)


async def test_instruments_act_on_one_world(served: tuple[ThinFilmSimulation, Mapping[str, str]], dial: Dial) -> None:
    """What the coater dispenses is missing on the balance, and the loaded substrate lies where the robot looks."""
    simulation, addresses = served
    twin, coater = simulation.twin, await dial(addresses["coater"])
    before = twin.mass()
    assert (await coater.scpi("LOAD a\r")).startswith("OK")
    assert "state=IDLE" in await coater.scpi("ST? 10\r")
    assert (await coater.scpi("DISP b 200\r")).startswith("OK")
    assert "state=IDLE" in await coater.scpi("ST? 10\r")
    assert before - twin.mass() == pytest.approx(0.2 * twin.options.density, rel=1e-3)
    assert twin.films() == {"chuck": 1}
    control = await asyncio.to_thread(ControlClient, simulation.control)
    with control:
        log = await asyncio.to_thread(control.log, "coater")
    assert [entry["action"] for entry in log if entry["action"] != "accept"] == ["load", "dispense"]


async def test_limits_of_the_settings_are_the_instruments(
    served: tuple[ThinFilmSimulation, Mapping[str, str]], dial: Dial
) -> None:
    """Coater and furnace refuse what their settings do not allow."""
    _, addresses = served
    coater = await dial(addresses["coater"])
    await coater.scpi("LOAD a\r")
    await coater.scpi("ST? 10\r")
    assert (await coater.scpi("DISP b 1500\r")).startswith("ERR 12")
    furnace = await dial(addresses["furnace_a"])
    assert await furnace.modbus(16, 2, 4600) == [-3]
    assert await furnace.modbus(16, 2, 4400) == []


async def test_the_timer_lowers_the_pins(served: tuple[ThinFilmSimulation, Mapping[str, str]], dial: Dial) -> None:
    """A film over a hot plate stays as it is until the controller's timer runs, and a timer that is held lifts it."""
    simulation, addresses = served
    twin, furnace = simulation.twin, await dial(addresses["furnace_b"])
    twin.load()
    twin.dispense(150.0)
    twin.spin(3000.0, 45.0)
    twin.pick("chuck")
    twin.put("bed_b")
    assert await furnace.modbus(16, 2, 3500) == []
    while twin.beds["bed_b"].temperature() < 300:
        await asyncio.sleep(0.02)
    grains = [twin.properties("bed_b")]
    assert await furnace.modbus(16, 324, 3000) == []
    assert await furnace.modbus(16, 23, 1) == []
    await asyncio.sleep(2.0)
    assert await furnace.modbus(16, 23, 2) == []
    await asyncio.sleep(0.1)
    grains.append(twin.properties("bed_b"))
    await asyncio.sleep(1.0)
    grains.append(twin.properties("bed_b"))
    before, annealed, held = (film.grain for film in grains if film is not None)
    assert before == pytest.approx(20.0, abs=0.5)
    assert annealed > 40
    assert held == pytest.approx(annealed, rel=1e-6)


def test_settings_are_checked_together() -> None:
    """Unknown roles, keys and options, limits the wrong way round and roles given twice are all reported."""
    with pytest.raises(InputError) as caught:
        ThinFilmSimulation(
            {
                "a": {"role": "coter"},
                "b": {"role": "robot", "travl": "3 s"},
                "c": {"role": "furnace_a", "low": "500 degC", "high": "400 degC"},
                "d": {"role": "gauge"},
                "e": {"role": "gauge"},
                "f": {"role": "coater", "max_speed": "3 mm"},
            },
            seed=1,
            speed=1.0,
            solid=0.1,
            humidity="130 percent",
        )
    found = {fault.path: fault.message for fault in caught.value.faults}
    assert "did you mean 'coater'" in found["instruments.a.role"]
    assert "did you mean 'travel'" in found["instruments.b.travl"]
    assert "must be below high" in found["instruments.c"]
    assert found["instruments.e"] == "role gauge is taken by d"
    assert "instruments.f.max_speed" in found
    assert "did you mean 'solids'" in found["options.solid"]
    assert "options.humidity" in found
    assert len(found) == 7


async def test_stop_without_start_is_harmless() -> None:
    """A simulation that never started can be stopped, whatever roles it has."""
    for role in ROLES:
        simulation = ThinFilmSimulation({"x": {"role": role}}, seed=1, speed=10.0)
        await simulation.stop()
        assert simulation.control == ""


async def test_a_lease_that_runs_out_makes_the_furnace_safe(dial: Dial) -> None:
    """The default dead-man lease of the options reaches the instruments; one of their own wins."""
    instruments = {"hot": {"role": "furnace_a"}, "kept": {"role": "furnace_b", "deadman": None}}
    simulation = ThinFilmSimulation(instruments, seed=1, speed=100.0, deadman="0.3 s")
    addresses = await simulation.start()
    try:
        for name in instruments:
            assert await (await dial(addresses[name])).modbus(16, 2, 3000) == []
        for _ in range(100):
            await asyncio.sleep(0.05)
            if simulation.probes[0].log[-1].get("register") != "target":
                break
        actions = [{entry["action"] for entry in probe.log} for probe in simulation.probes]
        assert "deadman" in actions[0]
        assert "deadman" not in actions[1]
    finally:
        await simulation.stop()
