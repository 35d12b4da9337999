"""Driver of a laboratory balance that speaks MT-SICS, through a serial server or Ethernet interface on TCP.

Source: METTLER TOLEDO, Reference Manual MT-SICS; see `sdl.devices._mtsics`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

from bluesky.protocols import Triggerable
from ophyd_async.core import AsyncStatus, Device, StandardReadableFormat

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._limits import check_limits
from sdl.devices._mtsics import SicsLink, Weight
from sdl.devices._signal import link_signal_r
from sdl.lab.clock import LabClock
from sdl.lab.effects import current_action
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.model.units import parse_quantity
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt, Verdict

__all__ = ["MtSicsBalance"]

_REASONS: Final = {
    "I": "it cannot now, or did not become stable in its time; check its draught shield, levelling and vibration",
    "+": "it is overloaded: take weight off its pan",
    "-": "it is underloaded: put its pan back in place",
}
_OUT_OF_RANGE: Final = {"+": "the upper limit of its range is exceeded", "-": "the lower limit is exceeded"}
_STEPS = 3
"""Last digits by which two readings of one weight may differ."""
SECOND_LOOK = 0.2
"""Wall seconds between two looks at a balance that has not been tared: the command may be on its way still."""


class Weighing(Protocol):
    """What a verb needs of its balance."""

    link: SicsLink

    async def stable(self) -> Weight: ...
    async def tare_memory(self) -> Weight: ...


class _Verb(Device):
    """A part of the balance that changes what it shows."""

    command = ""
    done = ""
    """How the answer begins when it was done."""

    def __init__(self, balance: Weighing) -> None:
        # Not a plain attribute: a device would take the balance for its child.
        self._of = (balance,)
        super().__init__()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Do it once the balance is stable, and wait for it.

        Raises:
            Refusal: the balance answered that it did not: out of its range, or not stable.
            Fault: the balance failed.
        """
        balance = self._of[0]
        # Only a stable reading can be held against what the balance shows afterwards.
        reading, tare = await balance.stable(), await balance.tare_memory()
        action = current_action()
        if action is not None:
            await action.arm(command=self.command, reading=reading.grams, tare=tare.grams, step=reading.step, unit="g")
        answer = await balance.link.ask(self.command, acting=True, slow=True)
        if not answer.startswith(self.done):
            why = _OUT_OF_RANGE.get(answer, _REASONS["I"])
            raise balance.link.tcp.refusal(f"answered '{self.command} {answer}' to {self.command!r}: {why}")
        if action is not None:
            action.acknowledge(answer=answer)


class Tare(_Verb):
    """Triggerable: the present weight becomes the tare, so that the balance shows zero."""

    command, done = "T", "S "


class Zero(_Verb):
    """Triggerable: the present weight becomes zero, which it has to be near; the tare is cleared."""

    command, done = "Z", "A"


