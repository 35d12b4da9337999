"""The manifest of a release, `release.json`: every file with its size and hash, the end of the journal, the key.

Its text is fixed by its content: keys in order, two blanks of indent, ASCII escapes only where JSON demands them, one
line end. `identifier` is `urn:sdl:release:` and the SHA-256 of the text of all the rest, so any change of the manifest
itself is seen as well, signed or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

from sdl.model import InputError

__all__ = [
    "FORM",
    "MANIFEST",
    "PUBLIC_KEY",
    "SIGNATURE",
    "file_hash",
    "identifier_of",
    "manifest_text",
    "read_manifest",
]

MANIFEST: Final = "release.json"
SIGNATURE: Final = "release.sig"
PUBLIC_KEY: Final = "release.pub"
FORM: Final = "sdl-release/1"
_PREFIX: Final = "urn:sdl:release:"


def manifest_text(body: Mapping[str, Any]) -> bytes:
    """The file's content."""
    return (json.dumps(body, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode()


def identifier_of(body: Mapping[str, Any]) -> str:
    """The identifier of a release: it follows from all else in its manifest."""
    rest = {key: value for key, value in body.items() if key != "identifier"}
    return f"{_PREFIX}{sha256(manifest_text(rest)).hexdigest()}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release as it stands; `verify_release` says whether it is sound.

    Raises:
        InputError: the folder is no release.
    """
    path = folder / MANIFEST
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder} is no release: it has no {MANIFEST}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("files"), list):
        raise InputError(f"{path} is damaged: it lists no files")
    return body


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
