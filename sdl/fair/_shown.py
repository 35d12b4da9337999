"""What of a campaign may go into a release that others are given, by the one policy of `sdl.fair.access`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Final

from sdl.fair.access import Hidden, Part, Role, described, may
from sdl.fair.record import CampaignRecord
from sdl.model import CampaignSpec

__all__ = ["DESCRIBING", "as_seen_by", "keeps"]

DESCRIBING: Final = ("datacite", "cao", "jpcoar", "ro_crate")
"""Exports that hold nothing but what describes a campaign, once the record does not."""


def as_seen_by(record: CampaignRecord, role: Role, today: date) -> CampaignRecord:
    """The record as a role may see it: all of it, or what describes the campaign without its data.

    Args:
        record: the campaign.
        role: who is given the release.
        today: day of the release.

    Raises:
        Hidden: the role may not know of the campaign.
    """
    policy = record.project.access
    if not (seen := may(role, "metadata", policy, today)).allowed:
        raise Hidden(f"no release of {record.name} for {role}: {seen.why}")
    if may(role, "data", policy, today).allowed:
        return record
    return replace(
        record,
        spec=CampaignSpec.model_validate(described(record.spec.model_dump(mode="json"))),
        trials=(),
        runs={},
        samples=(),
        decisions=(),
        inputs={},
        data=False,
    )


def keeps(record: CampaignRecord, role: Role, today: date) -> Callable[[str], bool]:
    """Whether a file, by its path in the release, may be given to a role."""
    policy = record.project.access
    part: Part = "data" if record.data else "metadata"
    return lambda path: may(role, part, policy, today, path).allowed
