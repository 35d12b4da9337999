"""Units and quantities."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.model.units import check_unit, convert, parse_quantity


@pytest.mark.parametrize("unit", ["nm", "degC", "uL/min", "percent", "mol/L", "K", "absorbance_unit", "counts"])
def test_known_units(unit: str) -> None:
    """Units of the field are returned as they were written."""
    assert check_unit(unit) == unit


@pytest.mark.parametrize("unit", ["1", "", "dimensionless"])
def test_pure_numbers(unit: str) -> None:
    """A pure number has the unit 1."""
    assert check_unit(unit) == "1"


@pytest.mark.parametrize("unit", ["nmm", "frobs", "m/", "nm nm)", "__import__('os')", "1/0", "(" * 300, "3 nm"])
def test_unknown_units(unit: str) -> None:
    """An unknown unit is refused and the way to write one is shown."""
    with pytest.raises(ValueError, match=r"unknown unit .*write it as in 'nm'"):
        check_unit(unit)


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (1.0, "um", "nm", 1000.0),
        (25.0, "degC", "K", 298.15),
        (298.15, "K", "degC", 25.0),
        (212.0, "degF", "degC", 100.0),
        (60.0, "mL/h", "uL/min", 1000.0),
        (50.0, "percent", "1", 0.5),
        (0.5, "1", "percent", 50.0),
        (3.0, "", "1", 3.0),
        (2.0, "nm", "nm", 2.0),
    ],
)
def test_conversion(value: float, unit: str, to: str, expected: float) -> None:
    """Values convert, temperatures with their zero point, percent to pure numbers and back."""
    assert convert(value, unit, to) == pytest.approx(expected)


@pytest.mark.parametrize(("unit", "to"), [("nm", "s"), ("degC", "nm"), ("nm", "1"), ("uL", "uL/min")])
def test_conversion_between_different_things(unit: str, to: str) -> None:
    """Units that measure different things are refused by name."""
    with pytest.raises(ValueError, match=f"cannot convert 1 {unit} to {to}: they measure different things"):
        convert(1, unit, to)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from([("nm", "mm"), ("degC", "K"), ("mL/min", "uL/s"), ("min", "s")]))
def test_conversion_there_and_back(value: float, pair: tuple[str, str]) -> None:
    """There and back is where one started, to rounding."""
    unit, to = pair
    assert convert(convert(value, unit, to), to, unit) == pytest.approx(value, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("10 min", "s", 600.0),
        (" 14.43 mm ", "mm", 14.43),
        ("12", "s", 12.0),
        (7, "s", 7.0),
        ("1e3 um", "mm", 1.0),
        ("25 degC", "K", 298.15),
        ("20  mL/min", "mL/min", 20.0),
    ],
)
def test_quantities(text: Any, unit: str, expected: float) -> None:
    """A number with a unit is read in the unit asked for; a bare number has it already."""
    assert parse_quantity(text, unit) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["ten min", "", "min 10", "nan s", "inf s", "1e999 s", float("nan"), True])
def test_what_is_no_quantity(text: Any) -> None:
    """Anything but a finite number with a unit is refused, and the right way is shown."""
    with pytest.raises(ValueError, match=r"is not a finite number with a unit, as in '12.5 s'"):
        parse_quantity(text, "s")


def test_a_quantity_of_another_thing() -> None:
    """A unit that measures something else is refused."""
    with pytest.raises(ValueError, match="cannot convert 5 mm to s"):
        parse_quantity("5 mm", "s")
