"""Files and messages made wrong in seeded ways."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

__all__ = ["mutated_bytes", "mutated_yaml"]

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e-320, 1.5, 10**400, -(10**30), 2**63, math.nan, math.inf, -math.inf, "", " ", "\t", "1",
    "nan", "1e999 m", "5 parsecs", "-3 degC", "9" * 400 + " s", "${nothing}", "${", "a.py:", ":b", "../../..", "~",
    "\0", "é\u202e", "\x1b[31m", "x" * 5000, [], {}, [[]], [None], {"": 1}, {"kind": "real"}, {"kind": []},
    [1, [2, [3]]], {"a": {"b": {}}},
)  # fmt: skip
_LINES = (
    "\t", "\x07", "- ", "---", "...", "%YAML 9", "&a", "*a", "a: *a", "a: &a [*a]", "<<: *b", "? [1]",
    "!!python/name:os.system", "a: !!int x", "a: !!timestamp 1", "a: !!set {x}", "a: !!omap [b: 1]",
    "a: !!binary AA==", "a: !!float", "]", "}", "'", '"', "a: |9", "a: >-", "# x", "\u2028", "\ufeff", "\x85",
    "1: 1", "~: 1", "on: off", "a: 1_0", "a: 0o9", "a: 1:2:3", "a: 12e03", "a: 2001-99-99", "a: 1e309", "a: @", "a: `",
)  # fmt: skip
_WHOLE = (
    b"", b"\0", b"\xff\xfe\0", bytes(range(256)), b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"[" * 3000, b"{" * 300,
    b"- " * 2000, b"a: " * 500, b"\n" * 5000, b"x" * 20_000, b"null", b"3", b"[]", b"--- \n--- \n", b"a: &a {b: *a}\n",
)  # fmt: skip


def mutated_yaml(text: str, seed: int, number: int) -> Iterator[bytes]:
    """So many files that a YAML file turns into; many are wrong, some are not."""
    rng = random.Random(seed)
    data = YAML(typ="safe", pure=True).load(text)
    for index in range(number):
        if index < len(_WHOLE):
            yield _WHOLE[index]
        elif index == len(_WHOLE):
            yield _laughs()
        elif rng.random() < 0.5:
            yield _tree(data, rng)
        elif rng.random() < 0.5:
            yield _lines(text, rng)
        else:
            yield mutated_bytes(text.encode(), rng)


def _laughs() -> bytes:
    """A billion values in a few hundred bytes."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 8)}]" for i in range(1, 11)]
    return "\n".join(lines).encode()


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes put in, a part cut out or repeated, or the end cut off."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at:at] = rng.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"\t", b"\x1b", b"\n", b": ", b"- "))
            case 2:
                out[at:at] = rng.randbytes(rng.randrange(1, 20))
            case 3:
                del out[at : at + rng.randrange(1, 40)]
            case 4:
                out[at:at] = out[at : at + rng.randrange(1, 60)]
            case _:
                del out[max(at, 1) :]
    return bytes(out)


def _lines(text: str, rng: random.Random) -> bytes:
    """Lines left out, said twice, swapped, indented, or put in."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        other = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = " " * rng.choice((1, 2, 3, 8)) + lines[at]
            case 4:
                lines[at] = "\t" + lines[at]
            case _:
                lines.insert(at, " " * rng.choice((0, 2, 4)) + rng.choice(_LINES))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _tree(data: Any, rng: random.Random) -> bytes:
    """Values of a wrong type or size, keys left out, renamed, exchanged or given twice, deep nesting."""
    data = copy.deepcopy(data)
    twice = None
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(data))
        if not places:
            break
        holder, key = rng.choice(places)
        other_holder, other_key = rng.choice(places)
        match rng.randrange(7):
            case 0 | 1:
                holder[key] = rng.choice(_VALUES)
            case 2:
                del holder[key]
            case 3 if isinstance(holder, dict):
                name = str(key)
                holder[rng.choice((name[:-1], name + "s", name.upper(), "", "x.y", "é"))] = holder.pop(key)
            case 4:
                try:
                    holder[key] = copy.deepcopy(other_holder[other_key])
                except (KeyError, IndexError):
                    continue
            case 5:
                holder[key] = _deep(rng.choice((5, 60, 120)), rng.random() < 0.5)
            case _:
                twice = str(key)
    return _written(data, twice)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _deep(levels: int, lists: bool) -> Any:
    node: Any = 1
    for _ in range(levels):
        node = [node] if lists else {"a": node}
    return node


def _written(data: Any, twice: str | None) -> bytes:
    """JSON, which is YAML, with a line a value; one key said twice where wanted."""
    text = json.dumps(data, indent=1, ensure_ascii=False).replace("NaN", ".nan").replace("Infinity", ".inf")
    if twice is not None:
        text = re.sub(rf'^( *"{re.escape(twice)}": )', r"\1null,\n\1", text, count=1, flags=re.MULTILINE)
    return text.encode("utf-8", "surrogatepass")
