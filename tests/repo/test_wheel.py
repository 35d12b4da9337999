"""The wheel: what is in it, and that it works where there is no source.

It is built from a copy of the checkout, installed with pinned versions into an empty virtual environment, and used in
an empty folder outside the checkout, with a stranger's planner.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source alone."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "demo", "*.db*")
    shutil.copytree(ROOT, source, symlinks=True, ignore=skipped)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    shutil.rmtree(source)
    return built


@pytest.fixture(scope="module")
def light(run: Run, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a virtual environment that holds the wheel without extras."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    install(run, folder / "bin", str(wheel))
    return folder / "bin"


@pytest.fixture(scope="module")
def full(run: Run, wheel: Path, light: Path) -> Path:
    """The same with the simulators, the exporters and the sample planner; torch is left out for its size."""
    install(run, light, f"{wheel}[simulators,fair]")
    sample = shutil.copytree(ROOT / "examples/plugins/sdl-planner-local", light.parent.parent / "sample")
    install(run, light, "setuptools", "wheel")
    install(run, light, "--no-deps", "--no-build-isolation", str(sample))
    return light


def install(run: Run, bin_: Path, *what: str) -> None:
    pip = [bin_ / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--quiet"]
    run(*pip, "--no-compile", "-c", ROOT / "constraints.txt", *what, cwd=bin_, timeout=600)


def outside(bin_: Path) -> dict[str, str]:
    """An environment in which `sdl` is that of the wheel."""
    return {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(bin_.parent)}


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """The wheel holds every module of `sdl`, its type marker and templates; no links, no tests, no examples."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"sdl"}
    source = {p.relative_to(ROOT).as_posix() for p in (ROOT / "sdl").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == source
    assert "sdl/py.typed" in names
    templates = {p.relative_to(ROOT).as_posix() for p in (ROOT / "sdl/fair/templates").iterdir()}
    assert templates
    assert templates <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_light_install_says_what_is_missing(run: Run, light: Path, tmp_path: Path) -> None:
    """Without extras the command works, plug-ins are listed, and `bayes` names the command that installs its extra."""
    env = outside(light)
    origin = "import sdl; print(sdl.__file__)"
    assert str(light.parent) in run(light / "python", "-c", origin, cwd=tmp_path, env=env).stdout
    assert "bayes" in run("sdl", "plugins", cwd=tmp_path, env=env).stdout
    code = "from sdl.campaign._planner_worker import build_planner; build_planner('bayes', {})"
    said = run(light / "python", "-c", code, cwd=tmp_path, env=env, status=1).stderr
    assert "pip install 'self-driving-lab[planners]'" in said


def test_it_runs_a_simulated_campaign(run: Run, full: Path, tmp_path: Path) -> None:
    """In an empty folder the wheel runs the example lab with a stranger's planner, lists it, exports and reports it."""
    env = outside(full)
    shutil.copytree(ROOT / "examples/silver-flow", tmp_path / "silver-flow")
    run(
        "sdl", "run", "silver-flow/campaign.yaml", "--trials", "3", "--set", "planner=local", "--quiet",
        cwd=tmp_path, env=env, timeout=300,
    )  # fmt: skip
    (row,) = map(json.loads, run("sdl", "list", "--json", cwd=tmp_path, env=env).stdout.splitlines())
    assert (row["status"], row["trials"]) == ("ended", 3)
    document = json.loads(run("sdl", "export", row["id"], "--format", "json", cwd=tmp_path, env=env).stdout)
    assert {trial["status"] for trial in document["trials"]} <= {"observed", "infeasible"}
    assert [trial["planner"] for trial in document["trials"]] == ["local"] * 3
    run("sdl", "report", row["id"], "--out", "report.html", cwd=tmp_path, env=env)
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
