"""A release whose process is killed while it is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdl.fair._folder import new_folder
from sdl.fair.release import verify_release
from sdl.model import InputError

_PROJECT = Path(__file__).parents[2] / "examples" / "silver-flow" / "project.yaml"
_RELEASE = """
import os, signal, sys
from datetime import date
from pathlib import Path
from sdl.campaign.projectfile import load_project
from sdl.fair.release import release
from sdl.journal import Store
store, out, project, killed_at, path = sys.argv[1:]

def watch(event, arguments):
    if event == killed_at and str(arguments[0]).endswith(path):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
with Store.open(store, create=False) as opened:
    campaign, day = opened.campaigns()[0].id, date(2026, 11, 22)
    release(opened, campaign, Path(out), project=load_project(project), only=("datacite",), day=day)
"""


def made(store: Path, out: Path, killed_at: str = "", path: str = "") -> int:
    """A release by a process of its own, which is killed at an event of Python's (PEP 578) on a path that ends so."""
    command = [sys.executable, "-c", _RELEASE, str(store), str(out), str(_PROJECT), killed_at, path]
    return subprocess.run(command, check=False).returncode


@pytest.mark.parametrize(("event", "path"), [("open", "datacite.json"), ("os.rename", ".part")])
def test_a_release_that_was_killed_is_not_there(soft_store: Path, tmp_path: Path, event: str, path: str) -> None:
    """SIGKILL between two files, and before the folder gets its name: no release; the next one leaves nothing of it."""
    out = tmp_path / "release"
    assert made(soft_store, out, event, path) == -9
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    assert any(one.is_file() for one in left.rglob("*"))
    assert made(soft_store, out) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert verify_release(out) == []


def test_a_folder_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Only what nobody writes any more is removed; of two releases of one name the first that is done is there."""
    out = tmp_path / "release"
    with pytest.raises(InputError, match="cannot write the release"):
        _slowly(out)
    assert list(tmp_path.iterdir()) == [out]
    assert (out / "file").read_text() == "quick"


def _slowly(out: Path) -> None:
    """Write a folder, while another of the same name is begun and done."""
    with new_folder(out) as slow:
        (slow / "file").write_text("slow")
        with new_folder(out) as quick:
            assert (slow / "file").read_text() == "slow"
            (quick / "file").write_text("quick")
