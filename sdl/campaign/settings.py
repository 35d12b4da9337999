"""`key=value` settings of the command line: fields of the campaign file, or inputs that the lab file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdl.model import CampaignSpec, FileFault, InputError
from sdl.plugins import suggest

__all__ = ["apply_settings", "parse_settings"]


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` texts; values are YAML, so `72` is a number and `[a, b]` a list.

    A value that is no number, no truth value and not in quotes or brackets is text as it stands: a path may hold
    `#` or `: `. So is one that is not YAML.

    Raises:
        InputError: every text without a key and an equals sign.
    """
    settings: dict[str, Any] = {}
    faults = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key.strip() or not equals:
            faults.append(FileFault(f"--set {text!r} is not key=value, as in budget.hours=72"))
            continue
        settings[key.strip()] = _value(value.strip())
    if faults:
        raise InputError(faults)
    return settings


def _value(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, LookupError, RecursionError):
        return text
    quoted = text[:1] in ("'", '"', "[", "{")
    return value if quoted or (text and isinstance(value, int | float | None)) else text


def apply_settings(data: Mapping[str, Any], settings: Mapping[str, Any], lab_inputs: Sequence[str]) -> dict[str, Any]:
    """The campaign file's content with settings applied.

    A key is the dotted path of a field (`budget.hours`), or the name of an input of the lab (`table`).

    Raises:
        InputError: every key that is neither, naming the nearest.
    """
    changed: dict[str, Any] = _copy(data)
    fields = list(CampaignSpec.model_fields)
    faults = []
    for key, value in settings.items():
        parts = key.split(".")
        if len(parts) == 1 and key in lab_inputs:
            parts, value = ["inputs", key], str(value)
        if parts[0] not in fields:
            hint = suggest(parts[0], [*fields, *lab_inputs])
            faults.append(FileFault(f"--set {key}: neither a field of the campaign nor an input of the lab{hint}"))
        else:
            fault = _put(changed, parts, value)
            if fault:
                faults.append(FileFault(f"--set {key}: {fault}"))
    if faults:
        raise InputError(faults)
    return changed


def _copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node


def _put(data: dict[str, Any], parts: Sequence[str], value: Any) -> str:
    here: Any = data
    for depth, part in enumerate(parts[:-1]):
        if isinstance(here, dict):
            # `planner: bayes` is short for `planner: {name: bayes}`; a setting below it needs the long form.
            if part == "planner" and isinstance(here.get(part), str):
                here[part] = {"name": here[part]}
            if here.get(part) is None:  # missing, or a key with nothing after it
                here[part] = {}
            here = here[part]
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return f"{'.'.join(parts[: depth + 1])} is not a group of settings"
    if isinstance(here, list) and parts[-1].isdecimal() and int(parts[-1]) < len(here):
        here[int(parts[-1])] = value
        return ""
    if not isinstance(here, dict):
        return f"{'.'.join(parts[:-1])} is not a group of settings"
    here[parts[-1]] = value
    return ""
