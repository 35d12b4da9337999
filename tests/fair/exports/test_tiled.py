"""Replays to a real Tiled server."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.released import made_record, run_of, scan_run, spectrum_run
from support.validators import command

from sdl.cli._tiled import tiled_command
from sdl.fair import tiled
from sdl.fair.record import CampaignRecord
from sdl.model import InputError

KEY = "secret"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a Tiled server of its own, on a free port of the loopback interface."""
    folder = tmp_path_factory.mktemp("tiled")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [
        command("tiled"),
        "serve",
        "catalog",
        "--temp",
        "--api-key",
        KEY,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/v1/", server, folder)
        with tiled.connect(f"http://127.0.0.1:{port}", KEY) as client:
            yield client
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(uri: str, server: subprocess.Popen[bytes], folder: Any) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(uri).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"no Tiled server: {(folder / 'log').read_text()[-3000:]}")


def test_runs_read_back_equal(catalogue: Any) -> None:
    """Spectra of changing length, a scan, whole numbers and texts come back from Tiled as the journal has them."""
    runs = [spectrum_run("replay-1"), scan_run("replay-2")]
    done = tiled.replay(runs, catalogue)
    assert (done.written, done.present, done.refused) == (["replay-1", "replay-2"], [], {})
    for run in runs:
        back = tiled.read_events(catalogue[run.uid])["primary"]
        assert normal(back) == normal([event["data"] for event in run.record.events])
        assert catalogue[run.uid].metadata["start"]["plan_name"] == "count"
        assert catalogue[run.uid].metadata["stop"]["exit_status"] == "success"


def test_batches_join_without_a_seam(catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is written in several requests reads back equal, its arrays too."""
    monkeypatch.setattr(tiled, "_BATCH", 4)
    runs = [scan_run("replay-parts-1"), spectrum_run("replay-parts-2", points=(40, 30, 40, 20, 40, 40, 10, 40, 40))]
    assert tiled.replay(runs, catalogue).written == ["replay-parts-1", "replay-parts-2"]
    back = tiled.read_events(catalogue["replay-parts-2"])["primary"]
    assert [len(row["spec-spectrum"]) for row in back] == [40, 30, 40, 20, 40, 40, 10, 40, 40]


def test_a_replay_again_changes_nothing(catalogue: Any) -> None:
    """A run that is there already is left alone."""
    run = scan_run("replay-again")
    assert tiled.replay([run], catalogue).written == ["replay-again"]
    assert tiled.replay([run], catalogue).present == ["replay-again"]


def test_what_troubles_the_writer_comes_back_equal(catalogue: Any) -> None:
    """Int then float, a value missing first, mixed kinds, large integers, key names that collide or are reserved."""
    big = 2**60 + 1
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": None, "c": 1, "d": big, "time": 1.5, "A": 2.0, "ts_a": 3, "s": "測定 🧪", "n": [[1, 2], [3]]},
        {"a": 2.5, "b": 0.1, "c": "x", "d": big + 2, "time": 2.5, "A": 3.0, "ts_a": 4, "s": "", "n": []},
        {"a": math.nan, "b": math.inf, "c": True, "d": -big, "time": 0.0, "A": 4.0, "ts_a": 5, "s": "z", "n": None},
    ]
    run = run_of("replay-odd", rows, {"a": {"dtype": "integer", "shape": [], "dtype_numpy": "<i4"}})
    assert tiled.replay([run], catalogue).written == ["replay-odd"]
    back = tiled.read_events(catalogue["replay-odd"])["primary"]
    assert normal(back) == normal(rows)
    assert [type(row["d"]) for row in back] == [int] * 3
    assert [type(row["c"]) for row in back] == [int, str, bool]


def test_a_float32_key_keeps_every_bit(catalogue: Any) -> None:
    """A key said to be of 32 bits holds 64-bit numbers: none of them is rounded."""
    keys = {
        "x": {"dtype": "array", "shape": [20], "dtype_numpy": "<f4"},
        "y": {"dtype": "number", "dtype_numpy": "<f4"},
    }
    rows = [{"x": [i / 3 + shift for i in range(20)], "y": 0.1 + shift} for shift in (0.0, 1e-9)]
    assert tiled.replay([run_of("replay-f4", rows, keys)], catalogue).written == ["replay-f4"]
    assert tiled.read_events(catalogue["replay-f4"])["primary"] == rows


def test_a_replay_that_was_cut_off_is_begun_again(catalogue: Any) -> None:
    """A run without a stop document in Tiled is removed and written afresh; no event comes twice."""
    run = scan_run("replay-cut")
    catalogue.create_container(key="replay-cut", metadata={"start": dict(run.record.start)})
    assert tiled.replay([run], catalogue).written == ["replay-cut"]
    assert len(tiled.read_events(catalogue["replay-cut"])["primary"]) == 11


def test_runs_that_cannot_be_replayed_are_refused_with_the_reason(catalogue: Any) -> None:
    """A run that has not ended, and one whose data lie in files, are named and not written."""
    run = scan_run("replay-open")
    still = replace(run, record=replace(run.record, stop={}))
    files = replace(scan_run("replay-files"), documents=(*run.documents, ("stream_resource", {"uid": "r"})))
    done = tiled.replay([still, files], catalogue)
    assert "has not ended" in done.refused["replay-open"]
    assert "lie in files (stream_resource)" in done.refused["replay-files"]
    assert "replay-open" not in catalogue


def test_what_does_not_arrive_whole_is_an_error(catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are lost on the way are noticed."""
    whole = tiled.settled

    def losing(record: Any) -> Iterator[Any]:
        documents = list(whole(record))
        yield from (*documents[:-2], documents[-1])

    monkeypatch.setattr(tiled, "settled", losing)
    with pytest.raises(InputError, match=r"replay-lost, stream primary: 10 of 11 events arrived"):
        tiled.replay([scan_run("replay-lost")], catalogue)


def test_a_real_campaign_is_replayed(silver: CampaignRecord, catalogue: Any) -> None:
    """Every run of a trial with spectra is in Tiled, each event as the journal has it."""
    runs = [silver.runs[uid] for uid in silver.trials[0].runs]
    done = tiled.replay(runs, catalogue)
    assert done.written == list(silver.trials[0].runs)
    assert not done.refused


def test_the_run_that_was_cut_off_by_a_crash_is_replayed_too(catalogue: Any) -> None:
    """A run that the journal closed as interrupted has a stop document that says so."""
    run = made_record().runs["run-3"]
    assert tiled.replay([run], catalogue).written == ["run-3"]
    assert catalogue["run-3"].metadata["stop"]["exit_status"] == "abort"


def test_no_server_is_an_error_that_says_where() -> None:
    """A wrong address is named."""
    wanted = r"no Tiled server answers at http://127\.0\.0\.1:9"
    with pytest.raises(InputError, match=wanted), tiled.connect("http://127.0.0.1:9", KEY):
        pass


def normal(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in which NaN and what was not measured are one."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if value is None or value != value else value

    return [{key: plain(value) for key, value in row.items()} for row in rows]


def test_the_command_replays_a_campaign_from_its_store(
    catalogue: Any, soft_store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sdl tiled` says how many runs it wrote, and the second time that they are there already."""
    uri = str(catalogue.context.api_uri)
    monkeypatch.setenv("TILED_API_KEY", KEY)
    assert tiled_command("soft", uri, soft_store, "TILED_API_KEY", False) == 0
    assert "8 runs written to" in capsys.readouterr().out
    assert tiled_command("soft", uri, soft_store, "TILED_API_KEY", True) == 0
    assert len(json.loads(capsys.readouterr().out)["present"]) == 8
