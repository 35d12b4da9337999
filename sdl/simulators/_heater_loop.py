"""The control loop of a simulated process controller, and a plant for it to heat."""

from __future__ import annotations

import math
from typing import Protocol

from sdl.protocols import Clock

__all__ = ["ControlLoop", "FirstOrderPlant", "ThermalPlant"]


class ThermalPlant(Protocol):
    """What a controller heats; both act at the present of lab time."""

    def temperature(self) -> float:
        """degC"""
        ...

    def set_power(self, fraction: float) -> None:
        """Power from now on, 0 to 1 of full power."""
        ...


class FirstOrderPlant:
    """A lump with a heat loss: τ dT/dt = ambient + gain·power − T, solved exactly between changes of power.

    Args:
        clock: lab time.
        gain: rise at full power, K.
        time_constant: τ, s.
        ambient: degC.
    """

    def __init__(
        self, clock: Clock, *, gain: float = 150.0, time_constant: float = 60.0, ambient: float = 22.0
    ) -> None:
        self.gain, self.time_constant, self.ambient = gain, time_constant, ambient
        self._clock = clock
        self._power, self._at, self._temperature = 0.0, clock.now(), ambient

    def temperature(self) -> float:
        """degC"""
        now = self._clock.now()
        end = self.ambient + self.gain * self._power
        self._temperature = end + (self._temperature - end) * math.exp((self._at - now) / self.time_constant)
        self._at = now
        return self._temperature

    def set_power(self, fraction: float) -> None:
        """Power from now on, 0 to 1."""
        self.temperature()
        self._power = min(max(fraction, 0.0), 1.0)


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
