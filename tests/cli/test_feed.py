"""The live feed over the command line: its address, its keys, and who may follow."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from support import Nursery, soft_lab


def _free_port() -> int:
    """A port that is free together with the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            if port < 65535 and second.connect_ex(("127.0.0.1", port + 1)):
                return port


def test_keys_decide_who_follows(tmp_path: Path, nursery: Nursery) -> None:
    """With keys a feed is followed by whoever has an allowed one, from the first entry on, and by nobody else."""
    campaign = soft_lab(tmp_path / "lab", trials=6, seconds=0.4)
    for name, folder in (("feed", "keys"), ("me", "keys/clients"), ("stranger", "keys")):
        assert nursery.run("keys", "new", name, "--folder", folder, cwd=tmp_path).status == 0
    address = f"tcp://127.0.0.1:{_free_port()}"
    keys = ("--feed-key", "keys/feed.key_secret", "--feed-clients", "keys/clients")
    running = nursery.start("run", campaign, "--json", "--feed", address, *keys, cwd=tmp_path)
    running.wait_for("trial.observed")
    watch = ("watch", "--json", "--address", address, "--server-key", "keys/feed.key", "--key")
    stranger = nursery.start(*watch, "keys/stranger.key_secret", cwd=tmp_path)
    mine = nursery.run(*watch, "keys/clients/me.key_secret", cwd=tmp_path)
    assert running.wait(30) == 0, running.err
    assert mine.status == 0, mine.err
    seen = [json.loads(line) for line in mine.out.splitlines()]
    assert [e["seq"] for e in seen] == [e["seq"] for e in running.events]
    stranger.wait(30)
    assert stranger.out == ""


def test_open_feed_needs_keys(tmp_path: Path, nursery: Nursery) -> None:
    """A feed that other machines could reach is refused without keys, before anything is recorded."""
    campaign = soft_lab(tmp_path / "lab", trials=1)
    refused = nursery.run("run", campaign, "--feed", "tcp://0.0.0.0:0", cwd=tmp_path)
    assert refused.status == 2
    assert "sdl keys" in refused.err
    listed = nursery.run("show", "soft", "--json", cwd=tmp_path)
    assert json.loads(listed.out)["trials"] == []


def test_half_a_pair_is_refused(tmp_path: Path, nursery: Nursery) -> None:
    """A key without its counterpart, and clients without a key, are refused with what is missing."""
    campaign = soft_lab(tmp_path / "lab", trials=1)
    alone = nursery.run("watch", "--key", "me.key_secret", cwd=tmp_path)
    assert alone.status == 2
    assert "--server-key" in alone.err
    clients = nursery.run("run", campaign, "--feed-clients", ".", cwd=tmp_path)
    assert clients.status == 2
    assert "--feed-key" in clients.err
