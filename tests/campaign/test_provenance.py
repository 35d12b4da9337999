"""What a session notes of the code that it runs with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdl.campaign._provenance import environment, revision


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; returns what it says."""
    program = shutil.which("git")
    if program is None:
        pytest.skip("no git")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run([program, *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_revision_is_the_one_that_git_tells(tmp_path: Path) -> None:
    """On a branch, with packed references, on no branch, in a further working tree, and in a folder below."""
    git(tmp_path, "init", "--initial-branch=main", "repo")
    repo = tmp_path / "repo"
    (repo / "lab").mkdir()
    assert revision(repo / "lab") == ""
    git(repo, "commit", "--allow-empty", "-m", "first")
    assert revision(repo / "lab") == f"git:{git(repo, 'rev-parse', 'HEAD')}"
    git(repo, "pack-refs", "--all")
    assert revision(repo) == f"git:{git(repo, 'rev-parse', 'HEAD')}"
    git(repo, "worktree", "add", "-b", "other", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "--allow-empty", "-m", "second")
    assert revision(tmp_path / "tree") == f"git:{git(tmp_path / 'tree', 'rev-parse', 'HEAD')}" != revision(repo)
    git(repo, "checkout", "--detach")
    assert revision(repo) == f"git:{git(repo, 'rev-parse', 'HEAD')}"


def test_a_folder_without_a_repository_has_no_revision(tmp_path: Path) -> None:
    """Neither has one whose repository cannot be read."""
    if revision(tmp_path.parent):
        pytest.skip("temporary folders are in a repository")
    assert revision(tmp_path) == ""
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert revision(tmp_path) == ""


def test_the_environment_is_what_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every package with its version as pip tells them; of two of one name the first on the path."""
    import importlib.metadata

    told = dict(line.split("==") for line in environment())
    assert told["numpy"] == importlib.metadata.version("numpy")
    assert told["ophyd-async"] == importlib.metadata.version("ophyd-async")
    (tmp_path / "numpy-0.1.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    environment.cache_clear()
    try:
        assert "numpy==0.1" in environment()
    finally:
        environment.cache_clear()
