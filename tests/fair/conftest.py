"""A journal written by hand for the tests of the views."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, silver_lab, soft_lab

from sdl.campaign.projectfile import load_project
from sdl.journal import GENESIS, Entry, Store, canonical, digest, kinds
from sdl.journal.state import CampaignState, fold_all
from sdl.model import CampaignSpec
from sdl.model.project import Project

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000


class Journal:
    """Entries of one campaign, chained as the store chains them; time goes on by a second an entry."""

    def __init__(self, id: str = "c-1") -> None:
        self.id = id
        self.entries: list[Entry] = []
        self.at = START

    def add(self, kind: str, **body: Any) -> Journal:
        seq = len(self.entries) + 1
        prev = self.entries[-1].hash if self.entries else GENESIS
        self.at += SECOND
        hash = digest(prev, self.id, seq, self.at, kind, canonical(body))
        self.entries.append(Entry(self.id, seq, self.at, kind, body, prev, hash))
        return self

    @property
    def state(self) -> CampaignState:
        return fold_all(self.id, self.entries)

    def create(self, **spec: Any) -> Journal:
        plain = {**SPEC, **spec}
        inputs = {"target": {"path": "target.csv", "sha256": "ab" * 32, "text": TARGET}}
        analysis = {"name": "spectrum_match", "steps": ["measure"], "with": {"target": "${target}"}}
        steps = [{"name": "mix", "station": "flow", "plan": "dispense", "with": {}}]
        steps += [{"name": "measure", "station": "optics", "plan": "count", "with": {}}]
        return self.add(
            kinds.CAMPAIGN_CREATED,
            spec=CampaignSpec.model_validate(plain).model_dump(mode="json"),
            lab={"name": "silver-flow", "file": "lab.yaml", "sha256": "cd" * 32, "text": "name: silver-flow"},
            inputs=inputs,
            procedure={"name": "synthesis", "steps": steps, "analysis": {**analysis}},
        ).add(
            kinds.SESSION_OPENED,
            holder="here",
            epoch=1,
            versions={"sdl": "0.1.0", "numpy": "2.3"},
            lab_speed=1,
        )

    def propose(self, number: int, parameters: dict[str, Any], **reason: Any) -> Journal:
        return self.add(
            kinds.TRIAL_PROPOSED,
            trial=number,
            parameters=parameters,
            reason={"summary": "sampled", "acquisition": None, "predicted": {}, "details": {}, **reason},
            planner={"name": "bayes", "version": "1", "options": {"restarts": 4}},
            seed=7,
            known_seq=len(self.entries),
        ).add(kinds.TRIAL_APPROVED, trial=number, by="policy")

    def start(self, number: int, step: str, station: str, attempt: int = 1) -> Journal:
        body = {"trial": number, "step": step, "attempt": attempt}
        return self.add(kinds.STEP_STARTED, **body, station=station, plan="count", arguments={})

    def documents(self, number: int, step: str, attempt: int, docs: list[tuple[str, dict[str, Any]]]) -> Journal:
        for name, doc in docs:
            self.add(kinds.DOCUMENT, trial=number, step=step, attempt=attempt, name=name, doc=doc)
        return self

    def done(self, number: int, step: str, attempt: int = 1, runs: tuple[str, ...] = ()) -> Journal:
        return self.add(kinds.STEP_DONE, trial=number, step=step, attempt=attempt, runs=list(runs))

    def observe(self, number: int, outcomes: dict[str, Any]) -> Journal:
        return self.add(
            kinds.TRIAL_OBSERVED,
            trial=number,
            outcomes=outcomes,
            analysis={"name": "spectrum_match", "version": "1", "options": {}},
            runs=[],
            lab_seconds=60.0 * number,
        )

    def search(self, trials: int, lost_every: int = 9) -> Journal:
        """Whole trials with two steps and a spectrum each; some are infeasible, some fail through a fault."""
        for number in range(1, trials + 1):
            self._trial(number, lost_every)
        return self

    def _trial(self, number: int, lost_every: int) -> None:
        flow = 50 + 40 * math.sin(number * 1.7)
        hot = 60 + 30 * math.cos(number * 2.3)
        guess = {"peak": {"mean": 450 + 40 * math.cos(number * 1.1) / number**0.5, "sem": 6.0}}
        salt = ["クエン酸", "PVP", "none"][number % 3]
        values = {"flow": flow, "temperature": hot, "drops": number % 5 + 1, "salt": salt}
        self.propose(number, values, predicted=guess if number > 3 else {})
        self.start(number, "mix", "flow")
        if number % lost_every == 0:
            failed = {"trial": number, "step": "mix", "attempt": 1, "message": "pump_a: no answer"}
            self.add(kinds.STEP_FAILED, **failed, cause="fault", device="pump_a")
            self.add(kinds.TRIAL_FAILED, trial=number, message="pump_a: no answer", device="pump_a", lab_seconds=1)
            return
        self.done(number, "mix").start(number, "measure", "optics")
        peak = 450 + 40 * math.cos(number * 1.1) / number**0.5 + math.sin(number * 12.9) * 4
        uid = f"run-{number}"
        self.documents(number, "measure", 1, spectrum_run(uid, peak)).done(number, "measure", runs=(uid,))
        if number % lost_every == 4:
            self.add(kinds.TRIAL_INFEASIBLE, trial=number, message="no peak: nothing grew", lab_seconds=1)
            return
        self.observe(number, {"peak": {"value": peak, "sem": 1.25, "unit": "nm"}})


WAVELENGTHS = [300.0 + 2 * i for i in range(201)]
TARGET = "wavelength_nm,absorbance\n" + "\n".join(f"{x},{math.exp(-(((x - 450) / 40) ** 2)):.5f}" for x in WAVELENGTHS)
SPEC: dict[str, Any] = {
    "name": "silver",
    "title": "Silver nanoparticles with a plasmon at 450 nm",
    "description": "Flow synthesis, spectrum in line.",
    "creators": [{"name": "Carberry, Josiah", "orcid": "0000-0002-1825-0097", "affiliation": "Brown University"}],
    "licence": "CC-BY-4.0",
    "lab": "lab.yaml",
    "problem": {
        "parameters": {
            "flow": {"kind": "real", "low": 1, "high": 100, "unit": "uL/min", "log": True},
            "temperature": {"kind": "real", "low": 20, "high": 95, "unit": "degC"},
            "drops": {"kind": "integer", "low": 1, "high": 9},
            "salt": {"kind": "categorical", "levels": ["クエン酸", "PVP", "none"]},
        },
        "objectives": {"peak": {"kind": "match", "target": 450, "unit": "nm"}},
    },
    "procedure": "synthesis",
    "budget": {"trials": 40},
    "stop": {"reach": {"peak": 2.0}},
    "seed": 3,
}


def spectrum_run(uid: str, peak: float, exit_status: str = "success") -> list[tuple[str, dict[str, Any]]]:
    """The documents of a run that reads one spectrum."""
    absorbance = [0.8 * math.exp(-(((x - peak) / 45) ** 2)) + 0.02 for x in WAVELENGTHS]
    data = {"uvvis-wavelength": WAVELENGTHS, "uvvis-absorbance": absorbance}
    keys = {
        "uvvis-wavelength": {"dtype": "array", "shape": [201], "source": "scpi", "units": "nm"},
        "uvvis-absorbance": {"dtype": "array", "shape": [201], "source": "scpi", "units": "1"},
    }
    descriptor = {
        "uid": f"{uid}-d",
        "run_start": uid,
        "name": "primary",
        "data_keys": keys,
        "configuration": {},
    }
    event = {"uid": f"{uid}-e", "descriptor": f"{uid}-d", "seq_num": 1, "time": 1.0}
    return [
        ("start", {"uid": uid, "time": 0.0}),
        ("descriptor", {**descriptor, "time": 0.5, "hints": {}, "object_keys": {"uvvis": list(keys)}}),
        ("event", {**event, "data": data, "timestamps": dict.fromkeys(data, 1.0), "filled": {}}),
        ("stop", {"uid": f"{uid}-s", "run_start": uid, "time": 2.0, "exit_status": exit_status}),
    ]


@pytest.fixture
def new_journal() -> type[Journal]:
    """Makes an empty journal."""
    return Journal


@pytest.fixture(scope="session")
def journal_class() -> type[Journal]:
    """Makes an empty journal, for tests that make many."""
    return Journal


@pytest.fixture
def journal() -> Journal:
    """A campaign of 20 trials that ended by its rule; two failed and two were infeasible."""
    return Journal().create().search(20).add(kinds.CAMPAIGN_ENDED, rule="trials", message="20 of 20 trials done")


@pytest.fixture
def store(journal: Journal, tmp_path: Path) -> Iterator[Store]:
    """A store on disk that holds `journal`."""
    with Store.open(tmp_path / "sdl.db") as store:
        store.create(journal.id, "silver")
        with store.writer(journal.id) as writer:
            for entry in journal.entries:
                writer.append(entry.kind, entry.body, durable=False)
        yield store


@pytest.fixture
def spectrum_documents() -> Callable[..., list[tuple[str, dict[str, Any]]]]:
    """Documents of a run that reads one spectrum, by uid, peak in nm and exit status."""
    return spectrum_run


@pytest.fixture
def spec() -> dict[str, Any]:
    """The campaign file of `journal`, to be varied."""
    return SPEC


# ── campaigns that were really run, each once a session, for releases ──


@pytest.fixture(scope="session")
def project() -> Project:
    """Everything that a release can state; the one of the silver-flow example."""
    return load_project(Path(__file__).parents[2] / "examples" / "silver-flow" / "project.yaml")


@pytest.fixture(scope="session")
def _commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


def _ran(nursery: Nursery, file: Path) -> Path:
    done = nursery.run("run", file.name, "--virtual", "--quiet", "--store", "sdl.db", cwd=file.parent, seconds=90)
    assert done.status == 0, done.err
    return file.parent / "sdl.db"


@pytest.fixture(scope="session")
def soft_store(_commands: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with five trials of two runs each, some of them infeasible."""
    return _ran(_commands, soft_lab(tmp_path_factory.mktemp("soft"), trials=5, points=2, infeasible_above=0.6))


@pytest.fixture(scope="session")
def silver_store(_commands: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three trials of the silver-flow lab, with spectra."""
    return _ran(_commands, silver_lab(tmp_path_factory.mktemp("labs") / "silver"))
