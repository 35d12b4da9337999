"""Project files: read with every fault at its line, named by campaign files, and filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdl.campaign.projectfile import fill_project, load_project, project_in
from sdl.lab.yamlfile import read_yaml
from sdl.model import InputError

TEXT = """\
# ours
name: silver
people:
  - {name: "Carberry, Josiah", orcid: 0000-0002-1825-0097}  # of ORCID's documentation
access: {metadata: open, data: embargoed until 2027-04-01}
"""


def test_a_project_file_is_read(tmp_path: Path) -> None:
    """Access in words, people with checked identifiers."""
    file = tmp_path / "project.yaml"
    file.write_text(TEXT)
    project = load_project(file)
    assert project.people[0].orcid == "0000-0002-1825-0097"
    assert str(project.access.data) == "embargoed until 2027-04-01"


def test_every_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """A slip in an ORCID iD, a key that is none, an embargo without an end."""
    file = tmp_path / "project.yaml"
    file.write_text(
        "name: silver\nlisence: MIT\npeople: [{name: a, orcid: 0000-0002-1825-0098}]\naccess: {data: embargoed}\n"
    )
    with pytest.raises(InputError) as caught:
        load_project(file)
    told = {fault.line: fault.message for fault in caught.value.faults}
    assert "did you mean 'licence'" in told[2]
    assert "check digit" in told[3]
    assert "embargoed until 2027-04-01" in told[4]


def test_answers_are_added_and_all_else_stays(tmp_path: Path) -> None:
    """Comments, order and what was there before."""
    file = tmp_path / "project.yaml"
    file.write_text(TEXT)
    project = fill_project(file, "other", {"title": "銀ナノ粒子: 自律合成", "licence": "CC-BY-4.0"})
    assert (project.name, project.title, project.licence) == ("silver", "銀ナノ粒子: 自律合成", "CC-BY-4.0")
    assert load_project(file) == project
    assert "# ours" in file.read_text()
    assert "# of ORCID's documentation" in file.read_text()
    fresh = fill_project(tmp_path / "new.yaml", "other", {"publisher": "My University"})
    assert load_project(tmp_path / "new.yaml") == fresh
    assert fresh.name == "other"


def test_answers_that_are_no_project_leave_the_file_as_it_was(tmp_path: Path) -> None:
    """The error names the key; nothing is written beside it either."""
    file = tmp_path / "project.yaml"
    file.write_text(TEXT)
    with pytest.raises(InputError, match=r"project\.yaml:\d+: colour"):
        fill_project(file, "silver", {"colour": "blue"})
    assert file.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [file]


def test_a_campaign_names_a_project_beside_it_or_says_it_itself(tmp_path: Path) -> None:
    """A fault of either is told at its line; a path that leads out of the folder is refused."""
    (tmp_path / "project.yaml").write_text(TEXT)
    campaign = tmp_path / "campaign.yaml"
    campaign.write_text("name: c\nproject: project.yaml\n")
    file = read_yaml(campaign)
    assert project_in(file.data["project"], file).name == "silver"
    campaign.write_text("name: c\nproject:\n  name: own\n  licence: MIT\n")
    file = read_yaml(campaign)
    assert project_in(file.data["project"], file).licence == "MIT"
    campaign.write_text("name: c\nproject:\n  name: own\n  lisence: MIT\n")
    file = read_yaml(campaign)
    with pytest.raises(InputError) as caught:
        project_in(file.data["project"], file)
    assert [fault.line for fault in caught.value.faults] == [4]
    campaign.write_text("name: c\nproject: ../project.yaml\n")
    file = read_yaml(campaign)
    with pytest.raises(InputError, match="in the campaign's folder"):
        project_in(file.data["project"], file)
