"""What the names of a question mean: in which campaigns they have values, of what kind, and in which unit."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from sdl.fair._query_grammar import Condition, Quantity, QueryError, Ref, Text
from sdl.journal._tables import trial_names
from sdl.model.units import check_unit, convert

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Known", "Names", "Target", "bounds", "resolve"]

_SPECIAL: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "status": ("trial", ("status",)),
    "planner": ("trial", ("planner",)),
    "message": ("trial", ("message",)),
    "sample": ("sample", ("id", "label", "barcode")),
    "instrument": ("instrument", ("device", "station")),
    "device": ("instrument", ("device",)),
    "station": ("instrument", ("station",)),
    "person": ("person", ("creator", "orcid", "by")),
    "creator": ("person", ("creator",)),
    "orcid": ("person", ("orcid",)),
    "by": ("person", ("by",)),
}
"""Name without a role → role and names of the rows that tell it."""
_OWN: Final = ("campaign", "trial")
"""Names of the columns of every row."""
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "trial": ("status", "planner", "message"),
    "sample": ("id", "label", "barcode"),
    "instrument": ("device", "station"),
    "person": ("creator", "orcid", "by"),
}
"""Role → names that may follow it, as in `sample.place`."""


class Known(NamedTuple):
    """A name of which a campaign has values."""

    campaign: str
    role: str
    name: str
    unit: str
    """Empty where the values are texts."""
    trials: int
    """How many have one."""
    low: float | None
    """The least of them; None for texts."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Target:
    """The rows that a condition is about."""

    roles: tuple[str, ...]
    """Empty: the columns of every row, `campaign` or `trial`."""
    names: tuple[str, ...]
    sem: bool = False
    """Whether it is about the standard error of the value."""
    numbers: tuple[Known, ...] = ()
    """Where it has numbers; campaigns with texts are left out."""

    @property
    def units(self) -> list[str]:
        """Units of the numbers, that of most campaigns first."""
        return [unit for unit, _ in Counter(known.unit for known in self.numbers).most_common()]

    @property
    def single(self) -> bool:
        """Whether a trial has no more than one such row."""
        return self.roles in (("parameter",), ("outcome",)) and len(self.names) == 1

    @property
    def in_values(self) -> bool:
        """Whether it is about rows of `trial_values`."""
        return bool(self.roles) and self.roles != ("trial",)

    @property
    def whole_campaign(self) -> bool:
        """Whether rows may be about all trials of a campaign."""
        return self.roles == ("person",)


class Names:
    """The names that campaigns have values of, looked up as they are needed."""

    def __init__(self, connection: Connection, campaigns: Collection[str] | None, accounts: bool = True) -> None:
        """Args:
        connection: to the store.
        campaigns: ids of those that are asked; None for all.
        accounts: whether names of accounts in the lab may be asked for, as in `by`.
        """
        self.connection, self.campaigns = connection, campaigns
        self.accounts = accounts
        self._found: dict[str, tuple[Known, ...]] = {}

    def of(self, name: str) -> tuple[Known, ...]:
        """Where a name of a parameter or an outcome has values."""
        if name not in self._found:
            self._found[name] = tuple(self._select(trial_names.c.name == name))
        return self._found[name]

    def every(self, campaigns: Collection[str] | None = None) -> tuple[Known, ...]:
        """All of them, or those of some campaigns; parameters before outcomes."""
        found = list(self._select(*([] if campaigns is None else [trial_names.c.campaign.in_(sorted(campaigns))])))
        return tuple(sorted(found, key=lambda known: known.role, reverse=True))

    def _select(self, *where: sa.ColumnElement[bool]) -> Iterable[Known]:
        c = trial_names.c
        query = (
            sa.select(c.campaign, c.role, c.name, c.unit, c.trials, c.low, c.high)
            .where(*where)
            .order_by(c.campaign, c.name, c.unit)
        )
        for row in self.connection.execute(query).all():
            if self.campaigns is None or row[0] in self.campaigns:
                yield Known._make(row)


