"""`sdl store`: check, rebuild, compact, backup and merge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.postgres import execute

from sdl.cli._store import backup_command, check_command, compact_command, merge_command, rebuild_command
from sdl.journal import JournalError, Store, StoreError


def _fill(path: Path, campaign: str, count: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    with Store.open(path) as store:
        store.create(campaign, f"silver-{campaign}")
        with store.writer(campaign) as writer:
            for i in range(count):
                writer.post("x", {"i": i})
    return path


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound store is said to be sound, with exit status 0; a damaged one is not, with status 2 and the place."""
    path = _fill(tmp_path / "sdl.db", "c1", 5)
    assert check_command(path, json=False) == 0
    assert "1 campaigns, 5 entries, all as it was written" in capsys.readouterr().out
    execute(path, "UPDATE packed SET at = at + 1 WHERE place % 1099511627776 = 4")
    assert check_command(path, json=False) == 2
    out = capsys.readouterr().out
    assert "damaged: campaign c1, entry 4" in out
    assert "as it was written" not in out
    assert check_command(path, json=True) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {"what": "result", "sound": False, "campaigns": 1, "entries": 5}
    assert [line["entry"] for line in lines if line["what"] == "damage"] == [4]


def test_rebuild_and_compact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rebuilding mends derived tables; compacting says how much there was and is."""
    path = _fill(tmp_path / "sdl.db", "c1", 5)
    rebuild_command(path)
    execute(path, "UPDATE view_campaigns SET name = 'gold'")
    assert check_command(path, json=False) == 2
    rebuild_command(path)
    assert check_command(path, json=False) == 0
    compact_command(path)
    assert " MB now" in capsys.readouterr().out


def test_backup_and_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backup says what it holds; merging it into another store says what became of each campaign."""
    one, two = _fill(tmp_path / "sdl.db", "c1", 5), _fill(tmp_path / "two" / "sdl.db", "c2", 3)
    backup_command(one, tmp_path / "backup.db")
    assert "1 campaigns, 5 entries, every hash fits" in capsys.readouterr().out
    with pytest.raises(StoreError, match="is there already"):
        backup_command(one, tmp_path / "backup.db")
    merge_command(two, tmp_path / "backup.db", [], json=False)
    assert "silver-c1 (c1): taken, 5 entries" in capsys.readouterr().out
    merge_command(two, tmp_path / "backup.db", [], json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["what"], told["entries"]) == ("here already", 0)
    assert check_command(two, json=False) == 0
    with pytest.raises(JournalError, match="nothing was taken"):
        merge_command(two, one, ["gold"], json=False)


@pytest.mark.parametrize("command", [check_command, rebuild_command, compact_command])
def test_no_store(tmp_path: Path, command: object) -> None:
    """Where there is no store none is made."""
    assert callable(command)
    with pytest.raises(StoreError, match="there is no store"):
        command(tmp_path / "sdl.db", *([False] if command is check_command else []))
    assert list(tmp_path.iterdir()) == []
