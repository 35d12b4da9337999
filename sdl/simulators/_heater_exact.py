"""The control loop of a simulated process controller around a plant that it is tuned for, in closed form.

A PI controller of the power p with the gain K and the reset time τ, tuned by the lambda rule to its plant τ dT/dt =
A + G·p − T: K = τ/(G·λ) (Åström & Hägglund, Advanced PID Control, 2006, section 6.5), and wound down by external reset
from the power that reaches the plant, so that I follows p with the time constant τ (the same, section 3.5). Begun at
ambient temperature, I is then (T − A)/G at all times, whatever the power does: both are p behind the same lag. So

    wanted = K·(w − T) + (T − A)/G,    p = wanted within 0 and 1,

and the temperature follows the working setpoint w by λ dT/dt = w − T while p is free, and the plant's own equation at a
steady power while it is not. Between two changes each is a straight line and one exponential.
"""

from __future__ import annotations

import math

from sdl.protocols import Clock
from sdl.simulators._heater_course import Course
from sdl.simulators._heater_plant import FirstOrderPlant

__all__ = ["ExactLoop"]

_SLIP = 1e-9
"""How far, in parts of full power, the wanted power goes past a bound before the output is taken to have met it."""


class ExactLoop:
    """Setpoint ramp and PI control of the power; worked out when it is asked for, exactly.

    Args:
        plant: what is heated, from ambient temperature on.
        clock: lab time.
        closed: λ, time constant of the closed loop, s; a quarter of the plant's by default, at most half of it.
        max_rate: the working setpoint never moves faster, degC/min, whatever `rate` is; 0 for no such limit.
    """

    ticks = False
    """Whether it has to be brought up to the present again and again."""

    def __init__(
        self, plant: FirstOrderPlant, clock: Clock, *, closed: float | None = None, max_rate: float = 0.0
    ) -> None:
        self.plant = plant
        self.max_rate = max_rate
        """Fastest ramp, degC/min; 0 for no limit."""
        lag = plant.time_constant
        self._clock, self._closed = clock, min(lag / 4 if closed is None else closed, lag / 2)
        self._gain = lag / (plant.gain * self._closed)
        self._target, self._rate = 20.0, 0.0
        self._base, self._since = plant.temperature(), clock.now()
        self._manual, self._output, self._heating = False, 0.0, True
        self._later: tuple[float, float] | None = None
        plant.govern(self._follows)

    @property
    def target(self) -> float:
        """degC"""
        self.plant.temperature()
        return self._target

    @property
    def working(self) -> float:
        """degC, where the ramp has got to."""
        temperature = self.plant.temperature()
        if self._manual and self.max_rate:
            # The controller does not regulate: once it does again, it starts from the temperature there is then.
            return temperature
        return self._ramp(self._clock.now())[0]

    @property
    def rate(self) -> float:
        """Ramp, degC/min; 0 for none."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        if value != self._rate:
            self._base, self._since = self.working, self._clock.now()
            self._rate = value
            self.plant.bend()

    @property
    def manual(self) -> bool:
        """Whether the power is what `output` was set to."""
        return self._manual

    @manual.setter
    def manual(self, value: bool) -> None:
        if value != self._manual:
            self._output = self.output
            self._base, self._since = self.working, self._clock.now()
            self._manual = value
            self.plant.bend()

    @property
    def output(self) -> float:
        """Commanded power, 0 to 1; can be set in manual mode."""
        if self._manual:
            return self._output
        temperature = self.plant.temperature()
        wanted = self._gain * (self.working - temperature) + (temperature - self.plant.ambient) / self.plant.gain
        return min(max(wanted, 0.0), 1.0)

    @output.setter
    def output(self, value: float) -> None:
        if self._manual and value != self._output:
            self.plant.temperature()  # up to now it is as it was
            self._output = value
            self.plant.bend()

    def retarget(self, value: float) -> None:
        """Set the target. A ramp starts from the present temperature.

        Where ramps have a limit it starts from the working setpoint, which that limit forbids to move at once.
        """
        temperature, now = self.plant.temperature(), self._clock.now()
        self._aim(value, now, temperature)
        self.plant.bend()

    def retarget_at(self, moment: float | None, value: float = 0.0) -> None:
        """Have the target set by itself at a lab time, s, in place of an earlier order of this kind; None for none."""
        self.plant.temperature()
        self._later = None if moment is None else (moment, value)
        self.plant.bend()

    def step(self, heating: bool = True) -> None:
        """Come up to the present; without `heating` the power has no effect from now on."""
        if heating != self._heating:
            self.plant.temperature()  # up to now it is as it was
            self._heating = heating
            self.plant.bend()

    def _aim(self, value: float, moment: float, temperature: float) -> None:
        self._base = self._ramp(moment)[0] if self.max_rate else temperature
        self._target, self._since = value, moment

    def _ramp(self, moment: float) -> tuple[float, float, float]:
        """Working setpoint, degC, its slope, K/s, and the lab time when that ends."""
        rate = min((rate for rate in (self._rate, self.max_rate) if rate), default=0.0) / 60
        distance = self._target - self._base
        end = self._since + abs(distance) / rate if rate else self._since
        if moment >= end:
            return self._target, 0.0, math.inf
        slope = math.copysign(rate, distance)
        return self._base + slope * (moment - self._since), slope, end

    def _follows(self, moment: float, temperature: float) -> tuple[Course, float]:
        """The plant's course from a lab time on, and until when."""
        if self._later is not None and moment >= self._later[0]:
            value, self._later = self._later[1], None
            self._aim(value, moment, temperature)
        end = math.inf if self._later is None else self._later[0]
        if self._manual or not self._heating:
            return self.plant.heated(temperature, self._output if self._heating else 0.0), end
        course, free = self._regulated(moment, temperature)
        return course, min(end, free)

    def _regulated(self, moment: float, temperature: float) -> tuple[Course, float]:
        working, slope, end = self._ramp(moment)
        plant, horizon = self.plant, end - moment
        wanted = self._gain * (working - temperature) + (temperature - plant.ambient) / plant.gain
        if 0.0 <= wanted <= 1.0:
            level = working - slope * self._closed
            course = Course(level, slope, temperature - level, self._closed)
        else:
            course = plant.heated(temperature, float(wanted > 1.0))
        lever = self._gain - 1 / plant.gain
        power = Course(
            self._gain * working - plant.ambient / plant.gain - lever * course.level,
            self._gain * slope - lever * course.slope,
            -lever * course.swing,
            course.theta,
        )
        if wanted > 1.0:
            leaves = power.falls_under(1.0 - _SLIP, horizon)
        elif wanted < 0.0:
            leaves = power.rises_over(_SLIP, horizon)
        else:
            leaves = min(power.rises_over(1.0 + _SLIP, horizon), power.falls_under(-_SLIP, horizon))
        return course, min(end, moment + leaves)
