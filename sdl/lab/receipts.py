"""Ask an instrument what became of an action."""

from __future__ import annotations

import asyncio
from typing import Any

from sdl.model import SdlError
from sdl.protocols import ActionRecord, Receipt, Receipts, Verdict

__all__ = ["ask"]

LIMIT = 900.0
"""Wall seconds for an answer: a driver waits for the end of what is still under way, and bounds that itself."""


async def ask(device: Any, action: ActionRecord) -> Receipt:
    """The instrument's answer; UNKNOWN with the reason when it has none.

    Args:
        device: the station's device, in the event loop in which it was connected.
        action: what is asked about.
    """
    if not action.armed:
        return Receipt(Verdict.NOT_DONE, "it was being prepared, and nothing that acts had left")
    if not isinstance(device, Receipts):
        return Receipt(Verdict.UNKNOWN, f"{action.device} cannot say what it did")
    try:
        return await asyncio.wait_for(device.receipt(action), LIMIT)
    except TimeoutError:
        return Receipt(Verdict.UNKNOWN, f"{action.device} did not answer within {LIMIT:g} s")
    except SdlError as error:
        return Receipt(Verdict.UNKNOWN, str(error))
    except Exception as error:  # a driver is anybody's code
        return Receipt(Verdict.UNKNOWN, f"{action.device}: {type(error).__name__}: {error}")
