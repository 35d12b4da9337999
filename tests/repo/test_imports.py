"""What is imported when, in a fresh interpreter; and what is not imported at all."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = (
    "torch",
    "botorch",
    "bluesky",
    "ophyd_async",
    "sqlalchemy",
    "scipy",
    "pandas",
    "pyarrow",
    "plotly",
    "zmq",
)
HELP = """
import contextlib, io, sys
from sdl.cli import main
sys.argv = ["sdl", *{arguments!r}]
with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    main()
assert "Usage" in said.getvalue(), said.getvalue()
"""


def loaded(run: Run, code: str, folder: Path) -> set[str]:
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(run(sys.executable, "-c", code, cwd=folder).stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import sdl", "import sdl.model, sdl.protocols, sdl.plugins"])
def test_importing_sdl_is_light(run: Run, tmp_path: Path, statement: str) -> None:
    """`import sdl`, its records and contracts load none of the heavy packages."""
    assert not loaded(run, statement, tmp_path) & set(HEAVY)


@pytest.mark.parametrize("arguments", [[], ["run"], ["export"], ["watch"]], ids=lambda a: " ".join(a) or "sdl")
def test_help_is_light(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    """`sdl --help` and the help of a command load none of the heavy packages."""
    assert not loaded(run, HELP.format(arguments=[*arguments, "--help"]), tmp_path) & set(HEAVY)


def test_version_is_the_distributions(run: Run, tmp_path: Path) -> None:
    """`sdl --version` and `python -m sdl --version` say the same."""
    said = run("sdl", "--version", cwd=tmp_path).stdout
    assert said == run(sys.executable, "-m", "sdl", "--version", cwd=tmp_path).stdout
    assert said.startswith("sdl 0.")


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_pickle_no_mocks_no_testing_kit_in_running_code(root: Path) -> None:
    """Nothing that runs a laboratory reads pickles, knows mocks, or imports the kits for plug-in authors."""
    banned = ("pickle", "cloudpickle", "dill", "unittest", "sdl.testing")
    for path in sorted((root / "sdl").rglob("*.py")):
        if path.is_relative_to(root / "sdl" / "testing"):
            continue
        found = {n for n in imported(ast.parse(path.read_text(encoding="utf-8"))) if n.startswith(banned)}
        assert not found, f"{path.relative_to(root)} imports {', '.join(sorted(found))}"


def test_no_test_replaces_a_protocol_by_a_mock(root: Path) -> None:
    """No test imports unittest.mock: drivers are tested against servers that speak their protocol."""
    for path in sorted((root / "tests").rglob("*.py")):
        found = imported(ast.parse(path.read_text(encoding="utf-8")))
        assert not {n for n in found if n.startswith("unittest.mock")}, path.relative_to(root)


def test_the_run_engine_is_composed(root: Path) -> None:
    """No class of sdl inherits from Bluesky's RunEngine."""
    for path in sorted((root / "sdl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            assert not [b for b in bases if b.rpartition(".")[2] == "RunEngine"], path.relative_to(root)
