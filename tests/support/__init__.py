"""What the end-to-end tests share: real `sdl` processes, labs to copy, and readers of the record."""

from support.labs import PlannerPlugin, edit, one_parameter, silver_lab, soft_lab
from support.processes import Nursery, Process, descendants, wait_until
from support.record import check_record, entries_of, journal_length, ledger

__all__ = [
    "Nursery",
    "PlannerPlugin",
    "Process",
    "check_record",
    "descendants",
    "edit",
    "entries_of",
    "journal_length",
    "ledger",
    "one_parameter",
    "silver_lab",
    "soft_lab",
    "wait_until",
]
