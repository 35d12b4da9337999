"""The best trial's spectrum and the target curve."""

from __future__ import annotations

import pytest

from sdl.fair._curves import curves_of, read_table, target_curve
from sdl.protocols import RunRecord

AXIS = [400.0, 410.0, 420.0, 430.0, 440.0]
HILL = [0.1, 0.5, 0.9, 0.4, 0.1]


def run(*events, configured=None) -> RunRecord:
    settings = configured or {}
    configuration = {"uvvis": {"data": settings, "data_keys": {k: {"units": "nm"} for k in settings}}}
    descriptor = {
        "uid": "d",
        "name": "primary",
        "data_keys": {key: {"units": "nm" if "wave" in key else "1"} for key in events[0]},
        "configuration": configuration,
    }
    rows = tuple({"descriptor": "d", "data": dict(event)} for event in events)
    return RunRecord("measure", {"uid": "r"}, (descriptor,), rows, {})


def created(text: str | None, **options) -> dict:
    return {
        "inputs": {"target": {"path": "t.csv", "text": text}},
        "procedure": {"analysis": {"name": "a", "with": options}},
    }


def test_steady_array_is_the_axis() -> None:
    """The array that rises steadily is the axis, whichever comes first, and keeps its unit."""
    curves = curves_of([run({"wavelength": AXIS, "absorbance": HILL})], {})
    assert curves is not None
    assert (curves.x_name, curves.x_unit) == ("wavelength", "nm")
    assert (curves.measured[0].name, list(curves.measured[0].y)) == ("absorbance", HILL)
    assert curves.target is None


def test_axis_in_the_configuration() -> None:
    """Wavelengths that the device holds as configuration serve as axis for every event."""
    events = [{"absorbance": HILL}, {"absorbance": HILL[::-1]}]
    curves = curves_of([run(*events, configured={"uvvis-wavelength": AXIS})], {})
    assert curves is not None
    assert (curves.x_name, curves.x_unit, len(curves.measured)) == ("uvvis-wavelength", "nm", 2)


def test_steady_reading_is_told_from_its_axis_by_name() -> None:
    """Where both arrays rise steadily, the one called like an axis is the axis."""
    curves = curves_of([run({"growth": [1.0, 2.0, 3.0, 4.0, 5.0], "time": AXIS})], {})
    assert curves is not None
    assert (curves.measured[0].name, curves.x_name) == ("growth", "time")


def test_analysis_names_the_reading() -> None:
    """Of several arrays the one that the options of the analysis name is shown."""
    event = {"wavelength": AXIS, "dark": HILL[::-1], "absorbance": HILL}
    curves = curves_of([run(event)], created(None, spectrum="absorbance"))
    assert curves is not None
    assert curves.measured[0].name == "absorbance"


def test_no_axis_means_index_and_no_target() -> None:
    """A lone array is drawn over the index of its samples, where a target would mean nothing."""
    text = "\n".join(f"{x},{y}" for x, y in zip(AXIS, HILL, strict=True))
    curves = curves_of([run({"absorbance": HILL})], created(text, target="${target}"))
    assert curves is not None
    assert (list(curves.measured[0].x), curves.target) == ([0, 1, 2, 3, 4], None)


def test_scalars_are_no_curve() -> None:
    """Runs with numbers, texts or short arrays only give no figure."""
    assert curves_of([run({"a": 1.0, "b": [1.0, 2.0], "c": ["x"] * 9})], {}) is None
    assert curves_of([], {}) is None


def test_gaps_in_a_reading_are_kept() -> None:
    """Where the instrument gave no number the curve has a gap, and the axis stays the axis."""
    gaps = [0.1, None, 0.9, 0.4, 0.1, 0.05]
    curves = curves_of([run({"wavelength": [*AXIS, 450.0], "absorbance": gaps})], {})
    assert curves is not None
    assert list(curves.measured[0].y) == gaps


@pytest.mark.parametrize(("height", "scale"), [(0.9, 1.0), (2.0, 1.0), (900.0, 0.001)])
def test_target_of_another_scale_is_scaled(height, scale) -> None:
    """A target on the measurement's scale is drawn as it is; one on quite another is brought to its height."""
    text = "\n".join(f"{x},{y * height / 0.9}" for x, y in zip(AXIS, HILL, strict=True))
    curves = curves_of([run({"wavelength": AXIS, "absorbance": HILL})], created(text, target="${target}"))
    assert curves is not None
    assert curves.target is not None
    assert curves.scale == pytest.approx(scale)


@pytest.mark.parametrize("mark", [",", ";", "\t", "  ", " , "])
def test_tables_of_any_separator(mark) -> None:
    """Two numeric columns are read past comments and headings; rows of another width are no curve."""
    text = f"# spectrum\nwavelength{mark}absorbance\n400{mark}0.1\n\n410{mark}2e-1\n1{mark}2{mark}3\n"
    assert read_table(text) == [(400.0, 0.1), (410.0, 0.2)]


@pytest.mark.parametrize("options", [{}, {"target": "target"}, {"target": "${other}"}, {"target": 5}])
def test_no_target_without_a_reference(options) -> None:
    """Only an option that refers to an input with such a table gives a target."""
    text = "\n".join(f"{x},1" for x in range(9))
    assert target_curve(created(text, **options)) is None
    assert target_curve(created(None, target="${target}")) is None
    assert target_curve(created(text, target="${target}")) is not None
