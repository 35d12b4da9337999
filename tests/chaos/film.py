"""The thin-film lab as a bench: instruments that outlive the campaign, stock on its shelf, four samples in flight."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ruamel.yaml import YAML

from chaos import checker, film_checker
from chaos.bench import Bench
from chaos.speed import SPEED

__all__ = ["FilmBench"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "thin-film"
_SPEED = 1500.0
_TRIALS = 6
_SUBSTRATES, _INK = 50, 20.0
"""Pieces, and mL."""


class FilmBench(Bench):
    """A folder with the thin-film lab, its anneals shortened, and nothing random about a film.

    So trials of a campaign that was killed come to what they come to undisturbed, though films may be made in another
    order and wait longer.
    """

    example: ClassVar[Path] = EXAMPLE
    environment: ClassVar[Mapping[str, str]] = {SPEED: str(_SPEED)}
    modules: ClassVar[Sequence[str]] = (
        "sdl.simulators.thin_film", "sdl.devices.spin_coater", "sdl.devices.mtsics_balance", "sdl.devices.secop",
        "sdl.devices.furnace", "sdl.devices.ur_robot", "sdl.devices.keithley2400",
        "caproto.asyncio.server", "sdl.cli._samples", "sdl.cli._stock",
        "ortools.sat.python.cp_model",
        "sdl.planners.random",
    )  # fmt: skip

    def _copy(self) -> Path:
        shutil.copy(self.example / "procedure.py", self.folder)
        campaign = _read(self.example / "campaign.yaml")
        del campaign["stop"]
        campaign |= {"planner": "random", "budget": {"trials": _TRIALS}, "in_flight": 4}
        campaign["problem"]["parameters"] |= {
            "speed": {"kind": "real", "low": 2500, "high": 6000, "unit": "rpm"},
            "volume": {"kind": "real", "low": 100, "high": 300, "unit": "uL"},
            "anneal_temperature": {"kind": "real", "low": 235, "high": 275, "unit": "degC"},
            "anneal_time": {"kind": "real", "low": 10, "high": 15, "unit": "min"},
        }
        _write(self.folder / "campaign.yaml", campaign)
        lab = self._lab = _read(self.example / "lab.yaml")
        for name in ("furnace_a", "furnace_b"):
            lab["devices"][name]["options"] = {**lab["devices"][name]["options"], "ramp": "120 degC/min"}
        film = lab["procedures"]["film"]["steps"]
        for step in film:
            step["time_limit"] = "48 h"  # at this speed a busy machine is slow by lab hours
            if step["name"] == "measure":
                step["with"] = {"positions": [47, 53], "settle": 10}
        quiet = {"film_spread": 0.0, "resistance_noise": 0.0, "thickness_noise": 0.0}
        lab["simulation"]["options"] |= {**quiet, "substrates": _SUBSTRATES, "ink": f"{_INK} mL", "humidity": 0}
        lab["simulation"]["speed"] = _SPEED
        _write(self.folder / "simulated.yaml", lab)
        return self.folder / "simulated.yaml"

    def _write_lab(self, addresses: Mapping[str, str]) -> None:
        assert addresses.keys() == self._lab["devices"].keys()
        devices = {name: {**device, "address": addresses[name]} for name, device in self._lab["devices"].items()}
        _write(self.folder / "lab.yaml", {**self._lab, "devices": devices})

    def _prepare(self) -> None:
        for item, amount in (("substrate", str(_SUBSTRATES)), ("ink", f"{_INK} mL")):
            self.command("stock", "receive", item, amount, "--lot", "L1", *self._ledgers)

    @property
    def _ledgers(self) -> tuple[str | Path, ...]:
        return "--lab", "lab.yaml", "--store", self.store

    def books(self) -> film_checker.Books:
        """What `sdl stock` and `sdl samples` say."""
        return film_checker.Books(*(
            [json.loads(line) for line in self.command(what, "--json", *self._ledgers).splitlines()]
            for what in ("stock", "samples")
        ))  # fmt: skip

    def looked_at(self) -> list[str]:
        """What the ledgers say while the campaign's process is dead, held against the instruments' log."""
        if not self.begun:
            return []
        books = self.books()
        return film_checker.check_books(self.record(), books, at_rest=False)

    @property
    def begun(self) -> bool:
        """Whether the campaign is on record."""
        return self.store.exists() and checker.has_campaign(self.store)

    def record(self) -> checker.Record:
        """What there is to judge: the campaign, without the lab's own chain."""
        entries, head = checker.read_store(self.store, "2%")  # its id begins with the year
        return checker.Record(entries, head, checker.read_truth(self.truth), checker.read_acks(self.acks))

    def judged(self, reference: Sequence[Any] | None) -> tuple[list[Any], list[str]]:
        """See `Bench.judged`."""
        record = self.record()
        history = film_checker.history_of(record.entries)
        wrong = film_checker.check(record, history if reference is None else reference)
        return history, [*wrong, *film_checker.check_books(record, self.books(), at_rest=True)]

    @staticmethod
    def differing(one: Sequence[Any], other: Sequence[Any]) -> list[str]:
        """See `Bench.differing`."""
        return list(film_checker.differing(one, other))

    def answer_doubts(self) -> list[str]:
        """Be the person who looks: settle every doubt as the instruments' own log has it; what was said."""
        said = []
        for line in self.command("doubts", "--json", "--store", self.store).splitlines():
            doubt = json.loads(line)
            happened = film_checker.happened(self.record(), doubt["id"])
            verdict = {True: "--done", False: "--not-done", None: "--quarantine"}[happened]
            note = "as the instrument's log has it"
            self.command("resolve", doubt["id"], verdict, "--note", note, "--by", "chaos", "--store", self.store)
            said.append(f"{doubt['key']} {verdict}: {doubt['message']}")
        return said


def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


def _write(path: Path, content: Any) -> None:
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(content, file)
