"""`sdl metrics`: the performance metrics of a campaign, each with its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.cli._as import only_data, opened_as, with_data
from sdl.cli._format import console, duration, number, plain, print_json
from sdl.fair.metrics import Metric, Metrics, metrics_of
from sdl.journal.location import StoreLocation

__all__ = ["metrics_command", "value_of"]


def metrics_command(
    name: str, baseline: str, definitions: bool, path: StoreLocation, json: bool, as_: str = ""
) -> None:
    """Print the metrics of a campaign.

    Args:
        name: of the campaign.
        baseline: campaign to compare its efficiency with; empty to look for one.
        definitions: whether to print what each metric means and its formula.
        path: of the store.
        json: print one JSON object.
        as_: for whom, as in `--as`; what is compared is then among campaigns whose data may be seen.
    """
    with opened_as(path, as_) as (store, role):
        campaign = with_data(store, name, role)
        found = metrics_of(only_data(store), campaign, with_data(store, baseline, role) if baseline else "")
    if json:
        print_json(found.as_json())
    else:
        _show(found, definitions)


def _show(found: Metrics, definitions: bool) -> None:
    out = console()
    out.print(Text(f"{found.name}  {found.campaign}", style="bold"))
    if found.simulated:
        out.print(f"simulated: {', '.join(found.simulated)}; times are the simulation's", style="dim", markup=False)
    for group in found.groups:
        out.print(Text(f"\n{group.title}", style="bold"))
        table = Table.grid(padding=(0, 2))
        for metric in group.metrics:
            style = "" if metric.value is not None else "dim"
            about = "\n".join(filter(None, (metric.note, _details(metric.details))))
            table.add_row(Text(plain(metric.title), style="dim"), Text(value_of(metric), style=style), plain(about))
            if definitions:
                table.add_row("", "", Text(f"{metric.definition}\n= {metric.formula}", style="italic dim"))
        out.print(table)
    if not definitions:
        out.print("\nwhat each means: sdl metrics --definitions", style="dim", markup=False)


def value_of(metric: Metric) -> str:
    """A metric's value for people."""
    value = metric.value
    if value is None:
        return "–"
    if isinstance(value, str):
        return plain(value)
    if metric.unit == "s":
        return duration(value)
    shown = str(value) if isinstance(value, int) else number(float(value))
    return shown if metric.unit in ("", "1") else f"{shown} {metric.unit}"


def _details(details: Mapping[str, Any]) -> str:
    """What a person wants to see beside the value: numbers and names, no lists of them."""
    words = {"per_trial": "a trial", "experiments": "experiments", "random_experiments": "random experiments"}
    shown = [
        f"{words[key]}: {number(float(value))}" for key, value in details.items() if key in words and value is not None
    ]
    if devices := details.get("devices"):
        shown.append(", ".join(map(str, devices)))
    if items := details.get("items"):
        shown.append(", ".join(map(str, items)))
    return ", ".join(shown)
