"""Folders of measured tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdl.bench.datasets import find_tasks, read_task
from sdl.model import CategoricalParameter, InputError, IntegerParameter, RealParameter

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not on this machine")


def test_a_folder_with_a_description(table: Path) -> None:
    """Names, units and kinds come from bench.yaml, limits and levels from the table; rows of equal inputs are one."""
    (task,) = find_tasks(table)
    distance, solvent = task.problem.parameters
    assert isinstance(distance, RealParameter)
    assert (distance.low, distance.high, distance.unit) == (0.0, 2.9, "mm")
    assert isinstance(solvent, CategoricalParameter)
    assert solvent.levels == ("toluene", "water")
    assert len(task) == 59
    row = next(i for i in range(len(task)) if task.problem.pool.row(i) == {"a": 0.5, "solvent": "water"})
    assert task.values[row] == pytest.approx((10 - 0.81 + 0.1 + 3.0) / 2)


def test_top_rows_count_ties(table: Path) -> None:
    """Of 59 rows one is in the top 1 %; a row that equals it is as good."""
    (task,) = find_tasks(table)
    assert len(task.good) == 1
    path = table / "small" / "pool.csv"
    best = max(task.values)
    path.write_text(path.read_text(encoding="utf-8") + f"9.5,water,{best!r}\n", encoding="utf-8")
    assert len(read_task(table / "small").good) == 2


def test_a_readme_of_the_shared_form(table: Path) -> None:
    """Without bench.yaml the README says which column is sought and which are inputs; headings give units, and
    percentages that sum to 100 in each row are a mixture."""
    folder = table / "small"
    (folder / "bench.yaml").unlink()
    (folder / "pool.csv").write_text("a(%),b(%),spare,loss\n40,60,1,0.2\n10,90,1,0.1\n70,30,2,0.4\n", encoding="utf-8")
    (folder / "README.md").write_text(
        "# small\n- Ranges in pool.csv: a(%) 10..70; b(%) 30..90\n- Objective: `loss`, direction **min**; range 0..1\n",
        encoding="utf-8",
    )
    task = read_task(folder)
    assert [(p.name, p.unit) for p in task.problem.searched] == [("a", "percent"), ("b", "percent")]
    assert task.problem.objectives[0].kind == "minimize"
    assert task.problem.mixtures[0].total == 100.0


def test_a_folder_that_says_nothing(table: Path) -> None:
    """A table alone is refused with the file to write."""
    (table / "small" / "bench.yaml").unlink()
    with pytest.raises(InputError, match=r"nothing that says what its columns mean; write .*bench.yaml"):
        find_tasks(table)


def test_a_slip_in_the_description_names_its_line(table: Path) -> None:
    """An unknown key is refused with file, line and the nearest known one."""
    path = table / "small" / "bench.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("unit: mm", "units: mm"), encoding="utf-8")
    with pytest.raises(InputError, match=r"bench.yaml:2: .*did you mean 'unit'"):
        find_tasks(table)


def test_a_name_that_is_not_there(table: Path) -> None:
    """An unknown data set is refused with those there are; a folder without any too."""
    with pytest.raises(InputError, match=r"no data set large .* there are small"):
        find_tasks(table, ["large"])
    with pytest.raises(InputError, match=r"no pool.csv in"):
        find_tasks(table.parent / "elsewhere")


@needs_shared
def test_the_shared_sets() -> None:
    """All six are read: rows, rows of the top 1 %, random search's median, and mixtures where fractions sum to one."""
    tasks = {task.name: task for task in find_tasks(SHARED)}
    assert {name: (len(t), len(t.good), t.random_median) for name, t in tasks.items()} == {
        "agnp": (164, 2, 48),
        "crossed_barrel": (600, 6, 66),
        "direct_arylation": (1728, 17, 69),
        "lnp3": (768, 8, 64),
        "oer_plate_3496": (2121, 21, 69),
        "photo_wf3": (1020, 10, 69),
    }
    assert isinstance(tasks["crossed_barrel"].problem.parameters[0], IntegerParameter)
    assert [len(t.problem.mixtures) for t in tasks.values()] == [0, 0, 0, 0, 1, 1]
