"""How FAIR a release is: indicators of the RDA FAIR Data Maturity Model (2020, doi:10.15497/rda00050).

27 of its 41 indicators can be judged by what a release holds. The other 14 are promises of whoever keeps it, a
repository and its resolver, and `NOT_OFFLINE` says of each why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdl.fair._maturity_checks import CHECKS
from sdl.fair._maturity_view import View
from sdl.model.project import Project

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["INDICATORS", "NOT_OFFLINE", "Finding", "check_campaign", "check_release"]

_PERSISTS: Final = "that it persists is a promise of the registration agency and of the repository"
_RESOLVES: Final = "an identifier resolves only once it is registered"
_SERVED: Final = "it depends on how the repository serves it"

INDICATORS: Final[Mapping[str, tuple[str, str]]] = {
    "RDA-F1-02M": ("essential", "What describes the data has an identifier that nothing else has."),
    "RDA-F1-02D": ("essential", "The data have an identifier that nothing else has."),
    "RDA-F2-01M": ("essential", "There is enough metadata for others to find the data by."),
    "RDA-F3-01M": ("essential", "The metadata name the identifier of the data that they describe."),
    "RDA-A1-01M": ("important", "The metadata say how, and from whom, the data are to be had."),
    "RDA-I1-01M": ("important", "The metadata are written in a standard format."),
    "RDA-I1-01D": ("important", "The data are written in a standard format."),
    "RDA-I1-02M": ("important", "The metadata say what they mean in a way that machines understand."),
    "RDA-I1-02D": ("important", "The data say what they mean in a way that machines understand."),
    "RDA-I2-01M": ("important", "The words of the metadata come from vocabularies that are FAIR themselves."),
    "RDA-I2-01D": ("useful", "The words of the data come from vocabularies that are FAIR themselves."),
    "RDA-I3-01M": ("important", "The metadata refer to other metadata, as to records of people and works."),
    "RDA-I3-01D": ("useful", "The data refer to other data, as outcomes do to runs."),
    "RDA-I3-02M": ("useful", "The metadata refer to other data that these belong with."),
    "RDA-I3-02D": ("useful", "References from data to data say what relation they stand for."),
    "RDA-I3-03M": ("important", "References from metadata to metadata say what relation they stand for."),
    "RDA-I3-04M": ("useful", "References from metadata to data say what relation they stand for."),
    "RDA-R1-01M": ("essential", "Enough is told of how the data came about for others to use them."),
    "RDA-R1.1-01M": ("essential", "The metadata state the licence of the data."),
    "RDA-R1.1-02M": ("important", "That licence is a standard one."),
    "RDA-R1.1-03M": ("important", "Machines can tell which licence it is."),
    "RDA-R1.2-01M": ("important", "Provenance is told in the way of the community."),
    "RDA-R1.2-02M": ("useful", "Provenance is told in a language that other communities read as well."),
    "RDA-R1.3-01M": ("essential", "The metadata follow a standard of the community."),
    "RDA-R1.3-01D": ("essential", "The data follow a standard of the community."),
    "RDA-R1.3-02M": ("essential", "The metadata follow one that machines understand."),
    "RDA-R1.3-02D": ("important", "The data follow one that machines understand."),
}
"""Indicator → its priority, and what it asks for in our own words."""

NOT_OFFLINE: Final[Mapping[str, str]] = {
    "RDA-F1-01M": _PERSISTS,
    "RDA-F1-01D": _PERSISTS,
    "RDA-F4-01M": "whether catalogues can harvest it depends on the repository's interfaces",
    "RDA-A1-02M": _SERVED,
    "RDA-A1-02D": _SERVED,
    "RDA-A1-03M": _RESOLVES,
    "RDA-A1-03D": _RESOLVES,
    "RDA-A1-04M": _SERVED,
    "RDA-A1-04D": _SERVED,
    "RDA-A1-05D": _SERVED,
    "RDA-A1.1-01M": _SERVED,
    "RDA-A1.1-01D": _SERVED,
    "RDA-A1.2-01D": "authentication is a matter of the repository that serves it",
    "RDA-A2-01M": "that metadata outlive the data is a promise of the repository",
}
"""Indicator that no release can be judged by → why."""


@dataclass(frozen=True)
class Finding:
    """How a release stands to one indicator."""

    id: str
    """As in RDA-F1-02M."""
    priority: str
    """essential, important or useful."""
    text: str
    """What it asks for."""
    passed: bool
    advice: str
    """How to mend it; empty when it passes."""

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def check_release(folder: Path) -> list[Finding]:
    """Judge a release by every indicator that can be judged offline, in the order of the model.

    Raises:
        InputError: the folder is no release.
    """
    view = View(folder)
    found = []
    for id_, (priority, text) in INDICATORS.items():
        advice = CHECKS[id_](view)
        found.append(Finding(id_, priority, text, not advice, advice))
    return found


def check_campaign(store: Store, campaign: str, project: Project | None = None) -> list[Finding]:
    """Judge the release that a campaign would make now; nothing of it is kept.

    Args:
        store: an open store.
        campaign: id of the campaign.
        project: who answers for the data; as the campaign says unless given.

    Raises:
        InputError: the campaign has not been begun.
    """
    from sdl.fair.release import release

    with tempfile.TemporaryDirectory(prefix="sdl-fair-") as folder:
        made = release(store, campaign, Path(folder) / "release", project=project, whole=False)
        return check_release(made.folder)
