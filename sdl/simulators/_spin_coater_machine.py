"""A simulated spin coater without its connection: rotor, syringe, handler, interlocks, counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sdl.devices._spin_coater_protocol import Segment
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._plant import PlantError
from sdl.simulators._spin_coater_parts import CoaterLimits, CoaterMemory, CoaterPlant, Refused
from sdl.simulators._spin_coater_spin import Rotation

__all__ = ["CoaterMachine"]

LID_OPENED: Final = 1
VACUUM_LOST: Final = 2
HANDLER: Final = 3


@dataclass
class _Process:
    """What moves now."""

    kind: str
    duration: float
    """Lab seconds."""
    rotation: Rotation = field(default_factory=lambda: Rotation(()))
    """Of a spin."""
    elapsed: float = 0.0
    moved: float = 0.0
    """Lab seconds in which it really moved, without the brake."""

    @property
    def length(self) -> float:
        """Lab seconds without the brake."""
        return self.rotation.length if self.kind == "SPIN" else self.duration


class CoaterMachine:
    """One coater. What moves is integrated when somebody looks; `left` says when to look next.

    Args:
        probe: faults and log; `stuck` means that rotor, syringe, handler and valve do not move, and nothing notices.
        clock: lab time.
        plant: the physical world.
        limits: what it can do.
        memory: counters of an earlier life.
    """

    def __init__(
        self, probe: Probe, clock: Clock, plant: CoaterPlant, limits: CoaterLimits, memory: CoaterMemory
    ) -> None:
        self.probe, self.plant, self.limits, self.memory = probe, plant, limits, memory
        self.fault = 0
        """Number of the fault that is latched; 0 for none."""
        self.fault_text = ""
        self.lid_closed = True
        self._leaking = False
        self.pump_on = False
        """Whether the vacuum is applied."""
        self._clock = clock
        self._process: _Process | None = None
        self._at, self._held = clock.now(), False

    # ── what it shows ──

    @property
    def state(self) -> str:
        """IDLE, LOAD, DISP, SPIN, BRAKE or FAULT."""
        process = self._process
        if process is None:
            return "FAULT" if self.fault else "IDLE"
        return "BRAKE" if process.kind == "SPIN" and process.elapsed >= process.length else process.kind

    @property
    def left(self) -> float:
        """Lab seconds until nothing moves any more, as of the last `advance`."""
        return 0.0 if self._process is None else max(self._process.duration - self._process.elapsed, 0.0)

    @property
    def speed(self) -> float:
        """rpm"""
        process = self._process
        if process is None or process.kind != "SPIN" or self._held:
            return 0.0
        return process.rotation.speed(process.elapsed)

    @property
    def vacuum(self) -> bool:
        """Whether the chuck holds a substrate."""
        return self.pump_on and not self._leaking and self.plant.occupied()

    # ── time ──

    def advance(self) -> None:
        """Bring everything up to the present."""
        now = self._clock.now()
        passed, self._at = now - self._at, now
        held, self._held = self._held, self.probe.faults.stuck
        process = self._process
        if process is None:
            return
        before = process.elapsed
        process.elapsed += max(min(passed, process.duration - process.elapsed), 0.0)
        if not held:
            process.moved += max(min(process.elapsed, process.length) - before, 0.0)
        self._measure(process)
        if process.kind == "SPIN" and not self.fault and not self.vacuum:
            self._lost_vacuum(process)
        if self._process is process and process.elapsed >= process.duration - 1e-9:
            self._end(process)

    def _measure(self, process: _Process) -> None:
        """Count what has moved so far."""
        memory, before = self.memory, self.memory.done
        if process.kind == "DISP":
            memory.done = min(process.moved * self.limits.flow, memory.of)
            memory.volume += memory.done - before
            memory.dispenses += before == 0 < memory.done
        elif process.kind == "SPIN":
            memory.done = process.moved
            memory.spins += before == 0 < memory.done

    def _end(self, process: _Process) -> None:
        """Everything stands still."""
        self._process, memory = None, self.memory
        if memory.result == "RUN":
            memory.result = "DONE"
        tag, complete = memory.tag, memory.result == "DONE"
        if process.kind == "LOAD":
            self._loaded(tag, process)
        elif process.kind == "DISP" and memory.done:
            self.plant.dispense(memory.done)
            rounded = {"volume": round(memory.done, 4), "total": round(memory.volume, 4)}
            self.probe.record("dispense", tag=tag, **rounded, of=memory.of, number=memory.dispenses, complete=complete)
        elif process.kind == "SPIN" and memory.done:
            rpm, seconds = process.rotation.amounts_to()
            self.plant.spin(rpm, seconds)
            rounded = {"rpm": round(rpm, 1), "seconds": round(seconds, 3)}
            self.probe.record("spin", tag=tag, **rounded, of=memory.of, number=memory.spins, complete=complete)

    def _loaded(self, tag: str, process: _Process) -> None:
        if process.moved < process.duration - 1e-6:  # the handler stood still for a while, and has put nothing down
            return
        try:
            self.plant.load()
        except PlantError as error:
            self.memory.result = "FAILED"
            self._latch(HANDLER, str(error))
            return
        self.pump_on, self.memory.done = True, 1.0
        self.memory.loads += 1
        self.probe.record("load", tag=tag, number=self.memory.loads, magazine=self.plant.magazine())

    # ── what it is told ──

    def load(self, tag: str) -> None:
        """Begin to put a substrate on the chuck. Raises `Refused`."""
        self._need_ready(tag)
        if self.plant.occupied():
            raise Refused(22)
        if not self.plant.magazine():
            raise Refused(21)
        self._begin("LOAD", tag, 1.0, _Process("LOAD", self.limits.load_time))

    def dispense(self, tag: str, volume: float) -> None:
        """Begin to dispense (uL). Raises `Refused`."""
        _within("volume", volume, 0.01, self.limits.max_volume, "uL")
        self._need_ready(tag)
        if not self.plant.occupied():
            raise Refused(23)
        self._begin("DISP", tag, volume, _Process("DISP", volume / self.limits.flow))

    def spin(self, tag: str, program: Sequence[Segment]) -> None:
        """Begin a spin program. Raises `Refused`."""
        self._check_program(program)
        self._need_ready(tag)
        if not self.plant.occupied():
            raise Refused(23)
        if not self.vacuum:
            raise Refused(25)
        rotation = Rotation(program)
        self._begin("SPIN", tag, rotation.length, _Process("SPIN", rotation.duration, rotation))

    def stop(self) -> None:
        """Brake the rotor and stop the syringe; the handler goes on."""
        process = self._process
        if process is None or process.kind == "LOAD" or self.state == "BRAKE":
            return
        self.memory.result = "STOPPED"
        self.probe.record("stop", state=process.kind)
        if process.kind == "SPIN":
            process.rotation.stopped_after, process.rotation.stalled = process.elapsed, self._held
            process.duration = process.rotation.duration
        else:
            process.duration = process.elapsed
        if process.elapsed >= process.duration:
            self._end(process)

    def cut_power(self) -> None:
        """Everything stands still at once, and the vacuum is gone; `memory` outlives it."""
        self.advance()
        process, self.pump_on = self._process, False
        if process is not None:
            self.memory.result = "STOPPED"
            process.rotation.stopped_after, process.rotation.stalled = min(process.elapsed, process.length), True
            self._process = None
            if process.kind != "LOAD":
                self._end(process)
        self.probe.record("power", on=False)

    def switch_vacuum(self, on: bool) -> None:
        """Apply or release the vacuum. Raises `Refused`."""
        if self._process is not None:
            raise Refused(20, self.state)
        if self.pump_on != on and not self._held:
            self.pump_on = on
            self.probe.record("vacuum", on=on)

    def reset(self) -> None:
        """Acknowledge a fault. Raises `Refused`."""
        if self._process is not None:
            raise Refused(20, self.state)
        if self.fault == LID_OPENED and not self.lid_closed:
            raise Refused(31, "close the lid")
        if self.fault:
            self.probe.record("reset", fault=self.fault)
        self.fault, self.fault_text = 0, ""

    def open_lid(self) -> None:
        """A person opens the lid."""
        self.advance()
        self.lid_closed = False
        self.probe.record("lid", closed=False)
        if self._process is not None:
            self._trip(LID_OPENED)

    def close_lid(self) -> None:
        """A person closes it."""
        self.lid_closed = True
        self.probe.record("lid", closed=True)

    def leak(self, leaking: bool = True) -> None:
        """The chuck loses its vacuum, or is tight again."""
        self.advance()
        self._leaking = leaking
        self.advance()

    def _lost_vacuum(self, process: _Process) -> None:
        if process.elapsed >= process.length and self.memory.result == "RUN":  # noticed when it was over
            self.memory.result = "FAILED"
        self._trip(VACUUM_LOST)

    def _trip(self, fault: int) -> None:
        self._latch(fault, "")
        self.stop()

    def _latch(self, fault: int, text: str) -> None:
        self.fault, self.fault_text = fault, text
        self.probe.record("fault", number=fault, text=text)

    def _begin(self, kind: str, tag: str, of: float, process: _Process) -> None:
        memory = self.memory
        memory.tags.add(tag)
        memory.tag = tag
        memory.kind, memory.result, memory.done, memory.of = kind, "RUN", 0.0, of
        self._process = process
        self.probe.record("accept", kind=kind, tag=tag, of=of)

    def _need_ready(self, tag: str) -> None:
        if tag in self.memory.tags:
            raise Refused(13, tag)
        if self._process is not None:
            raise Refused(20, f"{self.state}, {self.left:.1f} s left")
        if self.fault:
            raise Refused(30, f"{self.fault} {self.fault_text}".rstrip())
        if not self.lid_closed:
            raise Refused(24)

    def _check_program(self, program: Sequence[Segment]) -> None:
        limits, before = self.limits, 0.0
        if not 1 <= len(program) <= limits.max_segments:
            raise Refused(12, f"{len(program)} segments, limits 1 to {limits.max_segments}")
        for segment in program:
            _within("speed", segment.rpm, limits.min_speed, limits.max_speed, "rpm")
            _within("acceleration", segment.acceleration, 10.0, limits.max_acceleration, "rpm/s")
            _within("segment", segment.seconds, 0.1, limits.max_seconds, "s")
            ramp = abs(segment.rpm - before) / segment.acceleration
            if ramp > segment.seconds:
                raise Refused(12, f"a ramp of {ramp:.1f} s in a segment of {segment.seconds:g} s")
            before = segment.rpm


def _within(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise Refused(12, f"{name} {value:g} {unit}, limits {low:g} to {high:g} {unit}")
