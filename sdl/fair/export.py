"""Export of a campaign to CSV, JSON or Parquet."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdl.fair._csv import csv_metadata, csv_text
from sdl.fair._document import campaign_document
from sdl.fair._facts import upto
from sdl.fair._files import write_text
from sdl.fair.access import OWNER, Role, require_data
from sdl.model import InputError
from sdl.plugins import suggest

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["FORMATS", "campaign_document", "campaign_json", "export"]

FORMATS = ("csv", "json", "parquet")


def export(store: Store, campaign: str, format: str, out: Path | None = None, role: Role = OWNER) -> tuple[Path, ...]:
    """Export a campaign, to a file or to standard output.

    Beside a CSV file goes `NAME.csv-metadata.json` (W3C CSV on the Web) with types, units, licence and
    creators. A file is written in full or not at all.

    Args:
        store: the store that holds the campaign.
        campaign: id of the campaign.
        format: csv, json or parquet.
        out: file to write; None is standard output, which parquet cannot use.
        role: for whom; others than the owner get the data that the campaign's policy lets them see.

    Returns:
        The files written; none when it went to standard output.

    Raises:
        InputError: the format is unknown, parquet without a file, or the file cannot be written.
        MissingExtra: parquet, and pyarrow is not installed.
        Hidden: the role may not see the campaign's data.
    """
    if format not in FORMATS:
        raise InputError(f"no export format {format!r}{suggest(format, list(FORMATS))}")
    if format == "parquet" and out is None:
        raise InputError("parquet is binary and needs a file: name one, such as --out trials.parquet")
    if role.kind != "owner":
        require_data(store, campaign, role, datetime.now(UTC).date())
    if format == "csv":
        state = store.state(campaign)
        text = csv_text(state)
        return _csv_files(text, csv_metadata(state, out.name), out) if out else _print(text)
    document = campaign_json(store, campaign)
    if format == "json":
        return _text_file(_json(document), out) if out else _print(_json(document))
    from sdl.fair._parquet import write_parquet

    assert out is not None
    write_parquet(store.state(campaign), document, out)
    return (out,)


def campaign_json(store: Store, campaign: str) -> dict[str, Any]:
    """The object that the JSON export writes: `campaign`, `problem`, `trials`, `units`.

    Args:
        store: the store that holds the campaign.
        campaign: id of the campaign.
    """
    state = store.state(campaign)
    return campaign_document(state, upto(state, store.entries(campaign)))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _print(text: str) -> tuple[Path, ...]:
    sys.stdout.write(text)
    return ()


def _text_file(text: str, out: Path) -> tuple[Path, ...]:
    write_text(out, text)
    return (out,)


def _csv_files(text: str, metadata: dict[str, Any], out: Path) -> tuple[Path, ...]:
    beside = out.with_name(f"{out.name}-metadata.json")
    write_text(out, text)
    write_text(beside, _json(metadata))
    return (out, beside)
