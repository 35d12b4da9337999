"""`sdl rehearse`, and what `sdl show` makes of its quote."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaign.rehearsal.bakery import bakery
from support import Nursery, descendants, edit, entries_of, soft_lab, wait_until

from sdl.journal import Store, kinds

_EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_quote_in_words(tmp_path: Path, nursery: Nursery) -> None:
    """It says when the campaign ends, what each station does, what runs out and when, and where it is on record."""
    bakery(tmp_path, trials=6)
    said = nursery.run("stock", "receive", "flour", "7 g", "--lot", "F-1", "--lab", "lab.yaml", cwd=tmp_path)
    assert said.status == 0, said.err
    done = nursery.run("rehearse", "campaign.yaml", "--runs", "2", "--target", "z > 2 MS/m", cwd=tmp_path, seconds=60)
    assert done.status == 0, done.err
    for text in (
        "bread: what 2 rehearsals foretell", "h of lab time (90 %: ", "z > 2 MS/m: 100%",
        "first_oven and second_oven: busy", "EUR", "lacks at trial 4, after", "5 g short", "on record in sdl.db",
    ):  # fmt: skip
        assert text in done.out, done.out


def test_a_quote_is_kept_and_scored(tmp_path: Path, nursery: Nursery) -> None:
    """The campaign begins with its quote; `sdl run` takes it up as new, and `sdl show` says what came true."""
    bakery(tmp_path, trials=5)
    nursery.run("stock", "receive", "flour", "70 g", "--lot", "F-1", "--lab", "lab.yaml", cwd=tmp_path)
    quoted = nursery.run("rehearse", "campaign.yaml", "--runs", "2", "--json", "--seed", "7", cwd=tmp_path, seconds=60)
    assert quoted.status == 0, quoted.err
    (quote,) = (json.loads(line) for line in quoted.out.splitlines())
    assert (quote["runs"], quote["seed"], quote["trials"]["median"]) == (2, 7, 5)
    listed = nursery.run("list", "--json", cwd=tmp_path)
    assert json.loads(listed.out)["status"] == "quoted"
    shown = nursery.run("show", "bread", cwd=tmp_path)
    assert "what became of it, so far" in shown.out
    assert nursery.run("run", "campaign.yaml", "--virtual", "--quiet", cwd=tmp_path, seconds=60).status == 0
    chain = [entry.kind for entry in entries_of(tmp_path / "sdl.db")]
    assert chain[:2] == [kinds.REHEARSAL_QUOTED, kinds.CAMPAIGN_CREATED]
    assert len(json.loads(nursery.run("list", "--json", cwd=tmp_path).out)) > 0
    shown = nursery.run("show", "bread", cwd=tmp_path)
    assert "what became of it\n" in shown.out
    assert "inside" in shown.out
    assert "outside" not in shown.out
    document = json.loads(nursery.run("show", "bread", "--json", cwd=tmp_path).out)
    assert document["quote"]["ended"] is True
    assert {line["verdict"] for line in document["quote"]["lines"]} == {"inside"}
    assert nursery.run("verify", cwd=tmp_path).status == 0


def test_an_end_outside_is_said(tmp_path: Path, nursery: Nursery) -> None:
    """A quote for four trials, and ten were done: outside, in so many words."""
    soft_lab(tmp_path, seconds=60, trials=4)
    assert nursery.run("rehearse", "campaign.yaml", "--runs", "2", cwd=tmp_path, seconds=60).status == 0
    edit(tmp_path / "campaign.yaml", lambda data: data.update(budget={"trials": 10}))
    assert nursery.run("run", "campaign.yaml", "--virtual", "--quiet", cwd=tmp_path, seconds=60).status == 0
    document = json.loads(nursery.run("show", "soft", "--json", cwd=tmp_path).out)
    verdicts = {line["what"]: line["verdict"] for line in document["quote"]["lines"]}
    assert verdicts == {"lab time": "outside", "trials": "outside", "faults": "inside", "bench at work": "outside"}


def test_a_campaign_under_way_is_refused(tmp_path: Path, nursery: Nursery) -> None:
    """Nobody's campaign is quoted while it runs, and the message names the holder; later it is, for what is left."""
    soft_lab(tmp_path, seconds=0.2, trials=200)
    running = nursery.start("run", "campaign.yaml", "--json", cwd=tmp_path)
    running.wait_for(kinds.TRIAL_OBSERVED)
    refused = nursery.run("rehearse", "campaign.yaml", "--runs", "1", cwd=tmp_path, seconds=60)
    assert refused.status == 2
    assert "campaign 'soft' is under way" in refused.err
    running.kill()
    with Store.open(tmp_path / "sdl.db") as store:
        wait_until(lambda: not (lease := store.lease(store.campaigns()[0].id)) or not lease.alive, 30, "its lease")
    edit(tmp_path / "campaign.yaml", lambda data: data.update(budget={"trials": 60}))
    quoted = nursery.run("rehearse", "campaign.yaml", "--runs", "1", "--json", cwd=tmp_path, seconds=60)
    assert quoted.status == 0, quoted.err
    quote = json.loads(quoted.out)
    assert quote["done"] >= 1
    assert quote["trials"]["median"] == 60 - quote["done"]
    assert quote["attempts"] > 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--target", "conductivity over 10"), "is no comparison, as in 'z > 10 MS/m'"),
        (("--target", "conductivity > 10"), "the campaign has no objective 'conductivity'"),
        (("--target", "z > 10 degC"), "they measure different things"),
        (("--runs", "0"), "greater than or equal to 1"),
        (("--set", "planner=randm"), "randm"),
    ],
)
def test_bad_input(argv: tuple[str, ...], said: str, tmp_path: Path, nursery: Nursery) -> None:
    """Refused at once, in words, before anything is rehearsed; no campaign is begun."""
    bakery(tmp_path)
    refused = nursery.run("rehearse", "campaign.yaml", *argv, cwd=tmp_path)
    assert refused.status == 2
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert nursery.run("list", cwd=tmp_path).out.count("bread") == 0


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, nursery: Nursery) -> None:
    """Its processes end with it, and no quote is made; also when only the first of them has begun."""
    soft_lab(tmp_path, seconds=1, trials=300)
    for delay in (0.0, 0.0, 0.0, 0.01, 0.5):
        process = nursery.start("rehearse", "campaign.yaml", "--runs", "50", cwd=tmp_path)
        wait_until(lambda process=process: descendants(process.pid), 30, "its processes", pause=0.0005)
        time.sleep(delay)
        below = descendants(process.pid)
        process.signal(signal.SIGINT)
        assert process.wait(20) == 130
        wait_until(
            lambda below=below: not any(Path(f"/proc/{pid}").exists() for pid in below), 10, "the end of its processes"
        )
    assert nursery.run("list", "--json", cwd=tmp_path).out == ""


@pytest.mark.slow
def test_silver_flow_is_rehearsed_in_half_a_minute(tmp_path: Path) -> None:
    """Eight rehearsals of the flagship example with the random planner need less than 25 s of each of two cores.

    Processor time, since others may be at work on the machine.
    """
    shutil.copytree(_EXAMPLES / "silver-flow", tmp_path / "lab")
    argv = ("rehearse", "campaign.yaml", "--runs", "8", "--workers", "2", "--set", "planner=random", "--json")
    before = _cpu()
    done = subprocess.run(
        [sys.executable, "-m", "sdl", *argv], cwd=tmp_path / "lab", capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    assert _cpu() - before < 2 * 25
    quote = json.loads(done.stdout)
    assert quote["target"]["text"] == "mismatch ≤ 0.1"
    assert 0 < quote["target"]["chance"]["low"] < quote["target"]["chance"]["high"] < 1
    assert 0.3 < quote["hours"]["median"] < 4
    assert quote["notes"]


def _cpu() -> float:
    """Seconds of processor time of processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
