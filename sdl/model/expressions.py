"""Arithmetic that people write in campaign files, for derived values, constraints and costs; never run as code.

Numbers, names, `+ - * / **`, parentheses, the functions below, and for constraints one comparison or a chain of two
(`0.1 <= a * b <= 3`). A name that holds `-` is put between backticks: `` `flow-rate` ``. Values are those of the
parameters in their own units.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FUNCTIONS", "Expression", "arithmetic", "comparison"]

FUNCTIONS = ("exp", "log", "log10", "sqrt", "abs", "min", "max")
"""Functions that may be called; `log` is the natural logarithm, `min` and `max` take two arguments or more."""

MOST_CHARACTERS = 500
_MOST_LEVELS = 40
_TOLERANCE = 1e-9
"""Part of the greater side by which a comparison with `<=` or `>=` may be missed: rounding."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*|`[^`]*`)"
    r"|(?P<sign>\*\*|<=|>=|==|[-+*/(),<>=])|(?P<end>$))",
    re.ASCII,
)
_RELATIONS = ("<=", ">=", "<", ">")

_Step = tuple[str, Any]
"""Instruction of a stack machine: what, and its argument."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression: one side, or two or three with relations between them."""

    text: str
    sides: tuple[tuple[_Step, ...], ...]
    relations: tuple[str, ...]
    """Between the sides, in order; none for plain arithmetic."""
    names: frozenset[str]
    """Every name that it uses."""

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read a text.

        Raises:
            ValueError: it is no expression; the message shows where.
        """
        return _parsed(text)

    @property
    def comparison(self) -> bool:
        """Whether it says yes or no rather than a number."""
        return bool(self.relations)

    def value(self, values: Mapping[str, Any]) -> float:
        """The number at one point; NaN where it is not defined, as log(-1), or too large for a float.

        Raises:
            KeyError: a name without a value.
        """
        return float(_run(self.sides[0], values, _SCALAR))

    def values(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """The number at many points: arrays in, array out; NaN or infinite where it is not defined."""
        return _run_arrays(self.sides[0], columns)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the comparison is true at one point, with a tolerance for rounding of 1e-9 of the greater side."""
        sides = [float(_run(side, values, _SCALAR)) for side in self.sides]
        return all(
            gap > 0 if relation in "<>" else gap >= -_TOLERANCE * max(1.0, abs(a), abs(b))
            for relation, a, b in zip(self.relations, sides[:-1], sides[1:], strict=True)
            for gap in [b - a if relation.startswith("<") else a - b]
        )

    def margin(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """How far inside the comparison many points are, in parts of the greater side (or of 1): negative outside.

        Half of the tolerance of `holds` is granted, so that its verdict is never the stricter one. NaN becomes minus
        infinity.
        """
        import numpy as np

        sides = [_run_arrays(side, columns) for side in self.sides]
        least: Any = np.inf
        with np.errstate(all="ignore"):
            for relation, a, b in zip(self.relations, sides[:-1], sides[1:], strict=True):
                gap = b - a if relation.startswith("<") else a - b
                gap = gap / np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
                least = np.minimum(least, gap + (_TOLERANCE / 2 if len(relation) == 2 else -_TOLERANCE / 2))
        return np.where(np.isnan(least), -np.inf, least)

    def __str__(self) -> str:
        return self.text


def _fraction(a: float, b: float) -> float:
    return a / b


_SCALAR: Mapping[str, Callable[..., float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _fraction, "**": math.pow, "neg": operator.neg,
    "exp": math.exp, "log": math.log, "log10": math.log10, "sqrt": math.sqrt, "abs": abs, "min": min, "max": max,
}  # fmt: skip


@cache
def _array_table() -> Mapping[str, Callable[..., Any]]:
    import numpy as np

    def fold(two: Any) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            found = given[0]
            for item in given[1:]:
                found = two(found, item)
            return found

        return function

    return {
        "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power, "neg": np.negative,
        "exp": np.exp, "log": np.log, "log10": np.log10, "sqrt": np.sqrt, "abs": np.abs,
        "min": fold(np.minimum), "max": fold(np.maximum),
    }  # fmt: skip


def _run(program: Sequence[_Step], values: Mapping[str, Any], table: Mapping[str, Callable[..., Any]]) -> Any:
    stack: list[Any] = []
    for what, argument in program:
        if what == "number":
            stack.append(argument)
        elif what == "name":
            stack.append(float(values[argument]) if table is _SCALAR else values[argument])
        else:
            given = stack[-argument:]
            del stack[-argument:]
            try:
                found = table[what](*given)
            except (ArithmeticError, ValueError):
                return math.nan
            stack.append(found)
    return stack[0]


def _run_arrays(program: Sequence[_Step], columns: Mapping[str, Any]) -> NDArray[np.float64]:
    import numpy as np

    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    shape = np.broadcast_shapes(*(a.shape for a in arrays.values())) if arrays else ()
    with np.errstate(all="ignore"):
        found = np.asarray(_run(program, arrays, _array_table()), dtype=np.float64)
    return np.broadcast_to(found, shape) if found.shape != shape else found


@cache
def _parsed(text: str) -> Expression:
    return _Parser(text).whole()


class _Parser:
    """Precedence climbing over tokens; builds programs of the stack machine as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"an expression has at most {MOST_CHARACTERS} characters, this one has {len(text)}")
        self._tokens = list(self._split())
        self._at = 0
        self._level = 0

    def _split(self) -> Iterator[tuple[str, str, int]]:
        """Tokens: kind, text, position."""
        position = 0
        while True:
            match = _TOKEN.match(self._text, position)
            if match is None:
                raise self._fault(position, f"cannot read {self._text[position:].strip()[:12]!r}")
            kind = str(match.lastgroup)
            yield kind, match[kind], match.start(kind)
            if kind == "end":
                return
            position = match.end()

    def _fault(self, position: int, message: str) -> ValueError:
        return ValueError(f"{message} at character {position + 1} of {self._text!r}")

    def whole(self) -> Expression:
        sides, relations = [tuple(self._sum())], []
        while self._peek() in _RELATIONS:
            relations.append(self._take())
            sides.append(tuple(self._sum()))
        kind, token, position = self._tokens[self._at]
        if token in ("=", "=="):
            raise self._fault(
                position,
                f"found {token!r}: an equality leaves no room to search; write a linear one as `sum` with "
                "at_least = at_most, or derive a parameter",
            )
        if kind != "end":
            raise self._fault(position, f"expected an operator, found {token!r}")
        if len(relations) > 2:
            raise ValueError(f"at most two comparisons in a chain: {self._text!r}")
        names = frozenset(argument for side in sides for what, argument in side if what == "name")
        return Expression(self._text, tuple(sides), tuple(relations), names)

    def _peek(self) -> str:
        return self._tokens[self._at][1]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _sum(self) -> list[_Step]:
        found = self._product()
        while self._peek() in ("+", "-"):
            sign = self._take()
            found = [*found, *self._product(), (sign, 2)]
        return found

    def _product(self) -> list[_Step]:
        found = self._signed()
        while self._peek() in ("*", "/"):
            sign = self._take()
            found = [*found, *self._signed(), (sign, 2)]
        return found

    def _signed(self) -> list[_Step]:
        self._level += 1
        try:
            if self._level > _MOST_LEVELS:
                raise ValueError(f"an expression is nested at most {_MOST_LEVELS} levels deep: {self._text!r}")
            if self._peek() == "-":
                self._take()
                return [*self._signed(), ("neg", 1)]
            if self._peek() == "+":
                self._take()
                return self._signed()
            return self._power()
        finally:
            self._level -= 1

    def _power(self) -> list[_Step]:
        base = self._atom()
        if self._peek() != "**":
            return base
        self._take()
        return [*base, *self._signed(), ("**", 2)]

    def _atom(self) -> list[_Step]:
        kind, token, position = self._tokens[self._at]
        if kind == "number":
            return [("number", float(self._take()))]
        if kind == "name":
            self._take()
            if self._peek() == "(":
                return self._call(token, position)
            return [("name", token.strip("`"))]
        if token == "(":  # noqa: S105 - no password
            self._take()
            found = self._sum()
            self._close()
            return found
        shown = repr(token) if token else "the end"
        raise self._fault(position, f"expected a number, a name or '(', found {shown}")

    def _call(self, name: str, position: int) -> list[_Step]:
        if name not in FUNCTIONS:
            raise self._fault(position, f"unknown function {name!r}; known: {', '.join(FUNCTIONS)}")
        self._take()
        given = [self._sum()]
        while self._peek() == ",":
            self._take()
            given.append(self._sum())
        self._close()
        several = name in ("min", "max")
        if (len(given) < 2) if several else (len(given) != 1):
            raise self._fault(position, f"{name} takes {'two arguments or more' if several else 'one argument'}")
        return [*(step for part in given for step in part), (name, len(given))]

    def _close(self) -> None:
        _, token, position = self._tokens[self._at]
        if token != ")":  # noqa: S105 - no password
            raise self._fault(position, f"expected ')', found {token or 'the end'!r}")
        self._take()


def arithmetic(text: str) -> str:
    """Return `text` if it is an expression that gives a number.

    Raises:
        ValueError: it is none, or a comparison.
    """
    if Expression.parse(text).comparison:
        raise ValueError(f"{text!r} is a comparison; a number is wanted")
    return text


def comparison(text: str) -> str:
    """Return `text` if it is a comparison.

    Raises:
        ValueError: it is none.
    """
    if not Expression.parse(text).comparison:
        raise ValueError(f"{text!r} compares nothing; write it as in 'a * b <= 3'")
    return text
