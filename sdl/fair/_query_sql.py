"""A question as SQL: the condition that fewest rows meet is searched in an index, the others are looked up for those.

Nothing that a person wrote becomes part of the statement: texts and numbers are bound, names are compared.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa

from sdl.fair._query_grammar import And, Condition, Node, Not, Or, Quantity, QueryError, Text
from sdl.fair._query_names import Known, Names, Target, bounds, resolve
from sdl.journal._tables import trial_values
from sdl.journal._views import tables

__all__ = ["Pair", "matching"]

Pair = tuple[str, int]
"""Campaign (id) and number of a trial."""

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TRIALS: Final = next(table for table in tables if table.name == "view_trials")
"""A row for each trial, with its status, planner and message."""
_ENOUGH: Final = 20_000
"""Rows from which on it does not matter how many more a condition has."""
_Predicate = sa.ColumnElement[bool]


class _Asker:
    """Puts one question to one store."""

    def __init__(self, names: Names, text: str, called: dict[str, str]) -> None:
        self._names, self._text, self._called = names, text, called
        self._connection, self._campaigns = names.connection, names.campaigns
        self._targets: dict[int, Target] = {}

    def pairs(self, node: Node | None) -> list[Pair]:
        """The trials that a question is true of."""
        return [(campaign, trial) for campaign, trial in self._connection.execute(self._select(node)).all()]

    # ── which rows to begin with ──

    def _select(self, node: Node | None) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        if isinstance(node, Or) and all(map(self._searchable, node.nodes)):
            return sa.union(*(sa.select(self._select(one).subquery()) for one in node.nodes))
        parts: list[Node] = list(node.nodes) if isinstance(node, And) else [] if node is None else [node]
        first = self._first(parts)
        if first is None:
            trial = _TRIALS.alias("t")
            where = [self._true(one, trial) for one in parts]
            return sa.select(trial.c.campaign, trial.c.trial).where(*self._asked(trial), *where)
        table = trial_values.alias("t")
        query = sa.select(table.c.campaign, table.c.trial)
        others = [self._true(one, table) for one in parts if one is not first]
        query = query.where(self._meets(first, table), *self._asked(table), *others)
        return query if self._target(first).single else query.distinct()

    def _asked(self, table: Any) -> Iterable[_Predicate]:
        if self._campaigns is not None:
            yield table.c.campaign.in_(sorted(self._campaigns))

    def _searchable(self, node: Node) -> bool:
        """Whether an index finds what it is true of."""
        if isinstance(node, Condition):
            found = self._target(node)
            return found.in_values and not found.whole_campaign and node.operator != "contains"
        if isinstance(node, And):
            return any(map(self._searchable, node.nodes))
        return isinstance(node, Or) and all(map(self._searchable, node.nodes))

    def _first(self, parts: list[Node]) -> Condition | None:
        """The condition that fewest rows meet."""
        found = [part for part in parts if isinstance(part, Condition) and self._searchable(part)]
        return min(found, key=self._count) if len(found) > 1 else next(iter(found), None)

    def _count(self, condition: Condition) -> float:
        """About how many rows meet a condition."""
        target = self._target(condition)
        table = trial_values.alias("t")
        if not target.numbers or any(isinstance(value, Text) for value in condition.values):
            return self._counted(self._meets(condition, table), table)
        first, *others = bounds(condition, target, self._text)
        # The unit of most campaigns is looked up; the range of values says enough of the rest.
        rest = sum(_guess(condition, known, numbers) for unit, numbers in others for known in target.numbers
                   if known.unit == unit)  # fmt: skip
        column = table.c.sem if target.sem else table.c.value
        own = [_among(table.c.role, target.roles), _among(table.c.name, target.names)]
        met = sa.and_(*own, *_has_unit(table, first[0], target), _numeric(column, condition.operator, first[1]))
        return rest + self._counted(met, table)

    def _counted(self, met: _Predicate, table: Any) -> int:
        rows = sa.select(sa.literal(1)).where(met, *self._asked(table)).limit(_ENOUGH)
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(rows.subquery())).scalar_one())

    # ── what is true of a trial ──

    def _true(self, node: Node, trial: Any) -> _Predicate:
        if isinstance(node, And):
            return sa.and_(*(self._true(one, trial) for one in node.nodes))
        if isinstance(node, Or):
            return sa.or_(*(self._true(one, trial) for one in node.nodes))
        if isinstance(node, Not):
            return sa.not_(self._true(node.node, trial))
        found = self._target(node)
        if not found.roles:
            return self._own(node, trial)
        table = (trial_values if found.in_values else _TRIALS).alias()
        # What is said of a whole campaign stands at trial 0.
        numbers = (0, trial.c.trial) if found.whole_campaign else (trial.c.trial,)
        same = (table.c.campaign == trial.c.campaign, sa.or_(*(table.c.trial == number for number in numbers)))
        met = self._meets(node, table, searched=False) if found.in_values else self._said_of_trial(node, table)
        return sa.exists(sa.select(sa.literal(1)).where(*same, met))

    def _said_of_trial(self, condition: Condition, table: Any) -> _Predicate:
        """A condition on the status, the planner or the message of a trial."""
        return self._text_meets(condition, table.c[self._target(condition).names[0]], self._texts(condition))

    def _target(self, condition: Condition) -> Target:
        key = id(condition)
        if key not in self._targets:
            self._targets[key] = resolve(condition.ref, self._names, self._text)
        return self._targets[key]

    def _own(self, condition: Condition, trial: Any) -> _Predicate:
        """A condition on the number of the trial, or on its campaign by id or name."""
        if condition.ref.name == "trial":
            ((_, numbers),) = bounds(condition, Target((), ("trial",)), self._text)
            return _numeric(trial.c.trial, condition.operator, numbers)
        texts = self._texts(condition)
        ids = [id_ for id_, name in self._called.items() if _meant(condition.operator, (id_, name), texts)]
        inside: _Predicate = trial.c.campaign.in_(ids)
        return sa.not_(inside) if condition.operator == "!=" else inside

    def _meets(self, condition: Condition, table: Any, *, searched: bool = True) -> _Predicate:
        """Whether a row of values meets a condition; `searched`: whether an index of values is to find it."""
        target = self._target(condition)
        own = [_among(table.c.role, target.roles), _among(table.c.name, target.names)]
        numeric = [value for value in condition.values if isinstance(value, Quantity)]
        texts = [value for value in condition.values if isinstance(value, Text)]
        met: list[_Predicate] = []
        if numeric and (target.numbers or target.roles == ("stock",) or condition.operator not in ("=", "!=", "in")):
            some = Condition(condition.ref, condition.operator, tuple(numeric))
            numbers = some if condition.operator == "in" else condition
            met.append(self._number_meets(numbers, target, table, searched))
        elif numeric:
            # A number where there are texts only: a level may be called 3.
            texts += [Text(f"{value.value:g}", value.column) for value in numeric]
        if texts:
            said = self._texts(Condition(condition.ref, condition.operator, tuple(texts)))
            said += [f"person:{text}" for text in said] if target.roles == ("person",) else []
            met.append(self._text_meets(condition, table.c.text, said))
        return sa.and_(*own, sa.or_(*met))

    def _number_meets(self, condition: Condition, target: Target, table: Any, searched: bool) -> _Predicate:
        column = table.c.sem if target.sem else table.c.value
        if not searched:
            # Where the trial is known, its rows are found by the key; the index of values would find too many.
            column = column + 0.0
        cases = [
            sa.and_(*_has_unit(table, unit, target), _numeric(column, condition.operator, numbers))
            for unit, numbers in bounds(condition, target, self._text)
        ]
        return sa.or_(*cases)

    def _text_meets(self, condition: Condition, column: Any, texts: list[str]) -> _Predicate:
        if condition.operator == "contains":
            return sa.or_(*(column.contains(text, autoescape=True) for text in texts))
        met: _Predicate = column.not_in(texts) if condition.operator == "!=" else _among(column, tuple(texts))
        return met

    def _texts(self, condition: Condition) -> list[str]:
        if condition.operator not in ("=", "!=", "in", "contains"):
            for value in condition.values:
                if isinstance(value, Text):
                    what = f"{condition.ref.whole} {condition.operator} compares numbers; {value.text!r} is a text"
                    raise QueryError(what, self._text, value.column)
        return [value.text if isinstance(value, Text) else f"{value.value:g}" for value in condition.values]


def _has_unit(table: Any, unit: str | None, target: Target) -> Iterable[_Predicate]:
    """What shows that the value of a row is in a unit: its campaign, which the index has, where that has one only."""
    if unit is None:
        return
    units: dict[str, set[str]] = {}
    for known in target.numbers:
        units.setdefault(known.campaign, set()).add(known.unit)
    several = sorted(campaign for campaign, own in units.items() if len(own) > 1)
    sure = sorted(campaign for campaign, own in units.items() if own == {unit})
    others = sorted(campaign for campaign, own in units.items() if own != {unit} and campaign not in several)
    # Campaigns that do not have the name have no row of it, so the shorter list tells.
    by_campaign: _Predicate = (
        table.c.campaign.in_(sure) if len(sure) <= len(others) else table.c.campaign.not_in([*others, *several])
    )
    if several:
        yield sa.or_(by_campaign, sa.and_(table.c.campaign.in_(several), table.c.unit == unit))
    else:
        yield by_campaign


def _guess(condition: Condition, known: Known, numbers: tuple[float, ...]) -> float:
    """Trials of a campaign that may meet a condition, were its values spread evenly."""
    if known.low is None or known.high is None or condition.operator in ("=", "in"):
        return known.trials / 10
    low = max(known.low, numbers[0]) if condition.operator in (">", ">=", "between") else known.low
    high = min(known.high, numbers[-1]) if condition.operator in ("<", "<=", "between") else known.high
    return known.trials * max(0.0, high - low) / ((known.high - known.low) or 1.0)


def _among(column: Any, values: tuple[str, ...]) -> _Predicate:
    met: _Predicate = column == values[0] if len(values) == 1 else column.in_(values)
    return met


def _numeric(column: Any, what: str, numbers: tuple[float, ...]) -> _Predicate:
    if what == "between":
        low, high = sorted(numbers)
        return sa.and_(column >= low, column <= high)
    if what == "in":
        within: _Predicate = column.in_(numbers)
        return within
    met: _Predicate = _COMPARE[what](column, numbers[0])
    return met


def _meant(what: str, names: tuple[str, ...], texts: list[str]) -> bool:
    if what == "contains":
        return any(text in name for text in texts for name in names)
    return any(text in names for text in texts)


def matching(names: Names, node: Node | None, text: str, called: dict[str, str]) -> list[Pair]:
    """The trials of which a question is true, in no order.

    Args:
        names: of a store whose derived tables are up to date, and of the campaigns to look in.
        node: the question; None for every trial.
        text: as it was written, for errors.
        called: id → name of every campaign that may be named.

    Raises:
        QueryError: a name is unknown, or a unit or a text does not fit.
    """
    return [] if names.campaigns is not None and not names.campaigns else _Asker(names, text, called).pairs(node)
