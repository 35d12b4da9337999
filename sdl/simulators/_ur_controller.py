"""The controller of a simulated robot: power, brakes, safety system and program, as its dashboard tells them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sdl.devices._ur_protocol import SAFE
from sdl.protocols import Clock
from sdl.simulators._faults import Probe

__all__ = ["Controller"]

_POWERING = 6.0
"""Lab seconds from `power on` to IDLE."""
_RELEASING = 3.0
"""Lab seconds from `brake release` to RUNNING."""
_LOCKED = 5.0
"""Lab seconds after a protective stop in which it cannot be unlocked."""
_LATE = (
    "Cannot unlock protective stop until 5s after occurrence. Always inspect cause of protective stop before unlocking"
)


class Controller:
    """What the Dashboard Server commands.

    Args:
        probe: log.
        clock: lab time.
        programs: file names of programs on the controller.
        on_change: told before and after whatever may keep the arm from moving: brings it up to the present.
        on_stop: told why, when the program has been stopped.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        programs: Collection[str],
        on_change: Callable[[], None],
        on_stop: Callable[[str], None],
    ) -> None:
        self.safety = "NORMAL"
        """Safety status."""
        self.loaded = ""
        """File name of the program that is loaded."""
        self.program = "STOPPED"
        self.remote = True
        """Whether the pendant is in Remote Control."""
        self._mode, self._then, self._then_at = "POWER_OFF", "", 0.0
        self._stopped_at = 0.0
        self._probe, self._clock, self._programs = probe, clock, programs
        self._on_change, self._on_stop = on_change, on_stop

    @property
    def mode(self) -> str:
        """Robot mode."""
        if self._then and self._clock.now() >= self._then_at:
            self._mode, self._then = self._then, ""
        return self._mode

    def _become(self, now: str, then: str, seconds: float) -> None:
        self._mode, self._then, self._then_at = now, then, self._clock.now() + seconds

    def may_move(self) -> bool:
        """Whether the program moves the arm."""
        return self.program == "PLAYING" and self.safety in SAFE and self.mode == "RUNNING"

    # ── what happens at the robot ──

    def protective_stop(self) -> None:
        """The arm touches something: it stands still, and the program waits."""
        self._on_change()
        self.safety, self._stopped_at = "PROTECTIVE_STOP", self._clock.now()
        if self.program == "PLAYING":
            self.program = "PAUSED"
        self._probe.record("protective_stop")
        self._on_change()

    def emergency_stop(self) -> None:
        """Somebody presses the button at the pendant: the arm loses its power, the program ends."""
        self._on_change()
        self.safety = "ROBOT_EMERGENCY_STOP"
        self._become("POWER_OFF", "", 0.0)
        self._probe.record("emergency_stop")
        self._end("emergency stop")

    def release(self) -> None:
        """Somebody releases the button, and confirms at the pendant."""
        self.safety = "NORMAL"

    def _end(self, cause: str) -> None:
        self.program = "STOPPED"
        self._on_stop(cause)

    # ── commands ──

    def execute(self, command: str) -> str:
        """Do what the dashboard is told, and return its reply."""
        verb, _, argument = command.partition(" ")
        if verb == "load":
            return self._load(argument.strip())
        action = {
            "robotmode": lambda: f"Robotmode: {self.mode}",
            "safetystatus": lambda: f"Safetystatus: {self.safety}",
            "programState": lambda: f"{self.program} {self.loaded or 'null'}",
            "running": lambda: f"Program running: {str(self.program == 'PLAYING').lower()}",
            "get loaded program": lambda: f"Loaded program: {self.loaded}" if self.loaded else "No program loaded",
            "is in remote control": lambda: str(self.remote).lower(),
            "PolyscopeVersion": lambda: "URSoftware 5.12.2.1101534 (Jul 06 2022)",
            "get robot model": lambda: "UR5",
            "get serial number": lambda: "20225500000",
            "power on": self._power_on,
            "power off": self._power_off,
            "brake release": self._brake_release,
            "play": self._play,
            "pause": self._pause,
            "stop": self._stop,
            "close safety popup": lambda: "closing safety popup",
            "unlock protective stop": self._unlock,
        }.get(command)
        return f'could not understand: "{command}"' if action is None else action()

    def _load(self, file: str) -> str:
        if file not in self._programs:
            return f"File not found: {file}"
        if self.program != "STOPPED":
            return f"Error while loading program: {file}"
        self.loaded = file
        self._probe.record("load", program=file)
        return f"Loading program: {file}"

    def _power_on(self) -> str:
        if self.mode == "POWER_OFF" and self.safety not in ("ROBOT_EMERGENCY_STOP", "VIOLATION", "FAULT"):
            self._become("BOOTING", "IDLE", _POWERING)
            self._probe.record("power", on=True)
        return "Powering on"

    def _power_off(self) -> str:
        self._on_change()
        self._become("POWER_OFF", "", 0.0)
        self._probe.record("power", on=False)
        self._end("powered off")
        return "Powering off"

    def _brake_release(self) -> str:
        if self.mode == "IDLE":
            self._become("IDLE", "RUNNING", _RELEASING)
            self._probe.record("brake_release")
        return "Brake releasing"

    def _play(self) -> str:
        ready = self.loaded and self.remote and self.safety in SAFE and self.mode == "RUNNING"
        if not ready or self.program == "PLAYING":
            return "Failed to execute: play"
        self._on_change()
        self.program = "PLAYING"
        self._probe.record("play")
        self._on_change()
        return "Starting program"

    def _pause(self) -> str:
        if self.program != "PLAYING":
            return "Failed to execute: pause"
        self._on_change()
        self.program = "PAUSED"
        self._probe.record("pause")
        self._on_change()
        return "Pausing program"

    def _stop(self) -> str:
        if self.program == "STOPPED":
            return "Failed to execute: stop"
        self.stop("stopped")
        return "Stopped"

    def stop(self, cause: str) -> None:
        """End the program; what the gripper holds stays in it."""
        self._on_change()
        if self.program != "STOPPED":
            self._probe.record("stop", cause=cause)
        self._end(cause if self.safety in SAFE else self.safety.lower().replace("_", " "))

    def _unlock(self) -> str:
        if self.safety != "PROTECTIVE_STOP":
            return "Protective stop releasing"
        if self._clock.now() - self._stopped_at < _LOCKED:
            return _LATE
        self.safety = "NORMAL"
        self._probe.record("unlock")
        return "Protective stop releasing"
