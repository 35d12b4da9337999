"""`sdl verify` on the folder of a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdl.cli._verify import verify_command
from sdl.fair.release import release
from sdl.journal import Store
from sdl.model import InputError
from sdl.model.project import Project


def test_a_release(soft_store: Path, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said to be intact, with status 0; after one flipped byte of any file with 2, and which file it is."""
    with Store.open(soft_store, create=False) as store:
        made = release(store, store.campaigns()[0].id, tmp_path / "out", project=project, only=["datacite"])
    none = tmp_path / "none.db"
    assert verify_command(str(made.folder), none) == 0
    assert "intact" in capsys.readouterr().out
    for file in made.files:
        path = made.folder / file.path
        sound = path.read_bytes()
        path.write_bytes(sound[:-2] + bytes([sound[-2] ^ 1]) + sound[-1:])
        assert verify_command(str(made.folder), none) == 2
        assert file.path in capsys.readouterr().out
        path.write_bytes(sound)
    assert verify_command(str(made.folder), none) == 0


def test_what_is_no_release(tmp_path: Path) -> None:
    """A folder without a manifest is refused; so is a key for what nobody signs."""
    with pytest.raises(InputError):
        verify_command(str(tmp_path), tmp_path / "none.db")
    with pytest.raises(InputError, match="--key"):
        verify_command("silver", tmp_path / "none.db", "ed25519:00")
