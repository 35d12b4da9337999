"""`sdl tiled`: replay a campaign's finished runs to a Tiled server."""

from __future__ import annotations

import os

from sdl.cli._as import opened_as, with_data
from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, print_json
from sdl.journal.location import StoreLocation

__all__ = ["tiled_command"]


def tiled_command(name: str, uri: str, path: StoreLocation, key_from: str, json: bool, as_: str = "") -> int:
    """Replay, check every event in Tiled, and say what became of each run.

    Args:
        name: the campaign.
        uri: of the Tiled server.
        path: of the store.
        key_from: name of the environment variable that holds the server's API key.
        json: print one JSON object.
        as_: for whom, as in `--as`.

    Returns:
        0, or 2 where a run cannot be replayed.

    Raises:
        InputError: no server answers, or it refuses a run or spoils one.
    """
    from sdl.fair._gather import gather_record
    from sdl.fair.tiled import connect, replay

    with opened_as(path, as_) as (store, role):
        record = gather_record(store, with_data(store, name, role, "documents/documents.jsonl"))
    with connect(uri, os.environ.get(key_from)) as client:
        done = replay(record.runs.values(), client)
    if json:
        print_json({"written": done.written, "present": done.present, "refused": done.refused})
    else:
        out = console()
        out.print(f"{len(done.written)} runs written to {uri} and checked there", markup=False, soft_wrap=True)
        if done.present:
            out.print(f"{len(done.present)} runs were there already", markup=False)
        for uid, why in done.refused.items():
            out.print(f"run {uid} left out: {why}", markup=False, soft_wrap=True)
    return BAD_INPUT if done.refused else ENDED
