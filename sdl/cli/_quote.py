"""How a quote looks in a terminal, and how it is held against what happened."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from sdl.campaign.rehearsal.quote import Chance, Interval, Quote, StockQuote
from sdl.campaign.rehearsal.score import Score
from sdl.cli._format import console, plain, when

__all__ = ["print_quote", "print_score"]

_STYLES = {"inside": "green", "outside": "red", "beyond": "red", "so far": "dim"}


def print_quote(quote: Quote) -> None:
    """Print a quote."""
    out = console()
    out.print(Text(f"{plain(quote.name)}: what {quote.runs} rehearsals foretell", style="bold"))
    for note in quote.notes:
        out.print(Text(f"note: {plain(note)}", style="yellow"), soft_wrap=True)
    grid = Table.grid(padding=(0, 2))
    for key, value in _facts(quote):
        grid.add_row(Text(key, style="dim"), Text(plain(value)))
    out.print(grid)
    out.print()
    table = Table("station", "hours", "90 % of cases", "busy", "cost", box=None, pad_edge=False)
    for name, station in quote.stations.items():
        cost = f"{_amount(station.hours.median * station.cost)} {quote.currency}" if station.cost else "–"
        row = (name, _amount(station.hours.median), _limits(station.hours), f"{station.busy:.0%}", cost)
        table.add_row(*map(Text, row))
    out.print(table)
    if quote.stock:
        out.print()
        table = Table("stock", "used", "90 % of cases", "there now", "left", "lasts", box=None, pad_edge=False)
        for item, stock in quote.stock.items():
            style = "red" if stock.lacks.share > 0.05 else ""
            table.add_row(*(Text(plain(cell), style=style) for cell in _stock_row(item, stock)))
        out.print(table)


def _facts(quote: Quote) -> Iterator[tuple[str, str]]:
    hours, end = quote.hours, quote.end_at
    yield "ends in", f"{_amount(hours.median)} h of lab time (90 %: {_limits(hours)} h)"
    moments = [when(int(at * 1e9)) for at in (end.median, end.low, end.high)]
    pace = "" if quote.speed == 1 else f", at {quote.speed:g} lab seconds a second"
    yield "that is", f"{moments[0]} (90 %: {moments[1]} to {moments[2]}) if it begins now{pace}"
    after = f" after the {quote.done} that have ended" if quote.done else ""
    yield "trials", f"{_whole(quote.trials)}{after}"
    if quote.target is not None:
        target = quote.target
        said = f"{target.text}: {_chance(target.chance)}"
        if target.trial is not None and target.hours is not None:
            said += f"; where it is, by trial {_whole(target.trial)}, after {_spanned(target.hours)} h"
        yield "target reached", said
    if quote.cost.high > 0:
        yield "cost", f"{_spanned(quote.cost)} {quote.currency}"
    yield "bottleneck", quote.bottleneck
    yield "faults", f"{_whole(quote.faults)}; a person is needed: {_chance(quote.person)}"
    if quote.attempts:
        yield "learned from", f"{quote.attempts} attempts of steps in {quote.campaigns} campaigns"


def _stock_row(item: str, stock: StockQuote) -> tuple[str, ...]:
    unit = "" if stock.unit == "1" else f" {stock.unit}"
    lasts = "yes"
    if stock.lacks.share > 0 and stock.trial is not None and stock.hours is not None:
        lasts = (
            f"not in {stock.lacks.share:.0%} of cases: lacks at trial {_whole(stock.trial)}, "
            f"after {_spanned(stock.hours)} h"
        )
    left = stock.free - stock.used.median
    amounts = (f"{_amount(stock.used.median)}{unit}", f"{_limits(stock.used)}{unit}", f"{_amount(stock.free)}{unit}")
    return item, *amounts, f"{_amount(left)}{unit}" if left >= 0 else f"{_amount(-left)}{unit} short", lasts


def _amount(value: float) -> str:
    """Three digits, and all digits of what is larger."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _limits(values: Interval) -> str:
    return f"{_amount(values.low)} to {_amount(values.high)}"


def _spanned(values: Interval) -> str:
    return f"{_amount(values.median)} ({_limits(values)})"


def _whole(values: Interval) -> str:
    low, median, high = (round(value) for value in (values.low, values.median, values.high))
    return str(median) if low == high else f"{median} ({low} to {high})"


def _chance(chance: Chance) -> str:
    return f"{chance.share:.0%} ({chance.low:.0%} to {chance.high:.0%})"


def print_score(score: Score) -> None:
    """Print what became of a quote."""
    out = console()
    state = "" if score.ended else ", so far"
    out.print(Text(f"quoted {when(score.at)}, and what became of it{state}", style="bold"))
    table = Table("", "quoted", "90 % of cases", "actual", "", box=None, pad_edge=False)
    for line in score.lines:
        unit = f" {line.unit}" if line.unit else ""
        cells = (
            line.what,
            f"{_amount(line.quoted.median)}{unit}",
            _limits(line.quoted),
            f"{_amount(line.actual)}{unit}",
        )
        table.add_row(*(Text(plain(cell)) for cell in cells), Text(line.verdict, style=_STYLES[line.verdict]))
    out.print(table)
    if score.target:
        out.print(Text(f"target {plain(score.target)}"), soft_wrap=True)
