"""`sdl simulate`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sdl import plugins
from sdl.campaign.settings import parse_settings
from sdl.cli._format import console, print_json
from sdl.lab.labfile import Lab, load_lab
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
    simulation = _build(lab, spec)
    with _logged(simulation, spec.simulator, log):
        addresses = dict(await simulation.start())
        try:
            await _until_stopped(until_stdin_ends, lambda: _tell(lab, spec, simulation, addresses, json))
        finally:
            await simulation.stop()


def _build(lab: Lab, spec: SimulationSpec) -> Simulation:
    """The simulation of a lab file.

    Raises:
        InputError: its block cannot be used; every fault, with its line.
    """
    factory = plugins.load("sdl.simulators", spec.simulator)
    known, required, anything = _options_of(factory)
    faults: list[FileFault] = []
    options = dict(spec.options)
    for name in spec.options:
        if not anything and name not in known:
            del options[name]
            faults.append(FileFault(f"unknown key{plugins.suggest(name, known)}", path=f"options.{name}"))
    missing = [name for name in required if name not in options]
    faults += [FileFault(f"{spec.simulator} needs the option {name!r}", path="options") for name in missing]
    simulation: Simulation | None = None
    if not missing:
        try:
            simulation = factory(spec.instruments, seed=spec.seed, speed=spec.speed, **options)
        except InputError as error:
            faults += error.faults
        except (TypeError, ValueError) as error:
            faults.append(FileFault(str(error)))
    if faults or simulation is None:
        raise InputError([fault if fault.file else _placed(lab, fault) for fault in faults])
    return simulation


def _options_of(factory: Callable[..., Any]) -> tuple[list[str], list[str], bool]:
    """Options that a simulator has, those that it must be given, and whether it looks at others by itself."""
    parameters = inspect.signature(factory).parameters.values()
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in ("seed", "speed")]
    required = [p.name for p in options if p.default is p.empty]
    return [p.name for p in options], required, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _placed(lab: Lab, fault: FileFault) -> FileFault:
    """A fault with its line in the lab file: where the `simulation:` block has a key that ends like its path."""
    parts = tuple(part for part in fault.path.split(".") if part)
    for end in range(len(parts), 0, -1):
        for key in lab.file.lines:
            if key[:1] == ("simulation",) and key[-end:] == parts[:end]:
                return lab.file.fault((*key, *parts[end:]), fault.message)
    return lab.file.fault(("simulation", *parts), fault.message)


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
