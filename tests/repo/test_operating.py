"""docs/operating.md: what it shows of lab files is accepted, and the options it names are there."""

from __future__ import annotations

import contextlib
import inspect
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support import Nursery, entries_of, journal_length, wait_until

from sdl import plugins
from sdl.journal import kinds
from sdl.lab.interlocks import interlocks_of
from sdl.lab.labfile import load_lab
from sdl.simulators._silver_settings import checked

PARAMETERS = ("stock_volume", "diluent_volume")
EXCERPT = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def excerpts() -> list[str]:
    return EXCERPT.findall((Path(__file__).parents[2] / "docs/operating.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("excerpt", excerpts(), ids=lambda text: text.partition(":")[0])
def test_the_yaml_shown_is_a_lab_file(root: Path, tmp_path: Path, excerpt: str) -> None:
    """Put in place of the same keys of the dosing example, each excerpt makes a lab file whose procedure loads."""
    folder = Path(shutil.copytree(root / "examples/dosing", tmp_path / "lab"))
    yaml = YAML(typ="safe", pure=True)
    shown: dict[str, Any] = yaml.load(excerpt)
    data = yaml.load((folder / "lab.yaml").read_text()) | shown
    if "devices" in shown:
        del data["simulation"]  # the excerpt's instruments are real
    with (folder / "lab.yaml").open("w") as file:
        yaml.dump(data, file)
    lab = load_lab(folder / "lab.yaml")
    assert [step.name for step in lab.procedure("dilution", PARAMETERS).steps] == ["dose", "measure"]
    assert {item.name for item in interlocks_of(lab.spec, lab.file)} == set(shown.get("interlocks", ()))
    if lab.spec.simulation is not None:
        settings, _ = checked(lab.spec.simulation.instruments, lab.spec.simulation.options)
        assert set(settings) == set(lab.spec.simulation.instruments)


@pytest.mark.parametrize("driver", ["modbus_heater", "scpi_spectrometer", "tabulated_instrument"])
def test_the_drivers_with_a_heartbeat(driver: str) -> None:
    """Drivers that the document says have the option `heartbeat` have it."""
    assert "heartbeat" in inspect.signature(plugins.load("sdl.devices", driver)).parameters


@pytest.fixture
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands."""
    with contextlib.closing(Nursery(tmp_path_factory.mktemp("nursery"))) as nursery:
        yield nursery


def words(text: str) -> str:
    """Without line breaks, and without the campaign's id."""
    return re.sub(r"\d{8}t\d{6}-[0-9a-f]{6}", "ID", " ".join(text.split()))


def test_the_doubt_shown_is_what_happens(root: Path, tmp_path: Path, nursery: Nursery) -> None:
    """A power cut in a dispense, taken up, settled and gone on with: each command prints what the document shows."""
    document = (root / "docs/operating.md").read_text(encoding="utf-8")
    found, settled = re.findall(r"^```text\n\$ sdl (?:run|resolve).*?\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    shutil.copytree(root / "examples/dosing", tmp_path / "examples/dosing")
    lab = tmp_path / "examples/dosing/lab.yaml"
    lab.write_text(lab.read_text().replace("dispense_rate: 5 mL/min", "dispense_rate: 0.3 mL/min"))
    run = ("run", "examples/dosing/campaign.yaml")
    store = tmp_path / "sdl.db"
    first = nursery.start(*run, cwd=tmp_path)
    wait_until(
        lambda: journal_length(store) and any(e.kind == kinds.ACTION_ACKED for e in entries_of(store)), 30, "a dispense"
    )
    time.sleep(0.1)
    first.signal(signal.SIGKILL)  # the simulated pumps end with it, as by a power cut
    assert first.wait() == -signal.SIGKILL
    second = nursery.run(*run, cwd=tmp_path)
    assert second.status == 3
    for part in found.split("…\n"):
        assert words(part) in words(second.out), part
    assert "dispensed counter 0.000 uL of 6.46 uL (INF), standing still, alarm R (its power was interrupted)" in (
        nursery.run("doubts", cwd=tmp_path).out
    )
    note = ("--note", "the vial holds about 2 uL", "--by", "hana")
    resolved = nursery.run("resolve", "1/dose/1", "--quarantine", *note, cwd=tmp_path)
    assert words(resolved.out) == words(settled)
    assert nursery.run(*run, cwd=tmp_path).status == 0
