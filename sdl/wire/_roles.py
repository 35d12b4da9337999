"""Who of those that may connect is no operator of the lab: `roles.yaml` in the folder of allowed keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from sdl.wire._codec import WireError

__all__ = ["OPERATOR", "ROLES", "read_roles"]

ROLES: Final = "roles.yaml"
OPERATOR: Final = "operator"
"""Sees everything, as whoever has the store."""
_REST: Final = "*"
_FORM: Final = re.compile(r"operator|public|shared:\s*\S.*")


def read_roles(file: Path, names: Collection[str]) -> dict[str, str]:
    """Key → its role, for all of them.

    A name without a key is an error, and so is a role that there is not: a slip must not make an operator.

    Args:
        file: `roles.yaml`; where there is none everybody is an operator.
        names: of the keys in the folder.

    Raises:
        WireError: the file cannot be read, or says something that cannot be meant.
    """
    said = _read(file) if file.exists() else {}
    for name, role in said.items():
        if not isinstance(role, str) or not _FORM.fullmatch(role.strip()):
            raise WireError(f"{file}: {name}: {role!r} is no role; write operator, public or shared:NAME")
        if name not in names and name != _REST:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise WireError(f"{file}: {name}: there is no {name}.key in {file.parent}{hint}")
    rest = said.get(_REST, OPERATOR).strip()
    return {name: said.get(name, rest).strip() for name in names}


def _read(file: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        raise WireError(f"{file} cannot be read: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise WireError(f"{file} has no lines such as `hana: shared:Hana`")
    return found
