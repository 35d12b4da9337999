"""`sdl export` and `sdl report`."""

from __future__ import annotations

from pathlib import Path

from sdl.cli._format import console
from sdl.journal.location import StoreLocation

__all__ = ["export_command", "report_command"]


def export_command(name: str, format: str, out: Path | None, path: StoreLocation, as_: str = "") -> None:
    """Write a campaign's trials; `as_`: for whom, as in `--as`."""
    from sdl.cli._as import opened_as, with_data
    from sdl.fair import export

    with opened_as(path, as_) as (store, role):
        export(store, with_data(store, name, role), format, out, role)


def report_command(name: str, out: Path | None, path: StoreLocation, as_: str = "") -> None:
    """Write a campaign's page and say where it is; `as_`: for whom, as in `--as`."""
    from sdl.cli._as import opened_as, with_data
    from sdl.fair import write_report

    with opened_as(path, as_) as (store, role):
        campaign = with_data(store, name, role, "report.html")
        target = out or Path(f"{store.state(campaign).name or campaign}.html")
        written = write_report(store, campaign, target)
    console().print(f"report: {written}", markup=False, soft_wrap=True)
