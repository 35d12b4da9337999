"""The live feed's address and keys, as given on the command line, and `sdl keys new`."""

from __future__ import annotations

from pathlib import Path

from sdl.campaign import Feed
from sdl.cli._format import console
from sdl.model import InputError
from sdl.wire import ClientKeys, ServerKeys, generate_keys

__all__ = ["client_keys", "feed_of", "keys_command"]


def feed_of(address: str, key: Path | None, clients: Path | None) -> Feed | None:
    """Where `sdl run` serves its feed; None for the default.

    Raises:
        InputError: clients without a key.
        WireError: a key cannot be read.
    """
    if clients is not None and key is None:
        raise InputError("--feed-clients needs --feed-key: without a key of its own the feed cannot tell who follows")
    if not address and key is None:
        return None
    keys = None if key is None else ServerKeys.load(key, clients)
    if keys is None or not keys.roles:
        return Feed(address or Feed.address, keys)
    from sdl.fair.access import feed_views

    return Feed(address or Feed.address, keys, feed_views)


def client_keys(key: Path | None, server_key: Path | None) -> ClientKeys | None:
    """Keys of `sdl watch`; None when there are none.

    Raises:
        InputError: one without the other.
        WireError: a key cannot be read.
    """
    if key is None and server_key is None:
        return None
    if key is None or server_key is None:
        raise InputError("--key and --server-key go together: your secret key and the feed's public one")
    return ClientKeys.load(key, server_key)


def keys_command(name: str, folder: Path) -> None:
    """Make a pair of keys and say where it is."""
    public, secret = generate_keys(folder, name)
    console().print(f"to give away: {public}\nto keep:      {secret}", markup=False, soft_wrap=True)
