"""`sdl release`, `sdl fair check` and `sdl keys signing` as a person meets them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sdl.campaign.projectfile import load_project
from sdl.cli._release import fair_check_command, release_command, signing_key_command
from sdl.fair._manifest import read_manifest
from sdl.fair.release import verify_release
from sdl.fair.signing import load_key
from sdl.model import InputError

PROJECT = Path(__file__).parents[2] / "examples" / "silver-flow" / "project.yaml"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, with a configuration of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path


def released(store: Path, out: Path, **more: Any) -> None:
    """`sdl release soft --out OUT` with a few options."""
    options: dict[str, Any] = {
        "project_file": PROJECT, "only": ("datacite",), "replaces": "", "day": "2026-11-22", "key_file": None,
        "signed": True, "role": "", "json": False,
    }  # fmt: skip
    release_command("soft", out, store, **{**options, **more})


def test_a_release_is_signed_with_the_lab_s_key_unless_told(
    soft_store: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key is made on the way, and what was written and signed is printed."""
    released(soft_store, here / "a")
    printed = capsys.readouterr().out
    key = load_key()
    assert f"signed by {key.public} (key: {here / 'config' / 'signing.pem'})" in printed
    assert verify_release(here / "a", key.public) == []
    released(soft_store, here / "b", signed=False, json=True, replaces=str(here / "a"))
    told = json.loads(capsys.readouterr().out)
    assert told["signed_by"] == ""
    assert not (here / "b" / "release.sig").exists()
    assert read_manifest(here / "b")["replaces"] == read_manifest(here / "a")["identifier"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"day": "yesterday"}, "--date yesterday: write a day"),
        ({"key_file": Path("none.pem"), "signed": False}, "contradict each other"),
        ({"only": ("datasite",)}, "did you mean 'datacite'"),
        ({"role": "everybody"}, "nobody is called that"),
    ],
)
def test_slips_are_told_before_anything_is_written(
    soft_store: Path, here: Path, given: dict[str, Any], said: str
) -> None:
    """Each in words, and nothing lies in the folder then but the key."""
    with pytest.raises(InputError, match=said):
        released(soft_store, here / "a", **given)
    assert not (here / "a").exists()


def test_without_a_terminal_one_error_lists_all_that_is_missing(soft_store: Path, here: Path) -> None:
    """With the keys to be added and examples that are valid YAML."""
    with pytest.raises(InputError) as caught:
        released(soft_store, here / "a", project_file=None)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["title", "description", "people", "licence", "publisher"]
    (here / "project.yaml").write_text("name: soft\n" + "\n".join(line.split("as in   ")[1] for line in lines) + "\n")
    with pytest.raises(InputError, match=r"give it with --project project\.yaml"):
        released(soft_store, here / "a", project_file=None)
    released(soft_store, here / "a", project_file=Path("project.yaml"))
    assert verify_release(here / "a") == []


ASK = """
import sys
from pathlib import Path
from sdl.cli._release import release_command
release_command("soft", Path("a"), Path(sys.argv[1]), None, ("datacite",), "", "2026-11-22", None, False, "", False)
"""
ANSWERS = {
    "title:": "銀ナノ粒子",
    "description:": "Spectra",
    "Family, Given": "Carberry, Josiah",
    "as in 0000-0002-1825-0097": "0000-0002-1825-0098",
    "check digit does not fit": "0000-0002-1825-0097",
    "organisation": "Brown University",
    "licence:": "CC-BY-4.0",
    "publisher:": "Brown University",
}


def test_on_a_terminal_people_are_asked_and_the_answers_kept(soft_store: Path, here: Path) -> None:
    """What is missing is asked for one by one, a slip once more; the answers are written to project.yaml and used."""
    own, theirs = pty.openpty()
    command = [sys.executable, "-c", ASK, str(soft_store)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=here) as process:
        os.close(theirs)
        seen, deadline = "", time.monotonic() + 60
        for asked, answer in ANSWERS.items():
            while asked not in seen:
                assert time.monotonic() < deadline, seen
                seen += os.read(own, 4096).decode()
            seen = ""
            os.write(own, f"{answer}\n".encode())
        while _reads(own):
            pass
        os.close(own)
        assert process.wait(60) == 0
    project = load_project(here / "project.yaml")
    assert (project.name, project.title, project.publisher) == ("soft", "銀ナノ粒子", "Brown University")
    assert [(person.name, person.orcid) for person in project.people] == [("Carberry, Josiah", "0000-0002-1825-0097")]
    assert read_manifest(here / "a")["title"] == "銀ナノ粒子"


def _reads(terminal: int) -> bytes:
    """What comes next; nothing when the other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_a_key_is_made_and_what_to_publish_is_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lab's own, or one in a file that is named; the second time it is shown."""
    signing_key_command(None)
    assert load_key().public in capsys.readouterr().out
    signing_key_command(None)
    assert load_key().public in capsys.readouterr().out
    signing_key_command(here / "mine.pem")
    assert load_key(here / "mine.pem").public in capsys.readouterr().out


def test_fair_check_judges_a_release_and_a_campaign(
    soft_store: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line an indicator with how to mend it, those that cannot be judged, and status 2 when one fails."""
    assert fair_check_command("soft", soft_store, None, json=False) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "write `licence` into the project file" in printed
    assert "14 more cannot be judged by the files of a release: RDA-F1-01M" in printed
    assert fair_check_command("soft", soft_store, PROJECT, json=True) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sum(one["passed"] is passed for one in told) for passed in (True, None, False)] == [27, 14, 0]
    released(soft_store, here / "a")
    assert fair_check_command(str(here / "a"), soft_store, None, json=False) == 2
    assert "release the export prov" in " ".join(capsys.readouterr().out.split())


def test_the_commands_take_their_options(soft_store: Path, here: Path) -> None:
    """As typed: a release for the public by another key, then its judgement."""
    from typer.testing import CliRunner

    from sdl.cli._app_release import app

    runner = CliRunner()
    assert runner.invoke(app, ["keys", "signing", "k.pem"]).exit_code == 0
    more = ["--project", str(PROJECT), "--only", "datacite", "--only", "prov", "--date", "2026-11-22"]
    who = ["--sign", "k.pem", "--as", "public", "--replaces", "urn:older"]
    done = runner.invoke(app, ["release", "soft", "--out", "a", "--store", str(soft_store), *more, *who])
    assert done.exit_code == 0, done.output
    manifest = read_manifest(here / "a")
    assert (manifest["made_for"], manifest["replaces"], manifest["released"]) == ("public", "urn:older", "2026-11-22")
    assert manifest["signed_by"] == load_key(Path("k.pem")).public
    judged = runner.invoke(app, ["fair", "check", "a", "--json"])
    assert len(judged.output.splitlines()) == 41
