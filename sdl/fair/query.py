"""Questions to a store: which trials meet conditions, over all campaigns, with units converted.

    query(store, "silver_seed > 12 uL/min and spectrum_match > 0.9")

A condition compares a name with a value: `=` `!=` `<` `<=` `>` `>=`, `between A and B`, `in [A, B]`, `contains "TEXT"`,
`A < name <= B`. A name is that of a parameter or an outcome, `NAME.sem` for its standard error, or one of `trial`,
`campaign`, `status`, `planner`, `message`, `sample`, `instrument`, `person`, `stock.ITEM`; where two mean the same,
`parameter.` or `outcome.` goes before it, and a name with blanks stands in backticks. A quantity with a unit is
converted for each campaign; without one it is in the unit on record. `and`, `or`, `not` and parentheses put conditions
together; `not` is also true of a trial that has no such value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from sdl.fair._query_grammar import And, Condition, Node, Or, QueryError, Ref, Text, parse
from sdl.fair._query_names import Names, resolve
from sdl.fair._query_result import Answer, AnswerColumn
from sdl.fair._query_sql import Pair, matching
from sdl.fair.access import OWNER, Role, visible
from sdl.journal._resolve import resolve as resolve_campaign
from sdl.journal._tables import refresh, trial_values
from sdl.journal._views import tables
from sdl.model.units import convert

if TYPE_CHECKING:
    import pandas

    from sdl.journal import CampaignHead, Store

__all__ = ["Answer", "AnswerColumn", "QueryError", "answer", "query"]

_TRIALS = next(table for table in tables if table.name == "view_trials")
_AT_ONCE = 400
"""Trials whose values are read with one statement."""


def query(store: Store, text: str = "", *, frame: str = "pandas", **options: Any) -> pandas.DataFrame:
    """The trials of which a question is true, a row each, as a data frame.

    Args:
        store: an open store.
        text: the question; empty for every trial.
        frame: pandas, or polars.
        options: as `answer` takes them.

    Raises:
        QueryError: the question cannot be read or answered; the message points to the place.
        InputError: an option names something that is not there.
        MissingExtra: lark, or the data frames, are not installed.
    """
    found: pandas.DataFrame = answer(store, text, **options).frame(frame)
    return found


def answer(
    store: Store,
    text: str = "",
    *,
    campaigns: Sequence[str] = (),
    columns: Sequence[str] = (),
    status: Sequence[str] = (),
    sample: Sequence[str] = (),
    instrument: Sequence[str] = (),
    person: Sequence[str] = (),
    role: Role = OWNER,
    today: date | None = None,
) -> Answer:
    """The trials of which a question is true, by campaign (the oldest first) and number.

    Args:
        store: an open store.
        text: the question; empty for every trial.
        campaigns: names, ids or prefixes of those to look in; empty for all.
        columns: names of the columns besides campaign and trial; empty for status, parameters and outcomes.
        status: only trials that stand so, as in `observed`; so with each of the following: any of them will do.
        sample: id, label or bar code of a sample that the trial made.
        instrument: device or station that took part.
        person: creator (name or ORCID iD), or who settled, corrected or noted something.
        role: for whom; others see the campaigns whose data they may see.
        today: day of the look, UTC.

    Raises:
        QueryError: the question cannot be read or answered; the message points to the place.
        InputError: an option names something that is not there.
        MissingExtra: lark is not installed.
    """
    node = _filtered(parse(text), status=status, sample=sample, instrument=instrument, person=person)
    heads = visible(store, role, today or _today(), "data")
    chosen = _chosen(heads, campaigns)
    limited = bool(campaigns) or role.kind != "owner"
    asked = [head.id for head in chosen] if limited else None
    called = {head.id: head.name for head in chosen}
    refresh(store)
    with store._read() as connection:
        names = Names(connection, asked, accounts=role.kind == "owner")
        pairs = matching(names, node, text, called)
        order = {head.id: index for index, head in enumerate(chosen)}
        # Campaigns that were begun since are left for the next question.
        found = sorted((pair for pair in pairs if pair[0] in order), key=lambda pair: (order[pair[0]], pair[1]))
        return _Table(names, found, called, text).answer(columns)


def _today() -> date:
    from sdl.campaign.inventory import today

    return today()


def _chosen(heads: Sequence[CampaignHead], names: Sequence[str]) -> list[CampaignHead]:
    if not names:
        return list(heads)
    ids = {resolve_campaign(name, heads) for name in names}
    return [head for head in heads if head.id in ids]


def _filtered(node: Node | None, **filters: Sequence[str]) -> Node | None:
    """The question and what the options ask besides."""
    asked: list[Node] = [] if node is None else [node]
    for name, values in filters.items():
        if values:
            ref = Ref("status", "trial", 1, "status") if name == "status" else Ref(name, "", 1, name)
            asked.append(Or(tuple(Condition(ref, "=", (Text(value, 1),)) for value in values)))
    return asked[0] if len(asked) == 1 else And(tuple(asked)) if asked else None


# ── the rows of the answer ──


class _Cell(NamedTuple):
    campaign: str
    trial: int
    role: str
    name: str
    value: float | None
    sem: float | None
    unit: str
    text: str | None


_Key = tuple[str, str]
"""Role and name; `sem` is the role of a standard error."""


class _Table:
    """Puts the values of trials into columns, each in the unit of the first campaign that has one."""

    def __init__(self, names: Names, pairs: Sequence[Pair], called: Mapping[str, str], text: str) -> None:
        self._names, self._pairs, self._called, self._text = names, pairs, called, text
        self._connection = names.connection

    def answer(self, columns: Sequence[str]) -> Answer:
        wanted = self._wanted(columns)
        units: dict[_Key, str] = {}
        cells: dict[_Key, dict[Pair, Any]] = {key: {} for key in wanted}
        for cell in self._cells({role if role != "sem" else "outcome" for role, _ in wanted}):
            for key, value in _parts(cell):
                if key in cells:
                    at = (cell.campaign, cell.trial)
                    cells[key][at] = _joined(cells[key].get(at), _in_unit(key, value, cell.unit, units))
        keys = [key for key in wanted if columns or cells[key] or key[0] == "trial"]
        heads = [AnswerColumn("campaign", "text", role="trial"), AnswerColumn("trial", "integer", role="trial")]
        heads += [_head(key, cells[key].values(), units.get(key, ""), keys) for key in keys]
        rows = tuple(
            (self._called[pair[0]], pair[1], *(_typed(cells[key].get(pair), head.type)
             for key, head in zip(keys, heads[2:], strict=True)))
            for pair in self._pairs
        )  # fmt: skip
        there = dict.fromkeys(campaign for campaign, _ in self._pairs)
        return Answer(self._text, tuple(heads), rows, {id_: self._called[id_] for id_ in there})

    def _wanted(self, columns: Sequence[str]) -> list[_Key]:
        if columns:
            named = [name.strip() for name in columns if name.strip() not in ("campaign", "trial")]
            return list(dict.fromkeys(key for name in named for key in self._named(name)))
        found: list[_Key] = [("trial", "status")]
        there = {campaign for campaign, _ in self._pairs}
        for known in self._names.every(there):
            found.append((known.role, known.name))
            if known.role == "outcome":
                found.append(("sem", known.name))
        return list(dict.fromkeys(found))

    def _named(self, name: str) -> list[_Key]:
        role, dot, rest = name.partition(".")
        target = resolve(Ref(rest, role, 1, name) if dot else Ref(name, "", 1, name), self._names, name)
        roles = ("sem",) if target.sem else target.roles
        return [(role, one) for role in roles for one in target.names]

    def _cells(self, roles: set[str]) -> Iterable[_Cell]:
        c, t = trial_values.c, _TRIALS.c
        values = sa.select(c.campaign, c.trial, c.role, c.name, c.value, c.sem, c.unit, c.text)
        values = values.where(c.role.in_(sorted(roles))).order_by(c.campaign, c.trial, c.role, c.name, c.n)
        for begin in range(0, len(self._pairs), _AT_ONCE):
            trials: dict[str, list[int]] = {}
            for campaign, trial in self._pairs[begin : begin + _AT_ONCE]:
                trials.setdefault(campaign, []).append(trial)
            yield from map(_Cell._make, self._connection.execute(values.where(_which(c, trials))).all())
            if "trial" in roles:
                about = sa.select(t.campaign, t.trial, t.status, t.planner, t.message)
                for campaign, trial, *said in self._connection.execute(about.where(_which(t, trials))):
                    for name, text in zip(("status", "planner", "message"), said, strict=True):
                        yield _Cell(campaign, trial, "trial", name, None, None, "", text or None)
            if "person" in roles:
                yield from self._people(trials)

    def _people(self, trials: Mapping[str, Sequence[int]]) -> Iterable[_Cell]:
        """Those of whole campaigns, for each of their trials."""
        c = trial_values.c
        about = sa.select(c.campaign, c.name, c.text).where(c.trial == 0, c.role == "person")
        for campaign, name, text in self._connection.execute(about.where(c.campaign.in_(list(trials)))):
            for trial in trials[campaign]:
                yield _Cell(campaign, trial, "person", name, None, None, "", text)


def _which(c: Any, trials: Mapping[str, Sequence[int]]) -> sa.ColumnElement[bool]:
    """Rows of some trials of some campaigns. A list of pairs would make SQLite read the whole table."""
    return sa.or_(*(sa.and_(c.campaign == id_, c.trial.in_(numbers)) for id_, numbers in trials.items()))


def _parts(cell: _Cell) -> Iterable[tuple[_Key, Any]]:
    value = cell.value if cell.text is None else cell.text
    yield (cell.role, cell.name), value
    if cell.role == "outcome" and cell.sem is not None:
        yield ("sem", cell.name), cell.sem


def _in_unit(key: _Key, value: Any, unit: str, units: dict[_Key, str]) -> Any:
    """A value in the unit of its column; what does not convert to it is text with its own."""
    if not isinstance(value, float) or not unit:
        return value
    wanted = units.setdefault(key, unit)
    if unit == wanted:
        return value
    try:
        scale, zero = _line(unit, wanted)
    except ValueError:
        return f"{value!r} {unit}"
    return value * scale + (0.0 if key[0] == "sem" else zero)


@cache
def _line(unit: str, wanted: str) -> tuple[float, float]:
    """Scale and zero of a conversion: units of measurement convert by a straight line.

    Raises:
        ValueError: the units measure different things.
    """
    zero = convert(0.0, unit, wanted)
    return convert(1.0, unit, wanted) - zero, zero


def _joined(before: Any, value: Any) -> Any:
    """Several texts of one name in one cell."""
    return value if before is None else f"{before}; {value}"


def _head(key: _Key, values: Iterable[Any], unit: str, keys: Sequence[_Key]) -> AnswerColumn:
    role, name = key
    texts = any(isinstance(value, str) for value in values) or role in ("sample", "instrument", "trial", "person")
    twice = sum(other[1] == name and other[0] != "sem" for other in keys) > 1 or name in ("campaign", "trial")
    shown = f"{name}_sem" if role == "sem" else f"{role}_{name}" if twice or role in ("sample", "stock") else name
    return AnswerColumn(shown, "text" if texts else "number", "" if texts else unit, role)


def _typed(value: Any, kind: str) -> Any:
    return f"{value!r}" if kind == "text" and value is not None and not isinstance(value, str) else value
