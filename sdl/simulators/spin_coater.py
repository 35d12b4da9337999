"""A simulated spin coater with magazine, syringe and vacuum chuck: lines of ASCII over TCP.

There is no common standard for spin coaters, and each maker has commands of its own. The command set below is this
instrument's own, in the style of laboratory instruments. It is all there is to it.

Framing. A request is one line, ended by CR LF; words are separated by blanks. Each request is answered by one line,
ended by CR LF: `OK`, with `key=value` pairs where there is something to tell, or `ERR number text`. Requests of one
connection are answered in order; several connections may be open. Times are seconds, speeds rpm, volumes uL, numbers
are decimal with a point. A tag is 1 to 32 letters, digits, `_` or `-`, chosen by the client, and never used twice.

| request | what it does | answer |
| --- | --- | --- |
| `ID?` | identity | `OK maker,model,serial,version`; the model begins with `SPC` |
| `ST?` | what it does now | `OK state=… left=… rpm=… lid=… vacuum=… chuck=… magazine=… fault=… tag=…` |
| `ST? s` | the same, but only once nothing moves any more, at the latest after `s` seconds (0 to 10) | likewise |
| `CN?` | counters, last action | `OK memory=… loads=… dispenses=… volume=… spins=… tag=… kind=… result=… done=… …` |
| `LOAD tag` | puts a substrate from the magazine on the chuck, and the vacuum on | `OK left=… tag=…` |
| `DISP tag uL` | dispenses ink on the substrate, which stands still | `OK left=… tag=…` |
| `SPIN tag program` | spins: `rpm,rpm/s,s` of each segment, joined by `;` | `OK left=… tag=…` |
| `STOP` | brakes the rotor with 3000 rpm/s, stops the syringe; a load goes on | `OK left=…` |
| `VAC 1`, `VAC 0` | applies or releases the vacuum | `OK` |
| `RST` | acknowledges a latched fault | `OK` |

`LOAD`, `DISP` and `SPIN` are answered as soon as they are accepted, with the time that they take. A segment of a
program lasts as long as it says, with the ramp to its speed; after the last one the rotor is braked.

Keys of the answers: `state` is IDLE, LOAD, DISP, SPIN, BRAKE or FAULT; `left` the seconds until nothing moves any more;
`rpm` the measured speed; `lid` 1 when closed; `vacuum` 1 when the chuck holds a substrate; `chuck` 1 when there is one;
`magazine` the substrates left; `fault` the number of the fault that is latched, 0 for none. `tag` is that of the last
action that was accepted, `-` before the first. Counters outlive power cuts; `memory` names what they are kept in, and
is another one when it was replaced. `loads` counts substrates put on the chuck, `dispenses` dispenses of which
something came out, `volume` all that came out, `spins` programs in which the rotor turned. Of the last action, `kind`
is LOAD, DISP or SPIN, `result` RUN, DONE, STOPPED or FAILED, `done` what sensor, syringe or encoder have counted
(substrates, uL, or seconds that the rotor turned before it was braked), `of` what was asked for, `left` the seconds
until it is over.

Errors: 10 unknown command, 11 wrong parameters, 12 out of limits, 13 this tag was accepted before, 20 busy, 21 the
magazine is empty, 22 the chuck is taken, 23 no substrate on the chuck, 24 the lid is open, 25 no vacuum under the
substrate, 26 the rotor turns, 30 a fault is latched, 31 the cause of the fault persists, 90 not ready. What is answered
`ERR` has not been done. Faults: 1 the lid was opened while something moved, 2 the vacuum was lost while the rotor
turned, 3 the handler could not do it. A fault stops rotor and syringe; no action is accepted before `RST`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Callable

from sdl.devices._spin_coater_protocol import ERRORS, Segment
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.simulators._spin_coater_machine import CoaterMachine
from sdl.simulators._spin_coater_parts import CoaterLimits, CoaterMemory, CoaterPlant, Refused, SmallPlant

__all__ = ["CoaterLimits", "CoaterMemory", "CoaterPlant", "SmallPlant", "SpinCoaterServer"]

IDENTITY = "sdl,SPC-200 simulator,0,1.0"
_TAG = re.compile(r"[\w-]{1,32}", re.ASCII)
_LATE = 1e-3
"""Lab seconds by which the end of a process is looked at late, so that it is over by then."""


class SpinCoaterServer(InstrumentServer):
    """Serves one spin coater.

    Args:
        probe: faults and log; `stuck` means that nothing moves and nothing notices.
        clock: lab time; what moves takes its time on it.
        plant: magazine, chuck and film; 25 substrates on their own by default.
        limits: what it can do.
        memory: counters of an earlier life; new ones by default.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which rotor and syringe are stopped; None for never.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        plant: CoaterPlant | None = None,
        *,
        limits: CoaterLimits | None = None,
        memory: CoaterMemory | None = None,
        port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        super().__init__(probe, port=port, latency=latency, deadman=deadman)
        self.plant = plant if plant is not None else SmallPlant()
        self.machine = CoaterMachine(probe, clock, self.plant, limits or CoaterLimits(), memory or CoaterMemory())
        """What can be opened, leaks and counts."""
        self._clock = clock
        self._commands: dict[str, tuple[Callable[..., str], int]] = {
            "ID?": (lambda: IDENTITY, 0),
            "ST?": (self._status, 0),
            "CN?": (self._counters, 0),
            "LOAD": (self._load, 1),
            "DISP": (self._dispense, 2),
            "SPIN": (self._spin, 2),
            "STOP": (self._halt, 0),
            "VAC": (self._vacuum, 1),
            "RST": (self._reset, 0),
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._following: asyncio.Task[None] | None = None
        self._end = math.inf
        """Lab time at which `_following` looks."""
        probe.faults.on_change.append(self._on_change)

    async def start(self) -> str:
        self._loop = asyncio.get_running_loop()
        self.machine.advance()
        self._follow()
        return await super().start()

    async def stop(self) -> None:
        """Close the port and every connection; what moves is brought up to the present when somebody looks again."""
        self._loop = None
        await self._unfollow()
        await super().stop()

    async def make_safe(self) -> None:
        """Rotor and syringe are stopped; the vacuum stays."""
        self.machine.advance()
        self.machine.stop()
        self._follow()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\n")

    def refusal(self, request: bytes) -> bytes:
        return _error(90)

    async def answer(self, request: bytes) -> bytes:
        word, *parameters = request.decode("ascii", "replace").split() or [""]
        command = self._commands.get(word)
        if command is None:
            return _error(10, word[:20])
        self.renew(request)
        self.machine.advance()
        try:
            if word == "ST?" and parameters:
                await self._until_still(_number(parameters.pop(0), 10.0))
            handler, count = command
            if len(parameters) != count:
                raise ValueError(word)
            return f"OK {handler(*parameters)}".rstrip().encode("ascii") + b"\r\n"
        except Refused as error:
            return _error(error.number, error.detail)
        except ValueError:
            return _error(11, word)
        finally:
            self._follow()

    # ── commands ──

    def _status(self) -> str:
        machine = self.machine
        found = {
            "state": machine.state,
            "left": _seconds(machine.left),
            "rpm": f"{machine.speed:.1f}",
            "lid": int(machine.lid_closed),
            "vacuum": int(machine.vacuum),
            "chuck": int(self.plant.occupied()),
            "magazine": self.plant.magazine(),
            "fault": machine.fault,
            "tag": machine.memory.tag,
        }
        return _pairs(found)

    def _counters(self) -> str:
        memory = self.machine.memory
        found = {
            "memory": memory.id,
            "loads": memory.loads,
            "dispenses": memory.dispenses,
            "volume": f"{memory.volume:.2f}",
            "spins": memory.spins,
            "tag": memory.tag,
            "kind": memory.kind,
            "result": memory.result,
            "done": f"{memory.done:.2f}",
            "of": f"{memory.of:.2f}",
            "left": _seconds(self.machine.left),
        }
        return _pairs(found)

    def _load(self, tag: str) -> str:
        self.machine.load(_tag(tag))
        return self._accepted()

    def _dispense(self, tag: str, volume: str) -> str:
        self.machine.dispense(_tag(tag), _number(volume))
        return self._accepted()

    def _spin(self, tag: str, program: str) -> str:
        segments = []
        for part in program.split(";"):
            rpm, acceleration, seconds = map(_number, part.split(","))
            segments.append(Segment(rpm, seconds, acceleration))
        self.machine.spin(_tag(tag), segments)
        return self._accepted()

    def _halt(self) -> str:
        self.machine.stop()
        return f"left={_seconds(self.machine.left)}"

    def _vacuum(self, on: str) -> str:
        if on not in ("0", "1"):
            raise ValueError(on)
        self.machine.switch_vacuum(on == "1")
        return ""

    def _reset(self) -> str:
        self.machine.reset()
        return ""

    def _accepted(self) -> str:
        return f"left={_seconds(self.machine.left)} tag={self.machine.memory.tag}"

    # ── time ──

    async def _until_still(self, seconds: float) -> None:
        end = self._clock.now() + seconds
        while (left := min(self.machine.left, end - self._clock.now())) > 0:
            await self._clock.sleep(left + _LATE)
            self.machine.advance()

    def _follow(self) -> None:
        """Have the end of what moves now noticed when it comes, though nobody may ask."""
        end = self._clock.now() + self.machine.left
        waiting = self._following is not None and not self._following.done()
        if self._loop is None or not self.machine.left or (waiting and end > self._end - _LATE):
            return
        if self._following is not None:
            self._following.cancel()
        self._end = end
        self._following = self._loop.create_task(self._to_the_end())

    async def _to_the_end(self) -> None:
        while self.machine.left > 0:
            await self._clock.sleep(self.machine.left + _LATE)
            self.machine.advance()

    async def _unfollow(self) -> None:
        task, self._following = self._following, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _on_change(self) -> None:
        # A fault may be put in from another thread than the one that serves.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.machine.advance)


def _pairs(found: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in found.items())


def _seconds(value: float) -> str:
    """Rounded up: who waits so long finds it over."""
    return f"{math.ceil(value * 1000) / 1000:.3f}"


def _number(text: str, highest: float = math.inf) -> float:
    value = float(text)
    if not 0 <= value <= highest or not math.isfinite(value):
        raise ValueError(text)
    return value


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text) or text == "-":
        raise ValueError(text)
    return text


def _error(number: int, detail: str = "") -> bytes:
    text = f"ERR {number} {ERRORS[number]}"
    return (f"{text}: {detail}" if detail else text).encode("ascii", "replace") + b"\r\n"
