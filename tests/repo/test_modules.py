"""The size of modules and functions, and the public names."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from pathlib import Path

import pytest

MOST_LINES = 600
MOST_LINES_OF_A_FUNCTION = 80

PUBLIC = (
    "sdl.model", "sdl.protocols", "sdl.plugins", "sdl.journal", "sdl.journal.kinds", "sdl.journal.state",
    "sdl.campaign", "sdl.devices", "sdl.wire", "sdl.fair", "sdl.testing",
)  # fmt: skip
"""Modules whose `__all__` is the public face of sdl."""


def modules(root: Path) -> list[Path]:
    folders = ("sdl", "tests", "benchmarks", "examples")
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def test_no_module_is_long(root: Path) -> None:
    """No module is longer than 600 lines."""
    lengths = {p.relative_to(root): len(p.read_text(encoding="utf-8").splitlines()) for p in modules(root)}
    assert len(lengths) > 100
    assert {path: n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_no_function_is_long(root: Path) -> None:
    """No function is longer than 80 lines, its docstring included."""
    long = {}
    for path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long[f"{path.relative_to(root)}:{node.lineno} {node.name}"] = lines
    assert long == {}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_promised_is_there(name: str) -> None:
    """Each name in `__all__` of a public module can be had from it, and none is listed twice."""
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing


def test_each_public_name_has_one_door() -> None:
    """No name is exported by two public modules."""
    doors: dict[str, list[str]] = defaultdict(list)
    for name in PUBLIC:
        for public in importlib.import_module(name).__all__:
            doors[public].append(name)
    assert {public: names for public, names in doors.items() if len(names) > 1} == {}


def test_every_module_says_what_it_is(root: Path) -> None:
    """Each module of sdl begins with a docstring."""
    silent = [
        str(path.relative_to(root))
        for path in (root / "sdl").rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
