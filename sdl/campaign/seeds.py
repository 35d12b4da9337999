"""Seeds derived from the campaign's seed, so that every random choice can be made again."""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, *path: str | int) -> int:
    """A seed below 2⁶³ for one purpose: SHA-256 over the campaign's seed and the path, cut to 63 bits."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
