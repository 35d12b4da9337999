"""JSON files of a release: the same text for the same value, readable, UTF-8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["write_json"]


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON in the order of its keys.

    Raises:
        ValueError: it holds NaN or an infinity.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
