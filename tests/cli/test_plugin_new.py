"""`sdl plugin new`: what it makes installs with pip, is found by its name, and passes its own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdl.cli._plugin import KINDS, plugin_new_command
from sdl.model import InputError

OBJECTS = {"device": "MyDevice", "planner": "MyPlanner", "analysis": "my_analysis"}


def run(*command: str | Path, cwd: Path, site: Path | None = None) -> str:
    """Run with this interpreter, and what pip put into `site` on its path; return what it printed."""
    env = {**os.environ, "PYTHONPATH": str(site or "")}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_it_makes_installs_and_passes_its_own_tests(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip installs it, `sdl plugins` lists it, its code is clean, and its conformance test passes."""
    name, module = f"my-{kind}", f"my_{kind}"
    folder, site = tmp_path / name, tmp_path / "site"
    assert plugin_new_command(kind, name, folder) == 0
    assert f"cd {folder}" in capsys.readouterr().out
    run("-m", "ruff", "check", "--select", "E,F,W,B,UP,SIM", "--line-length", "120", folder, cwd=tmp_path)
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", site)
    run(*pip, folder, cwd=tmp_path)
    listed = [json.loads(line) for line in run("-m", "sdl", "plugins", "--json", cwd=tmp_path, site=site).splitlines()]
    ours = {(row["group"], row["object"].rpartition(":")[2]) for row in listed if row["distribution"] == name}
    assert (KINDS[kind][0], OBJECTS[kind]) in ours
    assert {group for group, _ in ours} == set(KINDS[kind])
    said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests", cwd=folder, site=site)
    assert "passed" in said
    assert "failed" not in said
    assert not list(folder.rglob("*.tmpl"))
    left = [path for path in folder.rglob("*") if path.is_file() and b"__Class__" in path.read_bytes()]
    assert left == []
    assert module in {row["name"] for row in listed}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("My-Device", "use small letters"),
        ("2fast", "use small letters"),
        ("my--device", "use small letters"),
        ("../up", "use small letters"),
        ("", "use small letters"),
        ("x" * 61, "use small letters"),
        ("class", "Python has a 'class' of its own; use my-class"),
        ("json", "Python has a 'json' of its own"),
        ("sdl", "Python has a 'sdl' of its own"),
        ("soft-detector", "is the name of a plug-in that is installed"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, says: str, tmp_path: Path) -> None:
    """With the name and what to do; nothing is written."""
    with pytest.raises(InputError, match=says):
        plugin_new_command("device", name, tmp_path / "there")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """A folder, a file or a dangling link of that name is refused and stays; so is a folder in nowhere."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "file", "link"):
        with pytest.raises(InputError, match="is there already"):
            plugin_new_command("device", "my-device", tmp_path / name)
    with pytest.raises(InputError, match="is no folder"):
        plugin_new_command("device", "my-device", tmp_path / "nowhere" / "my-device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]
    assert (tmp_path / "file").read_text() == "mine"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """The kinds that there are are named."""
    with pytest.raises(InputError, match="no template for 'robot'; there are: device, planner, analysis"):
        plugin_new_command("robot", "my-robot", tmp_path / "x")


def test_all_of_it_or_nothing() -> None:
    """Where it cannot be written, the path and the reason are said."""
    with pytest.raises(InputError, match=r"cannot write /proc/my-device: "):
        plugin_new_command("device", "my-device", Path("/proc/my-device"))
