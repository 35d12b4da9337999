"""The flat graph of a crate: entities by id, in the order in which they were added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Graph", "property_value", "ref"]


def ref(id_: str) -> dict[str, str]:
    """A reference to an entity."""
    return {"@id": id_}


class Graph:
    """Entities by id. What nothing is known of is left out."""

    def __init__(self) -> None:
        self._entities: dict[str, dict[str, Any]] = {}

    def add(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        """Add an entity, unless there is one with its id; returns the one that is there, to be filled further."""
        id_ = str(entity["@id"])
        if id_ not in self._entities:
            self._entities[id_] = {key: value for key, value in entity.items() if value not in ("", None, [], {})}
        return self._entities[id_]

    def entities(self) -> list[dict[str, Any]]:
        """All of them, in the order in which they were added."""
        return list(self._entities.values())


def property_value(id_: str, name: str, value: Any, unit: str = "", **more: Any) -> dict[str, Any]:
    """A schema.org PropertyValue: the unit as UCUM text, and as the IRI of QUDT where it has one."""
    from sdl.fair._units import qudt, ucum

    entity: dict[str, Any] = {"@id": id_, "@type": "PropertyValue", "name": name}
    if value is not None:
        entity["value"] = value
    if unit:
        entity |= {"unitText": ucum(unit), "unitCode": qudt(unit)}
    return {**entity, **more}