class MtSicsBalance(InstrumentDevice, Triggerable):
    """A balance: `trigger` waits for a stable weight, `mass` is then read, g.

    `tare` and `zero` change what all later readings are relative to (`bps.trigger(balance.tare, wait=True)`), so they
    may not be repeated; what became of one is told from the tare memory and the reading (`receipt`).

    Args:
        address: `tcp://host:port`.
        name: name of the device.
        clock: lab time; the balance becomes stable on it.
        timeout: wall seconds for one exchange.
        stability_timeout: lab seconds that a weight may take to become stable. Longer than that of the balance itself,
            which says then that it is not.
        heartbeat: wall seconds of silence after which the balance is asked for its serial number; none by default.

    Raises:
        LimitError: an option out of limits.
        ValueError: an option is no quantity of its kind.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "trigger": Effect.READ,
        "tare": Acts(Effect.NON_REPEATABLE, arms=True),
        "zero": Acts(Effect.NON_REPEATABLE, arms=True),
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        stability_timeout: str | float = 40.0,
        heartbeat: str | float | None = None,
    ) -> None:
        clock = clock or LabClock()
        self._stability = check_limits("stability_timeout", parse_quantity(stability_timeout, "s"), "s", 0.1, 600)
        self.link = SicsLink(address, lambda: self.name, timeout, self._stability / clock.speed)
        self._mass: float | None = None
        source = f"mtsics://{self.link.tcp.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.mass = link_signal_r(float, f"{source}/S", self._get_mass, unit="g", precision=4)
            """Net weight, g: that of the last `trigger`; before the first one the present one, once it is stable."""
        self.present = link_signal_r(float, f"{source}/SI", self._get_present, unit="g", precision=4)
        """Net weight at once, stable or not, g."""
        self.tare = Tare(self)
        """Makes the present weight the tare."""
        self.zero = Zero(self)
        """Makes the present weight zero."""
        super().__init__(name, clock, Heartbeat(heartbeat, self._serial_number, lambda: self.link.asked_at))

    async def begin(self) -> None:
        """Check that a balance answers."""
        await self.greet()

    async def greet(self) -> None:
        """Check that a balance answers, by asking for its serial number."""
        await self._serial_number()

    async def identity(self) -> str:
        """Type and capacity, software and serial number, as the balance tells them. Raises `Fault`."""
        told = [(await self.link.ask(command)).removeprefix("A").strip(' "') for command in ("I2", "I3", "I4")]
        return "{}, software {}, serial number {}".format(*told)

    async def leave(self) -> None:
        """Close the connection."""
        await self.link.close()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Wait for a stable weight.

        Raises:
            Fault: overloaded, underloaded, not stable in time, or no answer.
        """
        self._mass = (await self.stable()).grams

    async def stable(self) -> Weight:
        """The net weight, once it is stable. Raises `Fault`."""
        return await self._weigh("S", slow=True)

    async def tare_memory(self) -> Weight:
        """The tare. Raises `Fault`."""
        return await self._weigh("TA")

    async def safe_state(self) -> None:
        """Nothing in a balance moves or heats, so nothing is sent but a query: it answers.

        Raises:
            UnsafeState: it does not.
        """
        last: Fault | None = None
        for _ in range(2):
            try:
                await self._serial_number()
            except Fault as error:
                last = error
            else:
                return
        raise UnsafeState(
            self.name, f"{self.link.tcp.address}: a balance needs no stopping, but this one does not answer ({last})"
        ) from last

    def stop_exchanges(self) -> list[StopExchange]:
        """Nothing: a balance needs no stopping."""
        return []

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of a tare or zero, from the tare memory and the reading. Waits until the balance is stable.

        Raises:
            Fault: the balance does not answer.
        """
        armed = _armed(action.evidence)
        if armed is None:
            return Receipt(Verdict.UNKNOWN, f"{self.name} keeps no record of {action.path or action.verb}")
        receipt = _judge(armed, await self._settled(), await self.tare_memory())
        if receipt.verdict is Verdict.NOT_DONE:
            await asyncio.sleep(SECOND_LOOK)
            receipt = _judge(armed, await self._settled(), await self.tare_memory())
        return receipt

    async def _settled(self) -> Weight:
        """A stable weight, from a balance that may be busy with a tare or zero still."""
        # Two wall seconds more, for a busy computer.
        end = self.clock.now() + self._stability + 2 * self.clock.speed
        while True:
            answer = await self.link.ask("SI")
            if answer[:1] not in "ID" or self.clock.now() > end:
                return self._read("SI", answer)
            await self.poll_pause()

    async def _weigh(self, command: str, *, slow: bool = False) -> Weight:
        return self._read(command, await self.link.ask(command, slow=slow))

    def _read(self, command: str, answer: str) -> Weight:
        if answer in _REASONS:
            raise self.link.fault(f"answered '{answer}' to {command!r}: {_REASONS[answer]}")
        try:
            return Weight.read(answer)
        except ValueError as error:
            raise self.link.fault(f"reply to {command!r} makes no sense: {error}") from None

    async def _serial_number(self) -> str:
        answer = await self.link.ask("I4")
        if not answer.startswith('A "') or not answer.endswith('"'):
            raise self.link.fault(f"answered {answer!r} to 'I4', which is no serial number")
        return answer[3:-1]

    async def _get_mass(self) -> float:
        return (await self.stable()).grams if self._mass is None else self._mass

    async def _get_present(self) -> float:
        return (await self._weigh("SI")).grams


def _armed(evidence: Mapping[str, Any]) -> tuple[str, float, float, float] | None:
    """Command, reading, tare and last digit (g) before it; None when it is no evidence of either verb."""
    try:
        command = str(evidence["command"])
        reading, tare, step = (float(evidence[key]) for key in ("reading", "tare", "step"))
    except (KeyError, TypeError, ValueError):
        return None
    return (command, reading, tare, step) if command in ("T", "Z") and step > 0 else None


def _judge(armed: tuple[str, float, float, float], now: Weight, tare: Weight) -> Receipt:
    """Whether the balance was tared or zeroed: nothing but that changes its tare or takes its reading to zero."""
    command, reading, before, step = armed
    close = _STEPS * step + 1e-9
    text = f"it shows {now.grams:g} g after {reading:g} g, its tare is {tare.grams:g} g after {before:g} g"
    if now.status != "S":
        return Receipt(Verdict.UNKNOWN, f"{text}, and it is not stable")
    if command == "T":
        if abs(tare.grams - before) <= close / _STEPS:
            return Receipt(Verdict.NOT_DONE, text)
        done = abs(tare.grams - before - reading) <= close
        return Receipt(Verdict.DONE if done else Verdict.UNKNOWN, text)
    if abs(now.grams) <= close and tare.grams == 0:
        return Receipt(Verdict.DONE, text)
    unchanged = abs(now.grams - reading) <= close and tare.grams == before
    return Receipt(Verdict.NOT_DONE if unchanged else Verdict.UNKNOWN, text)
