"""Views of the journal for others: tables, exports, and the report."""

from sdl.fair.export import FORMATS, campaign_document, campaign_json, export
from sdl.fair.frame import trials_frame
from sdl.fair.report import render_report, write_report

__all__ = [
    "FORMATS",
    "campaign_document",
    "campaign_json",
    "export",
    "render_report",
    "trials_frame",
    "write_report",
]
