"""What instruments say of themselves, as a release states it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import silver_lab

from sdl.journal import Store, kinds
from sdl.lab.identities import identities, identity_fields
from sdl.model import Fault


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C34",
            {
                "manufacturer": "KEITHLEY INSTRUMENTS INC.",
                "model": "MODEL 2400",
                "serial": "1234567",
                "firmware": "C34",
            },
        ),
        ("sdl,UV-Vis simulator,0,1.0", {"manufacturer": "sdl", "model": "UV-Vis simulator", "firmware": "1.0"}),
        ("XPR205 220 g, software 1.00, serial number B123", {
            "model": "XPR205 220 g", "firmware": "1.00", "serial": "B123",
        }),
        ("firmware: 3.928", {"firmware": "3.928"}),
        ("a stage, motor record 7.2 X:m1", {}),
        (" a \r\n b ", {}),
    ],
)  # fmt: skip
def test_an_identity_is_read(text: str, fields: dict[str, str]) -> None:
    """Four fields, or parts with labels; what is neither stays as it was said."""
    assert identity_fields(text) == {"said": " ".join(text.split()), **fields}


def test_nothing_said_is_nothing() -> None:
    """An empty reply has no fields."""
    assert identity_fields("  \n") == {}


class Told:
    """A device that answers, or does not."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer

    async def identity(self) -> str:
        """As a driver does."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Written:
    """A classic device that noted it when it was connected."""

    identity = "Acme,G1,7,2"


async def test_a_device_that_does_not_answer_is_left_out() -> None:
    """Nor does one that has no identity, or one whose driver breaks, hold anything up."""
    devices: dict[str, Any] = {
        "a": Told("Acme,A1,7,2"), "b": Told(Fault("b", "no answer")), "c": Told(ValueError("a slip")), "d": object(),
        "e": Written(),
    }  # fmt: skip
    found = await identities(devices)
    assert sorted(found) == ["a", "e"]
    assert found["e"]["model"] == "G1"


def test_a_session_puts_them_on_record(tmp_path: Path) -> None:
    """Pumps and spectrometer of the silver-flow lab answer over their own protocols."""
    from sdl.campaign import Campaign

    campaign = Campaign.from_yaml(silver_lab(tmp_path / "lab", trials=1), store=tmp_path / "sdl.db")
    campaign.run(virtual=True)
    with Store.open(tmp_path / "sdl.db", create=False) as store:
        (opened,) = store.entries(store.campaigns()[0].id, kinds={kinds.LAB_OPENED})
    told = opened.body["identity"]
    assert told["spectrometer"]["model"] == "UV-Vis simulator"
    assert told["silver_pump"]["said"].startswith("New Era Pump Systems")
