"""The trials of a campaign as a pandas data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdl.fair._files import need
from sdl.fair._table import Column, columns

if TYPE_CHECKING:
    import pandas

    from sdl.journal.state import CampaignState

__all__ = ["trials_frame"]


def trials_frame(state: CampaignState) -> pandas.DataFrame:
    """One row a trial, the columns of the CSV export.

    Whole numbers are `Int64`, other numbers `float64` (empty cells NaN), times `datetime64[ns, UTC]`, the rest
    text. `frame.attrs["units"]` maps each column with a unit to it; `frame.attrs["campaign"]` is the campaign's id.

    Raises:
        MissingExtra: pandas is not installed.
    """
    pd = need("pandas", "the table of trials")
    table = columns(state)
    trials = tuple(state.trials.values())
    series = {column.name: _series(pd, column, [column.value(t) for t in trials]) for column in table}
    frame: pandas.DataFrame = pd.DataFrame(series)
    frame.attrs["campaign"] = state.id
    frame.attrs["units"] = {column.name: column.unit for column in table if column.unit}
    return frame


def _series(pd: Any, column: Column, values: list[Any]) -> Any:
    if column.type == "time":
        moments = pd.Series([pd.NaT if v is None else pd.Timestamp(v, unit="ns", tz="UTC") for v in values])
        return moments.astype("datetime64[ns, UTC]")
    dtype = {"integer": "Int64", "number": "float64", "text": "object"}[column.type]
    return pd.Series(values, dtype=dtype)
