"""What a release must state of a campaign that its journal cannot know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sdl.fair._cited import creators
from sdl.model.project import Project

__all__ = ["Missing", "missing"]

_SPDX: Final = re.compile(r"https?://\S+|[A-Za-z0-9][A-Za-z0-9.+-]*")


@dataclass(frozen=True)
class Missing:
    """Something to be written into a project file."""

    key: str
    """Key of the project file."""
    what: str
    """For people."""
    example: str
    """What could stand there, as YAML."""


_TITLE: Final = Missing("title", "a title for the data", "title: Silver nanoparticles with a wanted spectrum")
_DESCRIPTION: Final = Missing("description", "what the data are and why", "description: Spectra of …, measured to …")
_PEOPLE: Final = Missing(
    "people", "somebody who made the data", 'people: [{name: "Family, Given", orcid: 0000-0002-1825-0097}]'
)
_LICENCE: Final = Missing("licence", "the SPDX identifier or URL of the data's licence", "licence: CC-BY-4.0")
_PUBLISHER: Final = Missing("publisher", "the organisation that makes the data available", "publisher: My University")


def missing(project: Project) -> list[Missing]:
    """What a release must state and the project does not: what DataCite and RO-Crate ask of every data set."""
    found = []
    if not project.title.strip():
        found.append(_TITLE)
    if not project.description.strip():
        found.append(_DESCRIPTION)
    if not creators(project):
        found.append(_PEOPLE)
    if not _SPDX.fullmatch(project.licence):
        found.append(_LICENCE)
    if not project.publisher.strip():
        found.append(_PUBLISHER)
    return found
