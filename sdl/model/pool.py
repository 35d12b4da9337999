"""A finite list of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from sdl.model._base import Record, Scalar
from sdl.model.parameters import CategoricalParameter, IntegerParameter, OrdinalParameter, Searched

__all__ = ["Pool", "PoolReference"]

_LOOP = 2000
"""Rows up to which values are checked one by one: numpy's import takes longer than that."""


class PoolReference(Record):
    """Where the rows of a large pool are kept, in place of the rows."""

    input: str
    """Name of the lab's input that is the table; its own SHA-256 is on record with the lab's inputs."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Of the rows, as `Pool.digest` computes it."""
    rows: int = Field(ge=1)


class Pool(Record):
    """A finite list of candidates: the planner may propose its rows and nothing else. Held by column."""

    columns: dict[str, tuple[Scalar, ...]] = {}
    """Values of each parameter; all columns are equally long. Empty where only a reference is kept."""
    reference: PoolReference | None = None
    """Of a large pool: the journal keeps it in place of the rows."""

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if len({len(column) for column in self.columns.values()}) > 1:
            raise ValueError("the columns of a pool must be equally long")
        if not self.columns and self.reference is None:
            raise ValueError("a pool needs columns")
        return self

    @property
    def loaded(self) -> bool:
        """Whether the rows are here."""
        return bool(self.columns)

    def __len__(self) -> int:
        if not self.columns and self.reference is not None:
            return self.reference.rows
        return len(next(iter(self.columns.values()), ()))

    def row(self, index: int) -> dict[str, Scalar]:
        """Parameter values of candidate `index`."""
        return {name: column[index] for name, column in self.columns.items()}

    def digest(self) -> str:
        """SHA-256 of the rows: of a line of JSON for each column, its name and its values, sorted by name."""
        import hashlib

        import orjson

        found = hashlib.sha256()
        for name in sorted(self.columns):
            found.update(orjson.dumps([name, self.columns[name]]) + b"\n")
        return found.hexdigest()

    def referenced(self, name: str) -> Pool:
        """The reference that stands for this pool where it is too large to be written down.

        Args:
            name: of the lab's input that it was read from.
        """
        return Pool(reference=PoolReference(input=name, sha256=self.digest(), rows=len(self)))

    def faults(self, parameters: Sequence[Searched]) -> list[str]:
        """What is wrong with its columns for the parameters that it should have: the first wrong row of each."""
        names = {p.name for p in parameters}
        if not self.loaded:
            return []
        if set(self.columns) != names:
            return [f"the pool has columns {sorted(self.columns)}, the parameters are {sorted(names)}"]
        if len(self) == 0:
            return ["the pool has no rows"]
        return [fault for p in parameters if (fault := _first_fault(p, self.columns[p.name]))]


def _first_fault(parameter: Searched, column: tuple[Scalar, ...]) -> str:
    at: Sequence[int] = range(len(column)) if len(column) <= _LOOP else _suspicious(parameter, column)
    for index in at:
        try:
            parameter.check(column[index])
        except ValueError as error:
            return f"pool row {index + 1}: {error}"
    return ""


def _suspicious(parameter: Searched, column: tuple[Scalar, ...]) -> Sequence[int]:
    """Rows that may be wrong, of a long column: none of those left out are."""
    if isinstance(parameter, CategoricalParameter):
        strange = set(column) - set(parameter.levels)
        return [next(i for i, v in enumerate(column) if v in strange)] if strange else []
    import numpy as np

    if not set(map(type, column)) <= {int, float}:
        return range(len(column))
    try:
        values = np.array(column, dtype=np.float64)
    except OverflowError:
        return range(len(column))
    with np.errstate(invalid="ignore"):
        good = (values >= parameter.low) & (values <= parameter.high)
        if isinstance(parameter, IntegerParameter):
            good &= values == np.floor(values)
        if isinstance(parameter, OrdinalParameter):
            good &= np.isin(values, parameter.levels)
    return [int(i) for i in np.flatnonzero(~good)]
