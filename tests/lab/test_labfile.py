"""Lab files: inputs filled in, references checked, every fault at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sdl.lab.labfile import load_lab
from sdl.model import InputError

Write = Callable[..., Path]


def refusal(path: Path, **inputs: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load_lab(path, inputs)
    return caught.value


def test_a_good_lab(write_lab: Write) -> None:
    """A lab file without faults is loaded with its digest, its text and its inputs."""
    path = write_lab()
    lab = load_lab(path)
    assert lab.spec.name == "soft"
    told = lab.as_json()
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["text"] == path.read_text()
    assert lab.inputs["table"].as_json() == {
        "path": str(path.parent / "table.csv"),
        "sha256": hashlib.sha256(b"x,z\n1,2\n").hexdigest(),
        "text": "x,z\n1,2\n",
    }
    assert lab.simulated_devices() == ["detector", "other"]


@pytest.mark.parametrize(
    ("old", "new", "where", "line", "message"),
    [
        (
            "devices: [detector]",
            "devices: [detektor]",
            "stations.bench.devices.0",
            8,
            "did you mean 'detector'?",
        ),
        (
            "devices: [detector]",
            "devices: [detector, other]",
            "stations.oven.devices.0",
            9,
            "to station 'bench' already",
        ),
        (
            "devices: [detector]",
            "devices: [detector, detector]",
            "stations.bench.devices.1",
            8,
            "'bench' already",
        ),
        (
            "  other: {driver",
            "  spare: {driver: soft_detector}\n  other: {driver",
            "devices.spare",
            6,
            "no station",
        ),
        ("station: oven", "station: ovne", "procedures.measure.steps.1.station", 14, "did you mean 'oven'?"),
        ("name: bake", "name: read", "procedures.measure.steps.1.name", 14, "step 'read' is there already"),
        (
            "on_interrupt: redo",
            "redo_from: bake",
            "procedures.measure.steps.0.redo_from",
            13,
            "'bake' is neither this step nor an earlier one",
        ),
        (
            '{name: "plans.py:analyse"}',
            '{name: "plans.py:analyse", steps: [raed]}',
            "procedures.measure.analysis.steps.0",
            15,
            "no step 'raed'; did you mean 'read'?",
        ),
        (
            "other: {driver: soft_detector}",
            "other: {driver: soft_detectr}",
            "devices.other.driver",
            6,
            "'soft_detector'?",
        ),
        (
            "other: {driver: soft_detector}",
            "other: {driver: ne1000_pump}",
            "devices.other",
            6,
            "has no address",
        ),
        (
            "other: {driver: soft_detector}",
            'other: {driver: "no.such:Thing"}',
            "devices.other.driver",
            6,
            "cannot be imported",
        ),
        (
            "value: 1.0",
            'value: "${tabel}"',
            "devices.detector.options.value",
            5,
            "names no input of this file; did you mean 'table'?",
        ),
        ("{path: table.csv}", "{path: gone.csv}", "inputs.table", 3, "gone.csv cannot be read: No such file"),
        ("{path: table.csv}", "path", "inputs.table", 3, "has no file yet; give one with --set table=PATH"),
        ("{path: table.csv}", "{path: /dev/zero}", "inputs.table", 3, "it is not an ordinary file"),
        ("{path: table.csv}", "{path: .}", "inputs.table", 3, "it is not an ordinary file"),
        ("{path: table.csv}", "{path: ~nobody-of-that-name/t.csv}", "inputs.table", 3, "cannot be read"),
        ("{path: table.csv}", '{path: "a\\0b"}', "inputs.table", 3, "cannot be read"),
    ],
)
def test_one_fault(write_lab: Write, old: str, new: str, where: str, line: int, message: str) -> None:
    """Each cross-reference that leads nowhere has its key, its line and the nearest known name."""
    path = write_lab((old, new))
    found = {f.path: f for f in refusal(path).faults}
    assert where in found, found
    assert found[where].line == line
    assert found[where].file == str(path)
    assert message in found[where].message


def test_simulation_faults(write_lab: Write) -> None:
    """An unknown simulator, an instrument of no device and a device without an instrument are told together."""
    block = "simulation:\n  simulator: tabulatd\n  instruments:\n    detectr: {}\nprocedures:"
    path = write_lab(("procedures:", block), ("other: {driver: soft_detector}", "other: {driver: ne1000_pump}"))
    found = {f.path: (f.line, f.message) for f in refusal(path).faults}
    assert "did you mean 'tabulated'?" in found["simulation.simulator"][1]
    assert found["simulation.instruments.detectr"] == (13, "no device 'detectr'; did you mean 'detector'?")
    assert found["devices.other"] == (6, "has no address and no entry in simulation.instruments")


def test_all_faults_at_once(write_lab: Write) -> None:
    """Faults of inputs, stations, steps and drivers come together, in the order of the checks."""
    path = write_lab(
        ("devices: [detector]", "devices: [detektor]"),
        ("station: oven", "station: ovne"),
        ("{path: table.csv}", "{path: gone.csv}"),
        ("other: {driver: soft_detector}", "other: {driver: softdetector}"),
    )
    paths = [f.path for f in refusal(path).faults]
    assert set(paths) >= {
        "inputs.table",
        "stations.bench.devices.0",
        "devices.detector",
        "procedures.measure.steps.1.station",
        "devices.other.driver",
    }


def test_inputs_fill_places(write_lab: Write, tmp_path: Path) -> None:
    """`${table}` becomes the absolute path of the input, within longer texts and lists too; the raw text stays."""
    lab = load_lab(write_lab(("{hours: 2}", '{hours: ["${table}", "at ${table}!"]}')))
    path = tmp_path / "table.csv"
    assert lab.spec.procedures["measure"].steps[1].with_ == {"hours": [str(path), f"at {path}!"]}
    assert lab.raw["procedures"]["measure"]["steps"][1]["with"]["hours"][0] == "${table}"


def test_an_input_is_given(write_lab: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is given replaces the default and is relative to the user's folder; its text is not filled again."""
    folder = tmp_path / "else where"
    folder.mkdir()
    (folder / "${table} #1.csv").write_text("q")
    monkeypatch.chdir(folder)
    lab = load_lab(write_lab(("{hours: 2}", '{hours: "${table}"}')), {"table": "${table} #1.csv"})
    assert lab.inputs["table"].text == "q"
    assert lab.spec.procedures["measure"].steps[1].with_ == {"hours": str(folder / "${table} #1.csv")}


