"""Units as catalogues and instruments' formats write them: UCUM codes, and IRIs of the QUDT vocabulary.

UCUM is the Unified Code for Units of Measure (ucum.org), here with its case-sensitive symbols; QUDT is at
https://qudt.org/vocab/unit/. A code is composed from pint's own parts of a unit, so every unit that pint knows and
that UCUM can express has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache

from sdl.fair._unit_tables import ANNOTATED, COMPOUND, METRIC, PREFIXES, QUDT, SPECIAL, WHOLE
from sdl.model.units import check_unit, registry

__all__ = ["qudt", "ucum"]

_Term = tuple[str, int]
"""A symbol and its exponent."""

_BASE = {name: METRIC[name] for name in ("meter", "gram", "second", "ampere", "kelvin", "candela", "mole", "radian")}


@cache
def ucum(unit: str) -> str:
    """The unit's UCUM code, as in `uL/min`, `Cel`, `%`, `{rev}/min`, or `1` for a pure number.

    Args:
        unit: as pint reads it.

    Returns:
        Empty for the few units that UCUM cannot express: fractional exponents, logarithmic units other than dB.

    Raises:
        ValueError: pint does not know the unit.
    """
    if check_unit(unit) == "1":
        return "1"
    parts = list(registry().Unit(unit)._units.items())
    if len(parts) == 1 and parts[0][0] in SPECIAL:
        return SPECIAL[parts[0][0]] if parts[0][1] == 1 else ""
    terms: list[_Term] = []
    for name, exponent in parts:
        found = _terms(name) if exponent == int(exponent) else None
        if found is None:
            return ""
        terms.extend((symbol, power * int(exponent)) for symbol, power in found)
    return _written(terms)


@cache
def qudt(unit: str) -> str:
    """IRI of the unit in QUDT's vocabulary, as in `http://qudt.org/vocab/unit/DEG_C`; empty when none is known.

    Raises:
        ValueError: pint does not know the unit.
    """
    name = QUDT.get(ucum(unit))
    return f"http://qudt.org/vocab/unit/{name}" if name else ""


def _terms(name: str) -> list[_Term] | None:
    """Terms of one of pint's names, prefix included; None where UCUM has no form for it."""
    if name in SPECIAL:
        return [("K", 1)] if name == "degree_Celsius" else None
    for prefix, base in _splits(name):
        if base in COMPOUND and not prefix:
            return list(COMPOUND[base])
        if base in METRIC and prefix in PREFIXES:
            return [(PREFIXES[prefix] + METRIC[base], 1)]
        if base in COMPOUND and prefix in PREFIXES and COMPOUND[base][0][0] in METRIC.values():
            (first, power), *others = COMPOUND[base]
            return [(PREFIXES[prefix] + first, 1), *others] if power == 1 else None
        if base in WHOLE and not prefix:
            return [(WHOLE[base], 1)]
        if base in ANNOTATED and not prefix:
            return [(f"{{{ANNOTATED[base]}}}", 1)]
    return _in_base_units(name)


def _splits(name: str) -> Iterable[tuple[str, str]]:
    """(prefix, base) of a name: as it stands first, as pint splits it then."""
    yield "", name
    yield from ((prefix, base) for prefix, base, _ in registry().parse_unit_name(name))


def _in_base_units(name: str) -> list[_Term] | None:
    """A unit without symbol of its own as a whole number, a power of ten and base units: exact, if not pretty."""
    units = registry()
    try:
        based = units.Quantity(1, name).to_base_units()
    except Exception:
        return None
    sign, digits, exponent = Decimal(repr(float(based.magnitude))).normalize().as_tuple()
    if sign or not isinstance(exponent, int):
        return None
    whole = "".join(map(str, digits))
    terms: list[_Term] = [(whole, 1)] if whole != "1" else []
    for part, power in based._units.items():
        symbol = "kg" if part == "kilogram" else _BASE.get(part)
        if symbol is None or power != int(power):
            return None
        terms.append((symbol, int(power)))
    return [*terms, ("10*", exponent)] if exponent else terms


def _written(terms: list[_Term]) -> str:
    """`a.b2/c` where something is above the line, `c-1.d-2` where nothing is."""
    above = [factor for symbol, power in terms if power > 0 for factor in _factors(symbol, power)]
    below = [(symbol, -power) for symbol, power in terms if power < 0]
    if not above and below and not any(_bare(symbol) for symbol, _ in below):
        return ".".join(f"{symbol}-{power}" for symbol, power in below)
    under = [factor for symbol, power in below for factor in _factors(symbol, power)]
    return (".".join(above) or "1") + "".join(f"/{factor}" for factor in under)


def _factors(symbol: str, power: int) -> list[str]:
    """One factor with its exponent, or as many as it says of those that carry none."""
    if _bare(symbol):
        return [symbol] * power
    return [symbol if power == 1 else f"{symbol}{power}"]


def _bare(symbol: str) -> bool:
    """Annotations and whole numbers carry no exponent."""
    return symbol.startswith("{") or symbol.isdigit()
