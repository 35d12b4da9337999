"""A plain plot of lines as PNG, for catalogues that show a picture of each data set."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

__all__ = ["line_plot"]

_WIDTH, _HEIGHT, _MARGIN = 480, 300, 18
_PALETTE = ((255, 255, 255), (160, 160, 160), (0, 90, 181), (220, 50, 32), (0, 130, 80), (130, 60, 160))
"""Paper, frame, and the colours of lines."""
_FRAME, _FIRST = 1, 2


def line_plot(x: Any, lines: Any) -> bytes | None:
    """Lines over a common x, each with a colour, in a frame that touches their extremes.

    Args:
        x: positions, shape (n,).
        lines: heights, shape (m, n); what is not finite leaves a gap.

    Returns:
        None where there is nothing to draw.
    """
    xs, heights = np.asarray(x, float), np.asarray(lines, float)
    shown = np.isfinite(heights) & np.isfinite(xs)[None, :]
    if not shown.any():
        return None
    columns = _scaled(xs, np.broadcast_to(xs, heights.shape)[shown], _WIDTH)
    rows = (_HEIGHT - 1) - _scaled(heights, heights[shown], _HEIGHT)
    image = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    edge = _MARGIN // 2
    image[[edge, -edge - 1], edge:-edge] = _FRAME
    image[edge:-edge, [edge, -edge - 1]] = _FRAME
    for number, (height, visible) in enumerate(zip(rows, shown, strict=True)):
        down, across = _dots(columns, height, visible)
        colour = _FIRST + number % (len(_PALETTE) - _FIRST)
        image[down, across] = colour
        image[np.minimum(down + 1, _HEIGHT - 1), across] = colour
    return _png(image)


def _scaled(values: Any, among: Any, size: int) -> Any:
    """Pixels within the margins."""
    low, high = among.min(), among.max()
    with np.errstate(over="ignore", invalid="ignore"):
        span = high - low
        part = (values - low) / span if span > 0 and np.isfinite(span) else np.full_like(values, 0.5)
    return _MARGIN + np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0) * (size - 1 - 2 * _MARGIN)


def _dots(columns: Any, rows: Any, visible: Any) -> tuple[Any, Any]:
    """Rows and columns of the pixels of a line: its points, and what joins two points that are both there."""
    joined = visible[:-1] & visible[1:]
    across, down = np.diff(columns)[joined], np.diff(rows)[joined]
    steps = np.ceil(np.maximum(np.abs(across), np.abs(down))).astype(int) + 1
    first = np.cumsum(steps) - steps
    part = (np.arange(steps.sum()) - np.repeat(first, steps)) / np.repeat(steps, steps)
    x = np.repeat(columns[:-1][joined], steps) + part * np.repeat(across, steps)
    y = np.repeat(rows[:-1][joined], steps) + part * np.repeat(down, steps)
    x, y = np.concatenate([x, columns[visible]]), np.concatenate([y, rows[visible]])
    return y.round().astype(int), x.round().astype(int)


def _png(image: Any) -> bytes:
    """Eight bits a pixel into a palette, no filter (ISO/IEC 15948)."""
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = bytes(part for colour in _PALETTE for part in colour)
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
