"""How long a motor takes, and how far it is: from rest to rest at constant acceleration, up to a velocity.

As the EPICS motor record means its fields VELO (velocity) and ACCL (seconds to velocity), without base velocity and
backlash: https://epics-modules.github.io/motor, "Motor record", section "Motion related fields".
"""

from __future__ import annotations

import math

__all__ = ["travel_time", "travelled"]


def travel_time(distance: float, velocity: float, acceleration_time: float) -> float:
    """Seconds for a distance (mm, of any sign) at a velocity (mm/s) that takes `acceleration_time` s to reach."""
    distance = abs(distance)
    if distance <= velocity * acceleration_time:  # it never gets to its velocity
        return 2 * math.sqrt(distance * acceleration_time / velocity)
    return distance / velocity + acceleration_time


def travelled(distance: float, velocity: float, acceleration_time: float, seconds: float) -> float:
    """How much of a distance (mm, of any sign) is behind `seconds` after the start."""
    whole = travel_time(distance, velocity, acceleration_time)
    if seconds >= whole:
        return distance
    if seconds > whole / 2:  # braking mirrors the start
        return distance - travelled(distance, velocity, acceleration_time, whole - seconds)
    early = max(min(seconds, acceleration_time), 0.0)
    gone = velocity * early**2 / (2 * acceleration_time) if acceleration_time > 0 else 0.0
    return math.copysign(gone + velocity * max(seconds - early, 0.0), distance)
