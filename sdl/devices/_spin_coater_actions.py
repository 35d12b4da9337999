"""What a spin coater does: load a substrate, dispense, spin. None of them may be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophyd_async.core import AsyncStatus, Device

from sdl.devices._limits import check_limits
from sdl.devices._signal import link_signal_rw
from sdl.devices._spin_coater_protocol import RESOLUTION_UL, Segment, read_program, write_program
from sdl.devices._spin_coater_receipt import CARRIED
from sdl.devices._spin_coater_runner import Coater, Order, Runner
from sdl.lab.effects import current_action

__all__ = ["Dispense", "Load", "Spin"]


class _Verb(Device):
    """A part of the coater that acts."""

    def __init__(self, coater: Coater, runner: Runner) -> None:
        # Not plain attributes: a device would take its coater for its child.
        self._of = (coater, runner)
        super().__init__()

    @property
    def _coater(self) -> Coater:
        return self._of[0]

    @property
    def _runner(self) -> Runner:
        return self._of[1]

    async def stop(self, success: bool = True) -> None:
        """Stop it if it is under way; Bluesky calls this also after one that is done, and then nothing happens."""
        if self._runner.under_way:
            self._runner.interrupt()
            await self._coater.halt()


class Load(_Verb):
    """Triggerable: puts a fresh substrate from the magazine on the chuck, and the vacuum on."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Load a substrate; done when the chuck holds it. A load that has begun cannot be stopped.

        Raises:
            Refusal: the chuck is taken, the magazine is empty, the lid is open, or a fault is latched.
            Fault: the coater failed.
        """
        await self._runner.carry_out(Order("LOAD", "load a substrate", 1.0))


class Dispense(_Verb):
    """Movable: set a volume in uL; done when it is on the substrate.

    In a campaign a dispense that was stopped part-way is gone on with: what is left is delivered.
    """

    def check_value(self, value: float) -> None:
        """Raise `LimitError` when the coater may not dispense `value` uL; nothing is sent."""
        options = self._coater.options
        check_limits(self.name or "dispense", value, "uL", options.min_volume, options.max_volume)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Dispense `value` uL on a substrate that stands still.

        Raises:
            LimitError: out of limits; nothing was sent.
            Refusal: no substrate, the lid is open, the rotor turns, or a fault is latched.
            Fault: the coater failed or was stopped; the message says how much came out.
        """
        self.check_value(value)
        action = current_action()
        before = float(action.carried.get(CARRIED["DISP"], 0.0)) if action is not None else 0.0
        left = value - before
        if before and left < RESOLUTION_UL:
            return
        await self._runner.carry_out(Order("DISP", f"dispense {left:g} uL", round(left, 2), f"{left:.2f}"))


class Spin(_Verb):
    """Movable: set a speed in rpm, a segment, or several; done when the rotor stands still again.

    A segment is a mapping, `{"rpm": 3000, "seconds": 30, "acceleration": 1000}` in rpm, s and rpm/s. What it leaves
    out is as the signals `seconds` and `acceleration` say. A segment lasts as long as it says, with its ramp.

        yield from bps.mv(coater.spin, 3000)
        yield from bps.mv(coater.spin, [{"rpm": 500, "seconds": 5}, {"rpm": 3000, "seconds": 30}])
    """

    def __init__(self, coater: Coater, runner: Runner) -> None:
        self._defaults = {"seconds": coater.options.seconds, "acceleration": coater.options.acceleration}
        self.seconds = self._default("seconds", "s")
        """Length of a segment that gives none, s."""
        self.acceleration = self._default("acceleration", "rpm/s")
        """Acceleration of a segment that gives none, rpm/s."""
        super().__init__(coater, runner)

    def _default(self, key: str, unit: str) -> Any:
        async def get() -> float:
            return self._defaults[key]

        async def put(value: float) -> None:
            self._defaults[key] = value

        def check(value: float) -> None:
            check_limits(f"{self.name or 'spin'} {key}", value, unit, *self._coater.options.limits[key])

        return link_signal_rw(float, f"soft://spin/{key}", get, put, check=check, unit=unit)

    def check_value(self, value: float | Mapping[str, float] | list[Mapping[str, float]]) -> None:
        """Raise when the coater may not spin so; nothing is sent.

        Raises:
            LimitError: a speed, length or acceleration is out of limits.
            ValueError: it is no spin program.
        """
        self._read(value)

    def _read(self, value: Any) -> tuple[Segment, ...]:
        program = read_program(value, **self._defaults)
        options, name = self._coater.options, self.name or "spin"
        check_limits(f"{name}: number of segments", len(program), "segments", 1, options.max_segments)
        for segment in program:
            check_limits(name, segment.rpm, "rpm", options.min_speed, options.max_speed)
            check_limits(f"{name} seconds", segment.seconds, "s", *options.limits["seconds"])
            check_limits(f"{name} acceleration", segment.acceleration, "rpm/s", *options.limits["acceleration"])
        return program

    @AsyncStatus.wrap
    async def set(self, value: float | Mapping[str, float] | list[Mapping[str, float]]) -> None:
        """Spin the substrate.

        Raises:
            LimitError: out of limits; nothing was sent.
            ValueError: it is no spin program; nothing was sent.
            Refusal: no substrate, no vacuum, the lid is open, a fault is latched, or a ramp is longer than its segment.
            Fault: the coater failed or was stopped; the message says for how long it spun.
        """
        program = self._read(value)
        seconds = sum(segment.seconds for segment in program)
        speeds = ", ".join(f"{segment.rpm:g}" for segment in program)
        words = f"spin at {speeds} rpm for {seconds:g} s"
        await self._runner.carry_out(Order("SPIN", words, round(seconds, 2), write_program(program)))
