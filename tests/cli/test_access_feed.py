"""`sdl watch` with keys of operators and of others, between real processes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from support import Nursery, soft_lab

_PROJECT = """
project:
  name: soft
  people: [{name: "Sato, Hana", roles: [contact]}]
  access: {metadata: open, data: shared, shared_with: [Hana]}
"""


def _address() -> str:
    with socket.socket() as probe, socket.socket() as beside:
        probe.bind(("127.0.0.1", 0))
        beside.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]},{beside.getsockname()[1]}"


def test_each_key_follows_in_its_role(tmp_path: Path, nursery: Nursery) -> None:
    """One run, three keys: the operator gets every entry, Hana the data without accounts, the lobby what describes it.

    Each hears that the campaign is over, and a role cannot be laid aside.
    """
    campaign = soft_lab(tmp_path / "lab", trials=3, seconds=0.3)
    campaign.write_text(campaign.read_text() + _PROJECT)
    for name, folder in (("feed", "keys"), ("me", "keys/clients"), ("hana", "keys/clients"), ("lobby", "keys/clients")):
        assert nursery.run("keys", "new", name, "--folder", folder, cwd=tmp_path).status == 0
    (tmp_path / "keys/clients/roles.yaml").write_text("hana: shared:Hana\nlobby: public\n")
    address, keys = _address(), ("--feed-key", "keys/feed.key_secret", "--feed-clients", "keys/clients")
    running = nursery.start("run", campaign, "--json", "--feed", address, *keys, cwd=tmp_path)
    running.wait_for("step.started")
    watch = ("watch", "--json", "--address", address, "--server-key", "keys/feed.key", "--key")
    watching = {
        name: nursery.start(*watch, f"keys/clients/{name}.key_secret", cwd=tmp_path) for name in ("me", "hana", "lobby")
    }
    laid_aside = nursery.run(*watch, "keys/clients/lobby.key_secret", "--as", "shared:Hana", cwd=tmp_path)
    assert laid_aside.status == 2
    assert "the feed knows this key as public and shows that and no more" in laid_aside.err
    assert running.wait(60) == 0, running.err
    assert [one.wait(30) for one in watching.values()] == [0, 0, 0]
    seen = {name: [json.loads(line) for line in one.out.splitlines()] for name, one in watching.items()}
    assert seen["me"] == running.events
    assert [e["seq"] for e in seen["hana"]] == [e["seq"] for e in running.events]
    assert [e for e in seen["hana"] if e["event"] == "trial.observed"] == [
        e for e in running.events if e["event"] == "trial.observed"
    ]
    assert "shared_with" not in str(seen["hana"])
    assert [(e["seq"], e["event"]) for e in seen["lobby"]] == [
        (1, "campaign.created"), (2, "session.opened"), (3, "campaign.ended"), (4, "session.closed")
    ]  # fmt: skip
    assert str(tmp_path) not in "".join(watching[name].out for name in ("hana", "lobby"))


def test_a_slip_in_the_roles_stops_the_run(tmp_path: Path, nursery: Nursery) -> None:
    """A role for a key that is not there is refused before anything is recorded."""
    campaign = soft_lab(tmp_path / "lab", trials=1)
    assert nursery.run("keys", "new", "feed", "--folder", "keys", cwd=tmp_path).status == 0
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients/roles.yaml").write_text("hana: public\n")
    keys = ("--feed-key", "keys/feed.key_secret", "--feed-clients", "clients")
    refused = nursery.run("run", campaign, *keys, cwd=tmp_path)
    assert refused.status == 2
    assert "hana: there is no hana.key in clients" in refused.err
    assert not (tmp_path / "sdl.db").exists()
