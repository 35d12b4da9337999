"""A campaign's record made by hand, with everything in it that is hard to export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sdl.fair.record import (
    CampaignRecord,
    Decision,
    Instrument,
    RunInfo,
    SampleInfo,
    Software,
    StockUse,
    TrialInfo,
)
from sdl.model import CampaignSpec, Outcome
from sdl.model.project import Access, AccessPolicy, Funding, Organisation, Person, Project, Related
from sdl.protocols import RunRecord

__all__ = ["PROJECT", "START", "made_record", "run_of", "scan_run", "spectrum_run", "with_runs"]

START = 1_760_000_000_000_000_000
_SECOND = 1_000_000_000

PROJECT = Project(
    name="silver",
    title="Silver nanoparticles with a wanted spectrum",
    title_ja="望みのスペクトルをもつ銀ナノ粒子",
    description="Flow synthesis, searched by a planner 🧪",
    description_ja="計画器が探索したフロー合成",
    people=(
        Person(
            name="Suzuki, Hana",
            name_ja="鈴木, 花",
            orcid="0000-0002-1825-0097",
            e_rad="20123456",
            affiliation="Example University",
            roles=("creator", "contact", "manager"),
            email="hana@example.ac.jp",
        ),
        Person(name="Sato, Ken", name_ja="佐藤, 健", affiliation="Example University", roles=("operator",)),
    ),
    organisations=(Organisation(name="Example University", name_ja="例示大学", ror="https://ror.org/057zh3y96"),),
    funding=(
        Funding(
            funder="Japan Science and Technology Agency",
            funder_ja="科学技術振興機構",
            funder_id="https://ror.org/00097mb19",
            number="JPMJPF9999",
            title="Materials by themselves",
            title_ja="自律する材料",
            programme_code="MJPF",
        ),
    ),
    licence="CC-BY-4.0",
    publisher="Example University",
    dmp="DMP-0042",
    field="Nanotechnology/Materials",
    keywords=("silver", "self-driving laboratory"),
    related=(Related(identifier="10.5555/12345678", relation="IsSupplementTo"),),
    repository="https://repository.example.ac.jp/",
    contact="data@example.ac.jp",
    identifier="10.5555/silver.1",
    access=AccessPolicy(metadata=Access(level="open"), data=Access(level="embargoed", until=date(2027, 4, 1))),
)

_SPEC: Mapping[str, Any] = {
    "name": "silver",
    "title": "Silver nanoparticles",
    "licence": "CC-BY-4.0",
    "lab": "lab.yaml",
    "procedure": "synthesis",
    "planner": "random",
    "budget": {"trials": 2},
    "problem": {
        "parameters": {
            "flow": {"kind": "real", "low": 0, "high": 100, "unit": "uL/min", "description": "silver nitrate"},
            "drops": {"kind": "integer", "low": 1, "high": 9, "unit": "1"},
            "salt": {"kind": "categorical", "levels": ["クエン酸", "PVP"]},
        },
        "objectives": {"peak": {"kind": "minimize", "unit": "nm", "description": "wavelength of the maximum"}},
    },
}


def run_of(
    uid: str,
    rows: Sequence[Mapping[str, Any]],
    keys: Mapping[str, Mapping[str, Any]],
    *,
    trial: int = 1,
    configuration: Mapping[str, Mapping[str, Any]] | None = None,
    hints: Sequence[str] = (),
    step: str = "measure",
) -> RunInfo:
    """A run of one stream, `primary`, with an event a row; `configuration` maps key -> {value, **data key}."""
    at = START / 1e9
    start = {
        "uid": uid,
        "time": at,
        "scan_id": 1,
        "plan_name": "count",
        "hints": {"dimensions": [[list(hints), "primary"]]},
    }
    descriptor = _descriptor(uid, keys, configuration or {})
    events = [
        {
            "uid": f"e-{uid}-{number}",
            "descriptor": f"d-{uid}",
            "time": at + number,
            "seq_num": number,
            "data": dict(row),
            "timestamps": dict.fromkeys(row, at + number),
            "filled": {},
        }
        for number, row in enumerate(rows, 1)
    ]
    stop = {
        "uid": f"s-{uid}",
        "run_start": uid,
        "time": at + 60,
        "exit_status": "success",
        "num_events": {"primary": len(rows)},
    }
    documents = [("start", start), ("descriptor", descriptor), *(("event", e) for e in events), ("stop", stop)]
    record = RunRecord(step, start, (descriptor,), tuple(events), stop)
    began = START + trial * 100 * _SECOND
    return RunInfo(uid, trial, step, 1, "optics", began, began + 60 * _SECOND, "success", record, tuple(documents))


def _descriptor(
    uid: str, keys: Mapping[str, Mapping[str, Any]], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    at = START / 1e9
    return {
        "uid": f"d-{uid}",
        "run_start": uid,
        "time": at + 0.1,
        "name": "primary",
        "data_keys": {key: {"source": "sim", "object_name": "spec", **about} for key, about in keys.items()},
        "configuration": {
            "spec": {
                "data": {key: about["value"] for key, about in config.items()},
                "timestamps": dict.fromkeys(config, at),
                "data_keys": {
                    key: {"source": "sim", **{k: v for k, v in about.items() if k != "value"}}
                    for key, about in config.items()
                },
            }
        },
        "object_keys": {"spec": list(keys)},
        "hints": {"spec": {"fields": list(keys)[:1]}},
    }


def spectrum_run(uid: str, trial: int = 1, points: Sequence[int] = (64, 60)) -> RunInfo:
    """Spectra of different lengths over wavelengths in the configuration, with readings that gave no number."""
    keys = {
        "spec-spectrum": {"dtype": "array", "shape": [points[0]], "units": "1"},
        "spec-temperature": {"dtype": "number", "shape": [], "units": "degC"},
        "spec-count": {"dtype": "integer", "shape": []},
        "spec-note": {"dtype": "string", "shape": []},
    }
    rows: list[dict[str, Any]] = [
        {
            "spec-spectrum": [None if i == 3 else (i * 37 % 11) / 7 for i in range(size)],
            "spec-temperature": 25 if number == 0 else 25.125 + number,
            "spec-count": 10 + number,
            "spec-note": "測定 🧪",
        }
        for number, size in enumerate(points)
    ]
    axis = {"value": [400.0 + 5 * i for i in range(points[0])], "dtype": "array", "shape": [points[0]], "units": "nm"}
    return run_of(uid, rows, keys, trial=trial, configuration={"spec-wavelength": axis})


def scan_run(uid: str, trial: int = 1, points: int = 11) -> RunInfo:
    """A scan: one reading over a position that goes up."""
    keys = {
        "stage-x": {"dtype": "number", "shape": [], "units": "mm"},
        "probe-resistance": {"dtype": "number", "shape": [], "units": "ohm"},
        "probe-offset": {"dtype": "number", "shape": [], "units": "mV"},
    }
    rows = [
        {"stage-x": 0.5 * i, "probe-resistance": None if i == 4 else 10.0 / (i + 1), "probe-offset": 0.1}
        for i in range(points)
    ]
    return run_of(uid, rows, keys, trial=trial, hints=["stage-x"], step="scan")


def made_record(**changes: Any) -> CampaignRecord:
    """Two trials, one observed with a spectrum and a scan, one failed with a run that was cut off."""
    cut = spectrum_run("run-3", trial=2, points=(64,))
    stop = {"uid": "interrupted-run-3", "run_start": "run-3", "time": START / 1e9, "exit_status": "abort"}
    ended = (*cut.documents[:-1], ("stop", stop))
    cut = replace(cut, status="interrupted", ended=None, documents=ended, record=replace(cut.record, stop=stop))
    runs = {run.uid: run for run in (spectrum_run("run-1"), scan_run("run-2"), cut)}
    record = CampaignRecord(
        id="20261122t010203-4f9a1c",
        name="silver",
        status="ended",
        spec=CampaignSpec.model_validate(_SPEC),
        project=PROJECT,
        created=START,
        updated=START + 3600 * _SECOND,
        lab={"name": "silver-flow", "sha256": "cd" * 32, "description": "Flow synthesis"},
        units={"flow": "uL/min", "drops": "1", "peak": "nm"},
        trials=_trials(),
        runs=runs,
        samples=(SampleInfo("20261122t010203-4f9a1c/1", "S-1", "(21)1", 1, "archived", "tray:1", (), ()),),
        instruments=_instruments(),
        software=(Software("sdl", "0.1.0"), Software("bluesky", "1.15.1")),
        revision="a" * 40,
        decisions=(Decision(START, 3, "trial.proposed", "planner:random 1", "sampled at random", 1),),
        entries=42,
        head="ef" * 32,
    )
    return replace(record, **changes)


def with_runs(*runs: RunInfo) -> CampaignRecord:
    """The record with other runs, all of the first trial."""
    record = made_record()
    first = replace(record.trials[0], runs=tuple(run.uid for run in runs))
    second = replace(record.trials[1], runs=())
    return replace(record, runs={run.uid: run for run in runs}, trials=(first, second))


def _trials() -> tuple[TrialInfo, ...]:
    planner = {"name": "random", "version": "1", "options": {}}
    first = TrialInfo(
        number=1,
        status="observed",
        parameters={"flow": 20.5, "drops": 3, "salt": "クエン酸"},
        outcomes={"peak": Outcome(value=431.25, sem=1.5, unit="nm")},
        seed=7,
        planner=planner,
        reason={"summary": "sampled at random"},
        analysis={"name": "spectrum_match", "version": "1", "options": {"min_absorbance": 0.1}},
        proposed=START + 1 * _SECOND,
        started=START + 2 * _SECOND,
        ended=START + 200 * _SECOND,
        message="",
        runs=("run-1", "run-2"),
        samples=("20261122t010203-4f9a1c/1",),
        stock=(StockUse("silver nitrate", "lot-7", 12.5, "uL"),),
    )
    second = replace(
        first,
        number=2,
        status="failed",
        parameters={"flow": 80.0, "drops": 1, "salt": "PVP"},
        outcomes={},
        analysis={},
        message="pump_a: no answer",
        runs=("run-3",),
        samples=(),
        stock=(),
    )
    return first, second


def _instruments() -> tuple[Instrument, ...]:
    spec = Instrument(
        "spec", "optics", "scpi_spectrometer", True, "Example Optics", "UV-9", "SN 1", "Example University",
        "2026-04-01", "https://hdl.handle.net/21.T11148/abc",
    )  # fmt: skip
    return spec, Instrument("stage", "optics", "epics_stage", True), Instrument("probe", "optics", "keithley2400", True)
