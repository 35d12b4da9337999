"""`sdl simulate`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sdl.campaign.settings import parse_settings
from sdl.cli._format import console, print_json
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.simulation import build_simulation
from sdl.lab.spec import SimulationSpec
from sdl.model import FileFault, InputError
from sdl.protocols import Simulation

__all__ = ["simulate_command"]


def simulate_command(
    path: Path,
    settings: list[str],
    seed: int | None,
    speed: float | None,
    json: bool,
    until_stdin_ends: bool,
    log: Path | None,
) -> None:
    """Serve a lab's simulated instruments until Ctrl-C, SIGTERM, or the end of standard input."""
    lab = load_lab(path, {name: str(value) for name, value in parse_settings(settings).items()})
    spec = lab.spec.simulation
    if spec is None:
        raise InputError([FileFault("has no `simulation:` block", lab.file.name)])
    changes = {key: value for key, value in (("seed", seed), ("speed", speed)) if value is not None}
    spec = SimulationSpec.model_validate({**spec.model_dump(), **changes})
    asyncio.run(_serve(lab, spec, json, until_stdin_ends, log))


async def _serve(lab: Lab, spec: SimulationSpec, json: bool, until_stdin_ends: bool, log: Path | None) -> None:
    simulation = build_simulation(lab, spec)
    with _logged(simulation, spec.simulator, log):
        addresses = dict(await simulation.start())
        try:
            await _until_stopped(until_stdin_ends, lambda: _tell(lab, spec, simulation, addresses, json))
        finally:
            await simulation.stop()


@contextlib.contextmanager
def _logged(simulation: Simulation, name: str, path: Path | None) -> Iterator[None]:
    """Have each instrument write what it does into a file."""
    if path is None:
        yield
        return
    from sdl.simulators._truth import TruthLog

    probes = getattr(simulation, "probes", None)
    if probes is None:
        raise InputError(f"the simulator {name!r} keeps no log of its instruments; leave out --log")
    log = TruthLog(path)
    try:
        for probe in probes:
            probe.keep(log)
        yield
    finally:
        log.close()


def _tell(lab: Lab, spec: SimulationSpec, simulation: Simulation, addresses: dict[str, str], json: bool) -> None:
    if json:
        print_json({"addresses": addresses, "control": simulation.control, "speed": spec.speed})
        return
    width = max(map(len, addresses))
    lines = [f"{name:<{width}}  {address}" for name, address in addresses.items()]
    text = f"simulated instruments of {lab.spec.name}, {spec.speed:g} lab seconds a second, seed {spec.seed}"
    console().print("\n".join([text, *lines, "Ctrl-C stops them"]), markup=False)


async def _until_stopped(until_stdin_ends: bool, tell: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # Whoever knows the addresses may send a signal.
    tell()
    if until_stdin_ends:
        # The end of the pipe means that the campaign which started this process is gone, however it went.
        reader = asyncio.StreamReader()
        with contextlib.suppress(ValueError, OSError):
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            ending = asyncio.ensure_future(reader.read())
            ending.add_done_callback(lambda _: stopped.set())
    await stopped.wait()
