"""Which campaign a person means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from sdl.journal._rows import CampaignHead
from sdl.model import InputError

__all__ = ["resolve"]


def resolve(text: str, campaigns: Sequence[CampaignHead]) -> str:
    """Id of the campaign with this id, name, or unique prefix of either; the newest of several with one name.

    Args:
        text: what the person wrote.
        campaigns: all there are, the oldest first.

    Raises:
        InputError: none or several fit.
    """
    for fits in (
        [c for c in campaigns if c.id == text],
        [c for c in campaigns if c.name == text],
        [c for c in campaigns if text and (c.id.startswith(text) or c.name.startswith(text))],
    ):
        if len(fits) == 1 or (fits and all(c.name == fits[0].name for c in fits) and fits[0].name.startswith(text)):
            return fits[-1].id
        if fits:
            several = ", ".join(f"{c.name} ({c.id})" for c in fits)
            raise InputError(f"{text!r} fits several campaigns: {several}; write more of the one you mean")
    raise InputError(f"no campaign {text!r} in the store{_nearest(text, campaigns)}")


def _nearest(text: str, campaigns: Sequence[CampaignHead]) -> str:
    known = sorted({name for c in campaigns for name in (c.name, c.id)})
    near = difflib.get_close_matches(text, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    names = ", ".join(dict.fromkeys(c.name for c in campaigns))
    return f"; there are: {names}" if names else ", which holds none"
