"""The language of questions: conditions on names with units, put together by and, or, not and parentheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NoReturn

from sdl.fair._files import need
from sdl.model import InputError

__all__ = ["And", "Condition", "Node", "Not", "Operator", "Or", "Quantity", "QueryError", "Ref", "Text", "parse"]

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "between", "contains"]

LONGEST: Final = 4000
"""Characters of a question."""

_GRAMMAR: Final = r"""
?start: either
?either: both (_OR both)*
?both: negated (_AND negated)*
?negated: _NOT negated -> inverted
        | "(" either ")"
        | condition
?condition: ref OP value -> compared
          | quantity OP ref -> flipped
          | quantity OP ref OP quantity -> chained
          | ref _BETWEEN quantity _AND quantity -> between
          | ref _IN "[" value ("," value)* "]" -> within
          | ref _NOT _IN "[" value ("," value)* "]" -> without
          | ref _CONTAINS text -> contains
ref: NAME | QUOTED
?value: quantity | text
quantity: NUMBER [UNIT]
text: STRING | NAME

_AND.2: /and\b/i
_OR.2: /or\b/i
_NOT.2: /not\b/i
_IN.2: /in\b/i
_BETWEEN.2: /between\b/i
_CONTAINS.2: /contains\b/i
OP: "==" | "=" | "!=" | "<>" | "≠" | "<=" | "≤" | ">=" | "≥" | "<" | ">"
NUMBER: /[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
UNIT: /(1\s*\/\s*)?[a-zA-ZµμΩÅ°%]([\wµμΩÅ°%²³⁻¹·]|\*\*-?|\^-?|\s*\/\s*)*/
NAME: /[^\W\d][\w-]*(\.[^\W\d][\w-]*)*/
QUOTED: /`[^`]+`/
STRING: /"[^"]*"|'[^']*'/
%ignore /\s+/
"""
_SAME: Final[dict[str, Operator]] = {"==": "=", "<>": "!=", "≠": "!=", "≤": "<=", "≥": ">="}
_FLIPPED: Final[dict[str, Operator]] = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_WORDS: Final = {
    "NAME": "a name", "QUOTED": "a name", "NUMBER": "a number", "STRING": "a text in quotes", "OP": "= != < <= > >=",
    "UNIT": "a unit", "_AND": "and", "_OR": "or", "_NOT": "not", "_IN": "in", "_BETWEEN": "between",
    "_CONTAINS": "contains", "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "COMMA": ",", "$END": "the end",
}  # fmt: skip


class QueryError(InputError):
    """A question that cannot be answered; the message points to the place."""

    def __init__(self, message: str, text: str, column: int) -> None:
        """Args:
        message: what is wrong, and what to write.
        text: the question.
        column: where, from 1.
        """
        self._given = (message, text, column)
        self.column = column
        shown = " ".join(text.split("\n"))
        super().__init__(f"{message} (column {column})\n  {shown}\n  {' ' * (column - 1)}^")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that a condition is about."""

    name: str
    role: str
    """What stands before its first dot, as in `outcome.peak`; empty where there is none."""
    column: int
    """Where it stands, from 1; so below."""
    whole: str
    """As written, quotes taken off."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with or without a unit."""

    value: float
    unit: str | None
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A word or a text in quotes."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison."""

    ref: Ref
    operator: Operator
    values: tuple[Quantity | Text, ...]
    """One, two of `between`, or more of `in`."""


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them holds."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold, or there is no such value."""

    node: Node


Node = Condition | And | Or | Not


def parse(text: str) -> Node | None:
    """Read a question; None for an empty one, which everything answers.

    Raises:
        QueryError: it cannot be read; the message points to the place.
        MissingExtra: lark is not installed.
    """
    if not text.strip():
        return None
    if len(text) > LONGEST:
        raise InputError(f"the question has {len(text)} characters; it may have {LONGEST}")
    lark = need("lark", "asking questions")
    text = " ".join(text.splitlines())
    try:
        tree = _parser().parse(text)
    except lark.exceptions.UnexpectedInput as error:
        _explain(error, text)
    return _Reader().read(tree)


@cache
def _parser() -> Any:
    lark = need("lark", "asking questions")
    return lark.Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _explain(error: Any, text: str) -> NoReturn:
    end = len(text.rstrip()) + 1
    token = getattr(error, "token", None)
    at_end = token is not None and token.type == "$END"
    column = end if at_end or not isinstance(error.column, int) or error.column < 1 else error.column
    accepted = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", ())
    words = sorted({_WORDS[name] for name in accepted or () if name in _WORDS})
    wanted = f"; write {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else f"; write {''.join(words)}"
    found = "the question ends too early" if at_end else f"cannot read {text[column - 1 : column + 19]!r}"
    raise QueryError(found + (wanted if words else ""), text, column) from None


class _Reader:
    """Turns lark's tree into nodes."""

    def read(self, tree: Any) -> Node:
        node: Node = getattr(self, f"_{tree.data}")(tree.children)
        return node

    def _either(self, children: Sequence[Any]) -> Node:
        return Or(tuple(map(self.read, children)))

    def _both(self, children: Sequence[Any]) -> Node:
        return And(tuple(map(self.read, children)))

    def _inverted(self, children: Sequence[Any]) -> Node:
        return Not(self.read(children[0]))

    def _compared(self, children: Sequence[Any]) -> Node:
        return Condition(_ref(children[0]), _operator(children[1]), (_value(children[2]),))

    def _flipped(self, children: Sequence[Any]) -> Node:
        return Condition(_ref(children[2]), _FLIPPED[_operator(children[1])], (_value(children[0]),))

    def _chained(self, children: Sequence[Any]) -> Node:
        low, first, ref, second, high = children
        return And((self._flipped((low, first, ref)), self._compared((ref, second, high))))

    def _between(self, children: Sequence[Any]) -> Node:
        return Condition(_ref(children[0]), "between", (_value(children[1]), _value(children[2])))

    def _within(self, children: Sequence[Any]) -> Node:
        return Condition(_ref(children[0]), "in", tuple(map(_value, children[1:])))

    def _without(self, children: Sequence[Any]) -> Node:
        return Not(self._within(children))

    def _contains(self, children: Sequence[Any]) -> Node:
        return Condition(_ref(children[0]), "contains", (_value(children[1]),))


def _operator(token: Any) -> Operator:
    plain: Any = str(token)
    found: Operator = _SAME.get(plain, plain)
    return found


def _ref(tree: Any) -> Ref:
    token = tree.children[0]
    whole = str(token)
    if token.type == "QUOTED":
        return Ref(whole[1:-1], "", token.column, whole[1:-1])
    role, dot, name = whole.partition(".")
    return Ref(name, role, token.column, whole) if dot else Ref(whole, "", token.column, whole)


def _value(tree: Any) -> Quantity | Text:
    token = tree.children[0]
    if tree.data == "quantity":
        unit = tree.children[1]
        return Quantity(float(token), None if unit is None else _unit(str(unit)), token.column)
    plain = str(token)[1:-1] if token.type == "STRING" else str(token)
    return Text(plain, token.column)


def _unit(text: str) -> str:
    """A unit as pint reads it."""
    return text.strip().replace("%", "percent").replace("·", "*")
