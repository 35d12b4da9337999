"""Ways to break `sdl` on purpose, so that a test can see that the harness notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["BREAK", "break_on_purpose"]

BREAK: Final = "CHAOS_BREAK"
"""Which: `receipt`, pumps deny every delivery; `armed`, ARMED is not recorded; `commit`, transactions are undone."""


def break_on_purpose(environment: Mapping[str, str]) -> None:
    """Break what the environment says in this process; by default nothing."""
    match environment.get(BREAK, ""):
        case "receipt":
            _deny_deliveries()
        case "armed":
            _leave_out_armed()
        case "commit":
            _undo_commits()


def _deny_deliveries() -> None:
    from sdl.devices.ne1000 import Ne1000Pump
    from sdl.protocols import Receipt, Verdict

    async def receipt(self: Any, action: Any) -> Receipt:
        return Receipt(Verdict.NOT_DONE, "broken on purpose")

    Ne1000Pump.receipt = receipt  # type: ignore[method-assign]


def _leave_out_armed() -> None:
    from sdl.lab._performance import Performance

    async def arm(self: Any, evidence: Any) -> None:
        return None

    Performance._arm = arm  # type: ignore[method-assign]


def _undo_commits() -> None:
    """What is written of the second dispense is lost, though the commit returns."""
    from sdl.journal import _ledger

    commit = _ledger.Ledger.commit

    def undone(self: Any, drafts: Any, *, durable: bool) -> Any:
        if "/1/dose/2" not in "".join(draft.text for draft in drafts):
            return commit(self, drafts, durable=durable)
        seq, before = self.seq, self.hash
        rows = list(self._chain(drafts))
        self.seq, self.hash = seq, before
        return rows

    _ledger.Ledger.commit = undone  # type: ignore[method-assign]
