"""NeXus/HDF5: a file a trial, with one entry for each of its runs that read something.

Entries follow the application definition NXsensor_scan (contributed to github.com/nexusformat/definitions), made for
scans and time series of any sensors. Every stream of a run is an NXdata group with signal, axes and units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdl.fair._facts import iso
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._hdf import HdfWriter
from sdl.fair.exports._nexus_data import Field, Plot, allowed, plots_of
from sdl.fair.exports._parts import organisation_of, own_version, unique, write_bytes
from sdl.fair.record import CampaignRecord, Instrument, RunInfo, TrialInfo

__all__ = ["DEFINITION", "write"]

DEFINITION = "NXsensor_scan"
_STANDARD = "https://manual.nexusformat.org/classes/contributed_definitions/NXsensor_scan.html"
_PROGRAM = "https://blueskyproject.io/event-model/"
_NAMED = ("creator", "operator", "contact", "manager", "contributor")


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write a file for each trial whose runs read something.

    What was not measured is NaN. Arrays of changing length are filled up with NaN to the longest, and a field
    `NAME_points` beside them says how many numbers of each were read.

    Raises:
        MissingExtra: h5py is not installed.
        InputError: a file cannot be written.
    """
    files, hdf = [], HdfWriter()
    for trial in record.trials:
        runs = [run for uid in trial.runs if (run := record.runs.get(uid)) and run.record.events]
        if runs:
            path = f"nexus/trial-{trial.number:04}.nxs"
            write_bytes(folder, path, _file(hdf, record, trial, runs))
            title = f"Spectra and scans of trial {trial.number}"
            files.append(ExportedFile(path, "application/x-hdf5", _STANDARD, title, f"trial:{trial.number}"))
    return files


def _file(hdf: HdfWriter, record: CampaignRecord, trial: TrialInfo, runs: list[RunInfo]) -> bytes:
    root = hdf.open()
    try:
        names = {run.uid: f"entry_{number}" for number, run in enumerate(runs, 1)}
        _about(hdf, root, NX_class="NXroot", default=names[runs[-1].uid])
        for run in runs:
            _entry(hdf, _group(hdf, root, names[run.uid], "NXentry"), record, trial, run)
    finally:
        content = hdf.close()
    return content


def _group(hdf: HdfWriter, parent: Any, name: str, kind: str) -> Any:
    group = hdf.group(parent, name)
    _about(hdf, group, NX_class=kind)
    return group


def _texts(hdf: HdfWriter, group: Any, texts: Mapping[str, str | None]) -> None:
    for name, text in texts.items():
        if text:
            _put(hdf, group, name, text)


def _put(hdf: HdfWriter, group: Any, name: str, text: str, **attributes: str) -> None:
    _about(hdf, hdf.text(group, name, text), **attributes)


def _about(hdf: HdfWriter, thing: Any, **attributes: str) -> None:
    for name, text in attributes.items():
        hdf.attribute(thing, name, text)


def _entry(hdf: HdfWriter, entry: Any, record: CampaignRecord, trial: TrialInfo, run: RunInfo) -> None:
    project = record.project
    _put(hdf, entry, "definition", DEFINITION, version="v2026.01")
    _texts(
        hdf,
        entry,
        {
            "title": f"{project.title or record.spec.title or record.name}: trial {trial.number}, {run.step}",
            "start_time": iso(run.started),
            "end_time": iso(run.ended),
            "identifier_experiment": record.id,
            "identifier_collection": run.uid,
            "experiment_description": project.description or record.spec.description,
        },
    )
    _program(hdf, entry, record)
    _users(hdf, entry, record)
    _sample(hdf, entry, record, trial)
    _parameters(hdf, entry, record, trial)
    instrument = _group(hdf, entry, "instrument", "NXinstrument")
    _texts(hdf, instrument, {"name": str(record.lab.get("name") or "")})
    for device in record.instruments:
        if device.station == run.station:
            _device(hdf, instrument, device)
    plots = plots_of(run)
    for plot in plots:
        _data(hdf, entry, plot)
    if plots:
        _about(hdf, entry, default=plots[0].name)


