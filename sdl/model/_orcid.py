"""ORCID iDs of people."""

from __future__ import annotations

import re

__all__ = ["checked_orcid"]


def checked_orcid(orcid: str | None) -> str | None:
    """The iD as 0000-0002-1825-0097, also where its whole address is given; None stays.

    The last character is an ISO 7064 MOD 11-2 check digit (support.orcid.org, "Structure of the ORCID").

    Raises:
        ValueError: it is not an ORCID iD, or its check digit does not fit.
    """
    if orcid is None:
        return None
    digits = orcid.removeprefix("https://orcid.org/")
    if not re.fullmatch(r"([0-9]{4}-){3}[0-9]{3}[0-9Xx]", digits):
        raise ValueError(f"{orcid!r} is not an ORCID iD; write it as 0000-0002-1825-0097")
    compact = digits.replace("-", "")
    total = 0
    for digit in compact[:15]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if compact[15].upper() != ("X" if check == 10 else str(check)):
        raise ValueError(f"{orcid!r} is not a valid ORCID iD: its check digit does not fit; look for a typing slip")
    return digits.upper()
