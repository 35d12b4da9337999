"""The control loop of a simulated process controller around any plant: it has to be brought up to the present often."""

from __future__ import annotations

import math

from sdl.protocols import Clock
from sdl.simulators._heater_exact import ExactLoop
from sdl.simulators._heater_plant import FirstOrderPlant, ThermalPlant

__all__ = ["ControlLoop", "ExactLoop", "FirstOrderPlant", "ThermalPlant", "loop_for"]


def loop_for(
    plant: ThermalPlant, clock: Clock, *, closed: float | None = None, max_rate: float = 0.0
) -> ControlLoop | ExactLoop:
    """The loop for a plant: in closed form where the plant's temperature is, else one that ticks.

    Args:
        plant: what is heated.
        clock: lab time.
        closed: time constant wanted of the closed loop, s; that of the loop by default.
        max_rate: fastest ramp, degC/min; 0 for no limit.
    """
    if isinstance(plant, FirstOrderPlant):
        return ExactLoop(plant, clock, closed=closed, max_rate=max_rate)
    return ControlLoop(plant, clock, closed=15.0 if closed is None else closed, max_rate=max_rate)


class ControlLoop:
    """Setpoint ramp and PI control of the power, tuned by the lambda rule for a first-order plant.

    Args:
        plant: what is heated.
        clock: lab time.
        gain: of the plant, K at full power.
        time_constant: of the plant, s.
        closed: time constant wanted of the closed loop, s; stretched when the loop is run less often than that.
        max_rate: the working setpoint never moves faster, degC/min, whatever `rate` is; 0 for no such limit.
    """

    ticks = True
    """Whether it has to be brought up to the present again and again."""

    def __init__(
        self,
        plant: ThermalPlant,
        clock: Clock,
        *,
        gain: float = 120.0,
        time_constant: float = 70.0,
        closed: float = 15.0,
        max_rate: float = 0.0,
    ) -> None:
        self.plant = plant
        self.target = 20.0
        """degC"""
        self.working = plant.temperature()
        """degC, where the ramp has got to."""
        self.rate = 0.0
        """Ramp, degC/min; 0 for none."""
        self.max_rate = max_rate
        """Fastest ramp, degC/min; 0 for no limit."""
        self.manual = False
        self.output = 0.0
        """Commanded power, 0 to 1."""
        self._clock, self._gain, self._time_constant, self._closed = clock, gain, time_constant, closed
        self._integral = 0.0
        self._at = clock.now()

    def retarget(self, value: float) -> None:
        """Set the target. A ramp starts from the present temperature.

        Where ramps have a limit it starts from the working setpoint, which that limit forbids to move at once.
        """
        self.target = value
        if not self.max_rate:
            self.working = self.plant.temperature()

    def step(self, heating: bool = True) -> None:
        """Bring ramp and power up to the present; without `heating` the power has no effect."""
        now = self._clock.now()
        elapsed, self._at = now - self._at, now
        self._ramp(elapsed)
        if not self.manual:
            self._regulate(elapsed)
        self.plant.set_power(self.output if heating else 0.0)

    def _ramp(self, elapsed: float) -> None:
        if self.manual and self.max_rate:
            # The controller does not regulate: once it does again, it starts from the temperature there is then.
            self.working = self.plant.temperature()
            return
        rate = min((rate for rate in (self.rate, self.max_rate) if rate), default=0.0)
        reach = rate * elapsed / 60 if rate else math.inf
        self.working += max(-reach, min(reach, self.target - self.working))

    def _regulate(self, elapsed: float) -> None:
        error = self.working - self.plant.temperature()
        proportional = self._time_constant / (self._gain * max(self._closed, 3 * elapsed))
        step = proportional * error * elapsed / self._time_constant
        wanted = proportional * error + self._integral + step
        # Integrate only while the output is free to follow.
        if 0.0 <= wanted <= 1.0:
            self._integral += step
        self.output = min(max(wanted, 0.0), 1.0)
