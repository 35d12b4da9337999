"""The commands that ask the record and add to it what people say afterwards, and their arguments."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import As, CampaignName, Json, StorePath
from sdl.cli._root import DEFAULT_STORE, By, app

Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long a session that runs has to answer.")]
TrialNumber = Annotated[int, typer.Option("--trial", "-t", metavar="N", min=1, help="Number of the trial.")]
Several = list[str] | None


class AnswerFormat(StrEnum):
    """Formats of `sdl query`."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"


@app.command()
def query(
    question: Annotated[
        str, typer.Argument(metavar="[QUESTION]", help="As in 'flow > 12 uL/min and match > 0.9'; default: all.")
    ] = "",
    across: Annotated[Several, typer.Option(metavar="CAMPAIGN", help="Look in this one; repeatable.")] = None,
    campaign: Annotated[str, typer.Option(metavar="CAMPAIGN", help="Look in this one alone.")] = "",
    status: Annotated[Several, typer.Option(metavar="STATUS", help="As in observed; repeatable.")] = None,
    sample: Annotated[Several, typer.Option(metavar="SAMPLE", help="Its id, label or bar code; repeatable.")] = None,
    instrument: Annotated[Several, typer.Option(metavar="NAME", help="Device or station; repeatable.")] = None,
    person: Annotated[
        Several, typer.Option(metavar="NAME", help="Creator, or who decided something; repeatable.")
    ] = None,
    columns: Annotated[Several, typer.Option(metavar="NAME,…", help="Columns to show; default: all.")] = None,
    format: Annotated[AnswerFormat, typer.Option("--format", "-f", help="How to show it.")] = AnswerFormat.TABLE,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: standard output.")] = None,
    as_: As = "",
    store: StorePath = DEFAULT_STORE,
) -> None:
    """List the trials of all campaigns that meet conditions; units are converted.

    Conditions: = != < <= > >=, between A and B, in [A, B], contains TEXT, A < name <= B; and, or, not, parentheses.
    Names: parameters, outcomes (NAME.sem: standard error), trial, campaign, status, planner, message, sample,
    instrument, person, stock.ITEM.
    """
    from sdl.cli._query import query_command

    filters = {"status": status, "sample": sample, "instrument": instrument, "person": person}
    given = {name: values for name, values in filters.items() if values}
    asked = [*(across or []), *([campaign] if campaign else [])]
    query_command(question, asked, columns or [], given, format.value, out, as_, store)


@app.command()
def metrics(
    campaign: CampaignName,
    baseline: Annotated[
        str, typer.Option(metavar="CAMPAIGN", help="Compare the search with this one; default: what drew at random.")
    ] = "",
    definitions: Annotated[bool, typer.Option("--definitions", help="Also what each means, and its formula.")] = False,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> None:
    """Show the performance metrics of self-driving labs for a campaign: autonomy, throughput, precision and others.

    As A. A. Volk and M. Abolhasani propose them (Nature Communications 2024, doi:10.1038/s41467-024-45569-5).
    """
    from sdl.cli._metrics import metrics_command

    metrics_command(campaign, baseline, definitions, store, json, as_)


@app.command()
def replay(
    campaign: CampaignName,
    lab: Annotated[
        Path | None, typer.Option("--lab", metavar="LAB.yaml", help="Where the lab's code is now; default: as it was.")
    ] = None,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> int:
    """Make every proposal and every outcome again from the journal, and compare them with the record.

    Exit status: 0 all are the same, bit by bit or within a rounding error; 2 some are not, and it is said why.
    """
    from sdl.cli._replay import replay_command

    return replay_command(campaign, lab, store, json, as_)


@app.command()
def correct(
    campaign: CampaignName,
    trial: TrialNumber,
    value: Annotated[
        Several, typer.Option("--set", metavar="NAME=VALUE", help="As in 'peak=451.2 ± 0.3 nm'; repeatable.")
    ] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Those who come after you read it.")] = "",
    by: By = "",
    wait: Wait = 10,
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Put outcomes of a trial right; what they were stays on record.

    Exit status: 0 it is on record, 2 it cannot be (the reason is printed), 3 a session runs and has not answered.
    """
    from sdl.cli._correct import correct_command

    return correct_command(campaign, trial, value or [], why, by, store, wait)


@app.command()
def annotate(
    campaign: CampaignName,
    trial: TrialNumber,
    note: Annotated[str, typer.Option(metavar="TEXT", help="What there is to say.")] = "",
    by: By = "",
    wait: Wait = 10,
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Note something about a trial; goes on record with your name. Exit status as of `sdl correct`."""
    from sdl.cli._correct import annotate_command

    return annotate_command(campaign, trial, note, by, store, wait)


@app.command()
def withdraw(
    campaign: CampaignName,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Those who come after you read it.")] = "",
    by: By = "",
    wait: Wait = 10,
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Say that the data of a campaign are not to be relied on; they stay on record. Exit status as of `sdl correct`."""
    from sdl.cli._correct import withdraw_command

    return withdraw_command(campaign, why, by, store, wait)
