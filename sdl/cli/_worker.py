"""`sdl worker`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from sdl.campaign.settings import parse_settings
from sdl.cli._format import console, print_json
from sdl.lab.labfile import Lab, load_lab
from sdl.model import InputError
from sdl.model.units import parse_quantity
from sdl.wire import ServerKeys
from sdl.worker import Serving, serve_station

__all__ = ["worker_command"]

_ADDRESS = "tcp://127.0.0.1:5600"


def worker_command(
    path: Path,
    station: str,
    listen: str,
    key: Path | None,
    clients: Path | None,
    spool: Path | None,
    dead_man: str,
    settings: list[str],
    json: bool,
) -> int:
    """Serve a station until SIGINT or SIGTERM; return the exit status."""
    lab = load_lab(path, {name: str(value) for name, value in parse_settings(settings).items()})
    serving = Serving(
        lab=lab,
        station=station,
        listen=listen or _own_address(lab, station),
        spool=spool or Path(f"{station}.spool.db"),
        keys=_keys(key, clients),
        dead_man=_seconds(dead_man),
    )
    _log_to_stderr()
    return asyncio.run(_serve(serving, json))


def _own_address(lab: Lab, station: str) -> str:
    given = lab.spec.stations.get(station)
    return (given.worker if given is not None else None) or _ADDRESS


def _keys(key: Path | None, clients: Path | None) -> ServerKeys | None:
    if (key is None) != (clients is None):
        raise InputError(
            "--key and --clients go together: the worker's secret key, and the folder with the public keys (*.key) of "
            "those who may give orders. Make keys with `sdl keys new NAME`"
        )
    keys = None if key is None else ServerKeys.load(key, clients)
    if keys is not None and not keys.clients:
        raise InputError(f"{clients} holds no *.key file, so nobody could give orders; put the coordinator's there")
    return keys


def _seconds(text: str) -> float:
    try:
        seconds = parse_quantity(text, "s")
    except ValueError as error:
        raise InputError(f"--dead-man: {error}") from None
    if not 1 <= seconds <= 3600:
        raise InputError(f"--dead-man {text}: must be between 1 s and 1 h")
    return seconds


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sdl: %(message)s"))
    log = logging.getLogger("sdl.worker")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


async def _serve(serving: Serving, json: bool) -> int:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def asked(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number.name)

    def ready(address: str) -> None:
        if json:
            print_json({"address": address, "station": serving.station, "spool": str(serving.spool.absolute())})
            return
        allowed = "this machine only" if serving.keys is None else f"{len(serving.keys.clients or ())} clients"
        text = f"station {serving.station} of {serving.lab.spec.name} at {address}, for {allowed}; Ctrl-C stops it"
        console().print(text, markup=False, soft_wrap=True)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked, number)
    return await serve_station(serving, ready, stop)
