"""Text that is committed: documents that agree with the code, links that lead somewhere, no traces of a machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sdl.journal import kinds

FOLDERS = re.compile(r"(?<![\w.$}])/(?:work|root|Users)/[\w.-]+")
"""Paths that exist on one machine only."""
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def committed(root: Path) -> list[Path]:
    """Files of the repository, those about to be added included; every file of the tree where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [root / name for name in listed.stdout.split("\0") if name]
    else:
        skipped = {".venv", "build", "dist", "demo"}
        paths = [p for p in root.rglob("*") if not skipped & set(p.relative_to(root).parts)]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def documents(root: Path) -> list[Path]:
    return [path for path in committed(root) if path.suffix == ".md"]


def test_no_path_of_a_machine(root: Path) -> None:
    """No committed text holds an absolute path into somebody's folders."""
    found = []
    for path in committed(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(root)}: {match[0]}" for match in FOLDERS.finditer(text)]
    assert found == []


def test_links_lead_to_files(root: Path) -> None:
    """Each relative link of a document leads to a file or folder of the repository."""
    broken = [
        f"{path.relative_to(root)} -> {target}"
        for path in documents(root)
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_documented_kinds_are_those_of_the_journal(root: Path) -> None:
    """docs/architecture.md names every kind of entry, and no other."""
    text = (root / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.search(r"\| about \| kinds \|\n(.*?)\n\n", text, re.DOTALL)
    assert rows is not None
    named = set(re.findall(r"`([a-z.]+)`", rows[1]))
    assert named == kinds.KINDS


def test_decisions_are_numbered_and_complete(root: Path) -> None:
    """Decisions are numbered from 0001 without a gap, and each states its context, decision and consequences."""
    paths = sorted((root / "docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), path.name


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "README.md"])
def test_the_usual_files_are_there(root: Path, name: str) -> None:
    """A repository says what it is, under which licence, how to cite it and how to contribute."""
    assert (root / name).stat().st_size > 300
