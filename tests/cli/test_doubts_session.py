"""Doubts and sessions: one that died, one that is alive, and one that ends meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Nursery, one_parameter, wait_until
from support.doubts import NOTE, last

from sdl.campaign.doubts import NotAnswered, resolve
from sdl.journal import Store, kinds
from sdl.journal.actions import ActionStatus

HANA = {"LOGNAME": "hana"}


_SESSION = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.doubts import begin, dispense, doubt
from sdl.journal import Store
from sdl.campaign.doubts import resolution
how, folder = sys.argv[1], Path(sys.argv[2])
with Store.open(folder / "sdl.db") as store, store.writer("c1") as writer:
    begin(writer, 3)
    action = dispense(writer, 3, "1")
    if how != "die":
        doubt(writer, action)
    print("ready", flush=True)
    while how in ("die", "silent"):
        if how == "silent" and sys.stdin.readline():
            sys.exit()
        time.sleep(0.05)
    while not (asked := store.requests("c1")):
        time.sleep(0.02)
    for request in asked:
        said = {{key: request.body[key] for key in ("verdict", "by", "note")}}
        if how == "refuse":
            store.answer(request.id, "it is not in doubt (any more)")
            continue
        for kind, body in resolution(store.state("c1"), request.body["action"], **said, alone=False):
            writer.append(kind, body)
        if how == "go on":  # the action is taken up again at once
            dispense(writer, 3, "1", tried=2)
        if how != "forget":
            store.answer(request.id, "recorded: " + said["verdict"])
    if how != "forget":
        sys.stdin.readline()
"""


