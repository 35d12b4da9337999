"""What instruments say of themselves, for the record: maker, model, serial number, firmware."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from sdl.protocols import HasIdentity

__all__ = ["identities", "identity_fields"]

_LABELS: Final = {"firmware": "firmware", "software": "firmware", "serial": "serial", "serial number": "serial"}
_LABELLED: Final = re.compile(rf"({'|'.join(sorted(_LABELS, key=len, reverse=True))})[ :=]+(.+)", re.IGNORECASE)
_IDN: Final = ("manufacturer", "model", "serial", "firmware")
"""The four fields of `*IDN?` (IEEE 488.2-1992, section 10.14); `0` stands for one that is not known."""


async def identities(devices: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What each device that can be asked says, by name; one that does not answer is left out, as are those that cannot.

    Args:
        devices: connected devices; to be called in the loop in which they live.
    """
    found = {}
    for name, device in devices.items():
        if not isinstance(device, HasIdentity):
            continue
        try:
            told: Any = device.identity  # of a classic device a text
            if callable(told):
                told = told()
            fields = identity_fields(str(await told if inspect.isawaitable(told) else told))
        except Exception:  # noqa: S112 - a driver may be anybody's; that it cannot say who it is harms nothing
            continue
        if fields:
            found[name] = fields
    return found


def identity_fields(text: str) -> dict[str, str]:
    """The fields of an identity: `said`, the text as it is, and what it holds of maker, model, serial and firmware.

    Args:
        text: four fields with commas between, as `*IDN?` gives them, or parts with labels, as in
            `XPR205, software 1.00, serial number B123`.
    """
    text = " ".join(text.split())
    if not text:
        return {}
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == len(_IDN) and not any(_LABELLED.fullmatch(part) for part in parts):
        fields = {key: part for key, part in zip(_IDN, parts, strict=True) if part and part.strip("0")}
        return {"said": text, **fields}
    fields = {_LABELS[one[1].lower()]: one[2] for part in parts if (one := _LABELLED.fullmatch(part))}
    if fields and not _LABELLED.fullmatch(parts[0]):
        fields.setdefault("model", parts[0])
    return {"said": text, **fields}
