from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sdl.devices import LimitError
from sdl.devices.ne1000 import Direction, Ne1000Pump
from sdl.lab.clock import LabClock
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump

SPEED = 100.0


@dataclass
class Chain:
    address: str
    server: Ne1000Server
    flows: list[float]
    """What the twin was told of pump 0."""
    pump: Ne1000Pump
    second: Ne1000Pump


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    """Two pumps on one port, addresses 0 and 12, each with its driver connected."""
    clock = LabClock(SPEED)
    flows: list[float] = []
    server = Ne1000Server(
        {
            0: SimulatedPump(Probe("silver", clock.now), clock, on_rate=flows.append),
            12: SimulatedPump(Probe("seed", clock.now), clock),
        }
    )
    address = await server.start()
    pump = Ne1000Pump(f"{address}/0", name="silver", clock=clock, timeout=1.0, max_rate="2 mL/min")
    second = Ne1000Pump(f"{address}/12", name="seed", clock=clock, timeout=1.0, diameter="4.7 mm")
    try:
        await pump.connect()
        await second.connect()
        yield Chain(address, server, flows, pump, second)
    finally:
        await pump.close()
        await second.close()
        await server.stop()


async def test_connecting_writes_the_diameter_and_safe_mode(chain: Chain) -> None:
    """After connecting, each pump of the chain has its own syringe, the watchdog is armed and no alarm pends."""
    pumps = chain.server.pumps
    assert (pumps[0].diameter, pumps[12].diameter) == (14.43, 4.7)
    assert pumps[0].watchdog == pumps[12].watchdog == 30
    assert pumps[0].alarm == pumps[12].alarm == ""
    assert await chain.second.diameter.get_value() == 4.7


async def test_setting_a_rate_runs_the_pump(chain: Chain) -> None:
    """A rate runs the pump at once, another changes it on the run, 0 stops it; the twin hears each."""
    await chain.pump.rate.set(25.0)
    assert await chain.pump.status.get_value() == "I"
    await chain.pump.rate.set(50.0)
    assert await chain.pump.rate.get_value() == 50.0
    await chain.pump.rate.set(0.0)
    assert chain.flows == [25.0, 50.0, 0.0]
    assert await chain.pump.rate.get_value() == 0.0
    assert await chain.pump.status.get_value() == "S"


@pytest.mark.parametrize("exchanges", [0.5, 1.5, 2.5])
async def test_a_stop_during_a_change_of_rate(chain: Chain, exchanges: float) -> None:
    """Whenever it comes, the pump stands still afterwards, whoever set the rate is told, and no reading is a fault."""
    await chain.pump.rate.set(25.0)
    chain.server.latency = 0.04  # one exchange: the rate is asked for, then set, then the counter is asked for
    setting = asyncio.ensure_future(chain.pump.rate.set(50.0))
    await asyncio.sleep(exchanges * chain.server.latency)
    await chain.pump.stop(success=False)
    (told,) = await asyncio.gather(setting, return_exceptions=True)
    assert isinstance(told, Fault) or exchanges > 2, "the rate was set before it was stopped"
    if isinstance(told, Fault):
        assert "was stopped" in str(told)
    assert await chain.pump.rate.get_value() == 0.0
    await chain.pump.dispensed.get_value()
    assert chain.flows[-1] == 0.0


async def test_a_rate_in_another_unit_is_set_from_standstill(chain: Chain) -> None:
    """The pump refuses to change units on the run, so the driver stops it for a moment."""
    await chain.pump.rate.set(25.0)
    await chain.pump.rate.set(0.1234)
    assert chain.server.pumps[0].rate_unit == "UH"
    assert chain.flows == [25.0, 0.0, pytest.approx(0.1234)]


async def test_dispensed_volume_follows_rate_and_lab_time(chain: Chain) -> None:
    """Lab minutes at a rate give a volume, in uL, with its unit in the descriptor."""
    await chain.pump.rate.set(600.0)
    await chain.pump.clock.sleep(10)
    reading = (await chain.pump.read())["silver-dispensed"]
    assert 100 <= reading["value"] < 400
    assert (await chain.pump.describe())["silver-dispensed"]["units"] == "uL"
    assert (await chain.pump.describe())["silver-rate"]["units"] == "uL/min"


