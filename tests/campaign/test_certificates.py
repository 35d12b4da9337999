"""The certificates of a lab's devices in the journal of a campaign."""

from __future__ import annotations

from pathlib import Path

from support import Nursery, soft_lab

from sdl.journal import Store, kinds
from sdl.lab.certificates import certificates_folder, issue, write_certificate
from sdl.testing import Act, check_device


def test_a_session_cites_the_certificates_of_its_lab(tmp_path: Path, nursery: Nursery) -> None:
    """`lab.opened` has what can be cited of the newest certificate of each device, and nothing of one without."""
    campaign = soft_lab(tmp_path / "lab", trials=1)
    first = nursery.run("run", campaign, "--json", "--store", "../sdl.db", cwd=campaign.parent)
    assert first.status == 0, first.err
    report = check_device("soft_detector", name="detector", exercise=[Act("value", 1.0)], only=["connects"])
    certificate = issue(report.as_json())
    write_certificate(certificate, certificates_folder(campaign.parent / "lab.yaml"))
    argv = ("run", campaign, "--json", "--store", "../sdl.db", "--trials", "2")
    second = nursery.run(*argv, cwd=campaign.parent)
    assert second.status == 0, second.err
    with Store.open(tmp_path / "sdl.db") as store:
        (name,) = store.campaigns()
        opened = [e.body["certificates"] for e in store.entries(name.id, kinds={kinds.LAB_OPENED})]
    assert opened == [{}, {"detector": certificate.cite()}]
    assert opened[1]["detector"]["driver"]["object"] == "sdl.devices.soft:SoftDetector"
