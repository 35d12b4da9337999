"""The repository has the shape that docs/architecture.md describes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "each line of constraints.txt is name==version"
    return {canonicalize_name(name): pinned for name, pinned in pairs}


@pytest.mark.parametrize("name", ["devices", "planners", "simulators"])
def test_links_at_the_root_lead_into_the_package(root: Path, name: str) -> None:
    """`devices/`, `planners/` and `simulators/` at the root are relative links to the folders under `sdl/`."""
    link = root / name
    assert link.is_symlink()
    assert link.readlink() == Path("sdl") / name
    assert link.resolve() == root / "sdl" / name


def test_every_package_is_in_a_layer(root: Path, project: dict[str, Any]) -> None:
    """Each package and module directly under `sdl` has its place in import-linter's layers."""
    (contract,) = project["tool"]["importlinter"]["contracts"]
    layered = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    there = {p.stem for p in (root / "sdl").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == layered


def test_the_documented_layers_are_the_enforced_ones(root: Path, project: dict[str, Any]) -> None:
    """docs/architecture.md shows the layers in the order in which import-linter enforces them."""
    text = (root / "docs/architecture.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- layers -->\n```text\n(.*?)```", text, re.DOTALL)
    assert block is not None
    (contract,) = project["tool"]["importlinter"]["contracts"]
    shown = [re.split(r"\s{2,}", line.strip())[0] for line in block[1].splitlines()]
    assert shown == contract["layers"]


def test_every_dependency_is_pinned_within_its_range(project: dict[str, Any], pins: dict[str, str]) -> None:
    """constraints.txt pins each direct dependency, of every extra, to a version that pyproject.toml allows."""
    direct = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    wanted = [Requirement(text) for texts in direct for text in texts]
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name != "self-driving-lab":
            assert name in pins, f"{requirement.name} has no line in constraints.txt"
            assert requirement.specifier.contains(pins[name]), f"{requirement} does not allow {pins[name]}"


def test_the_tests_run_with_the_pinned_versions(pins: dict[str, str]) -> None:
    """Whatever is installed here and pinned has the pinned version; torch in any build of it."""
    different = {}
    for name, pinned in pins.items():
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if installed != pinned:
            different[name] = f"{installed} installed, {pinned} pinned"
    assert not different, f"{different}; run: make setup"


def test_the_version_is_told_once(root: Path, project: dict[str, Any]) -> None:
    """The citation file names the version of the distribution."""
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == project["project"]["version"]


def test_continuous_integration_runs_make_test(root: Path) -> None:
    """`.ci/run` is a plain bash script whose one command is `make test`."""
    lines = (root / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test </dev/null"]
