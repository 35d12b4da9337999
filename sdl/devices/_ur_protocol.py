"""What a Universal Robots controller and the program that carries samples say, line by line.

**Dashboard Server** (TCP port 29999; Universal Robots, "Dashboard Server e-Series, port 29999", and "Stop recovery").
One line of text a command and one a reply, each ended by a line feed; a greeting comes first on every connection:

    Connected: Universal Robots Dashboard Server
    robotmode                 Robotmode: RUNNING
    safetystatus              Safetystatus: NORMAL
    programState              PLAYING carry.urp | PAUSED carry.urp | STOPPED carry.urp
    running                   Program running: true | Program running: false
    power on                  Powering on
    brake release             Brake releasing
    load carry.urp            Loading program: carry.urp | File not found: carry.urp
    get loaded program        Loaded program: carry.urp | No program loaded
    play, pause, stop         Starting program, Pausing program, Stopped | Failed to execute: play
    close safety popup        closing safety popup
    unlock protective stop    Protective stop releasing | Cannot unlock protective stop until 5s after occurrence. …

What it does not know is answered with `could not understand: "…"`.

**Program channel** (a TCP port of the lab's choice, 50010 by default). The program has no server of its own: a small
daemon on the controller (a URCap) keeps its record, in a file, and hands it carries. So the record can be asked for
whether or not the program plays, and outlives a restart. Lines again, without a greeting:

    ID?                            ID sdl-carry 1
    PLACES?                        PLACES chuck bed_a bed_b
    COUNT?                         COUNT <carries taken> <id of the record>
    STATE?                         STATE <phase> <lab seconds left> <tag>
    GRIP?                          GRIP HELD | GRIP EMPTY
    LAST?                          CARRY <tag> <number> <source> <target> <outcome> [cause] | CARRY -
    CARRY? <tag>                   the same of the carry with this tag, while it is among the last 64
    CARRY <tag> <source> <target>  OK CARRY <number>: it has been taken, and counted; it moves after this
    HOME                           OK HOME <lab seconds>

Phases are IDLE, APPROACH, GRIP, TRAVEL, PLACE and HOME; without a carry under way the tag is `-`. Outcomes are RUNNING,
DONE, NOT_PICKED (nothing was taken: the sample is where it was) and PARTIAL (the gripper holds the sample); the cause
is what stopped it, in words. The source `gripper` delivers what the gripper holds. A tag is taken once. What is not
done is answered with `ERR <code> <words>`: SYNTAX, PLACE, BUSY, NOT_PLAYING, HOLDING, NOT_HOLDING, KNOWN.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

__all__ = [
    "GREETING",
    "GRIPPER",
    "IDENTITY",
    "MODES",
    "PROGRAM_PORT",
    "REMEMBERED",
    "SAFE",
    "STOPS",
    "Carried",
    "Count",
    "State",
    "tag_of",
]

GREETING = "Connected: Universal Robots Dashboard Server"
IDENTITY = "sdl-carry"
PROGRAM_PORT = 50010
GRIPPER = "gripper"
"""In place of a source: what the gripper holds."""
REMEMBERED = 64
"""How many carries the record keeps."""

MODES = {
    "NO_CONTROLLER": "its controller does not run",
    "DISCONNECTED": "the arm is not connected to the controller",
    "CONFIRM_SAFETY": "its safety configuration has to be confirmed at the pendant",
    "BOOTING": "it is being powered on",
    "POWER_OFF": "the arm has no power",
    "POWER_ON": "the arm has power",
    "IDLE": "its brakes are on",
    "BACKDRIVE": "it is being moved by hand",
    "RUNNING": "it can move",
}
"""Robot mode → in words."""
SAFE = ("NORMAL", "REDUCED")
"""Safety status in which the robot moves."""
STOPS = {
    "PROTECTIVE_STOP": "protective stop: it touched something, or came near a limit. Look what was in its way, clear "
    "it, and unlock the stop at the pendant",
    "RECOVERY": "recovery mode: move it back inside its limits at the pendant",
    "SAFEGUARD_STOP": "safeguard stop: a door is open or a light curtain is interrupted. Clear and reset it",
    "AUTOMATIC_MODE_SAFEGUARD_STOP": "safeguard stop: a door is open or a light curtain is interrupted. Clear and "
    "reset it",
    "SYSTEM_EMERGENCY_STOP": "emergency stop of the cell: release its button once all is clear, and confirm at the "
    "pendant",
    "ROBOT_EMERGENCY_STOP": "emergency stop: release the button at the pendant once all is clear, and confirm there",
    "SYSTEM_THREE_POSITION_ENABLING_STOP": "the enabling switch is not in its middle position",
    "VIOLATION": "safety violation: restart the robot at the pendant",
    "FAULT": "fault of the safety system: restart the robot, and call its service if that comes again",
}
"""Safety status in which it does not move → in words."""

_STATE = re.compile(r"STATE ([A-Z]+) (\d+(?:\.\d+)?) (\S+)")
_COUNT = re.compile(r"COUNT (\d+) (\S+)")
_CARRY = re.compile(r"CARRY (\S+) (\d+) (\S+) (\S+) (RUNNING|DONE|NOT_PICKED|PARTIAL)(?: (.*))?")


@dataclass(frozen=True)
class State:
    """What the program does."""

    phase: str
    left: float
    """Lab seconds until the carry is over, if nothing stops it."""
    tag: str
    """Of the carry under way; `-` without one."""

    @classmethod
    def read(cls, line: str) -> Self:
        """Raises ValueError when the line is no such reply."""
        phase, left, tag = _groups(_STATE, line)
        return cls(phase, float(left), tag)

    def line(self) -> str:
        """As it is sent."""
        return f"STATE {self.phase} {self.left:.3f} {self.tag}"


@dataclass(frozen=True)
class Count:
    """How many carries the program has taken since its record began."""

    taken: int
    record: str
    """Another one after the record was lost."""

    @classmethod
    def read(cls, line: str) -> Self:
        """Raises ValueError when the line is no such reply."""
        taken, record = _groups(_COUNT, line)
        return cls(int(taken), record)

    def line(self) -> str:
        """As it is sent."""
        return f"COUNT {self.taken} {self.record}"


@dataclass
class Carried:
    """One carry in the program's record."""

    tag: str
    number: int
    source: str
    target: str
    outcome: str = "RUNNING"
    cause: str = ""

    @classmethod
    def read(cls, line: str) -> Self | None:
        """None when there is no such carry. Raises ValueError when the line is no such reply."""
        if line == "CARRY -":
            return None
        tag, number, source, target, outcome, cause = _groups(_CARRY, line)
        return cls(tag, int(number), source, target, outcome, cause or "")

    def line(self) -> str:
        """As it is sent."""
        return f"CARRY {self.tag} {self.number} {self.source} {self.target} {self.outcome} {self.cause}".rstrip()


def _groups(pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
    match = pattern.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is no such reply")
    return match.groups()


def tag_of(action: str, number: int) -> str:
    """The tag of a carry: of the action it is for, empty outside a campaign, and the number it will have."""
    prefix = hashlib.blake2b(action.encode(), digest_size=8).hexdigest() if action else "manual"
    return f"{prefix}-{number}"
