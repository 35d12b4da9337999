"""The process that rehearses: orders on standard input, results on standard output, one JSON object a line each.

Plain pipes, as for planners: nothing is pickled, and the process ends when the one that started it does.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import orjson

from sdl.campaign.rehearsal.runs import Order, rehearse_once
from sdl.model import InputError, SdlError


def _answer(line: bytes) -> dict[str, Any]:
    try:
        return rehearse_once(Order(**orjson.loads(line))).as_json()
    except InputError as error:
        return {"faults": [str(fault) for fault in error.faults]}
    except SdlError as error:
        return {"error": str(error)}


def main() -> None:
    """Serve until standard input ends."""
    # What libraries print must not come between the results.
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        logging.getLogger().addHandler(logging.NullHandler())
        for line in sys.stdin.buffer:
            out.write(orjson.dumps(_answer(line)) + b"\n")


if __name__ == "__main__":
    main()
