"""Signatures of releases: Ed25519 (RFC 8032) with keys in the forms that OpenSSL reads, PKCS #8 and SPKI in PEM.

A lab's secret key is made on first use, in `$SDL_CONFIG_DIR`, else `$XDG_CONFIG_HOME/sdl`, else `~/.config/sdl`: a
release that has to be asked to be signed would mostly not be. It is apart from the CURVE keys of feeds and workers,
which lie on many machines and can sign nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdl.fair._files import need
from sdl.model import InputError

__all__ = ["SigningKey", "default_key", "is_signed", "load_key", "make_key", "public_pem"]

_ALGORITHM = "ed25519"
_FEATURE = "signing a release"


@dataclass(frozen=True)
class SigningKey:
    """A secret key."""

    path: Path
    """File that it was read from."""
    public: str
    """`ed25519:` and the 64 hexadecimal digits of the public key."""
    _secret: Any = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes; equal data give equal signatures."""
        signature: bytes = self._secret.sign(data)
        return signature


def default_key() -> Path:
    """Where the lab's own secret key is, or will be."""
    folder = os.environ.get("SDL_CONFIG_DIR")
    if folder:
        return Path(folder) / "signing.pem"
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "sdl" / "signing.pem"


def load_key(path: Path | None = None) -> SigningKey:
    """Read a secret key; the lab's own one is made where there is none yet.

    Args:
        path: file with an Ed25519 key in PEM; the lab's own one by default.

    Raises:
        InputError: it cannot be read, is no Ed25519 key, has a passphrase, or is readable by others.
        MissingExtra: the package cryptography is not installed.
    """
    keys = need("cryptography.hazmat.primitives.serialization", _FEATURE)
    if path is None:
        path = default_key()
        if not path.exists():
            make_key(path)
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise InputError(f"cannot read the signing key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise InputError(f"the signing key {path} is open to others (mode {mode:03o}); run: chmod 600 {path}")
    try:
        secret = keys.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        text = "it has a passphrase" if isinstance(error, TypeError) else "it is no key in PEM"
        raise InputError(f"cannot use the signing key {path}: {text}; make one with: sdl keys signing FILE") from error
    if not isinstance(secret, _ed25519().Ed25519PrivateKey):
        raise InputError(f"the key {path} is not an Ed25519 key; make one with: sdl keys signing FILE")
    return SigningKey(path, _named(secret.public_key()), secret)


def make_key(path: Path) -> SigningKey:
    """Make a secret key, readable by nobody else from the first moment on.

    Raises:
        InputError: the file exists or cannot be written.
        MissingExtra: the package cryptography is not installed.
    """
    keys = need("cryptography.hazmat.primitives.serialization", _FEATURE)
    secret = _ed25519().Ed25519PrivateKey.generate()
    text = secret.private_bytes(keys.Encoding.PEM, keys.PrivateFormat.PKCS8, keys.NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{path} exists; it may have signed releases, so name another file") from error
    except OSError as error:
        raise InputError(f"cannot write the signing key {path}: {error.strerror}") from error
    return SigningKey(path, _named(secret.public_key()), secret)


def public_pem(public: str) -> bytes:
    """A public key as PEM, from its name `ed25519:…`.

    Raises:
        InputError: it is not such a name.
    """
    keys = need("cryptography.hazmat.primitives.serialization", _FEATURE)
    form = keys.PublicFormat.SubjectPublicKeyInfo
    content: bytes = _public(public).public_bytes(keys.Encoding.PEM, form)
    return content


def is_signed(public: str, signature: bytes, data: bytes) -> bool:
    """Whether a signature of some data is that of a key.

    Raises:
        InputError: `public` names no key.
    """
    invalid = need("cryptography.exceptions", _FEATURE).InvalidSignature
    try:
        _public(public).verify(signature, data)
    except invalid:
        return False
    return True


def _public(name: str) -> Any:
    algorithm, _, digits = name.partition(":")
    try:
        raw = bytes.fromhex(digits)
        if algorithm != _ALGORITHM or len(raw) != 32 or digits != raw.hex():
            raise ValueError
        return _ed25519().Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise InputError(f"{name!r} is no public key; one reads as {_ALGORITHM}: and 64 hexadecimal digits") from error


def _named(public: Any) -> str:
    return f"{_ALGORITHM}:{public.public_bytes_raw().hex()}"


def _ed25519() -> Any:
    return need("cryptography.hazmat.primitives.asymmetric.ed25519", _FEATURE)
