"""Sets of spans of time: sorted, apart from each other."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Spans", "clipped", "length", "minus", "union"]

Spans = list[tuple[float, float]]


def union(spans: Iterable[tuple[float, float]]) -> Spans:
    """Spans put together where they touch or overlap."""
    found: Spans = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def minus(spans: Spans, others: Spans) -> Spans:
    """What of the spans is in none of the others; both as `union` gives them."""
    found: Spans = []
    first = 0
    for begin, end in spans:
        while first < len(others) and others[first][1] <= begin:
            first += 1
        for cut, until in others[first:]:
            if cut >= end:
                break
            if cut > begin:
                found.append((begin, cut))
            begin = max(begin, until)
        if begin < end:
            found.append((begin, end))
    return found


def clipped(spans: Iterable[tuple[float, float]], begin: float, end: float) -> Spans:
    """What of the spans is between two times."""
    return [(max(a, begin), min(b, end)) for a, b in spans if min(b, end) > max(a, begin)]


def length(spans: Iterable[tuple[float, float]]) -> float:
    """All of it."""
    return sum(end - begin for begin, end in spans)
