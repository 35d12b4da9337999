"""The report of a campaign: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sdl.fair._facts import gather, upto
from sdl.fair._files import need, write_text
from sdl.fair._plot import DARK
from sdl.fair._report_data import report_data
from sdl.fair._samples import LabStock, lab_stock
from sdl.journal.state import CampaignState, best_trial

if TYPE_CHECKING:
    from sdl.fair.metrics import Metrics
    from sdl.journal import Entry, Store

__all__ = ["render_report", "write_report"]

_TEMPLATES = Path(__file__).with_name("templates")


def write_report(store: Store, campaign: str, out: Path) -> Path:
    """Write the report of a campaign to `out` and return its path. The file is written in full or not at all.

    Args:
        store: the store that holds the campaign.
        campaign: id of the campaign.
        out: the HTML file.

    Raises:
        MissingExtra: jinja2 or plotly is not installed.
        InputError: `out` cannot be written.
    """
    from sdl.fair.metrics import metrics_of

    state = store.state(campaign)
    metrics = metrics_of(store, campaign) if state.spec is not None else None
    write_text(out, render_report(state, upto(state, store.entries(campaign)), lab_stock(store, state), metrics))
    return out


def render_report(
    state: CampaignState, entries: Iterable[Entry], stock: LabStock | None = None, metrics: Metrics | None = None
) -> str:
    """The report as HTML text.

    Every text that people or instruments wrote is escaped, in the page and in the figures, and the page's own
    content security policy forbids it to load anything.

    Args:
        state: the folded state.
        entries: every entry of the campaign, in order; read once.
        stock: the lab's inventory, for the tables of samples and stock; None where only the journal is at hand.
        metrics: performance metrics; None leaves them out.

    Raises:
        MissingExtra: jinja2 or plotly is not installed.
    """
    jinja2 = need("jinja2", "the report")
    plotly = need("plotly.offline", "the report")
    best = best_trial(state)
    report = report_data(state, gather(entries, best.number if best else None), best, stock, metrics)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html")
    page = template.render(report=report, plotly=plotly.get_plotlyjs(), dark=json.dumps(dict(DARK)))
    return str(page)
