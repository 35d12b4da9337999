"""An instrument belongs to one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sdl.lab._inuse import instruments_taken
from sdl.model import Fault, SdlError

_HOLDER = """
import sys
from sdl.lab._inuse import instruments_taken
with instruments_taken({"pump": "tcp://127.0.0.1:9"}, "other"):
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path_factory.mktemp("state")))


def test_another_process_is_named_until_it_ends() -> None:
    """Whoever comes second is told who has the instrument and what to do; a SIGKILL of the holder lets it go."""
    command = [sys.executable, "-c", _HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with (
            pytest.raises(Fault, match=f"in use by process {holder.pid} for lab other.*one `sdl run`") as refused,
            instruments_taken({"heater": "tcp://127.0.0.1:8", "pump": "tcp://127.0.0.1:9"}, "mine"),
        ):
            pass
        assert refused.value.device == "pump"
        with instruments_taken({"heater": "tcp://127.0.0.1:8"}, "mine"):  # what had been taken is let go again
            pass
        holder.kill()
    with instruments_taken({"pump": "tcp://127.0.0.1:9"}, "mine"):
        pass


def test_devices_may_share_an_address() -> None:
    """Two pumps on one bus have one address, and one lock."""
    with instruments_taken({"a": "tcp://127.0.0.1:7", "b": "tcp://127.0.0.1:7"}, "mine"):
        pass


def test_a_state_folder_that_is_no_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the note cannot be written nothing is driven, and the message says what to change."""
    file = tmp_path_factory.mktemp("x") / "file"
    file.write_text("")
    os.environ["SDL_STATE_DIR"] = str(file)
    with pytest.raises(SdlError, match="SDL_STATE_DIR"), instruments_taken({"a": "tcp://127.0.0.1:7"}, "mine"):
        pass
