"""Certificates: what they hold, that a change is seen, and which one a device has."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sdl
from sdl.devices import soft
from sdl.lab.certificates import find_certificate, issue, read_certificate, write_certificate
from sdl.model import InputError
from sdl.testing import Act, DeviceReport, check_device

MORNING = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def report() -> DeviceReport:
    return check_device("soft_detector", name="det", exercise=[Act("value", 1.0)], only=["connects", "units"])


def test_it_says_what_was_checked_with_which_code(report: DeviceReport, tmp_path: Path) -> None:
    """Driver, version, the SHA-256 of its source, sdl's version, the day and every check; and it reads back equal."""
    certificate = issue(report.as_json(), at=MORNING)
    path = write_certificate(certificate, tmp_path / "certificates")
    again = read_certificate(path)
    assert again == certificate
    assert path.name == f"det-2026-11-22-{certificate.id[:12]}.json"
    assert again.body["sdl"] == sdl.__version__
    assert again.driver_sha256 == hashlib.sha256(Path(soft.__file__).read_bytes()).hexdigest()
    cited = again.cite()
    assert (cited["id"], cited["ok"], cited["checks"]) == (f"sha256:{certificate.id}", True, 2)
    assert cited["driver"]["object"] == "sdl.devices.soft:SoftDetector"


def test_anybody_can_check_its_id(report: DeviceReport) -> None:
    """The id is the SHA-256 of the file's JSON without the id: sorted keys, no blanks."""
    content = json.loads(issue(report.as_json(), at=MORNING).text)
    stated = content.pop("id")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == stated


@pytest.mark.parametrize(("old", "new"), [('"ok":true', '"ok":false'), ("det-value in 1", "det-value in 2")])
def test_a_change_is_seen(report: DeviceReport, tmp_path: Path, old: str, new: str) -> None:
    """One that was changed is refused with both ids, and is no certificate of the device."""
    lab = tmp_path / "lab.yaml"
    path = write_certificate(issue(report.as_json(), at=MORNING), tmp_path / "certificates")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match="was changed: its id is"):
        read_certificate(path)
    assert find_certificate(lab, "det") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "cannot read"), ("[]", "is no certificate"), ('{"schema": "sdl-device-certificate/1"}', "lacks 'report'")],
)
def test_what_is_no_certificate_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """The file is named, and what is wrong with it."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{says}|{path.name}") as caught:
        read_certificate(path)
    assert says in str(caught.value)


def test_the_newest_sound_one_is_found(report: DeviceReport, tmp_path: Path) -> None:
    """Of several the newest counts; another device whose name begins alike has its own; none is None."""
    lab, folder = tmp_path / "lab.yaml", tmp_path / "certificates"
    assert find_certificate(lab, "det") is None
    for hour in (9, 11, 10):
        write_certificate(issue(report.as_json(), at=MORNING.replace(hour=hour)), folder)
    other = {**report.as_json(), "device": "det-2"}
    write_certificate(issue(other, at=MORNING.replace(hour=23)), folder)
    found = find_certificate(lab, "det")
    assert found is not None
    assert found.at == "2026-11-22T11:30:00+00:00"
    two = find_certificate(lab, "det-2")
    assert two is not None
    assert two.device == "det-2"


def test_where_it_cannot_be_written(report: DeviceReport, tmp_path: Path) -> None:
    """The path and the reason are said."""
    (tmp_path / "certificates").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write the certificate .*/certificates/det-"):
        write_certificate(issue(report.as_json()), tmp_path / "certificates")