def _program(hdf: HdfWriter, entry: Any, record: CampaignRecord) -> None:
    process = _group(hdf, entry, "process", "NXprocess")
    version = own_version(record) or "unknown"
    _put(hdf, process, "program", "sdl", version=version, program_url=_PROGRAM)


def _users(hdf: HdfWriter, entry: Any, record: CampaignRecord) -> None:
    """Whom the project names; addresses are left out."""
    people = [p for p in record.project.people if any(role in p.roles for role in _NAMED)]
    for number, person in enumerate(people, 1):
        home = organisation_of(record, person)
        user = _group(hdf, entry, f"user_{number}", "NXuser")
        about = {"name": person.name, "affiliation": home.name if home else "", "orcid": person.orcid}
        _texts(hdf, user, {**about, "role": ", ".join(person.roles)})
    if not people:
        _put(hdf, _group(hdf, entry, "user_1", "NXuser"), "name", "not stated")


def _sample(hdf: HdfWriter, entry: Any, record: CampaignRecord, trial: TrialInfo) -> None:
    sample = _group(hdf, entry, "sample", "NXsample")
    found = [item for item in record.samples if item.trial == trial.number]
    _put(hdf, sample, "name", (found[-1].label or found[-1].id) if found else f"trial {trial.number}")
    _texts(hdf, sample, {"description": ", ".join(item.id for item in found)})


def _parameters(hdf: HdfWriter, entry: Any, record: CampaignRecord, trial: TrialInfo) -> None:
    """What the planner asked for and what the analysis found, in collections that NeXus leaves to their makers."""
    parameters = _group(hdf, entry, "parameters", "NXcollection")
    shown = unique({name: allowed(name) for name in trial.parameters})
    for name, value in trial.parameters.items():
        _value(hdf, parameters, shown[name], value, record.units.get(name, ""), name)
    outcomes = _group(hdf, entry, "outcomes", "NXcollection")
    shown = unique({name: allowed(name) for name in trial.outcomes})
    for name, outcome in trial.outcomes.items():
        _value(hdf, outcomes, shown[name], outcome.value, outcome.unit, name)
        if outcome.sem is not None:
            _value(hdf, outcomes, f"{shown[name]}_errors", outcome.sem, outcome.unit, f"standard error of {name}")


def _value(hdf: HdfWriter, group: Any, name: str, value: Any, unit: str, key: str) -> None:
    about = {"long_name": key, **({"units": unit} if unit else {})}
    if isinstance(value, bool | int | float):
        _about(hdf, hdf.array(group, name, value), **about)
    else:
        _put(hdf, group, name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), **about)


def _device(hdf: HdfWriter, instrument: Any, device: Instrument) -> None:
    group = _group(hdf, instrument, allowed(device.device), "NXdetector")
    _texts(hdf, group, {"description": f"{device.driver}, simulated" if device.simulated else device.driver})
    about = {"vendor": device.manufacturer, "model": device.model, "serial_number": device.serial}
    if any(about.values()):
        _texts(hdf, _group(hdf, group, "fabrication", "NXfabrication"), about)


def _data(hdf: HdfWriter, entry: Any, plot: Plot) -> None:
    group = _group(hdf, entry, plot.name, "NXdata")
    _about(hdf, group, signal=plot.signal)
    hdf.list_attribute(group, "axes", plot.axes)
    if plot.others:
        hdf.list_attribute(group, "auxiliary_signals", plot.others)
    for name, dimensions in plot.indices.items():
        hdf.list_attribute(group, f"{name}_indices", dimensions)
    for field in plot.fields:
        _field(hdf, group, field)


def _field(hdf: HdfWriter, group: Any, field: Field) -> None:
    dataset = hdf.array(group, field.name, field.values)
    _about(hdf, dataset, long_name=field.key, **({"units": field.unit} if field.unit else {}))