async def test_pumps_of_a_chain_are_independent(chain: Chain) -> None:
    """Two drivers share one connection, and each moves only its own pump, also at the same time."""
    await asyncio.gather(*(pump.rate.set(rate) for pump, rate in ((chain.pump, 25.0), (chain.second, 30.0))))
    assert chain.pump.line.link._connection is chain.second.line.link._connection
    assert [p.rate for p in chain.server.pumps.values()] == [25.0, 30.0]
    await chain.pump.stop()
    assert chain.server.pumps[12].running


async def test_dispensing_a_volume(chain: Chain) -> None:
    """`dispense` is done when the volume is out and the pump stands still."""
    await chain.pump.dispense.rate.set(600.0)
    await chain.pump.dispense.set(50.0)
    assert await chain.pump.dispensed.get_value() == 50.0
    assert chain.server.pumps[0].state == "S"
    assert [entry for entry in chain.server.pumps[0].probe.log if entry["action"] == "target"]


async def test_stop_after_success_does_nothing(chain: Chain) -> None:
    """Bluesky stops whatever moved: a flow that was set goes on when a finished dispense is stopped."""
    await chain.pump.dispense.rate.set(2000.0)
    await chain.pump.dispense.set(10.0)
    await chain.pump.rate.set(25.0)
    await chain.pump.dispense.stop()
    assert chain.server.pumps[0].running


async def test_stopping_a_dispense_says_what_was_delivered(chain: Chain) -> None:
    """A delivery that is stopped fails and names the volumes; the pump stands still."""
    await chain.pump.dispense.rate.set(10.0)
    status = chain.pump.dispense.set(500.0)
    await asyncio.sleep(0.1)
    with pytest.raises(Fault, match="cannot run at 5 uL/min: it is dispensing"):
        await chain.pump.rate.set(5.0)
    await chain.pump.dispense.stop()
    with pytest.raises(Fault, match=r"silver: .* was stopped after .* uL of 500 uL"):
        await status
    assert not chain.server.pumps[0].running


async def test_withdrawing(chain: Chain) -> None:
    """The direction is a setting, and the twin is told a negative flow."""
    await chain.pump.direction.set(Direction.WITHDRAW)
    await chain.pump.rate.set(25.0)
    assert chain.flows == [-25.0]
    assert await chain.pump.dispensed.get_value() == 0.0
    assert (await chain.pump.read_configuration())["silver-direction"]["value"] == "WDR"


@pytest.mark.parametrize("rate", [2000.1, -1.0, math.nan, 1e-6])
async def test_a_rate_out_of_limits_sends_nothing(chain: Chain, rate: float) -> None:
    """The limit is checked before a byte leaves, and the error has name, value, unit and limits."""
    before = list(chain.server.pumps[0].probe.log)
    with pytest.raises(LimitError, match=r"silver-rate: .* uL/min is outside its limits, 0.1\d* to 2000 uL/min"):
        await chain.pump.rate.set(rate)
    assert chain.server.pumps[0].probe.log == before


async def test_a_volume_out_of_limits_sends_nothing(chain: Chain) -> None:
    """The pump's four digits hold 9999 uL."""
    with pytest.raises(LimitError, match=r"silver-dispense: 10000 uL .* 9999 uL"):
        await chain.pump.dispense.set(10_000.0)


def test_options_are_checked() -> None:
    """Options out of what the pump can do are refused with their limits."""
    with pytest.raises(LimitError, match="syringe diameter: 60 mm"):
        Ne1000Pump("tcp://127.0.0.1:1/0", diameter="6 cm")
    with pytest.raises(LimitError, match="max_rate: 1e\\+06 uL/min"):
        Ne1000Pump("tcp://127.0.0.1:1/0", max_rate="1 L/min")
    with pytest.raises(LimitError, match="watchdog: 1 s"):
        Ne1000Pump("tcp://127.0.0.1:1/0", watchdog="1 s")


