"""Records of campaigns that were really run, each lab once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Nursery
from support.labs import silver_lab, soft_lab

from sdl.fair._gather import gather_record
from sdl.fair.record import CampaignRecord
from sdl.journal import Store


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the labs."""
    return tmp_path_factory.mktemp("labs")


@pytest.fixture(scope="session")
def ran(labs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CampaignRecord, CampaignRecord]]:
    """A campaign of the soft lab and one of silver-flow on virtual time, run as a user runs them."""
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    try:
        files = (soft_lab(labs / "soft", trials=4, points=3, infeasible_above=0.5), silver_lab(labs / "silver"))
        soft, silver = (_record(nursery, file) for file in files)
        yield soft, silver
    finally:
        nursery.close()


def _record(nursery: Nursery, file: Path) -> CampaignRecord:
    done = nursery.run("run", file.name, "--virtual", "--quiet", "--store", "s.sqlite", cwd=file.parent, seconds=90)
    assert done.status == 0, done.err
    with Store.open(file.parent / "s.sqlite", create=False) as store:
        return gather_record(store, store.campaigns()[0].id)


@pytest.fixture(scope="session")
def soft_store(ran: tuple[CampaignRecord, CampaignRecord], labs: Path) -> Path:
    """The store with the soft lab's campaign."""
    return labs / "soft" / "s.sqlite"


@pytest.fixture(scope="session")
def soft(ran: tuple[CampaignRecord, CampaignRecord]) -> CampaignRecord:
    """Four trials of two runs each, some infeasible."""
    return ran[0]


@pytest.fixture(scope="session")
def silver(ran: tuple[CampaignRecord, CampaignRecord]) -> CampaignRecord:
    """Three trials with spectra."""
    return ran[1]
