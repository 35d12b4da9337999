"""What a simulated process controller heats: a lump whose temperature is known in closed form, now and in the past."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sdl.simulators._heater_course import Course, Leg

__all__ = ["FirstOrderPlant", "ThermalPlant", "Timepiece"]

Array = npt.NDArray[np.float64]
Source = Callable[[float, float], tuple[Course, float]]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


class Timepiece(Protocol):
    """What tells lab time, as every clock does."""

    def now(self) -> float:
        """Lab s."""
        ...


class ThermalPlant(Protocol):
    """What a controller heats; both act at the present of lab time."""

    def temperature(self) -> float:
        """degC"""
        ...

    def set_power(self, fraction: float) -> None:
        """Power from now on, 0 to 1 of full power."""
        ...


class FirstOrderPlant:
    """A lump with a heat loss: τ dT/dt = ambient + gain·power − T.

    Nothing runs while nobody asks: its course is known from one change to the next, and worked out when it is asked
    for. So what it tells does not depend on how often it is asked, and it can tell the past.

    Args:
        clock: lab time.
        gain: rise at full power, K.
        time_constant: τ, s.
        ambient: degC; also where it begins.
        memory: changes of course that are kept; a ramp, a move and a dwell make some five.
    """

    def __init__(
        self,
        clock: Timepiece,
        *,
        gain: float = 150.0,
        time_constant: float = 60.0,
        ambient: float = 22.0,
        memory: int = 4096,
    ) -> None:
        self.gain, self.time_constant, self.ambient = gain, time_constant, ambient
        self._clock = clock
        self._power = 0.0
        self._source: Source = self._left_alone
        self._legs: deque[Leg] = deque(maxlen=memory)
        self._begin(clock.now(), ambient)

    def temperature(self) -> float:
        """degC, now."""
        now = self._clock.now()
        return self.advance(now).at(now)

    def set_power(self, fraction: float) -> None:
        """Power from now on, 0 to 1.

        Raises:
            RuntimeError: a controller governs it.
        """
        if self._source != self._left_alone:
            raise RuntimeError("a controller governs this plant; set the controller's output")
        self._power = min(max(fraction, 0.0), 1.0)
        self.bend()

    def heated(self, temperature: float, power: float) -> Course:
        """Its course from a temperature, degC, at a steady power, 0 to 1."""
        end = self.ambient + self.gain * power
        return Course(end, 0.0, temperature - end, self.time_constant)

    @property
    def remembered(self) -> float:
        """Lab time from which on its past can be told, s."""
        return self._legs[0].start

    def govern(self, source: Source) -> None:
        """Hand the plant to a controller.

        Args:
            source: says from a lab time and the temperature there which course follows, and to which lab time.
        """
        self._source = source
        self.bend()

    def bend(self) -> None:
        """Something was changed: another course follows from now on."""
        now = self._clock.now()
        temperature = self.advance(now).at(now)
        leg = self._legs.pop()
        if leg.start < now:
            self._legs.append(leg._replace(end=now))
        self._begin(now, temperature)

    def advance(self, moment: float) -> Leg:
        """The leg that a lab time, not before the last change, lies in."""
        while (leg := self._legs[-1]).end <= moment:
            self._begin(leg.end, leg.at(leg.end))
        return leg

    def _begin(self, moment: float, temperature: float) -> None:
        course, end = self._source(moment, temperature)
        self._legs.append(Leg(moment, end, course))

    def _left_alone(self, moment: float, temperature: float) -> tuple[Course, float]:
        return self.heated(temperature, self._power), math.inf

    def history(self, start: float, end: float, step: float = 10.0) -> tuple[Array, Array]:
        """Temperatures of the past.

        Args:
            start: lab s.
            end: lab s, not after the present.
            step: longest time between two of them, s.

        Returns:
            Lab times, s, evenly spaced with both ends among them, and the temperatures there, degC; shapes (n,).

        Raises:
            ValueError: as for `integrate`.
        """
        times = np.linspace(start, end, max(2, math.ceil((end - start) / step) + 1))
        temperatures = np.empty_like(times)
        for leg, begin, stop in self._pieces(start, end):
            inside = (times >= begin) & (times <= stop)
            temperatures[inside] = leg.course.values(times[inside] - leg.start)
        return times, temperatures

    def integrate(self, rate: Callable[[Array], Array], start: float, end: float) -> float:
        """∫ rate(T(t)) dt, as of an Arrhenius rate over an annealing.

        By Gauss and Legendre with six nodes on panels in which the temperature changes by 5 K at most.

        Args:
            rate: from temperatures, degC, shape (n,), to values per second, shape (n,); smooth.
            start: lab s.
            end: lab s, not after the present.

        Raises:
            ValueError: the span lies in the future, before what is remembered, or ends before it begins.
        """
        total = 0.0
        for leg, begin, stop in self._pieces(start, end):
            marks = leg.course.marks(begin - leg.start, stop - leg.start)
            half = np.diff(marks)[:, None] / 2
            nodes = (marks[:-1, None] + half) + half * _NODES
            values = rate(leg.course.values(nodes.ravel())).reshape(nodes.shape)
            total += float(np.sum(half * _WEIGHTS * values))
        return total

    def _pieces(self, start: float, end: float) -> Iterator[tuple[Leg, float, float]]:
        """Legs of a span, the last first, each with the part of it that lies in the span."""
        now = self._clock.now()
        self.advance(now)
        first = self.remembered
        if not first <= start <= end <= now:
            raise ValueError(f"lab times {start:g} s to {end:g} s are not within {first:g} s to {now:g} s")
        for leg in reversed(self._legs):
            if leg.start <= end and leg.end >= start:
                yield leg, max(start, leg.start), min(end, leg.end)
            if leg.start <= start:
                return
