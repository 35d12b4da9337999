"""Reading a campaign for its fold: what the fold passes over is checked, and not parsed.

Nine in ten entries of a campaign are documents in the middle of a run, and of those the fold takes only where they came
from (`origin`) and how far the journal has come. Both can be told from the end of an entry's canonical text: its keys
are sorted, so `name` comes after `doc` and nothing with a name of its own after that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from sdl.journal import kinds
from sdl.journal._entry import Entry

__all__ = ["for_the_fold"]

_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_PASSED: Final = re.compile(
    r'"name":"(?!start"|stop")[a-z_]+",'
    rf'(?:"origin":\{{"seq":(\d+),"station":({_TEXT})\}},)?'
    rf'"step":{_TEXT},"trial":\d+\}}'
)
"""End of a document's body that the fold passes over: `origin` of a worker, where it has one."""
_ENDS: Final = 100
"""Ends of bodies that are remembered."""


def for_the_fold(rows: Iterable[Any], entry: Any) -> Iterator[Entry]:
    """The entries that give the same fold as all of them.

    Of documents that are passed over, the last one of each worker stands for those before it, without its contents.

    Args:
        rows: of a campaign's entries in order; each has been compared with its hash.
        entry: makes an entry of a row.
    """
    passed: dict[str | None, tuple[Any, str | None]] = {}
    ends: dict[str, Any] = {}
    for row in rows:
        _, _, _, kind, body, _, _ = row
        if kind == kinds.DOCUMENT:
            end = body[max(0, body.rfind('"name":"')) :]
            found = ends.get(end, ends)
            if found is ends:  # of the documents of a run most have one end
                if len(ends) > _ENDS:
                    ends.clear()
                found = ends[end] = _PASSED.fullmatch(end)
            if found is not None:
                seq, station = found.groups()
                passed[station] = (row, seq)
                continue
        if passed:
            yield from _standing(passed)
            passed.clear()
        yield entry(row)
    yield from _standing(passed)


def _standing(passed: Mapping[str | None, tuple[Any, str | None]]) -> Iterator[Entry]:
    """What stands for documents that were passed over: by station, the last row and the number of its origin."""
    for station, (row, seq) in passed.items():
        origin = {} if seq is None else {"origin": {"seq": int(seq), "station": orjson.loads(station or "")}}
        campaign, own, at, kind, _, prev_hash, digest = row
        yield Entry(campaign, own, at, kind, {"name": "", "doc": {}, **origin}, prev_hash, digest)
