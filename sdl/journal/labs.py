"""The chain of a lab: what is on record about a lab and belongs to no campaign, in the same store as its campaigns.

It is a journal like a campaign's, with an id that no campaign has.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_lab", "lab_chain"]

_PREFIX: Final = "lab-"
"""Campaigns' ids begin with the year."""


def lab_chain(name: str) -> str:
    """Id of the chain of the lab called `name`."""
    return f"{_PREFIX}{name}"


def is_lab(chain: str) -> bool:
    """Whether a chain is that of a lab, and no campaign."""
    return str(chain).startswith(_PREFIX)  # a damaged store may hold anything for an id
