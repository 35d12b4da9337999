"""What becomes of a decision that is made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["TOLERANCE", "Check", "Verdict", "other_versions"]

TOLERANCE: Final = 1e-9
"""What still counts as the same: of a parameter's range, and of an outcome's value."""

Verdict = Literal["exact", "close", "differs", "impossible"]
"""`exact`: bit by bit; `close`: within `TOLERANCE`; `impossible`: what it takes is not at hand."""


@dataclass(frozen=True)
class Check:
    """One decision made again."""

    trial: int
    what: Literal["proposal", "outcome"]
    by: str
    """Planner or analysis, with its version where that is on record."""
    verdict: Verdict
    why: str = ""
    """What differs, and what may be the reason; also where only the explanation of a proposal differs."""

    @property
    def matches(self) -> bool:
        """Whether it says the same as the record."""
        return self.verdict in ("exact", "close")


def other_versions(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Packages whose version on record is another one than here, in words; none where none is on record."""
    for name in dict.fromkeys([*then, *now]):
        if then and then.get(name) != now.get(name):
            yield f"{name} {then.get(name, 'none')} then, {now.get(name, 'none')} now"
