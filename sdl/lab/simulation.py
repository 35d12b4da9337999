"""Simulated instruments of a lab as a process of their own, started and stopped with a campaign.

The process serves until its standard input ends, so it cannot outlive the one that started it, however that one ends.
"""

from __future__ import annotations

import inspect
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sdl import plugins
from sdl.lab.labfile import Lab
from sdl.lab.spec import SimulationSpec
from sdl.model import FileFault, InputError, SdlError
from sdl.protocols import Clock, Simulation

__all__ = ["SimulatedInstruments", "build_simulation"]

START_LIMIT = 60.0
"""Wall seconds that the simulated instruments may take to start."""


class SimulatedInstruments:
    """The child process that serves a lab's simulated instruments. A context manager."""

    def __init__(self, lab_file: Path, inputs: dict[str, str]) -> None:
        """Start the process and wait for its addresses.

        Args:
            lab_file: the lab file with the `simulation:` block.
            inputs: input name → path.

        Raises:
            SdlError: it ended or stayed silent; the message holds what it wrote.
        """
        command = [sys.executable, "-m", "sdl", "simulate", str(lab_file), "--json", "--until-stdin-ends"]
        for name, path in inputs.items():
            # Quoted, since values of --set are YAML, and a path may hold what means something there.
            command += ["--set", f"{name}={json.dumps(path, ensure_ascii=False)}"]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,  # a file, so that a long complaint cannot block the process
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is for the campaign alone
        )
        try:
            line = self._first_line()
            answer = json.loads(line)
            addresses, control = answer["addresses"], answer["control"]
        except (ValueError, TypeError, KeyError):
            self.close()
            raise SdlError(f"the simulated instruments answered {line.strip()!r} instead of addresses") from None
        except BaseException:
            self.close()
            raise
        self.addresses: dict[str, str] = addresses
        """Device name → address."""
        self.control: str = control
        """Address of the channel over which tests inject faults."""

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                line = self._process.stdout.readline()
                if line.strip():
                    return line
            if self._process.poll() is not None:
                break
        raise SdlError(f"the simulated instruments did not start: {self._last_words()}")

    def _last_words(self) -> str:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().strip() or f"no output, exit status {self._process.returncode}"

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the process and wait for it."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def build_simulation(lab: Lab, spec: SimulationSpec, clock: Clock | None = None) -> Simulation:
    """The simulation of a lab file.

    Args:
        lab: the lab.
        spec: its `simulation:` block.
        clock: what it runs on, in this process; lab time at the block's `speed` by default.

    Raises:
        InputError: its block cannot be used; every fault, with its line.
    """
    factory = plugins.load("sdl.simulators", spec.simulator)
    known, required, anything = _options_of(factory)
    faults: list[FileFault] = []
    options = dict(spec.options)
    for name in spec.options:
        if (not anything and name not in known) or name == "clock":
            del options[name]
            faults.append(FileFault(f"unknown key{plugins.suggest(name, known)}", path=f"options.{name}"))
    missing = [name for name in required if name not in options]
    faults += [FileFault(f"{spec.simulator} needs the option {name!r}", path="options") for name in missing]
    if clock is not None:
        if "clock" not in known and not anything:
            raise InputError(f"the simulator {spec.simulator!r} takes no `clock`, so it cannot run on virtual time")
        options["clock"] = clock
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
