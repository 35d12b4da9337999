"""What the commands that read a store show to others than its owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from sdl.cli._correct import correct_command, withdraw_command
from sdl.cli._look import list_command, show_command
from sdl.cli._query import query_command
from sdl.cli._verify import verify_command
from sdl.cli._watch import watch_command
from sdl.fair import export
from sdl.fair.access import PUBLIC, Hidden
from sdl.journal import Store, kinds
from sdl.model import CampaignSpec, InputError

_POLICIES: dict[str, dict[str, Any]] = {
    "secret": {},
    "known": {"metadata": "open", "data": "embargoed until 2999-01-01"},
    "lent": {"metadata": "open", "data": "shared", "shared_with": ["Hana"]},
    "free": {"metadata": "open", "data": "open"},
}
_SECRET = ("42.5", "0.125", "reached")
"""What only those may see who may see data: an outcome, a parameter, and a message that tells of one."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a campaign of one trial for each policy."""
    path = tmp_path_factory.mktemp("access") / "sdl.db"
    with Store.open(path) as store:
        for name, access in _POLICIES.items():
            store.create(f"c-{name}", name)
            with store.writer(f"c-{name}") as writer:
                for kind, body in _entries(name, access):
                    writer.append(kind, body, durable=False)
    return path


def _entries(name: str, access: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    x = {"kind": "real", "low": 0, "high": 1, "unit": "mm"}
    spec = CampaignSpec.model_validate(
        {"name": name, "title": f"About {name}", "lab": "lab.yaml", "procedure": "p", "budget": {"trials": 1},
         "problem": {"parameters": {"x": x}, "objectives": {"z": {"kind": "maximize", "unit": "1"}}}}
    )  # fmt: skip
    about = {"trial": 1, "step": "a", "attempt": 1}
    outcome = {"z": {"value": 42.5, "sem": None, "unit": "1"}}
    return [
        (kinds.CAMPAIGN_CREATED, {"spec": spec.model_dump(mode="json"), "lab": {"name": "l"}, "inputs": {},
                                  "procedure": {}, "project": {"name": "p", "access": access, "people": [
                                      {"name": "Hana", "accounts": ["hana@lab"], "email": "hana@lab.example"}]}}),
        (kinds.SESSION_OPENED, {"holder": "hana@lab:1", "epoch": 1, "versions": {}, "lab_speed": 1}),
        (kinds.TRIAL_PROPOSED, {"trial": 1, "parameters": {"x": 0.125}, "reason": {}, "seed": 1, "known_seq": 2,
                                "planner": {"name": "random", "version": "1"}}),
        (kinds.STEP_STARTED, {**about, "station": "bench", "plan": "p", "arguments": {}}),
        (kinds.STEP_DONE, {**about, "runs": []}),
        (kinds.TRIAL_OBSERVED, {"trial": 1, "outcomes": outcome, "lab_seconds": 1}),
        (kinds.CAMPAIGN_ENDED, {"rule": "reach", "message": "trial 1 reached z ≥ 42.5"}),
        (kinds.SESSION_CLOSED, {"lab_seconds": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("as_", "names", "with_data"),
    [
        ("", set(_POLICIES), set(_POLICIES)),
        ("public", {"known", "lent", "free"}, {"free"}),
        ("shared:Hana", {"known", "lent", "free"}, {"lent", "free"}),
        ("shared:Ken", {"known", "lent", "free"}, {"free"}),
    ],
)
def test_list(path: Path, capsys: pytest.CaptureFixture[str], as_: str, names: set[str], with_data: set[str]) -> None:
    """`sdl list --as` shows campaigns whose metadata are open to the role; best values only with the data."""
    list_command(path, True, as_)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"] for row in rows} == names
    assert {row["name"] for row in rows if row["best"] is not None} == with_data
    assert {row["name"] for row in rows if row["trials"] == 1} == with_data
    list_command(path, False, as_)
    assert capsys.readouterr().out.count("42.5") == len(with_data)


@pytest.mark.parametrize("as_", ["public", "shared:Hana", "shared:Ken"])
@pytest.mark.parametrize("name", _POLICIES)
def test_no_command_leaks(path: Path, capsys: pytest.CaptureFixture[str], as_: str, name: str) -> None:
    """show, watch and query tell of a campaign what its policy lets the role see, and of a hidden one nothing."""
    commands: list[Callable[[], object]] = [
        lambda: show_command(name, None, path, False, as_),
        lambda: show_command(name, None, path, True, as_),
        lambda: show_command(name, 1, path, False, as_),
        lambda: watch_command(name, path, "", True, True, None, as_),
        lambda: watch_command(name, path, "", False, True, None, as_),
        lambda: query_command("z > 0", [name], [], {}, "csv", None, as_, path),
    ]
    allowed = name == "free" or (name, as_) == ("lent", "shared:Hana")
    for command in commands:
        refused = ""
        try:
            command()
        except (Hidden, InputError) as error:
            refused = str(error)
        told = capsys.readouterr()
        text = told.out + told.err + refused
        if not allowed:
            assert not any(word in text for word in _SECRET), text
            assert "hana@lab" not in text
        if name == "secret":
            assert f"About {name}" not in text
            assert "c-secret" not in text
        elif not refused and "About" in text:
            assert f"About {name}" in text


def test_metadata_are_shown_with_the_reason(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A campaign under embargo shows what describes it, and until when its data are not shown."""
    show_command("known", None, path, False, "public")
    shown = capsys.readouterr().out
    assert "About known" in shown
    assert "data are embargoed until 2999-01-01" in shown
    with pytest.raises(Hidden, match="embargoed"):
        show_command("known", 1, path, False, "public")
    show_command("known", None, path, True, "public")
    told = json.loads(capsys.readouterr().out)
    assert (told["trials"], told["campaign"]["status"]) == ([], "ended")
    watch_command("known", path, "", True, True, None, "public")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines][-2:] == [kinds.CAMPAIGN_ENDED, kinds.SESSION_CLOSED]


def test_export(path: Path, tmp_path: Path) -> None:
    """Exports for others hold open data, and are refused where the data are not."""
    with Store.open(path, create=False) as store:
        for name in ("known", "lent", "secret"):
            with pytest.raises(Hidden, match="may not see the data"):
                export(store, f"c-{name}", "csv", tmp_path / f"{name}.csv", PUBLIC)
        export(store, "c-free", "csv", tmp_path / "free.csv", PUBLIC)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["free.csv", "free.csv-metadata.json"]


def test_query_command(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl query` prints a table or CSV, writes files, and says when nothing is found."""
    query_command("z > 40 and x < 1 mm", [], ["z, x"], {"status": ["observed"]}, "table", None, "", path)
    shown = capsys.readouterr().out
    assert "4 trials of 4 campaigns" in shown
    assert "mm" in shown
    query_command("z > 50", [], [], {}, "table", None, "", path)
    assert capsys.readouterr().out == "no trial\n"
    query_command("x = 125 um", ["free,lent"], ["x"], {}, "csv", None, "", path)
    assert capsys.readouterr().out == "campaign,trial,x\nlent,1,0.125\nfree,1,0.125\n"
    query_command("", [], [], {}, "parquet", tmp_path / "a.parquet", "", path)
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"
    for format, says in (("parquet", "needs a file"), ("xlsx", "no format")):
        with pytest.raises(InputError, match=says):
            query_command("", [], [], {}, format, None, "", path)


def test_what_was_said_afterwards_is_shown(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl show` has corrected values with what they were, and that a campaign is withdrawn; to others as well."""
    copy = tmp_path / "sdl.db"
    copy.write_bytes(path.read_bytes())
    correct_command("known", 1, ["z=43"], "typing slip", "hana", copy, 5.0)
    withdraw_command("known", "wrong lot", "hana", copy, 5.0)
    capsys.readouterr()
    show_command("known", 1, copy, False)
    trial = capsys.readouterr().out
    assert "→ z" in trial
    assert "42.5 until" in trial
    assert "typing slip (person:hana)" in trial
    show_command("known", None, copy, False)
    assert "wrong lot (person:hana" in capsys.readouterr().out
    show_command("known", None, copy, False, "public")
    public = capsys.readouterr().out
    assert "wrong lot" in public
    assert "43" not in public


def test_verify_names_a_store(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl verify FILE` checks that store, whichever is the usual one; a campaign is named as ever."""
    assert verify_command(str(path), tmp_path / "none.db") == 0
    assert capsys.readouterr().out.count("entries intact") == 4
    assert verify_command("free", path) == 0
    assert capsys.readouterr().out.count("entries intact") == 1


def test_every_command_that_reads_a_store_takes_as() -> None:
    """Each command with `--store` takes `--as`, but for those that write or look after the owner's machine."""
    from sdl.cli._app import app

    owners = {
        "run", "rehearse", "resolve", "tell", "correct", "annotate", "withdraw", "doctor", "store rebuild",
        "store compact", "samples locate", "samples quarantine", "stock receive", "stock count",
    }  # fmt: skip
    takes = dict(_options("", get_command(app)))
    read = {name for name, options in takes.items() if "--store" in options}
    assert {name for name in read if "--as" not in takes[name]} == owners
    assert {"report", "schedule", "samples list", "stock list", "doubts", "metrics", "replay", "verify"} <= read


def _options(name: str, command: Any) -> Iterator[tuple[str, set[str]]]:
    for part, sub in getattr(command, "commands", {}).items():
        yield from _options(f"{name} {part}".strip(), sub)
    if not hasattr(command, "commands"):
        yield name, {flag for parameter in command.params for flag in parameter.opts}