def resolve(ref: Ref, names: Names, text: str) -> Target:
    """The rows that a name means.

    A parameter or an outcome goes before a word of the language; `parameter.`, `outcome.`, `trial.`, `sample.`,
    `stock.`, `instrument.` and `person.` say which is meant, and `.sem` after an outcome means its standard error.

    Raises:
        QueryError: nothing that is asked has such a name.
    """
    role, name = ref.role, ref.name
    if role in ("parameter", "outcome"):
        if found := [known for known in names.of(name) if known.role == role]:
            return _values(found)
    elif role in _PARTS and name in _PARTS[role] and (names.accounts or name != "by"):
        return Target((role,), (name,))
    elif role == "stock":
        return Target(("stock",), (name,))
    elif name == "sem" and role:
        if found := [known for known in names.of(role) if known.role == "outcome"]:
            return _values(found, sem=True)
    elif not role:
        if known := names.of(name):
            return _values(known)
        if name in _OWN:
            return Target((), (name,))
        if name in _SPECIAL:
            of, rows = _SPECIAL[name]
            if seen := tuple(row for row in rows if names.accounts or row != "by"):
                return Target((of,), seen)
    raise QueryError(f"no campaign that is asked has {ref.whole!r}{_nearest(ref.whole, names)}", text, ref.column)


def _values(found: Collection[Known], *, sem: bool = False) -> Target:
    roles = tuple(dict.fromkeys(known.role for known in found))
    numbers = tuple(known for known in found if known.unit)
    return Target(roles, tuple(dict.fromkeys(known.name for known in found)), sem, numbers)


def _nearest(name: str, names: Names) -> str:
    known = list(dict.fromkeys([*(known.name for known in names.every()), *_SPECIAL, *_OWN]))
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known[:40])}"


# ── quantities in the units of each campaign ──


def bounds(condition: Condition, target: Target, text: str) -> list[tuple[str | None, tuple[float, ...]]]:
    """The numbers of a condition in each unit that the values have: unit (None where there is one only), numbers.

    Raises:
        QueryError: a text in place of a number, an unknown unit or one that nothing converts to, or no unit where
            campaigns have several.
    """
    given = [_number(value, condition, text) for value in condition.values]
    shared = next((q.unit for q in given if q.unit is not None), None)
    wanted = [Quantity(q.value, q.unit or shared, q.column) for q in given]
    there = target.units or [""]
    if target.roles == ("stock",):
        there = [""]
    if shared is None and len(there) > 1:
        column = condition.values[0].column
        units = " and ".join(there)
        raise QueryError(f"{condition.ref.whole} is on record in {units}; write which one you mean", text, column)
    found: list[tuple[str | None, tuple[float, ...]]] = []
    refused = ""
    for unit in there:
        try:
            numbers = tuple(_in(quantity, unit, target.sem) for quantity in wanted)
            found.append((unit if len(there) > 1 else None, numbers))
        except ValueError as error:
            refused = str(error)
    if not found:
        raise QueryError(refused, text, next(q.column for q in given if q.unit is not None))
    return found


def _number(value: Quantity | Text, condition: Condition, text: str) -> Quantity:
    if isinstance(value, Quantity):
        return value
    what = condition.operator
    raise QueryError(f"{condition.ref.whole} {what} compares numbers; {value.text!r} is a text", text, value.column)


def _in(quantity: Quantity, unit: str, difference: bool) -> float:
    """A number in a unit; a standard error as a difference: 1 degC of it is 1 K."""
    if quantity.unit is None:
        return quantity.value
    check_unit(quantity.unit)
    if not unit:
        raise ValueError(f"cannot convert to {quantity.unit}: the values have no unit; write the number alone")
    zero = convert(0.0, quantity.unit, unit) if difference else 0.0
    return convert(quantity.value, quantity.unit, unit) - zero
