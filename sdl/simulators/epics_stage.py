"""A simulated sample stage: one motor record of an EPICS IOC, and an ejector at the end of its travel.

The record has the fields that clients of motors use, with the meaning they have in the EPICS motor record
(https://epics-modules.github.io/motor): a put to VAL within LLM and HLM moves, and is answered when DMOV is 1 again;
one outside sets LVIO and is forgotten; STOP and SPMG stop. A stage that has come to the ejector goes home by itself,
and DMOV is 0 until it is there. `PREFIX:EJECT` is where the ejector is and `PREFIX:HOME` where the stage goes from
there (mm), `PREFIX:EJECTED` counts how often the stage has come to the ejector, and `PREFIX:BOOTED` is when the IOC was
started (Unix seconds): the counter begins at 0 then.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any, Protocol

from sdl.devices._epics_motion import travel_time, travelled
from sdl.protocols import Clock
from sdl.simulators._epics_fields import choice, integer, number, text
from sdl.simulators._epics_server import CaServer
from sdl.simulators._faults import Probe

__all__ = ["EJECT", "BarePlant", "StageIoc", "StagePlant"]

EJECT = 120.0
"""Where the film falls into the tray, mm."""
_THERE = 1e-6
"""mm"""
_CLEAR = 1.0
"""How far from the ejector nothing falls, mm."""


class StagePlant(Protocol):
    """What lies on the stage."""

    def moved(self, position_mm: float) -> None:
        """The stage has come to `position_mm`; at `EJECT` what lies on it falls into the tray."""
        ...


class BarePlant:
    """Nothing lies on it."""

    def moved(self, position_mm: float) -> None:
        """Nothing follows."""


class _Motion:
    """From rest to rest."""

    def __init__(self, start: float, target: float, began: float, velocity: float, acceleration_time: float) -> None:
        self.start, self.target = start, target
        self._began, self._how = began, (velocity, acceleration_time)
        self.seconds = travel_time(target - start, *self._how)

    def position(self, now: float) -> float:
        return self.start + travelled(self.target - self.start, *self._how, now - self._began)


class StageIoc:
    """Serves one stage over Channel Access.

    Faults are those of `CaServer`; while `stuck` the motor stands where it is, and DMOV stays 0.

    Args:
        plant: what lies on it; nothing by default.
        probe: faults and log: `move`, `arrive`, `stop`, `eject`, with positions in mm; the way home is
            a part of an eject.
        clock: lab time; motions take theirs on it.
        port: 0 lets the system choose.
        prefix: name of the record; by default one that no other simulation on this computer has.
        velocity: mm/s.
        acceleration_time: s to get to it.
        low: lowest position, mm.
        high: highest position, mm; the ejector is at it or below.
        eject: where the ejector is, mm; the stage's home is the end of its travel that is farther from there.
    """

    def __init__(
        self,
        plant: StagePlant | None,
        probe: Probe,
        clock: Clock,
        *,
        port: int = 0,
        prefix: str = "",
        velocity: float = 20.0,
        acceleration_time: float = 0.2,
        low: float = 0.0,
        high: float = EJECT,
        eject: float = EJECT,
    ) -> None:
        self.probe = probe
        self.ejected = 0
        """How often something was ejected since the start."""
        self._plant: StagePlant = plant or BarePlant()
        self._clock, self._server, self._prefix = clock, CaServer(probe, port=port), prefix
        self._limits, self._eject = (low, high), eject
        self._home = low if eject - low >= high - eject else high
        self._settings = (velocity, acceleration_time)
        self._position = self._target = low
        self._motion: _Motion | None = None
        self._running: asyncio.Task[None] | None = None
        self._free = asyncio.Event()
        self._violated = False
        self._fields: dict[str, Any] = {}
        probe.faults.on_change.append(self._fault_changed)

    async def start(self) -> str:
        """Listen on 127.0.0.1 and return the address, `ca://127.0.0.1:port/PREFIX`. The ejector counts from 0."""
        port = self._server.listen()
        self._prefix = self._prefix or f"SIM{port}:STAGE"
        self.ejected = 0
        self._fields = self._own_fields()
        served = {f"{self._prefix}{field}": data for field, data in self._fields.items()}
        await self._server.serve({self._prefix: self._fields[".VAL"], **served})
        return f"ca://127.0.0.1:{port}/{self._prefix}"

    async def stop(self) -> None:
        """The IOC ends and the motor with it. Harmless when not started."""
        await self._halt()
        await self._server.stop()

    @property
    def position(self) -> float:
        """Where it is now, mm."""
        if self._motion is not None and not self.probe.faults.stuck:
            return self._motion.position(self._clock.now())
        return self._position

    @property
    def moving(self) -> bool:
        """Whether it has not come to rest."""
        return self._running is not None

    def _own_fields(self) -> dict[str, Any]:
        (low, high), length = self._limits, dict[str, Any](unit="mm", precision=3)
        return {
            ".VAL": number(
                self._target, upper_ctrl_limit=high, lower_ctrl_limit=low, get=lambda: self._target, put=self._go_to,
                **length,
            ),
            ".RBV": number(self._position, get=lambda: self.position, **length),
            ".DMOV": integer(1, get=lambda: int(not self.moving)),
            ".MOVN": integer(0, get=lambda: int(self.moving)),
            ".STOP": integer(0, put=self._put_stop),
            ".SPMG": choice("Go", "Stop", "Pause", "Move", put=self._put_spmg),
            ".LVIO": integer(0, get=lambda: int(self._violated)),
            ".LLM": number(low, writable=True, **length),
            ".HLM": number(high, writable=True, **length),
            ".DLLM": number(low, writable=True, **length),
            ".DHLM": number(high, writable=True, **length),
            ".VELO": number(self._settings[0], unit="mm/s", writable=True),
            ".VMAX": number(self._settings[0], unit="mm/s"),
            ".ACCL": number(self._settings[1], unit="s", writable=True),
            ".EGU": text("mm"),
            ".DESC": text("simulated sample stage"),
            ".VERS": number(7.3),
            ".PREC": integer(3),
            ".MRES": number(1e-3, **length),
            ".ERES": number(1e-3, **length),
            ".SREV": integer(1000),
            ".UREV": number(1.0, **length),
            ".RDBD": number(1e-3, **length),
            ".OFF": number(0.0, writable=True, **length),
            ".FOFF": choice("Variable", "Frozen", writable=True),
            ".SET": choice("Use", "Set", writable=True),
            ".HLS": integer(0, get=lambda: int(self.position >= high - _THERE)),
            ".LLS": integer(0, get=lambda: int(self.position <= low + _THERE)),
            ".OUT": text("simulated"),
            ":EJECT": number(self._eject, **length),
            ":HOME": number(self._home, **length),
            ":EJECTED": integer(0, get=lambda: self.ejected),
            ":BOOTED": number(time.time(), unit="s", precision=3),
        }  # fmt: skip

    # ── what the record does ──

    async def _go_to(self, target: float) -> None:
        """A put to VAL: move, and return at rest."""
        self._violated = not self._fields[".LLM"].value <= target <= self._fields[".HLM"].value
        if self._violated or self._fields[".SPMG"].value != "Go":
            return
        self._rest()
        self._target = target
        self.probe.record("move", start=self._position, target=target)
        self._running = running = asyncio.create_task(self._move(target))
        await self._tell()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(asyncio.gather(running, return_exceptions=True))

    async def _move(self, target: float) -> None:
        await self._travel(target)
        self._arrived(target)
        if abs(target - self._eject) <= _THERE:
            self.ejected += 1
            self.probe.record("eject", count=self.ejected)
        self._plant.moved(target)
        if abs(target - self._eject) <= _THERE:
            await self._travel(self._home)
            self._arrived(self._home)
            self._plant.moved(self._home)
        self._running = None
        await self._tell()

    async def _travel(self, target: float) -> None:
        while True:
            if self.probe.faults.stuck:
                self._free.clear()
                await self._free.wait()
                continue
            speed = self._fields[".VELO"].value, self._fields[".ACCL"].value
            self._motion = motion = _Motion(self._position, target, self._clock.now(), *speed)
            with contextlib.suppress(_Interrupted):
                await self._pass(motion.seconds)
                break
        self._motion = None

    async def _pass(self, seconds: float) -> None:
        """Lab time, unless the motor gets stuck meanwhile."""
        self._free.clear()
        stuck = asyncio.ensure_future(self._free.wait())
        moved = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({stuck, moved}, return_when=asyncio.FIRST_COMPLETED)
            if not moved.done():
                raise _Interrupted
        finally:
            stuck.cancel()
            moved.cancel()
            await asyncio.gather(stuck, moved, return_exceptions=True)

    def _fault_changed(self) -> None:
        """The motor has got stuck or loose: it stands where it is, or goes on from there."""
        if self._motion is not None:
            self._position = self._motion.position(self._clock.now())
            self._motion = None
        self._free.set()

    def _arrived(self, position: float) -> None:
        self._position = self._target = position
        self.probe.record("arrive", position=position)

    def _rest(self) -> bool:
        """Stop where it is; whether it moved."""
        running, self._running = self._running, None
        if running is None:
            return False
        position, self._motion = self.position, None
        self._position = self._target = position
        running.cancel()
        return True

    async def _halt(self) -> None:
        if self._rest():
            self.probe.record("stop", position=self._position)
            self._plant.moved(self._clear(self._position))
            await self._tell()

    def _clear(self, position: float) -> float:
        """What a plant is told of a stop: one beside the ejector drops nothing, as only an arrival there does."""
        if abs(position - self._eject) < _CLEAR:
            return self._eject + math.copysign(_CLEAR, self._home - self._eject)
        return position

    async def _tell(self) -> None:
        """Those who monitor the record hear of it."""
        for field in (".RBV", ".DMOV", ".MOVN", ".VAL"):
            data = self._fields.get(field)
            if data is not None:
                await data.show(data.now())

    async def _put_stop(self, value: int) -> None:
        if value:
            await self._halt()
            await self._fields[".STOP"].show(0)

    async def _put_spmg(self, value: str) -> None:
        if value in ("Stop", "Pause"):
            await self._halt()


class _Interrupted(Exception):
    """The motor got stuck on its way."""
