"""`sdl simulate`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from sdl import plugins
from sdl.campaign.settings import parse_settings
from sdl.cli._format import console, print_json
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.spec import SimulationSpec
from sdl.model import FileFault, InputError
from sdl.protocols import Simulation

__all__ = ["simulate_command"]


def simulate_command(
    path: Path, settings: list[str], seed: int | None, speed: float | None, json: bool, until_stdin_ends: bool
) -> None:
    """Serve a lab's simulated instruments until Ctrl-C, SIGTERM, or the end of standard input."""
    lab = load_lab(path, {name: str(value) for name, value in parse_settings(settings).items()})
    spec = lab.spec.simulation
    if spec is None:
        raise InputError([FileFault("has no `simulation:` block", lab.file.name)])
    changes = {key: value for key, value in (("seed", seed), ("speed", speed)) if value is not None}
    spec = SimulationSpec.model_validate({**spec.model_dump(), **changes})
    asyncio.run(_serve(lab, spec, json, until_stdin_ends))


async def _serve(lab: Lab, spec: SimulationSpec, json: bool, until_stdin_ends: bool) -> None:
    factory = plugins.load("sdl.simulators", spec.simulator)
    try:
        simulation: Simulation = factory(spec.instruments, seed=spec.seed, speed=spec.speed, **spec.options)
    except (TypeError, ValueError) as error:
        raise InputError([lab.file.fault(("simulation",), str(error))]) from error
    addresses = dict(await simulation.start())
    try:
        if json:
            print_json({"addresses": addresses, "control": simulation.control, "speed": spec.speed})
        else:
            _print(lab, spec, addresses)
        await _until_stopped(until_stdin_ends)
    finally:
        await simulation.stop()


def _print(lab: Lab, spec: SimulationSpec, addresses: dict[str, str]) -> None:
    width = max(map(len, addresses))
    lines = [f"{name:<{width}}  {address}" for name, address in addresses.items()]
    text = f"simulated instruments of {lab.spec.name}, {spec.speed:g} lab seconds a second, seed {spec.seed}"
    console().print("\n".join([text, *lines, "Ctrl-C stops them"]), markup=False)


async def _until_stopped(until_stdin_ends: bool) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_ends:
        # The end of the pipe means that the campaign which started this process is gone, however it went.
        reader = asyncio.StreamReader()
        with contextlib.suppress(ValueError, OSError):
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            ending = asyncio.ensure_future(reader.read())
            ending.add_done_callback(lambda _: stopped.set())
    await stopped.wait()
