"""Labels for samples: a page to print, each label with its text and a bar code (Code 128, ISO/IEC 15417)."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import import_module

from sdl.model import MissingExtra

__all__ = ["barcode_svg", "sheet"]

_QUIET = 10
"""Modules of white on each side that readers need (ISO/IEC 15417, 4.4)."""
_HEIGHT = 36
"""Height of the bars, in modules."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 9pt sans-serif; margin: 8mm; display: flex; flex-wrap: wrap; gap: 3mm; }}
.label {{ border: 0.2mm solid #999; padding: 2mm; width: 54mm; break-inside: avoid; overflow-wrap: anywhere; }}
.label svg {{ display: block; width: 50mm; height: 9mm; }}
.label b {{ font-size: 11pt; }}
</style></head><body>
{labels}
</body></html>
"""


def barcode_svg(text: str) -> str:
    """A text as a Code 128 bar code, an SVG element whose unit is a module.

    Raises:
        MissingExtra: the library that encodes it is not installed.
    """
    try:
        codex = import_module("barcode.codex")
    except ModuleNotFoundError:
        raise MissingExtra("printing labels", "fair") from None
    (modules,) = codex.Code128(text).build()
    bars, at = [], 0
    while at < len(modules):
        end = at
        while end < len(modules) and modules[end] == modules[at]:
            end += 1
        if modules[at] == "1":
            bars.append(f'<rect x="{at + _QUIET}" width="{end - at}" height="{_HEIGHT}"/>')
        at = end
    width = len(modules) + 2 * _QUIET
    box = f'viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" shape-rendering="crispEdges"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(text)}">{"".join(bars)}</svg>'


def sheet(title: str, labels: Iterable[tuple[str, str, str]]) -> str:
    """A page of labels.

    Args:
        title: of the page.
        labels: text, bar code and a line below, of each.

    Raises:
        MissingExtra: the library that encodes bar codes is not installed.
    """
    drawn = [
        f'<div class="label"><b>{escape(text)}</b>{barcode_svg(code)}<div>{escape(code)} · {escape(below)}</div></div>'
        for text, code, below in labels
    ]
    return _PAGE.format(title=escape(title), labels="\n".join(drawn))
