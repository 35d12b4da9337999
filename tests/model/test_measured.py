"""Measured values as people write them."""

from __future__ import annotations

import pytest

from sdl.model import Outcome
from sdl.model.measured import in_unit, read_outcome, sem_in


@pytest.mark.parametrize(
    ("given", "unit", "value", "sem"),
    [
        (3, "nm", 3.0, None),
        ("451.2", "nm", 451.2, None),
        ("0.45 um", "nm", 450.0, None),
        ("451.2 ± 0.3 nm", "nm", 451.2, 0.3),
        ("0.45 um ± 2 nm", "nm", 450.0, 2.0),
        ("1 +/- 0.1", "1", 1.0, 0.1),
        ("1+-0.1", "1", 1.0, 0.1),
        ("20 ± 0.5 degC", "K", 293.15, 0.5),
    ],
)
def test_values_with_units(given: object, unit: str, value: float, sem: float | None) -> None:
    """One unit serves both numbers unless each has its own; a standard error is converted as a difference."""
    found = read_outcome(given, unit)
    assert (found.value, found.sem, found.unit) == (pytest.approx(value), sem and pytest.approx(sem), unit)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "is not a number with its unit, as in '451.2 nm' or '451.2 ± 0.3 nm'"),
        ("1 ± 2 ± 3", "is not a number with its unit"),
        ("1 ±", "is not a number with its unit"),
        ("a lot", "'a' is not a finite number"),
        ("nan nm", "'nan' is not a finite number"),
        ("1 ± -2", "a standard error is not below 0, got -2"),
        ("1 kg", "cannot convert 1 kg to nm"),
    ],
)
def test_what_is_no_measured_value(given: str, says: str) -> None:
    """Anything else is refused, and the right way is shown."""
    with pytest.raises(ValueError, match=says):
        read_outcome(given, "nm")


def test_outcomes_in_other_units() -> None:
    """Value and standard error are converted, the latter as a difference; what measures something else is refused."""
    warm = Outcome(value=20.0, sem=0.5, unit="degC")
    assert in_unit(warm, "degC") is warm
    found = in_unit(warm, "K")
    assert (found.value, found.sem, found.unit) == (pytest.approx(293.15), pytest.approx(0.5), "K")
    assert in_unit(Outcome(value=20.0, unit="degC"), "K").sem is None
    assert sem_in(0.9, "degF", "K") == pytest.approx(0.5)
    with pytest.raises(ValueError, match="measure different things"):
        in_unit(warm, "nm")
