"""A small measured table that several test modules use."""

from __future__ import annotations

from pathlib import Path

import pytest

_HEAD = "a(mm),solvent,yield\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder with one data set of 60 rows, two of them with the same inputs."""
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    rows = [(i / 10, s, 10 - (i / 10 - 1.4) ** 2 + len(s) / 50) for i in range(29) for s in ("water", "toluene")]
    rows += [(0.5, "water", 3.0), (2.9, "water", 1.0)]
    text = _HEAD + "".join(f"{a},{s},{y}\n" for a, s, y in rows)
    (folder / "pool.csv").write_text(text, encoding="utf-8")
    (folder / "bench.yaml").write_text(
        "parameters:\n  a: {column: a(mm), unit: mm}\n  solvent: {}\n"
        "objective: {column: yield, kind: maximize, unit: percent}\n",
        encoding="utf-8",
    )
    return tmp_path / "data"
