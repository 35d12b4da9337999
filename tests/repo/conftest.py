"""Fixtures about the repository as a whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "demo", ".*_cache", ".hypothesis", "*.db*"
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout's source in an empty folder; no build, no virtual environment."""
    return Path(shutil.copytree(ROOT, tmp_path / "checkout", symlinks=True, ignore=NOT_SOURCE))


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command with `sdl` of this environment on the path; fails the test on a status other than expected."""

    def call(
        *command: str | Path,
        cwd: Path,
        status: int = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 150,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        said = f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert done.returncode == status, f"exit status {done.returncode}, expected {status}: {said}"
        return done

    return call


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user's shell with this Python's commands first, and nothing of the test run's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV_", "SDL_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**kept, "PATH": path, **(extra or {})}
