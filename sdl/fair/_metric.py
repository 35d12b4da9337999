"""A performance metric: what it is, how it is computed, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["SOURCE", "Metric", "MetricGroup", "missing"]

SOURCE: Final = "https://doi.org/10.1038/s41467-024-45569-5"
"""A. A. Volk and M. Abolhasani, Nature Communications 15, 1378 (2024)."""


@dataclass(frozen=True)
class Metric:
    """One figure of merit."""

    key: str
    title: str
    value: float | int | str | None
    """None where it cannot be computed; `note` then says why."""
    unit: str
    """`1` for a pure number, empty for words."""
    definition: str
    """What it tells, in words."""
    formula: str
    note: str = ""
    """What to know before comparing it with somebody else's."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: what it was computed from."""


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that belong together."""

    key: str
    title: str
    metrics: tuple[Metric, ...]

    def __getitem__(self, key: str) -> Metric:
        """The metric of a key.

        Raises:
            KeyError: there is none.
        """
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(key)


def missing(metric: Metric, why: str) -> Metric:
    """The same metric, which cannot be computed."""
    return Metric(metric.key, metric.title, None, metric.unit, metric.definition, metric.formula, why)
