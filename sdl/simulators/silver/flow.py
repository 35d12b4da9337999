"""What flowed when, and which part of it is in front of the detector."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from statistics import NormalDist

__all__ = ["FlowHistory", "residence_quantiles"]


class FlowHistory:
    """Piecewise constant flows of several feeds over lab time.

    Args:
        feeds: their names.
    """

    def __init__(self, feeds: Iterable[str]) -> None:
        self.feeds = tuple(feeds)
        self._times: list[float] = []
        self._flows: list[tuple[float, ...]] = []

    def set(self, feed: str, rate: float, at: float) -> None:
        """From lab time `at` on, `feed` flows at `rate` uL/min.

        It may be earlier than changes of other feeds that are known already; a later change of the same feed that is
        known already is overwritten.
        """
        row = bisect_right(self._times, at)
        before = self._flows[row - 1] if row else (0.0,) * len(self.feeds)
        self._times.insert(row, at)
        self._flows.insert(row, before)
        index = self.feeds.index(feed)
        for later in range(row, len(self._flows)):
            flows = list(self._flows[later])
            flows[index] = max(rate, 0.0)
            self._flows[later] = tuple(flows)

    def entered(self, volume: float, at: float) -> float | None:
        """Lab time at which the liquid came in that is `volume` uL past the inlet at `at`; None for the first fill."""
        left, end = volume, at
        for index in range(len(self._times) - 1, -1, -1):
            start, rate = self._times[index], sum(self._flows[index]) / 60
            if end <= start:
                continue
            if rate * (end - start) >= left:
                return end - left / rate if rate else end
            left -= rate * (end - start)
            end = start
        return None

    def at(self, time: float) -> dict[str, float]:
        """Flow of each feed at a lab time, uL/min."""
        flows: Sequence[float] = [0.0] * len(self.feeds)
        for start, candidate in zip(self._times, self._flows, strict=True):
            if start > time:
                break
            flows = candidate
        return dict(zip(self.feeds, flows, strict=True))

    def delivered(self, feed: str, until: float) -> float:
        """Volume that a feed delivered so far, uL."""
        index, ends = self.feeds.index(feed), [*self._times, until][1:]
        return sum(
            flows[index] * max(min(end, until) - start, 0.0) / 60
            for start, end, flows in zip(self._times, ends, self._flows, strict=True)
        )


def residence_quantiles(tanks: int, count: int) -> list[float]:
    """Residence volumes of equal shares of the liquid, relative to their mean, for a cascade of stirred tanks.

    Wilson and Hilferty's approximation of the gamma distribution (Proc. Natl Acad. Sci. 17, 684 (1931)).
    """
    spread = 1 / (9 * tanks)
    raw = [(1 - spread + spread**0.5 * NormalDist().inv_cdf((i + 0.5) / count)) ** 3 for i in range(count)]
    mean = sum(raw) / count
    return [value / mean for value in raw]
