"""RO-Crate 1.1 with the profile Process Run Crate 0.5: the hub of a release, which lists and describes all its files.

Sources: https://w3id.org/ro/crate/1.1, https://w3id.org/ro/wfrun/process/0.5. Each trial is a CreateAction, whatever
became of it. The profile takes only software for an action's instrument; so that is sdl, the planner, the analysis and
the drivers, and each driver says which physical instrument it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sdl.fair.exports import ExportedFile
from sdl.fair.exports._crate_actions import CONTEXT_TERMS, describe_trials
from sdl.fair.exports._crate_graph import Graph, ref
from sdl.fair.exports._crate_people import describe_people
from sdl.fair.exports._crate_things import describe_things
from sdl.fair.exports._json import write_json
from sdl.fair.record import CampaignRecord

__all__ = ["METADATA", "crate", "write"]

METADATA: Final = "ro-crate-metadata.json"
_CRATE: Final = "https://w3id.org/ro/crate/1.1"
_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"


def write(record: CampaignRecord, folder: Path, files: Sequence[ExportedFile] = ()) -> list[ExportedFile]:
    """Write `ro-crate-metadata.json`.

    Args:
        record: the campaign.
        folder: of the release; holds the files already.
        files: of all other exports.
    """
    write_json(folder / METADATA, crate(record, folder, files), indent=1)
    return [ExportedFile(METADATA, "application/ld+json", _CRATE, "What is in this release, and how it came about")]


def crate(record: CampaignRecord, folder: Path, files: Sequence[ExportedFile]) -> dict[str, Any]:
    """The crate's metadata as one JSON-LD object.

    Args:
        record: the campaign.
        folder: of the release, for the sizes of the files.
        files: to list.
    """
    graph = Graph()
    descriptor = {"@id": METADATA, "@type": "CreativeWork", "about": ref("./"), "conformsTo": ref(_CRATE)}
    graph.add({**descriptor, "description": "Describes this release; see https://w3id.org/ro/crate/1.1"})
    root = graph.add({"@id": "./", "@type": "Dataset"})
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    root["conformsTo"] = [ref(graph.add(profile)["@id"])]
    describe_people(record, graph, root)
    describe_things(record, graph, root)
    _describe_files(record, graph, root, folder, files)
    describe_trials(record, graph, root, files)
    return {"@context": [f"{_CRATE}/context", CONTEXT_TERMS], "@graph": graph.entities()}


def _describe_files(
    record: CampaignRecord, graph: Graph, root: dict[str, Any], folder: Path, files: Sequence[ExportedFile]
) -> None:
    parts = []
    for file in files:
        entity: dict[str, Any] = {
            "@id": file.path,
            "@type": "File",
            "name": file.title or file.path,
            "encodingFormat": file.media_type,
            "contentSize": str((folder / file.path).stat().st_size),
        }
        if file.conforms_to:
            form = {"@id": file.conforms_to, "@type": "CreativeWork", "name": file.conforms_to}
            entity["conformsTo"] = ref(graph.add(form)["@id"])
        if access := _access(record, file.path):
            entity["conditionsOfAccess"] = access
        graph.add(entity)
        parts.append(ref(file.path))
    root["hasPart"] = parts


def _access(record: CampaignRecord, path: str) -> str:
    """Who may see a file, where that differs from the rest."""
    from fnmatch import fnmatchcase

    for pattern, access in record.project.access.files.items():
        if fnmatchcase(path, pattern):
            return str(access)
    return ""
