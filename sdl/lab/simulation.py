"""Simulated instruments of a lab as a process of their own, started and stopped with a campaign.

The process serves until its standard input ends, so it cannot outlive the one that started it, however that one ends.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sdl.model import SdlError

__all__ = ["SimulatedInstruments"]

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
