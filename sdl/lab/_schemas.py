"""event-model's schemas, compiled: each run's documents are checked against them, which else takes half of its time."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any, Final

import event_model
import fastjsonschema

__all__ = ["compile_schemas"]

_COMPILED: Final = ("start", "stop", "descriptor", "event")


class _Quick:
    """Stands for a validator: what the compiled schema refuses, or does not know, the validator itself decides."""

    def __init__(self, schema: dict[str, Any], whole: Any) -> None:
        self._check = fastjsonschema.compile(_older(schema), use_default=False)
        self._whole = whole

    def validate(self, doc: Any) -> None:
        """See `jsonschema.Validator`.

        Raises:
            jsonschema.ValidationError: the document does not fit; raised by the validator.
        """
        try:
            self._check(doc)
        except Exception:  # refused, or of a type that the compiled schema does not know, as numpy arrays are
            self._whole.validate(doc)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def _older(schema: Any) -> Any:
    """A schema in the words of draft 7, which the compiler knows; event-model uses two that came later.

    Raises:
        ValueError: it uses them in a way that has no such words.
    """
    if isinstance(schema, list):
        return [_older(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _older(value) for key, value in schema.items()}
    if "prefixItems" in found:
        if "items" in found:
            raise ValueError("prefixItems beside items")
        found["items"] = found.pop("prefixItems")
    if "unevaluatedProperties" in found:
        parts = [_part(schema, reference["$ref"]) for reference in schema.get("allOf", [])]
        if found.pop("unevaluatedProperties") is not False or any(_open(part) for part in [*parts, found]):
            raise ValueError("unevaluatedProperties beside patterns")
        found["propertyNames"] = {"enum": [name for part in [*parts, schema] for name in part.get("properties", {})]}
    return found


def _part(schema: dict[str, Any], reference: str) -> dict[str, Any]:
    part: dict[str, Any] = schema["$defs"][reference.removeprefix("#/$defs/")]
    return part


def _open(schema: dict[str, Any]) -> bool:
    return "patternProperties" in schema or "additionalProperties" in schema


@cache
def compile_schemas() -> None:
    """Let event-model check documents with compiled schemas from now on, in this process. Takes 70 ms, once."""
    validators: dict[Any, Any] = event_model.schema_validators
    for word in _COMPILED:
        name = event_model.DocumentNames[word]
        with suppress(ValueError):  # a later release may use words that have no equal; its own validator stays then
            validators[name] = _Quick(event_model.schemas[name], validators[name])
