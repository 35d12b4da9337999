"""Keys that sign releases: kept from others, and in forms that OpenSSL reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sdl.fair.signing import default_key, is_signed, load_key, make_key, public_pem
from sdl.model import InputError

DATA = b'{"files": []}\n'


def test_the_lab_s_key_is_made_once_and_for_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first use makes it with mode 0600 in the user's configuration; later ones read it."""
    monkeypatch.delenv("SDL_CONFIG_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key() == tmp_path / "sdl" / "signing.pem"
    first = load_key()
    assert default_key().stat().st_mode & 0o777 == 0o600
    assert load_key().public == first.public
    monkeypatch.setenv("SDL_CONFIG_DIR", str(tmp_path / "other"))
    assert load_key().public != first.public


def test_a_signature_holds_for_one_text_and_one_key(tmp_path: Path) -> None:
    """Another text, another key and another signature are all told apart; signing again gives the same."""
    key, other = make_key(tmp_path / "a.pem"), make_key(tmp_path / "b.pem")
    signature = key.sign(DATA)
    assert signature == load_key(tmp_path / "a.pem").sign(DATA)
    assert is_signed(key.public, signature, DATA)
    assert not is_signed(key.public, signature, DATA + b" ")
    assert not is_signed(other.public, signature, DATA)
    assert not is_signed(key.public, signature[:-1], DATA)


def test_openssl_verifies_a_signature(tmp_path: Path) -> None:
    """The command that a release's README gives, on the files that a release holds; a changed text is refused."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    key = make_key(tmp_path / "a.pem")
    (tmp_path / "release.pub").write_bytes(public_pem(key.public))
    (tmp_path / "release.sig").write_bytes(key.sign(DATA))
    (tmp_path / "release.json").write_bytes(DATA)
    command = "pkeyutl -verify -pubin -inkey release.pub -rawin -in release.json -sigfile release.sig"
    done = subprocess.run([openssl, *command.split()], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "release.json").write_bytes(DATA + b" ")
    assert subprocess.run([openssl, *command.split()], cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_key_that_exists_is_not_written_over(tmp_path: Path) -> None:
    """It may have signed releases."""
    key = make_key(tmp_path / "a.pem")
    with pytest.raises(InputError, match="exists; it may have signed releases"):
        make_key(tmp_path / "a.pem")
    assert load_key(tmp_path / "a.pem").public == key.public


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The error gives the command that mends it."""
    path = make_key(tmp_path / "a.pem").path
    path.chmod(0o640)
    with pytest.raises(InputError, match=r"open to others \(mode 640\); run: chmod 600"):
        load_key(path)


def _pem(secret: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    closed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, closed)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no key at all", "no key in PEM"),
        (_pem(Ed25519PrivateKey.generate(), b"secret"), "has a passphrase"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key"),
    ],
)
def test_what_is_no_usable_key_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """Each with the command that makes one."""
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{said}.*sdl keys signing FILE"):
        load_key(path)


def test_a_key_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Only the lab's own key is made by itself."""
    with pytest.raises(InputError, match="No such file"):
        load_key(tmp_path / "none.pem")


@pytest.mark.parametrize("name", ["", "ed25519:", "ed25519:00", "rsa:" + "00" * 32, "ed25519:" + "AB" * 32])
def test_what_names_no_key_is_refused(name: str) -> None:
    """A public key has one spelling only."""
    with pytest.raises(InputError, match="no public key"):
        is_signed(name, b"", DATA)
