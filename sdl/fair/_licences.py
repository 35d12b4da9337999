"""Licences that are widely used for data, by their SPDX identifiers (spdx.org/licenses)."""

from __future__ import annotations

from typing import Final

__all__ = ["STANDARD"]

_CREATIVE_COMMONS = tuple(
    f"CC-{kind}-{version}"
    for kind in ("BY", "BY-SA", "BY-NC", "BY-NC-SA", "BY-ND", "BY-NC-ND")
    for version in ("2.0", "2.5", "3.0", "4.0")
)
STANDARD: Final = frozenset(
    (
        *_CREATIVE_COMMONS,
        "CC0-1.0",
        "CC-PDDC",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
        "CDLA-Sharing-1.0",
        "DL-DE-BY-2.0",
        "DL-DE-ZERO-2.0",
        "etalab-2.0",
        "ODC-By-1.0",
        "ODbL-1.0",
        "OGL-UK-3.0",
        "PDDL-1.0",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "MIT",
    )
)
