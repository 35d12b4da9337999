"""Replay finished runs from the journal to a Tiled server, with bluesky-tiled-plugins' TiledWriter on this side.

TiledWriter fixes the type of a column by what comes first, and pads or refuses what differs later. So each run is first
brought into a form that it cannot spoil; what that changes is written into the data keys, and `read_events` undoes it:

| reading | in Tiled |
| --- | --- |
| numbers, some with a fraction or not measured | 64-bit floats, NaN where nothing was measured |
| arrays of changing length | as long as the longest, filled with NaN; `KEY_points` beside it says how long each was |
| whole numbers, texts, true and false | as they are |
| anything else, or several kinds in one column | text that holds JSON (`sdl_encoding: json` in the data key) |
| keys that a column of Tiled may not have | another name (`sdl_key` in the data key is the one in the journal) |
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sdl.fair._tiled_form import decoded, settled
from sdl.fair.exports.documents import documents
from sdl.fair.record import RunInfo
from sdl.model import InputError, MissingExtra

__all__ = ["Replayed", "connect", "read_events", "replay"]

_BATCH = 10_000
"""Events a request; after `settled` every batch has the same columns of the same types."""
_SECONDS = 10.0


@dataclass
class Replayed:
    """What became of the runs."""

    written: list[str] = field(default_factory=list)
    """Uids of runs that are in Tiled now, and were checked there."""
    present: list[str] = field(default_factory=list)
    """Uids of runs that were there before."""
    refused: dict[str, str] = field(default_factory=dict)
    """Uid → why the run cannot be replayed."""


@contextmanager
def connect(uri: str, api_key: str | None = None) -> Iterator[Any]:
    """A client of a Tiled server; its connections are closed at the end of the block.

    Args:
        uri: as in `http://localhost:8000`.
        api_key: what the server asks for; without one it may be read only.

    Raises:
        MissingExtra: tiled is not installed.
        InputError: nothing answers there, or it refuses the key.
    """
    httpx = _need("httpx")
    from_uri = _need("tiled.client").from_uri
    try:
        # Tiled's client tries again for most of a minute where nobody answers.
        httpx.get(uri, timeout=_SECONDS)
        client = from_uri(uri, api_key=api_key)
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise InputError(f"no Tiled server answers at {uri}: {error}; check the address and the API key") from error
    try:
        yield client
    finally:
        client.context.http_client.close()


def replay(runs: Iterable[RunInfo], client: Any) -> Replayed:
    """Write runs into a Tiled catalogue, each as one BlueskyRun, and check that every event has arrived.

    A run that is there already is left alone; one whose writing was cut off is removed first and written again.

    Args:
        runs: finished runs.
        client: the catalogue, from `connect` or `tiled.client`.

    Raises:
        MissingExtra: tiled or bluesky-tiled-plugins is not installed.
        InputError: the server refuses the data, or they do not read back equal; the message names the run.
    """
    writer_of = _need("bluesky_tiled_plugins").TiledWriter
    done = Replayed()
    for run in runs:
        if why := _unfit(run):
            done.refused[run.uid] = why
            continue
        if run.uid in client:
            if "stop" in client[run.uid].metadata:
                done.present.append(run.uid)
                continue
            client[run.uid].delete(recursive=True)
        _write(writer_of(client, batch_size=_BATCH), run)
        _check(client, run)
        done.written.append(run.uid)
    return done


def _unfit(run: RunInfo) -> str:
    names = {name for name, _ in documents(run)}
    if external := sorted(names & {"resource", "datum", "datum_page", "stream_resource", "stream_datum"}):
        return f"its data lie in files ({', '.join(external)}), which a replay cannot take along"
    if not run.record.stop:
        return "it has no stop document: the run has not ended"
    return ""


def _write(writer: Any, run: RunInfo) -> None:
    try:
        for name, doc in settled(run.record):
            writer(name, doc)
    except Exception as error:
        raise InputError(f"run {run.uid}: Tiled refused it: {type(error).__name__}: {error}") from error


def _check(client: Any, run: RunInfo) -> None:
    """Every event as the journal has it, or an error."""
    expected: dict[str, list[dict[str, Any]]] = {}
    streams = {doc["uid"]: doc.get("name") or "primary" for doc in run.record.descriptors}
    for event in run.record.events:
        expected.setdefault(streams[event["descriptor"]], []).append(event["data"])
    back = read_events(client[run.uid])
    for stream, events in expected.items():
        found = back.get(stream, [])
        if len(found) != len(events):
            raise InputError(f"run {run.uid}, stream {stream}: {len(found)} of {len(events)} events arrived in Tiled")
        for number, (was, now) in enumerate(zip(events, found, strict=True), 1):
            if wrong := sorted(key for key in was if not _same(was[key], now.get(key))):
                raise InputError(f"run {run.uid}, stream {stream}, event {number}: {', '.join(wrong)} changed in Tiled")


def _same(was: Any, now: Any) -> bool:
    """Equal, where NaN and what was not measured are one."""
    if isinstance(was, list | tuple) and isinstance(now, list | tuple):
        return len(was) == len(now) and all(_same(a, b) for a, b in zip(was, now, strict=True))
    absent = [value is None or value != value for value in (was, now)]
    if any(absent):
        return all(absent)
    return bool(was == now) and isinstance(was, bool) == isinstance(now, bool)


def read_events(run: Any) -> dict[str, list[dict[str, Any]]]:
    """Stream → data of each event, in order, in the form that the journal has.

    Args:
        run: a BlueskyRun in Tiled that `replay` wrote.
    """
    return {name: list(_events(run[name])) for name in _streams(run)}


def _streams(run: Any) -> Iterator[str]:
    yield from (name for name in run if any(spec.name == "BlueskyEventStream" for spec in run[name].specs))


def _events(stream: Any) -> Iterator[dict[str, Any]]:
    keys: Mapping[str, Any] = stream.metadata["data_keys"]
    base = getattr(stream, "base", stream)
    columns: dict[str, list[Any]] = {}
    for name in base:
        part = base[name]
        if part.structure_family == "table":
            table = part.read()
            columns |= {column: table[column].tolist() for column in table.columns}
        else:
            columns[name] = part.read().tolist()
    order = sorted(range(len(columns["seq_num"])), key=columns["seq_num"].__getitem__)
    for row in order:
        yield decoded({key: columns[key][row] for key in keys if key in columns}, keys)


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra("a replay to Tiled", "tiled") from error
