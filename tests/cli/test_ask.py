"""Arguments of `sdl query`, `metrics`, `replay`, `correct`, `annotate` and `withdraw`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Nursery, soft_lab

from sdl.cli._app import app
from sdl.cli._errors import guarded
from sdl.journal import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """A store with a campaign of four trials, `soft`, beside its lab."""
    campaign = soft_lab(tmp_path_factory.mktemp("ask"), trials=4)
    done = nursery.run("run", campaign.name, "--quiet", "--virtual", cwd=campaign.parent, seconds=60)
    assert done.status == 0, done.err
    return campaign.parent / "sdl.db"


def _sdl(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["sdl", *map(str, arguments)])
    return guarded(app)


def test_commands(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A question, the metrics, a note and a replay of one campaign; a withdrawal last."""

    def sdl(*arguments: object) -> int:
        return _sdl(*arguments, "--store", store, monkeypatch=monkeypatch)

    assert sdl("query", "trial <= 2 and x > 0", "--campaign", "soft", "--columns", "x,z", "-f", "csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], len(lines)) == ("campaign,trial,x,z", 3)
    assert sdl("query", "x > ", "--across", "soft") == 2
    assert "ends too early" in capsys.readouterr().err
    assert sdl("metrics", "soft", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["autonomy"]
    assert sdl("correct", "soft", "--trial", "1", "--set", "z=0.5", "--why", "slip", "--by", "hana") == 0
    assert sdl("annotate", "soft", "-t", "2", "--note", "odd", "--by", "hana") == 0
    assert sdl("replay", "soft") == 0
    assert "4 proposals: 4 the same bit by bit" in capsys.readouterr().out
    assert sdl("withdraw", "soft", "--by", "hana") == 2
    assert "--why is empty" in capsys.readouterr().err
    assert sdl("withdraw", "soft", "--why", "wrong lot", "--by", "hana") == 0
    with Store.open(store, create=False) as opened:
        state = opened.state(opened.resolve("soft"))
    assert state.withdrawn is not None
    assert (len(state.trials[1].corrections), len(state.trials[2].notes)) == (1, 1)


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command explains itself."""
    for name in ("query", "metrics", "replay", "correct", "annotate", "withdraw"):
        assert _sdl(name, "--help", monkeypatch=monkeypatch) == 0
        assert "--store" in capsys.readouterr().out
