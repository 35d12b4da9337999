"""The performance metrics of a campaign, as tables of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdl.fair._words import duration, number
from sdl.fair.metrics import Metric, Metrics

__all__ = ["MetricRow", "MetricTable", "metric_tables"]


@dataclass(frozen=True)
class MetricRow:
    """One metric, for people."""

    title: str
    value: str
    """A dash where it cannot be computed."""
    note: str
    definition: str
    formula: str


@dataclass(frozen=True)
class MetricTable:
    """Metrics that belong together."""

    title: str
    rows: list[MetricRow]


def metric_tables(metrics: Metrics | None) -> list[MetricTable]:
    """A table for each group, but for the use of stations where the report has a figure of it.

    Args:
        metrics: of the campaign; None where there is nothing to measure yet.
    """
    if metrics is None:
        return []
    return [MetricTable(group.title, list(_rows(group.metrics))) for group in metrics.groups if group.metrics]


def _rows(metrics: tuple[Metric, ...]) -> Iterator[MetricRow]:
    for metric in metrics:
        yield MetricRow(metric.title, _value(metric), metric.note, metric.definition, metric.formula)


def _value(metric: Metric) -> str:
    value = metric.value
    if value is None or isinstance(value, str):
        return value or "–"
    if metric.unit == "s":
        return duration(round(value * 1e9))
    return number(value, "" if metric.unit == "1" else metric.unit)
