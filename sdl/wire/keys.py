"""CURVE keys in ZeroMQ's certificate form: a `NAME.key` to give away and a `NAME.key_secret` to keep.

The protocol is CurveZMQ (ZeroMQ RFC 26); who may connect is decided by ZAP (RFC 27) from an allow-list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zmq
import zmq.auth

from sdl.wire._codec import WireError
from sdl.wire._roles import OPERATOR, ROLES, read_roles

__all__ = ["ClientKeys", "ServerKeys", "generate_keys"]

_CERTIFICATE = """\
#   ZeroMQ CURVE {title} certificate

metadata
    name = "{name}"
curve
    public-key = "{public}"
"""


@dataclass(frozen=True)
class ServerKeys:
    """What a publisher needs: its own pair and the clients it lets in."""

    public: bytes
    """Z85, 40 bytes."""
    secret: bytes = field(repr=False)
    """Z85, 40 bytes."""
    clients: frozenset[bytes] | None = None
    """Public keys (Z85) of operators; None lets in whoever knows the server's public key."""
    roles: Mapping[bytes, str] = field(default_factory=dict)
    """Public keys (Z85) of those who are no operators → as whom they follow, as in `shared:Hana`. Nobody of them may do
    anything but follow a feed."""

    def __post_init__(self) -> None:
        if self.roles and (self.clients is None or self.clients & self.roles.keys()):
            raise WireError("a key is either an operator's or has a role, and with roles operators have to be listed")

    @classmethod
    def load(cls, secret_file: Path | str, clients: Path | str | None = None) -> ServerKeys:
        """Read the server's secret file and, from the folder `clients`, every `*.key` that may connect.

        Whoever has a key there is an operator of the lab, unless `roles.yaml` in the folder names the key with another
        role: `NAME: public`, `NAME: shared:Hana`, a line each; `"*": public` is for all keys that have no line.

        Raises:
            WireError: a file is missing, malformed or readable by others; the folder is missing; `roles.yaml` names a
                key that is not there, or a role that there is not.
        """
        public, secret = _load_secret(Path(secret_file))
        if clients is None:
            return cls(public, secret)
        folder = Path(clients)
        if not folder.is_dir():
            raise WireError(f"{folder} is no folder; put the public keys (*.key) of allowed clients there")
        keys = {path.stem: _load(path)[0] for path in sorted(folder.glob("*.key"))}
        said = read_roles(folder / ROLES, keys)
        roles = {keys[name]: role for name, role in said.items() if role != OPERATOR}
        return cls(public, secret, frozenset(keys.values()) - roles.keys(), roles)


@dataclass(frozen=True)
class ClientKeys:
    """What a watcher needs: its own pair and the publisher's public key."""

    public: bytes
    """Z85, 40 bytes."""
    secret: bytes = field(repr=False)
    """Z85, 40 bytes."""
    server: bytes
    """The publisher's public key, Z85, 40 bytes."""

    @classmethod
    def load(cls, secret_file: Path | str, server_file: Path | str) -> ClientKeys:
        """Read the client's secret file and the publisher's public one.

        Raises:
            WireError: a file is missing, malformed or readable by others.
        """
        public, secret = _load_secret(Path(secret_file))
        return cls(public, secret, _load(Path(server_file))[0])


def generate_keys(folder: Path | str, name: str) -> tuple[Path, Path]:
    """Make a pair and save it as `name.key` and `name.key_secret` (mode 0600) in `folder`.

    Returns:
        The public and the secret file.

    Raises:
        WireError: one of the files exists, or cannot be written.
    """
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise WireError(f"{name!r} cannot name a key: use letters, digits, '-' and '_'")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    base = Path(folder)
    public_file, secret_file = base / f"{name}.key", base / f"{name}.key_secret"
    # filled in one go: Z85 keys may hold braces
    closed = _CERTIFICATE.format(title="SECRET", name=name, public=public) + f'    secret-key = "{secret}"\n'
    opened = _CERTIFICATE.format(title="public", name=name, public=public)
    try:
        base.mkdir(parents=True, exist_ok=True)
        _write(secret_file, closed, 0o600)
        _write(public_file, opened, 0o644)
    except FileExistsError as error:
        raise WireError(f"{error.filename} exists; choose another name or remove it first") from error
    except OSError as error:
        raise WireError(f"cannot write keys to {base}: {error}") from error
    return public_file, secret_file


def _write(path: Path, text: str, mode: int) -> None:
    # created with its final mode, so that a secret is never readable by others, not even for a moment
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise WireError(f"key file {path} cannot be read: {error}") from error
    if len(public) != 40 or (secret is not None and len(secret) != 40):
        raise WireError(f"key file {path}: a key has 40 characters (Z85)")
    return public, secret


def _load_secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise WireError(f"key file {path} holds no secret key; give the .key_secret file")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise WireError(f"secret key {path} is open to others (mode {mode:03o}); run: chmod 600 {path}")
    return public, secret
