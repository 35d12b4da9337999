"""Certificates: the report of a device's conformance, kept beside the lab file, for provenance to cite.

A certificate is one file of canonical JSON (`sdl.journal.canonical`), named by device, day and id. Its id is the
SHA-256 of that text without the id, so anybody can check it without sdl. It says what was checked, with which code
and which versions, on which instrument, and when; it does not say who did.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sdl.journal import canonical
from sdl.model import InputError

__all__ = ["Certificate", "certificates_folder", "find_certificate", "issue", "read_certificate", "write_certificate"]

SCHEMA = "sdl-device-certificate/1"
FOLDER = "certificates"


@dataclass(frozen=True)
class Certificate:
    """A report that was written down."""

    body: Mapping[str, Any]
    """All of it but the id."""

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON of the body, in hexadecimal digits."""
        return hashlib.sha256(canonical(dict(self.body)).encode()).hexdigest()

    @property
    def device(self) -> str:
        """Name of the device."""
        return str(self.body["device"])

    @property
    def at(self) -> str:
        """When it was issued, UTC, ISO 8601."""
        return str(self.body["at"])

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return bool(self.body["report"]["ok"])

    @property
    def driver_sha256(self) -> str:
        """SHA-256 of the module of the driver that was checked."""
        return str(self.body["driver"]["sha256"])

    @property
    def text(self) -> str:
        """The file."""
        return canonical({**self.body, "id": self.id}) + "\n"

    @property
    def file_name(self) -> str:
        """Device, day and the beginning of the id."""
        return f"{self.device}-{self.at[:10]}-{self.id[:12]}.json"

    def cite(self) -> dict[str, Any]:
        """What provenance says of it: id, day, result, and the code that was checked."""
        report = self.body["report"]
        return {
            "id": f"sha256:{self.id}",
            "at": self.at,
            "ok": self.ok,
            "checks": len(report["checks"]),
            "driver": dict(self.body["driver"]),
            "instrument": self.body["instrument"],
            "simulated": self.body["simulated"],
        }


def issue(report: Mapping[str, Any], *, at: datetime | None = None) -> Certificate:
    """Make a certificate of a report.

    Args:
        report: `DeviceReport.as_json()`.
        at: when the checks ended; now by default.
    """
    when = (at or datetime.now(UTC)).astimezone(UTC)
    about = ("device", "simulated", "acts", "driver", "address", "instrument", "configuration")
    body = {
        "schema": SCHEMA,
        "at": when.isoformat(timespec="seconds"),
        "sdl": version("self-driving-lab"),
        **{key: report[key] for key in about},
        "report": {key: value for key, value in report.items() if key not in about},
    }
    # Through JSON, so that what is written and what is read back are equal.
    return Certificate(json.loads(canonical(body)))


def certificates_folder(lab_file: str | Path) -> Path:
    """Where the certificates of a lab are: in `certificates/` beside its file."""
    return Path(lab_file).resolve().parent / FOLDER


def write_certificate(certificate: Certificate, folder: str | Path) -> Path:
    """Write it into a folder, which is made where there is none; the file is there in whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    target = Path(folder) / certificate.file_name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(certificate.text)
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    except OSError as error:
        raise InputError(f"cannot write the certificate {target}: {error.strerror or error}") from error
    return target


def read_certificate(path: str | Path) -> Certificate:
    """Read a certificate and check that it is as it was written.

    Raises:
        InputError: it cannot be read, is no certificate, or was changed.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the certificate {path}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(f"{path} is no certificate of a device ({SCHEMA})")
    stated = content.pop("id", None)
    try:
        certificate = Certificate(content)
        found = certificate.id
        certificate.cite()
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the certificate {path} lacks {error}") from error
    if stated != found:
        raise InputError(f"the certificate {path} was changed: its id is {stated}, its content gives {found}")
    return certificate


def find_certificate(lab_file: str | Path, device: str) -> Certificate | None:
    """The newest sound certificate of a device of a lab; None where there is none. One that was changed is none."""
    found: list[Certificate] = []
    folder = certificates_folder(lab_file)
    for path in sorted(folder.glob(f"{device}-*.json")) if folder.is_dir() else ():
        try:
            certificate = read_certificate(path)
        except InputError:
            continue
        if certificate.device == device:
            found.append(certificate)
    return max(found, key=lambda certificate: (certificate.at, certificate.id), default=None)
