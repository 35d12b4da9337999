"""CURVE keys: files, and who may listen."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdl.wire import ClientKeys, Publisher, ServerKeys, Watcher, WireError, generate_keys

Publish = Callable[..., Publisher]
Watch = Callable[..., Watcher]


@pytest.fixture
def server(tmp_path: Path) -> ServerKeys:
    """A server that lets in `alice` only."""
    _, secret = generate_keys(tmp_path, "lab")
    public, _ = generate_keys(tmp_path, "alice")
    generate_keys(tmp_path, "mallory")
    (tmp_path / "allowed").mkdir()
    shutil.copy(public, tmp_path / "allowed")
    return ServerKeys.load(secret, tmp_path / "allowed")


def _client(folder: Path, name: str) -> ClientKeys:
    return ClientKeys.load(folder / f"{name}.key_secret", folder / "lab.key")


def test_the_right_key_passes(
    ledger: Any, publish: Publish, watch: Watch, collect: Any, server: ServerKeys, tmp_path: Path
) -> None:
    """A client of the allow-list gets history and live entries."""
    ledger.extend(3)
    publisher = publish(keys=server)
    watcher = watch(publisher.address, keys=_client(tmp_path, "alice"))
    assert collect(watcher, 3) == [1, 2, 3]
    watcher.poll(1.2)
    publisher.publish(ledger.append())
    assert collect(watcher, 1) == [4]


@pytest.mark.parametrize("name", ["mallory", None])
def test_others_get_nothing(
    ledger: Any, publish: Publish, watch: Watch, server: ServerKeys, tmp_path: Path, name: str | None
) -> None:
    """A key that is not on the list, or none, gets neither history nor live entries, and the watcher ends `lost`."""
    ledger.extend(3)
    publisher = publish(keys=server)
    watcher = watch(publisher.address, keys=_client(tmp_path, name) if name else None, patience=1.5)
    watcher.poll(0.5)
    publisher.publish(ledger.append())
    assert list(watcher) == []
    assert watcher.status == "lost"
    assert watcher.campaign is None


def test_a_wrong_server_key_gets_nothing(
    ledger: Any, publish: Publish, watch: Watch, server: ServerKeys, tmp_path: Path
) -> None:
    """A watcher does not listen to a publisher that is not the one whose key it was given."""
    ledger.extend(3)
    client = ClientKeys.load(tmp_path / "alice.key_secret", tmp_path / "mallory.key")
    watcher = watch(publish(keys=server).address, keys=client, patience=1.0)
    assert list(watcher) == []
    assert watcher.status == "lost"


def test_without_a_list_whoever_knows_the_server_passes(
    ledger: Any, publish: Publish, watch: Watch, collect: Any, server: ServerKeys, tmp_path: Path
) -> None:
    """`clients=None` lets in any key pair that has the server's public key."""
    ledger.extend(3)
    publisher = publish(keys=ServerKeys(server.public, server.secret))
    assert collect(watch(publisher.address, keys=_client(tmp_path, "mallory")), 3) == [1, 2, 3]


def test_with_keys_every_interface_may_be_bound(
    ledger: Any, publish: Publish, watch: Watch, collect: Any, server: ServerKeys, tmp_path: Path
) -> None:
    """0.0.0.0 is allowed with keys; the address given to watchers names this machine."""
    ledger.extend(3)
    publisher = publish(keys=server, address="tcp://0.0.0.0:0")
    assert "0.0.0.0" not in publisher.address
    local = f"tcp://127.0.0.1:{publisher.address.rpartition(':')[2]}"
    assert collect(watch(local, keys=_client(tmp_path, "alice")), 3) == [1, 2, 3]


def test_files(tmp_path: Path) -> None:
    """The secret is 0600 from the start whatever the umask, is not overwritten, and does not show in a repr."""
    before = os.umask(0)
    try:
        public, secret = generate_keys(tmp_path / "keys", "lab")
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    keys = ServerKeys.load(secret)
    assert keys.secret.decode() not in repr(keys)
    assert keys.secret.decode() not in public.read_text()
    with pytest.raises(WireError, match="exists"):
        generate_keys(tmp_path / "keys", "lab")
    assert ServerKeys.load(secret) == keys


def test_bad_files_are_named(tmp_path: Path) -> None:
    """A missing file, a public one in place of a secret one, one open to others, a missing folder: each named."""
    public, secret = generate_keys(tmp_path, "lab")
    with pytest.raises(WireError, match=r"nothing\.key_secret cannot be read"):
        ServerKeys.load(tmp_path / "nothing.key_secret")
    with pytest.raises(WireError, match=r"lab.key holds no secret key"):
        ServerKeys.load(public)
    with pytest.raises(WireError, match="is no folder"):
        ServerKeys.load(secret, tmp_path / "nowhere")
    secret.chmod(0o644)
    with pytest.raises(WireError, match="mode 644"):
        ClientKeys.load(secret, public)
    with pytest.raises(WireError, match="cannot name a key"):
        generate_keys(tmp_path, "../x")
