"""Units of every kind as UCUM codes, judged by a reader of UCUM with values of its own."""

from __future__ import annotations

import math
import re

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.fair._units import qudt, ucum

REGISTRY = pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)

# Values in SI base units, from the table of units in the UCUM specification (ucum.org/ucum, sections 4 and 5).
PREFIXES = {"T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12}
METRIC = {
    "m": 1, "g": 1e-3, "s": 1, "A": 1, "K": 1, "cd": 1, "mol": 1, "rad": 1, "Hz": 1, "N": 1, "Pa": 1, "J": 1, "W": 1,
    "C": 1, "V": 1, "F": 1, "Ohm": 1, "S": 1, "T": 1, "L": 1e-3, "bar": 1e5, "eV": 1.602176634e-19, "P": 0.1,
    "cal": 4.184, "t": 1000, "u": 1.66053906892e-27,
}  # fmt: skip
WHOLE = {
    "min": 60, "h": 3600, "d": 86400, "%": 0.01, "[ppm]": 1e-6, "Ao": 1e-10, "[in_i]": 0.0254, "deg": math.pi / 180,
    "atm": 101325, "10*": 10, "[lb_av]": 0.45359237, "wk": 604800, "[ppth]": 1e-3,
}  # fmt: skip


def value(code: str) -> float:
    """Value of a UCUM code (a product of units, without parentheses) in SI base units."""
    result, sign = 1.0, 1
    for token in re.findall(r"[./]|\{[^}]*\}|[^./{}]+", code):
        if token in "./":
            sign = 1 if token == "." else -1
        elif not token.startswith("{"):
            result *= _atom(token) ** sign
    return result


def _atom(token: str) -> float:
    if token.isdigit():
        return float(token)
    unit, exponent = re.fullmatch(r"(10\*|\[.*\]|[^0-9+-]+)([+-]?\d+)?", token).groups()  # type: ignore[union-attr]
    power = int(exponent or 1)
    if unit in WHOLE:
        return float(WHOLE[unit]) ** power
    if unit in METRIC:
        return float(METRIC[unit]) ** power
    prefix = next(p for p in PREFIXES if unit.startswith(p) and unit[len(p) :] in METRIC)
    return float(10.0 ** PREFIXES[prefix] * METRIC[unit[len(prefix) :]]) ** power


KNOWN = {
    "1": ("1", "UNITLESS"),
    "degC": ("Cel", "DEG_C"),
    "uL/min": ("uL/min", ""),
    "mL/min": ("mL/min", "MilliL-PER-MIN"),
    "percent": ("%", "PERCENT"),
    "rpm": ("{rev}/min", "REV-PER-MIN"),
    "K/min": ("K/min", ""),
    "degC/min": ("K/min", ""),
    "mmol/L": ("mmol/L", "MilliMOL-PER-L"),
    "mM": ("mmol/L", "MilliMOL-PER-L"),
    "MS/m": ("MS/m", "MegaS-PER-M"),
    "degree": ("deg", "DEG"),
    "nm": ("nm", "NanoM"),
    "ohm": ("Ohm", "OHM"),
    "1/cm": ("cm-1", "PER-CentiM"),
    "W/m**2/K": ("W/m2/K", ""),
    "count/s": ("{count}/s", ""),
    "1/count": ("1/{count}", ""),
    "kWh": ("kW.h", "KiloW-HR"),
    "dB": ("dB", ""),
    "V/Hz**0.5": ("", ""),
    "µm": ("um", "MicroM"),
}


@pytest.mark.parametrize("unit", KNOWN)
def test_known_units_have_the_codes_that_catalogues_expect(unit: str) -> None:
    """The units that labs use have their customary UCUM codes, and QUDT IRIs where QUDT has such a unit."""
    code, name = KNOWN[unit]
    assert ucum(unit) == code
    assert qudt(unit) == (f"http://qudt.org/vocab/unit/{name}" if name else "")


def test_an_unknown_unit_is_refused() -> None:
    """A unit that pint does not know is an error that says how to write one."""
    with pytest.raises(ValueError, match="unknown unit 'frobs'"):
        ucum("frobs")


PARTS = ["nm", "mL", "uL", "min", "hour", "degree", "mmol", "kelvin", "MV", "ohm", "percent", "ppm", "inch", "slug"]
PARTS += ["kg", "angstrom", "eV", "torr", "mmHg", "molar", "kcal", "cP", "psi", "atm", "week", "hPa", "cc", "acre"]


@given(st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from([-3, -2, -1, 1, 2, 3])), min_size=1, max_size=4))
def test_products_of_units_keep_their_value(parts: list[tuple[str, int]]) -> None:
    """Whatever product of units pint reads, its UCUM code has the same value in base units."""
    unit = " * ".join(f"{name}**{power}" for name, power in parts)
    expected = REGISTRY.Quantity(1, unit).to_base_units().magnitude
    assert value(ucum(unit)) == pytest.approx(expected, rel=1e-9)


def test_the_reader_of_codes_sees_a_wrong_one() -> None:
    """Another exponent, prefix or unit has another value: the test above can fail."""
    assert value("uL/min") == pytest.approx(1e-9 / 60)
    assert {value("mL/min"), value("uL/s"), value("uL.min"), value("uL2/min")}.isdisjoint({value("uL/min")})


def test_every_unit_that_pint_knows_has_an_answer() -> None:
    """No name in pint's registry makes the composition fail, and what UCUM cannot express gives an empty text."""
    names = sorted(name for name in dir(REGISTRY) if not name.startswith("_"))
    units = [name for name in names if name in REGISTRY]
    assert len(units) > 500
    without = [name for name in units if not ucum(name)]
    assert len(without) < len(units) / 10
