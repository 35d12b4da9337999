"""`key=value` settings of the command line: fields of the campaign file, or inputs that the lab file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdl.model import CampaignSpec, FileFault, InputError
from sdl.plugins import suggest

__all__ = ["apply_settings", "parse_settings"]


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` texts; values are YAML, so `72` is a number and `[a, b]` a list.

    Raises:
        InputError: every text without a key and an equals sign, or whose value is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    settings: dict[str, Any] = {}
    faults = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key.strip() or not equals:
            faults.append(FileFault(f"--set {text!r} is not key=value, as in budget.hours=72"))
            continue
        try:
            settings[key.strip()] = YAML(typ="safe", pure=True).load(value) if value else ""
        except YAMLError:
            settings[key.strip()] = value
    if faults:
        raise InputError(faults)
    return settings


def apply_settings(
    data: Mapping[str, Any], settings: Mapping[str, Any], lab_inputs: Sequence[str]
) -> dict[str, Any]:
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
            changed.setdefault("inputs", {})[key] = str(value)
        elif parts[0] not in fields:
            hint = suggest(parts[0], [*fields, *lab_inputs])
            faults.append(
                FileFault(f"--set {key}: neither a field of the campaign nor an input of the lab{hint}")
            )
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
            here = here.setdefault(part, {})
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return f"{'.'.join(parts[: depth + 1])} is not a group of settings"
    if isinstance(here, list) and parts[-1].isdigit() and int(parts[-1]) < len(here):
        here[int(parts[-1])] = value
        return ""
    if not isinstance(here, dict):
        return f"{'.'.join(parts[:-1])} is not a group of settings"
    here[parts[-1]] = value
    return ""
