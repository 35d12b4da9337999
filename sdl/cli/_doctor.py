"""`sdl doctor` and `sdl plugins`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rich.table import Table
from rich.text import Text

from sdl import plugins
from sdl.campaign.settings import parse_settings
from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, plain, print_json
from sdl.journal import Store
from sdl.journal.location import StoreLocation, shown
from sdl.model import InputError, SdlError

__all__ = ["doctor_command", "plugins_command"]

_EXTRAS = {
    "planners": ("scipy", "threadpoolctl"),
    "gpu": ("torch",),
    "simulators": ("scipy",),
    "fair": ("pandas", "pyarrow", "plotly", "jinja2"),
}
_CORE = (
    "self-driving-lab",
    "bluesky",
    "ophyd-async",
    "event-model",
    "sqlalchemy",
    "pyzmq",
    "pydantic",
    "numpy",
)


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    """`ok`, `note` or `fault`."""
    message: str


def doctor_command(lab: Path | None, store: StoreLocation, settings: list[str], json: bool) -> int:
    """Print the findings; return the exit status."""
    checks: list[Callable[[], Iterator[Finding]]] = [_python, _packages, _extras, _plugins, _loopback]
    checks.append(lambda: _store(store))
    if lab is not None:
        checks.append(lambda: _lab(lab, settings))
    findings = [finding for check in checks for finding in check()]
    if json:
        for finding in findings:
            print_json(finding._asdict())
    else:
        _print(findings)
    return BAD_INPUT if any(f.state == "fault" for f in findings) else ENDED


def _print(findings: list[Finding]) -> None:
    marks = {"ok": ("✓", "green"), "note": ("·", "yellow"), "fault": ("✗", "bold red")}
    grid = Table.grid(padding=(0, 1))
    for finding in findings:
        mark, style = marks[finding.state]
        grid.add_row(Text(mark, style=style), Text(finding.what), Text(plain(finding.message), style="dim"))
    console().print(grid)
    faults = sum(f.state == "fault" for f in findings)
    console().print(
        "all is well" if not faults else f"{faults} to mend", style="bold green" if not faults else "bold red"
    )


def _python() -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok" if sys.version_info >= (3, 11) else "fault", f"{here} at {sys.executable}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("machine", "ok", f"{cores} cores")


def _packages() -> Iterator[Finding]:
    for package in _CORE:
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            yield Finding(package, "fault", "is not installed; install sdl with: pip install self-driving-lab")
    wal = sqlite3.sqlite_version_info >= (3, 22)
    yield Finding("SQLite", "ok" if wal else "fault", sqlite3.sqlite_version)


def _extras() -> Iterator[Finding]:
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            command = f"pip install 'self-driving-lab[{extra}]'"
            yield Finding(f"extra {extra}", "note", f"not installed ({', '.join(missing)}); for it: {command}")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _plugins() -> Iterator[Finding]:
    for group in get_args(plugins.Group):
        for name in plugins.names(group):
            try:
                plugins.load(group, name)
            except InputError as error:
                yield Finding(f"{group} {name}", "fault", str(error))
            except SdlError as error:
                yield Finding(f"{group} {name}", "note", str(error))
        yield Finding(group, "ok", ", ".join(plugins.names(group)) or "none")


def _loopback() -> Iterator[Finding]:
    import zmq

    context = zmq.Context()
    try:
        socket = context.socket(zmq.PUB)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        socket.close(linger=0)
        yield Finding("loopback", "ok", f"ZeroMQ {zmq.zmq_version()} bound port {port}")
    except zmq.ZMQError as error:
        yield Finding("loopback", "fault", f"no port can be bound on 127.0.0.1: {error}")
    finally:
        context.term()


def _store(path: StoreLocation) -> Iterator[Finding]:
    try:
        if not Store.there(path):
            yield Finding("store", "note", f"none yet at {shown(path)}; `sdl run` makes one")
            return
        with Store.open(path, create=False) as store:
            damage = store.verify()
            campaigns = store.campaigns()
    except SdlError as error:
        yield Finding("store", "fault", str(error))
        return
    for item in damage:
        yield Finding("store", "fault", f"{item.campaign} entry {item.seq}: {item.message}")
    if not damage:
        entries = sum(campaign.seq for campaign in campaigns)
        yield Finding("store", "ok", f"{shown(path)}: campaigns {len(campaigns)}, entries {entries}, every hash fits")


def _lab(path: Path, settings: list[str]) -> Iterator[Finding]:
    from sdl.lab.labfile import load_lab
    from sdl.lab.opening import connect_lab

    try:
        lab = load_lab(path, {name: str(value) for name, value in parse_settings(settings).items()})
    except InputError as error:
        for fault in error.faults:
            yield Finding("lab", "fault", str(fault))
        return
    count = f"{len(lab.spec.devices)} devices, {len(lab.spec.stations)} stations"
    yield Finding("lab", "ok", f"{path}: {count}, {len(lab.spec.procedures)} procedures")
    yield from asyncio.run(_connected(connect_lab(lab)))


async def _connected(opening: Any) -> list[Finding]:
    try:
        async with opening as opened:
            return [
                Finding(f"station {station.name}", "ok", f"{', '.join(station.devices)} answer")
                for station in opened.stations.values()
            ]
    except InputError as error:
        return [Finding("lab", "fault", str(fault)) for fault in error.faults]
    except SdlError as error:
        return [Finding("lab", "fault", str(error))]


def plugins_command(json: bool) -> None:
    """Print every plug-in that is registered."""
    rows = [
        {
            "group": group,
            "name": name,
            "object": point.value,
            "distribution": point.dist.name if point.dist else "",
            "version": point.dist.version if point.dist else "",
        }
        for group in get_args(plugins.Group)
        for name, point in plugins.names(group).items()
    ]
    if json:
        for row in rows:
            print_json(row)
        return
    table = Table("group", "name", "object", "distribution", "version", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row.values()))
    console().print(table)