def test_an_input_that_nobody_declared(write_lab: Write) -> None:
    """A value for an unknown input is refused with the nearest."""
    assert "declares no input 'tabel'; did you mean 'table'?" in str(refusal(write_lab(), tabel="x"))


def test_shorthand_declares_an_input(write_lab: Write, tmp_path: Path) -> None:
    """`table: path` declares an input without a default."""
    lab = load_lab(write_lab(("{path: table.csv}", "path")), {"table": str(tmp_path / "table.csv")})
    assert lab.inputs["table"].text == "x,z\n1,2\n"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * ((1 << 20) + 1)])
def test_only_short_text_is_kept_word_for_word(write_lab: Write, tmp_path: Path, content: bytes) -> None:
    """An input that is no text, or a long one, is known by its digest alone."""
    path = write_lab()
    (tmp_path / "table.csv").write_bytes(content)
    item = load_lab(path).inputs["table"]
    assert item.text is None
    assert item.sha256 == hashlib.sha256(content).hexdigest()


def test_a_pipe_is_no_input(write_lab: Write, tmp_path: Path) -> None:
    """A named pipe is refused instead of waited for."""
    path = write_lab(("{path: table.csv}", "{path: pipe}"))
    os.mkfifo(tmp_path / "pipe")
    assert "it is not an ordinary file" in str(refusal(path))