async def test_a_missing_pump_is_named(chain: Chain) -> None:
    """Nobody at an address of the chain: the fault has the device, the port and the pump's address."""
    missing = Ne1000Pump(f"{chain.address}/5", name="ghost", timeout=0.1)
    with pytest.raises(Fault, match=rf"ghost: {chain.address}/5: no complete reply .* within 0.1 s"):
        await missing.connect()
    await missing.close()
    assert await chain.pump.status.get_value() == "S"


async def test_connecting_again_finds_safe_mode_and_a_running_pump(chain: Chain) -> None:
    """A driver that comes back leaves a running pump running: its settings are as they should be."""
    await chain.pump.rate.set(25.0)
    await chain.pump.close()
    again = Ne1000Pump(f"{chain.address}/0", name="silver", clock=chain.pump.clock)
    await again.connect()
    assert await again.rate.get_value() == 25.0
    await again.safe_state()
    await again.close()
    assert not chain.server.pumps[0].running


async def test_basic_mode(chain: Chain) -> None:
    """With `watchdog=0` the driver switches the pump to basic mode and works the same."""
    await chain.pump.close()
    basic = Ne1000Pump(f"{chain.address}/0", name="silver", clock=chain.pump.clock, watchdog=0)
    await basic.connect()
    assert not chain.server.pumps[0].safe
    await basic.rate.set(25.0)
    assert await basic.rate.get_value() == 25.0
    await basic.stop()
    await basic.close()


async def test_power_loss_is_an_alarm(chain: Chain) -> None:
    """A pump whose power was interrupted executes nothing until the alarm was seen, and says what happened."""
    await chain.pump.rate.set(25.0)
    chain.server.pumps[0].reset()
    with pytest.raises(Fault, match=r"silver: .*pump 00: alarm: the pump was reset .* was not executed"):
        await chain.pump.rate.set(50.0)
    await chain.pump.rate.set(50.0)
    assert await chain.pump.rate.get_value() == 50.0


async def test_a_stall_is_an_alarm(chain: Chain) -> None:
    """A motor that notices that it stalled stops the pump, and reading says so."""
    chain.server.pumps[0].stall_alarm = True
    await chain.pump.rate.set(25.0)
    chain.server.pumps[0].probe.faults.inject("stuck")
    with pytest.raises(Fault, match=r"silver: .* the pump motor has stalled"):
        await chain.pump.read()


async def test_the_safe_state_acknowledges_an_alarm(chain: Chain) -> None:
    """`safe_state` works with an alarm pending, and twice in a row."""
    await chain.pump.rate.set(25.0)
    chain.server.pumps[0].reset()
    await chain.pump.safe_state()
    await chain.pump.safe_state()
    assert chain.server.pumps[0].alarm == ""
    assert not chain.server.pumps[0].running


async def test_a_pump_stopped_at_its_keypad_is_noticed(chain: Chain) -> None:
    """A flow that was set and no longer runs is a fault, not a recipe."""
    await chain.pump.rate.set(25.0)
    chain.server.pumps[0].execute("STP")
    with pytest.raises(Fault, match="stands still though it was set to 25 uL/min"):
        await chain.pump.read()


async def test_the_watchdog_stops_a_pump_whose_driver_is_gone(chain: Chain) -> None:
    """Without packets for the time of the watchdog the pump stops by itself; the driver's heartbeat feeds it."""
    pump = Ne1000Pump(f"{chain.address}/0", name="silver", clock=chain.pump.clock, watchdog=3)
    await pump.connect()
    await pump.rate.set(25.0)
    simulated = chain.server.pumps[0]
    assert simulated._heard is not None
    simulated._heard -= 2.5
    await asyncio.sleep(1.1)
    simulated.advance()
    assert simulated.running
    await pump.close()
    simulated._heard -= 3.5
    simulated.advance()
    assert not simulated.running
    assert chain.flows[-1] == 0.0


async def test_an_idle_pump_may_have_been_forgotten(chain: Chain) -> None:
    """The watchdog's alarm of a pump that stood still anyway is acknowledged without a word."""
    simulated = chain.server.pumps[0]
    assert simulated._heard is not None
    simulated._heard -= 100
    await chain.pump.rate.set(25.0)
    assert simulated.running