@contextlib.contextmanager
def session(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the campaign's lease, with a dispense of trial 3 under way or in doubt."""
    code = _SESSION.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", code, how, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_after_a_crash(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """What was under way when a session was killed is in doubt; settling it first records that it was cut off."""
    with session(tmp_path, "die") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    listed = nursery.run("doubts", cwd=tmp_path).out
    assert "the process ended during this action" in listed
    assert "`sdl run` with the campaign's file asks the instrument first" in listed
    resolved = nursery.run("resolve", "3", "--not-done", "--note", NOTE, "--by", "kenji", cwd=tmp_path)
    assert resolved.status == 0, resolved.err
    *_, doubtful, settled = store.entries("c1")
    about = {"trial": 3, "action": "c1/3/mix/1"}
    assert (doubtful.kind, {**about, "cause": "interrupted"}.items() <= doubtful.body.items()) == (
        kinds.ACTION_DOUBTFUL,
        True,
    )
    assert (settled.kind, settled.body["by"]) == (kinds.ACTION_RESOLVED, "person:kenji")
    assert store.state("c1").trials[3].actions["c1/3/mix/1"].status is ActionStatus.RESOLVED_NOT_DONE
    assert store.verify() == []


@pytest.mark.parametrize("how", ["answer", "go on"])
def test_a_session_that_runs_is_asked(store: Store, nursery: Nursery, tmp_path: Path, how: str) -> None:
    """A session that is alive records the decision itself, even where it goes on with the action at once."""
    with session(tmp_path, how):
        resolved = nursery.run("resolve", "3/mix/1", "--not-done", "--note", NOTE, cwd=tmp_path, env=HANA)
        assert resolved.status == 0, resolved.err
        assert "is on record as not done, by person:hana" in resolved.out
        assert "to go on" not in resolved.out
        lease = store.lease("c1")
        assert lease is not None
        assert (lease.epoch, lease.alive) == (1, True)
    assert last(store, kinds.ACTION_RESOLVED).body["note"] == NOTE
    (request,) = store.requests("c1", open_only=False)
    assert (request.kind, request.answer) == ("resolve", "recorded: not_done")


def test_a_session_refuses(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """When the session does not carry the decision out, its reason is printed, with status 2."""
    with session(tmp_path, "refuse"):
        process = nursery.run("resolve", "3", "--done", "--note", NOTE, cwd=tmp_path)
    assert process.status == 2
    assert "refused: it is not in doubt (any more)" in process.err


def test_a_session_that_ends_meanwhile(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """When the session ends without an answer the command writes the decision itself and closes the request."""
    with session(tmp_path, "silent") as process:
        resolving = nursery.start("resolve", "3", "--done", "--note", NOTE, cwd=tmp_path)
        (request,) = wait_until(lambda: store.requests("c1"), 10, "the request")
        assert "says done since" in nursery.run("doubts", cwd=tmp_path).out
        assert process.stdin
        process.stdin.write("end\n")
        process.stdin.flush()
        assert resolving.wait(10) == 0, resolving.err
    assert [e.body["note"] for e in store.entries("c1", kinds={kinds.ACTION_RESOLVED})] == [NOTE]
    (closed,) = store.requests("c1", open_only=False)
    assert (closed.id, "without a session" in closed.answer) == (request.id, True)


def test_a_session_that_ends_before_it_answers(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A decision that the session recorded but did not answer is recorded once."""
    with session(tmp_path, "forget") as process:
        resolved = nursery.run("resolve", "3", "--done", "--note", NOTE, cwd=tmp_path)
        assert resolved.status == 0, resolved.err
        process.wait(10)
    assert len(list(store.entries("c1", kinds={kinds.ACTION_RESOLVED}))) == 1
    assert store.requests("c1") == []


def test_a_session_that_does_not_answer(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """The decision waits in the store, which is said; asking again for the same waits on without a second request."""
    with session(tmp_path, "silent"):
        for _ in range(2):
            with pytest.raises(NotAnswered, match=r"did not answer within 0\.3 s"):
                resolve(store, "c1", "3", "done", "hana", NOTE, wait=0.3)
        (request,) = store.requests("c1")
        assert request.body == {"action": "c1/3/mix/1", "verdict": "done", "by": "person:hana", "note": NOTE}
        command = ("resolve", "3", "--done", "--note", NOTE, "--wait", "0.3")
        process = nursery.run(*command, cwd=tmp_path, env=HANA)
        assert process.status == 3
        assert "The decision waits" in process.err
        assert len(store.requests("c1")) == 1


# ── a real campaign ──

_PARTS = """
from pathlib import Path
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from ophyd_async.core import AsyncStatus, Device
from sdl.lab.effects import current_action
from sdl.model import Fault, Outcome
from sdl.protocols import Acts, Effect

HERE = Path(__file__).parent


class Doser(Device):
    effects = {"set": Acts(Effect.NON_REPEATABLE, arms=True)}

    def __init__(self, name="", clock=None):
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value):
        await current_action().arm(counter=1.25, unit="uL")
        with (HERE / "doses").open("a") as file:
            file.write(f"{value}\\n")
        if len((HERE / "doses").read_text().splitlines()) == 2:
            raise Fault(self.name, "the cable is out")

    async def safe_state(self):
        pass


@bpp.run_decorator()
def dose(doser, probe, x):
    yield from bps.abs_set(doser, 10.0, wait=True)
    yield from bps.trigger_and_read([probe])


@bpp.run_decorator()
def wait(detector, x):
    while not (HERE / "go").exists():
        yield from bps.sleep(0.02)
    yield from bps.trigger_and_read([detector])


def analyse(runs):
    return {"z": Outcome(value=runs[0].start["parameters"]["x"], sem=0.01, unit="1")}
"""
_LAB = """
name: dosing
devices:
  doser: {driver: "parts.py:Doser"}
  probe: {driver: soft_detector, options: {value: 1.0, step: 0.5}}
  detector: {driver: soft_detector, options: {value: 1.0, step: 0.5}}
stations:
  one: {devices: [doser, probe]}
  two: {devices: [detector]}
procedures:
  measure:
    steps:
      - {name: dose, station: one, plan: "parts.py:dose"}
      - {name: wait, station: two, plan: "parts.py:wait"}
    analysis: {name: "parts.py:analyse"}
"""
_CAMPAIGN = one_parameter(3, 2, "dosing") + "seed: 3\n"


@pytest.mark.parametrize(("flag", "doses"), [("--done", 3), ("--not-done", 4)])
def test_a_campaign_goes_on_while_a_doubt_is_settled(nursery: Nursery, tmp_path: Path, flag: str, doses: int) -> None:
    """A dose in doubt waits for a person while another trial goes on; it is repeated only when it was not done."""
    for name, text in (("parts.py", _PARTS), ("lab.yaml", _LAB), ("campaign.yaml", _CAMPAIGN)):
        (tmp_path / name).write_text(text)
    run = nursery.start("run", "campaign.yaml", "--json", cwd=tmp_path)
    run.wait_for("action.doubtful", trial=2)
    (found,) = (json.loads(line) for line in nursery.run("doubts", "--json", cwd=tmp_path).out.splitlines())
    assert (found["what"], found["evidence"]["counter"]) == ("set of doser (10 uL)", 1.25)
    resolved = nursery.run("resolve", found["key"], flag, "--note", NOTE, cwd=tmp_path, env=HANA)
    assert resolved.status == 0, resolved.err
    assert run.status is None, "the campaign ended too early for this test"
    (tmp_path / "go").touch()
    assert run.wait() == 0, run.err
    assert len((tmp_path / "doses").read_text().splitlines()) == doses
    assert run.wait_for("action.resolved")["by"] == "person:hana"
    assert nursery.run("verify", cwd=tmp_path).status == 0
    shown = nursery.run("show", "dosing", "2", cwd=tmp_path).out
    assert next(row for row in shown.splitlines() if row.startswith("dose/1")).split("person:hana")[1].endswith(NOTE)
