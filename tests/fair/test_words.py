"""Values as people read them."""

from __future__ import annotations

import pytest

from sdl.fair._words import aim, duration, enough, moment, number, plot_text, pretty_unit, with_error
from sdl.model import Match, Maximize, Minimize, Outcome


@pytest.mark.parametrize(
    ("value", "sem", "unit", "text"),
    [
        (449.93142, 1.25, "nm", "449.9 ± 1.2 nm"),
        (0.0123456, 0.00034, "1", "0.01235 ± 0.00034"),
        (5.0, None, "nm", "5 nm"),
        (5.0, 0.0, "nm", "5 nm"),
        (12345.678, 250.0, "Pa", "12346 ± 2.5e+02 Pa"),
        (1e-30, 1e-31, "m", "1e-30 ± 1e-31 m"),
        (1e300, 1.0, "1", "1e+300 ± 1"),
        (3.0, 5e-324, "1", "3 ± 4.9e-324"),
    ],
)
def test_value_with_its_error(value, sem, unit, text) -> None:
    """The error has two digits and the value as many decimals; extremes stay short; no error, no ±."""
    assert with_error(Outcome(value=value, sem=sem, unit=unit)) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("1", ""),
        ("degC", "°C"),
        ("uL/min", "µL/min"),
        ("percent", "%"),
        ("mmol/L", "mmol/L"),
        ("um**2", "µm²"),
    ],
)
def test_units_as_printed(unit, text) -> None:
    """Units are printed with their signs; what is not known stays as written."""
    assert pretty_unit(unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (8.94, "8.94 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (59.9996, "60 s")],
)
def test_durations(seconds, text) -> None:
    """Two units at most, the smaller left out when it is nothing."""
    assert duration(round(seconds * 1e9)) == text


def test_aims_and_stopping_rules() -> None:
    """Each kind of objective reads as a sentence's part."""
    match = Match(name="peak", unit="nm", target=450)
    assert (aim(match), enough(match, 2)) == ("match peak to 450 nm", "within 2 nm of the target")
    most = Maximize(name="yield", unit="percent")
    assert (aim(most), enough(most, 90)) == ("maximise yield", "at least 90 %")
    least = Minimize(name="width", unit="nm")
    assert (aim(least), enough(least, 40)) == ("minimise width", "at most 40 nm")


def test_texts() -> None:
    """Nothing is a dash; text for plotly holds no tag; a long one is cut."""
    assert (number(None), moment(None)) == ("–", "–")
    assert moment(1_760_000_000_000_000_000) == "2025-10-09 08:53:20 UTC"
    assert plot_text("<b>&\n") == "&lt;b&gt;&amp;<br>"
    assert plot_text("a" * 30, 10) == "a" * 9 + "…"
