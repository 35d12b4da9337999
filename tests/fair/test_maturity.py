"""The RDA FAIR maturity indicators: the demo's release passes those that can be judged, and each of them can fail."""

from __future__ import annotations

import getpass
import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from sdl.fair.maturity import INDICATORS, NOT_OFFLINE, check_campaign, check_release
from sdl.fair.release import release
from sdl.journal import Store
from sdl.model import InputError
from sdl.model.project import Project

CRATE, DATACITE, PROV, MANIFEST = "ro-crate-metadata.json", "datacite.json", "prov.json", "release.json"


@pytest.fixture(scope="module")
def demo(silver_store: Path, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the silver-flow demo with every export."""
    out = tmp_path_factory.mktemp("demo") / "release"
    with Store.open(silver_store, create=False) as store:
        release(store, store.campaigns()[0].id, out, project=project, day=date(2026, 11, 22))
    return out


def test_the_demo_passes_all_that_can_be_judged(demo: Path) -> None:
    """27 indicators, and every one passes."""
    found = check_release(demo)
    assert [(one.id, one.advice) for one in found if not one.passed] == []
    assert len(found) == 27


def test_no_export_tells_of_machines_or_accounts(demo: Path, silver_store: Path) -> None:
    """Folders, host and process are in the journal of the store, and in no file, table or archive of the release."""
    import zipfile

    import pyarrow.parquet as pq

    secrets = (str(silver_store.parent), f"{gethostname()}:", f"/{getpass.getuser()}/")
    texts: dict[str, bytes] = {}
    for path in sorted(demo.rglob("*")):
        if path.suffix == ".parquet":
            texts[path.name] = str(pq.read_table(path).to_pylist()).encode()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                texts |= {f"{path.name}:{name}": archive.read(name) for name in archive.namelist()}
        elif path.is_file():
            texts[path.name] = path.read_bytes()
    assert len(texts) > 20
    assert [(name, one) for name, text in texts.items() for one in secrets if one.encode() in text] == []
    assert all(secret.encode() in silver_store.read_bytes() for secret in secrets[:2])


def test_the_model_has_41_indicators(demo: Path) -> None:
    """Each is judged, or it is said why it cannot be; priorities are those of the recommendation."""
    every = {*INDICATORS, *NOT_OFFLINE}
    assert len(every) == len(INDICATORS) + len(NOT_OFFLINE) == 41
    assert all(re.fullmatch(r"RDA-[FAIR][0-9](\.[0-9])?-0[0-9][MD]", one) for one in every)
    counted = [priority for priority, _ in INDICATORS.values()]
    assert {one: counted.count(one) for one in set(counted)} == {"essential": 9, "important": 12, "useful": 6}
    assert all(NOT_OFFLINE.values())


Change = Callable[[dict[str, Any]], object]


def entities(kind: str, change: Change) -> Change:
    """Change every entity of a type."""

    def inner(data: dict[str, Any]) -> None:
        for one in data["@graph"]:
            if one["@type"] == kind:
                change(one)

    return inner


def root(change: Change) -> Change:
    """Change the root of the crate."""

    def inner(data: dict[str, Any]) -> None:
        change(next(one for one in data["@graph"] if one["@id"] == "./"))

    return inner


def without(*keys: str) -> Change:
    """Take keys away."""
    return lambda data: [data.pop(key, None) for key in keys]


def standards(*parts: str) -> Change:
    """Take away what files are said to conform to, where it has one of these texts."""

    def inner(data: dict[str, Any]) -> None:
        for file in data["files"]:
            if any(part in file["conforms_to"].lower() for part in parts):
                file["conforms_to"] = ""

    return inner


def each(key: str, change: Change) -> Change:
    """Change every member of a list."""
    return lambda data: [change(one) for one in data[key]]


COMMUNITY = ("nexus", "maiml", "blueskyproject", "rde")
BREAKS: dict[str, tuple[str, Change]] = {
    "RDA-F1-02M": (MANIFEST, lambda data: data.update(identifier="urn:sdl:release:1")),
    "RDA-F1-02D": (MANIFEST, each("files", without("sha256"))),
    "RDA-F2-01M": (DATACITE, without("subjects")),
    "RDA-F3-01M": (CRATE, root(lambda one: one["hasPart"].pop(1))),
    "RDA-A1-01M": (CRATE, root(without("conditionsOfAccess"))),
    "RDA-I1-01M": (CRATE, lambda data: data.update({"@context": "https://schema.org"})),
    "RDA-I1-01D": (MANIFEST, lambda data: data["files"][1].update(media_type="application/x-proprietary")),
    "RDA-I1-02M": (CRATE, lambda data: data["@graph"].pop()),
    "RDA-I1-02D": (MANIFEST, standards("croissant", *COMMUNITY)),
    "RDA-I2-01M": (CRATE, entities("Person", lambda one: one.update({"@id": "#somebody"}))),
    "RDA-I2-01D": (CRATE, entities("PropertyValue", without("unitText", "unitCode"))),
    "RDA-I3-01M": (CRATE, lambda data: data.update({"@graph": [{"@id": "./", "@type": "Dataset"}]})),
    "RDA-I3-01D": ("journal.jsonl", without()),
    "RDA-I3-02M": (CRATE, root(without("citation", "isBasedOn"))),
    "RDA-I3-02D": (PROV, without("wasDerivedFrom")),
    "RDA-I3-03M": (DATACITE, each("relatedIdentifiers", without("relationType"))),
    "RDA-I3-04M": (CRATE, entities("CreateAction", without("object"))),
    "RDA-R1-01M": (CRATE, entities("CreateAction", without("startTime"))),
    "RDA-R1.1-01M": (CRATE, root(without("license"))),
    "RDA-R1.1-02M": (DATACITE, each("rightsList", lambda one: one.update(rightsIdentifier="LicenseRef-ours"))),
    "RDA-R1.1-03M": (DATACITE, each("rightsList", lambda one: one.update(rightsUri="ask us"))),
    "RDA-R1.2-01M": (CRATE, entities("CreateAction", without("agent"))),
    "RDA-R1.2-02M": (PROV, without("agent")),
    "RDA-R1.3-01M": (DATACITE, without("publisher")),
    "RDA-R1.3-01D": (MANIFEST, standards(*COMMUNITY)),
    "RDA-R1.3-02M": (DATACITE, without("schemaVersion")),
    "RDA-R1.3-02D": (MANIFEST, standards(*COMMUNITY)),
}


def test_every_indicator_has_a_way_to_fail() -> None:
    """None is left out of the test below."""
    assert set(BREAKS) == set(INDICATORS)


@pytest.mark.parametrize("indicator", BREAKS)
def test_an_indicator_fails_on_a_release_that_lacks_what_it_asks_for(
    demo: Path, tmp_path: Path, indicator: str
) -> None:
    """And says how to mend it."""
    folder = tmp_path / "copy"
    shutil.copytree(demo, folder)
    name, change = BREAKS[indicator]
    if name == "journal.jsonl":
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(line for line in lines if '"name":"start"' not in line))
    else:
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))
    if indicator == "RDA-I3-02M":
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["files"] = [file for file in manifest["files"] if not file["path"].startswith("inputs/")]
        (folder / MANIFEST).write_text(json.dumps(manifest))
    found = {one.id: one for one in check_release(folder)}
    assert not found[indicator].passed
    assert found[indicator].advice


def test_a_release_without_anything_fails_without_an_error(tmp_path: Path) -> None:
    """Each check copes with files that are missing or damaged."""
    (tmp_path / MANIFEST).write_text('{"files": []}')
    for name in (CRATE, DATACITE, PROV):
        (tmp_path / name).write_text("{")
    assert not any(one.passed for one in check_release(tmp_path))
    with pytest.raises(InputError, match="is no release"):
        check_release(tmp_path / "nowhere")


def test_a_campaign_is_judged_by_the_release_that_it_would_make(soft_store: Path) -> None:
    """Also one that cannot be released yet: what is missing is among the advice, and nothing is kept."""
    with Store.open(soft_store, create=False) as store:
        found = {one.id: one for one in check_campaign(store, store.campaigns()[0].id)}
    assert "licence" in found["RDA-R1.1-01M"].advice
    assert "people" in found["RDA-F2-01M"].advice
    assert found["RDA-R1.2-02M"].passed
