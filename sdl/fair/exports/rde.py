"""A zip for RDE, the Research Data Express of NIMS' materials DX platform, in the mode RDEFormat.

The root of the zip is the campaign's data tile; `divided/0001`, `divided/0002` … are the tiles of trials that measured
something. Each tile has `raw` (Bluesky documents), `structured` (CSV), `meta` (metadata.json), `main_image` (a plot of
the last measurement) and `invoice`; `tasksupport` describes the metadata. What only RDE can say (ids of owner, data set
and instrument) is left for RDE to fill.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from sdl.fair.exports import ExportedFile
from sdl.fair.exports._parts import json_text, released_on, write_bytes
from sdl.fair.exports._rde_meta import Quantities, definitions, invoice, invoice_schema, metadata, quantities
from sdl.fair.exports._rde_rules import faults
from sdl.fair.exports._rde_tile import campaign_files, measuring, trial_files
from sdl.fair.record import CampaignRecord, TrialInfo

__all__ = ["faults", "write"]

_STANDARD = "https://nims-mdpf.github.io/rdetoolkit/"
_MOST_TILES = 9999
"""Tiles are numbered with four digits."""


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write one zip, or several where there are more tiles than RDE can number.

    Raises:
        InputError: a file cannot be written.
    """
    trials = [trial for trial in record.trials if measuring(record, trial)]
    parts = [trials[at : at + _MOST_TILES] for at in range(0, len(trials), _MOST_TILES)] or [[]]
    files = []
    for number, part in enumerate(parts, 1):
        path = "rde/rde.zip" if len(parts) == 1 else f"rde/rde-{number}.zip"
        write_bytes(folder, path, _zip(record, part))
        title = f"Data tiles for RDE: the campaign and {len(part)} trials"
        files.append(ExportedFile(path, "application/zip", _STANDARD, title))
    return files


def _zip(record: CampaignRecord, trials: Sequence[TrialInfo]) -> bytes:
    out = io.BytesIO()
    day = date.fromisoformat(released_on(record)[:10])
    moment = (max(day.year, 1980), day.month, day.day, 0, 0, 0)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _members(record, trials):
            info = zipfile.ZipInfo(name, date_time=moment)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue()


def _members(record: CampaignRecord, trials: Sequence[TrialInfo]) -> Iterator[tuple[str, bytes | str]]:
    known = quantities(record)
    yield "tasksupport/metadata-def.json", json_text(definitions(known))
    yield "tasksupport/invoice.schema.json", json_text(invoice_schema())
    yield from _tile("", record, None, known, campaign_files(record))
    for number, trial in enumerate(trials, 1):
        yield from _tile(f"divided/{number:04}/", record, trial, known, trial_files(record, trial))


def _tile(
    place: str,
    record: CampaignRecord,
    trial: TrialInfo | None,
    known: Quantities,
    files: Mapping[str, bytes | str],
) -> Iterator[tuple[str, bytes | str]]:
    yield f"{place}invoice/invoice.json", json_text(invoice(record, trial))
    yield f"{place}meta/metadata.json", json.dumps(metadata(record, trial, known), ensure_ascii=False, indent=1) + "\n"
    yield from ((f"{place}{name}", content) for name, content in files.items())
