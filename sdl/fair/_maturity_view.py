"""What the maturity checks read of a release: its manifest, its crate, its DataCite record, its provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sdl.fair._manifest import read_manifest
from sdl.fair.exports.ro_crate import METADATA

__all__ = ["View", "many"]

DESCRIBES = (
    "README.md",
    METADATA,
    "datacite.json",
    "prov.json",
    "cao-common-metadata.json",
    "jpcoar.xml",
    "croissant.json",
)
"""Files of a release that describe; all others are data. Of those in folders the last part counts."""


def many(value: Any) -> list[Any]:
    """One value or several, as a list; JSON-LD writes either."""
    return list(value) if isinstance(value, list) else [] if value in (None, "") else [value]


class View:
    """A release. A part that cannot be read is empty, and the checks that need it do not pass."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)

    @property
    def files(self) -> Sequence[Mapping[str, Any]]:
        """Every file that the manifest lists."""
        return [file for file in self.manifest["files"] if isinstance(file, dict)]

    @property
    def data(self) -> Sequence[Mapping[str, Any]]:
        """The files that are data."""
        return [file for file in self.files if str(file.get("path", "")).rsplit("/", 1)[-1] not in DESCRIBES]

    def conforming(self, *parts: str) -> list[Mapping[str, Any]]:
        """Files whose standard has one of these texts in its URI."""
        found = ((file, str(file.get("conforms_to", "")).lower()) for file in self.files)
        return [file for file, standard in found if any(part in standard for part in parts)]

    @cached_property
    def crate(self) -> Mapping[str, Mapping[str, Any]]:
        """Entities of the crate by id."""
        graph = self._json(METADATA).get("@graph", [])
        return {str(entity.get("@id")): entity for entity in graph if isinstance(entity, dict)}

    @property
    def context(self) -> list[Any]:
        """The JSON-LD context of the crate."""
        return many(self._json(METADATA).get("@context"))

    @property
    def root(self) -> Mapping[str, Any]:
        """The crate's root."""
        return self.crate.get("./", {})

    def entities(self, *types: str) -> list[Mapping[str, Any]]:
        """Entities of the crate that have one of these types."""
        return [one for one in self.crate.values() if set(map(str, many(one.get("@type")))) & set(types)]

    def referred(self, entity: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        """Entities that a property of another refers to, as far as the crate has them."""
        ids = [str(one.get("@id")) for one in many(entity.get(key)) if isinstance(one, dict)]
        return [self.crate[id_] for id_ in ids if id_ in self.crate]

    def references(self) -> Iterator[tuple[str, str]]:
        """(id of an entity, id that it refers to) of the whole crate."""
        for id_, entity in self.crate.items():
            for value in entity.values():
                for one in many(value):
                    if isinstance(one, dict) and "@id" in one:
                        yield id_, str(one["@id"])

    @cached_property
    def datacite(self) -> Mapping[str, Any]:
        """The DataCite record."""
        return self._json("datacite.json")

    @cached_property
    def prov(self) -> Mapping[str, Any]:
        """The PROV-JSON document."""
        return self._json("prov.json")

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        return {}

    def _json(self, name: str) -> Mapping[str, Any]:
        if name not in self._parsed:
            try:
                read = json.loads((self.folder / name).read_bytes())
            except (OSError, ValueError, RecursionError):
                read = {}
            self._parsed[name] = read if isinstance(read, dict) else {}
        found: Mapping[str, Any] = self._parsed[name]
        return found
