"""What a lab file says of places, samples, stock, times and set-ups is checked, every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.film import LAB, write_film

from sdl.lab.labfile import load_lab
from sdl.model import InputError

STEPS = "procedures.film.steps"
FURNACE = "furnace_a, plan"
SAMPLE = "procedures.film.sample"


def faults(folder: Path, *changes: tuple[str, str]) -> dict[str, tuple[int | None, str]]:
    """Faults of the lab with parts of its text replaced: key → line and message."""
    text = LAB
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with pytest.raises(InputError) as caught:
        load_lab(write_film(folder, text))
    return {fault.path: (fault.line, fault.message) for fault in caught.value.faults}


def line_of(text: str) -> int:
    return 1 + LAB[: LAB.index(text)].count("\n")


def test_a_good_lab(tmp_path: Path) -> None:
    """Places, stock, a sample and what steps do to it are as written."""
    spec = load_lab(write_film(tmp_path)).spec
    assert spec.places["tray"].slots == 3
    assert spec.procedures["film"].steps[0].uses["ink"].path == "dispense"


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("station: furnace_a}\n  bed_b", "station: furnace}\n  bed_b", "places.bed_a.station", "no station 'furnace'"),
        ("unit: mL", "unit: ml2", "stock.ink.unit", "unit 'ml2'"),
        ("warn_below: 0.5 mL", "warn_below: 5 kg", "stock.ink.warn_below", "cannot convert 5 kg to mL"),
        ("warn_below: 2", "warn_below: -2", "stock.substrate.warn_below", "must not be below 0"),
        ("made_by: coat", "made_by: cot", f"{SAMPLE}.made_by", "did you mean 'coat'?"),
        ("place: chuck}", "place: chck}", f"{SAMPLE}.place", "did you mean 'chuck'?"),
        ("place: chuck}", "place: chuck, label: '{trail}'}", f"{SAMPLE}.label", "has {trail}"),
        ("place: chuck}", "place: chuck, label: '{trial:q}'}", f"{SAMPLE}.label", "is no pattern"),
        ("place: chuck}", "place: chuck, label: '{trial'}", f"{SAMPLE}.label", "is no pattern"),
        ("[bed_a, bed_b]", "[bed_a, bed_c]", f"{STEPS}.1.into.1", "no place 'bed_c'; did you"),
        ("archives: true", "archives: true, consumes: true", f"{STEPS}.3.consumes", "take one of the two out"),
        ("into: [bed_a", "consumes: true, into: [bed_a", f"{STEPS}.3.into", "step 'carry' is the last that has"),
        ("station: coating\n", "station: coating\n        into: [tray]\n", f"{STEPS}.0.into", "comes into being"),
        ("made_by: coat", "made_by: anneal", f"{STEPS}.1.into", "no sample yet: it is made by step 'anneal'"),
        ("    sample: {made_by: coat, place: chuck}\n", "", f"{STEPS}.1.into", "has no `sample:`"),
        ("into: [bed_a", "keep_until: coat, into: [bed_a", f"{STEPS}.1.keep_until", "'coat' is no later step"),
        ("uses: {tip: 1}", "uses: {tpi: 1}", f"{STEPS}.3.uses.tpi", "no stock 'tpi'; did you mean 'tip'?"),
        ("uses: {tip: 1}", "uses: {tip: 1 mL}", f"{STEPS}.3.uses.tip", "cannot convert 1 mL to 1"),
        ("uses: {tip: 1}", "uses: {tip: -1}", f"{STEPS}.3.uses.tip", "-1 must not be below 0"),
        ("amount: volume", "amount: volum", f"{STEPS}.0.uses.ink", "did you mean 'volume'?"),
        ("amount: volume", "amount: coater", f"{STEPS}.0.uses.ink", "'coater' is a device"),
        ("device: coater, path: dis", "device: robot, path: dis", f"{STEPS}.0.uses.ink.device", "no device 'robot'"),
        ("device: coater, path: dis", "path: dis", f"{STEPS}.0.uses.ink.path", "part of no device"),
        ("into: [bed_a", "duration: 3 kg, into: [bed_a", f"{STEPS}.1.duration", "cannot convert 3 kg to s"),
        ("into: [bed_a", "min_wait: -3 s, into: [bed_a", f"{STEPS}.1.min_wait", "must not be below 0 s"),
        ("into: [bed_a", "min_wait: 1 min, max_wait: 9 s, into: [bed_a", f"{STEPS}.1.max_wait", "less than min_wait"),
        (FURNACE, "furnace_a, setup: {by: minuts, per_unit: 6 s}, plan", f"{STEPS}.2.setup.by", "'minutes'?"),
        (FURNACE, "furnace_a, setup: {by: minutes, per_unit: 6 m}, plan", f"{STEPS}.2.setup.per_unit", "6 m"),
        (FURNACE, "furnace_a, duration: {add: [hours]}, plan", f"{STEPS}.2.duration.add.0", "'hours'"),
    ],
)  # fmt: skip
def test_one_fault(tmp_path: Path, old: str, new: str, where: str, said: str) -> None:
    """Each word that leads nowhere has its key, the line it stands on and the nearest known name."""
    found = faults(tmp_path, (old, new))
    assert where in found, found
    line, message = found[where]
    assert said in message
    changed = LAB.replace(old, new).splitlines()
    assert line is not None
    key = where.rpartition(".")[2] if not where[-1].isdigit() else where.split(".")[-2]
    assert key in changed[line - 1], (line, changed[line - 1])


def test_a_device_on_another_station(tmp_path: Path) -> None:
    """Where a use names a device, each station that can do the step has one in its place."""
    new = "other_stations: {furnace_b: {oven_a: stage}}, uses: {tip: {amount: 1, device: oven_a}}"
    found = faults(tmp_path, ("other_stations: {furnace_b: {oven_a: oven_b}}", new))
    assert "has no device 'stage' in the place of 'oven_a'" in found[f"{STEPS}.2.uses.tip.device"][1]


def test_all_at_once(tmp_path: Path) -> None:
    """Faults of places, stock, samples and steps come together."""
    changes = (
        ("station: coating}\n  bed_a", "station: coatin}\n  bed_a"),
        ("unit: mL", "unit: ml2"),
        ("made_by: coat", "made_by: cot"),
        ("uses: {tip: 1}", "uses: {tpi: 1}"),
    )
    found = faults(tmp_path, *changes)
    assert set(found) >= {
        "places.chuck.station", "stock.ink.unit", f"{SAMPLE}.made_by", f"{STEPS}.3.uses.tpi",
    }  # fmt: skip
    assert found["stock.ink.unit"][0] == line_of("  ink: {unit")


def test_plans_that_only_loading_would_show(tmp_path: Path) -> None:
    """Arguments are not judged where the file does not show them: other modules, decorators, any keyword."""
    for plan in ("bluesky.plans:count", "plans.py:missing", "gone.py:anneal"):
        change = LAB.replace('"plans.py:anneal"', f'"{plan}", setup: {{by: whatever, per_unit: 1 s}}')
        assert load_lab(write_film(tmp_path, change)).spec.procedures["film"].steps[2].plan == plan
    path = write_film(tmp_path, LAB.replace(FURNACE, "furnace_a, setup: {by: whatever, per_unit: 1 s}, plan"))
    for code in ("def anneal(oven_a, **rest): ...", "@wrapped\ndef anneal(oven_a): ...", "def anneal(: ..."):
        (tmp_path / "plans.py").write_text(code)
        assert load_lab(path).spec.name == "film"
    (tmp_path / "plans.py").write_text("def anneal(oven_a): ...")
    with pytest.raises(InputError, match="takes no argument 'whatever'"):
        load_lab(path)
