"""NeXus/HDF5: a file a trial, with one entry for each of its runs that read something.

Entries follow the application definition NXsensor_scan (contributed to github.com/nexusformat/definitions), made for
scans and time series of any sensors. Every stream of a run is an NXdata group with signal, axes and units.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdl.fair._facts import iso
from sdl.fair._files import need
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._nexus_data import Field, Plot, allowed, plots_of
from sdl.fair.exports._parts import organisation_of, unique, write_bytes
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
    files = []
    for trial in record.trials:
        runs = [run for uid in trial.runs if (run := record.runs.get(uid)) and run.record.events]
        if runs:
            path = f"nexus/trial-{trial.number:04}.nxs"
            write_bytes(folder, path, _file(record, trial, runs))
            title = f"Spectra and scans of trial {trial.number}"
            files.append(ExportedFile(path, "application/x-hdf5", _STANDARD, title, f"trial:{trial.number}"))
    return files


def _file(record: CampaignRecord, trial: TrialInfo, runs: list[RunInfo]) -> bytes:
    h5py = need("h5py", "the NeXus files of a release")
    out = io.BytesIO()
    with h5py.File(out, "w", libver=("v108", "v110")) as file:
        names = {run.uid: f"entry_{number}" for number, run in enumerate(runs, 1)}
        _about(file, NX_class="NXroot", default=names[runs[-1].uid])
        for run in runs:
            _entry(_group(file, names[run.uid], "NXentry"), record, trial, run)
    return out.getvalue()


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    _about(group, NX_class=kind)
    return group


def _texts(group: Any, texts: Mapping[str, str | None]) -> None:
    for name, text in texts.items():
        if text:
            _put(group, name, text)


def _put(group: Any, name: str, text: str, **attributes: str) -> None:
    _about(group.create_dataset(name, data=text.replace("\0", "")), **attributes)


def _about(thing: Any, **attributes: str) -> None:
    for name, text in attributes.items():
        thing.attrs[name] = text.replace("\0", "")


def _entry(entry: Any, record: CampaignRecord, trial: TrialInfo, run: RunInfo) -> None:
    project = record.project
    _put(entry, "definition", DEFINITION, version="v2026.01")
    _texts(
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
    _program(entry, record)
    _users(entry, record)
    _sample(entry, record, trial)
    _parameters(entry, record, trial)
    instrument = _group(entry, "instrument", "NXinstrument")
    _texts(instrument, {"name": str(record.lab.get("name") or "")})
    for device in record.instruments:
        if device.station == run.station:
            _device(instrument, device)
    plots = plots_of(run)
    for plot in plots:
        _data(entry, plot)
    if plots:
        _about(entry, default=plots[0].name)


def _program(entry: Any, record: CampaignRecord) -> None:
    process = _group(entry, "process", "NXprocess")
    version = next((item.version for item in record.software if item.name == "sdl"), "unknown")
    _put(process, "program", "sdl", version=version, program_url=_PROGRAM)


def _users(entry: Any, record: CampaignRecord) -> None:
    """Whom the project names; addresses are left out."""
    people = [p for p in record.project.people if any(role in p.roles for role in _NAMED)]
    for number, person in enumerate(people, 1):
        home = organisation_of(record, person)
        user = _group(entry, f"user_{number}", "NXuser")
        about = {"name": person.name, "affiliation": home.name if home else "", "orcid": person.orcid}
        _texts(user, {**about, "role": ", ".join(person.roles)})
    if not people:
        _put(_group(entry, "user_1", "NXuser"), "name", "not stated")


def _sample(entry: Any, record: CampaignRecord, trial: TrialInfo) -> None:
    sample = _group(entry, "sample", "NXsample")
    found = [item for item in record.samples if item.trial == trial.number]
    _put(sample, "name", (found[-1].label or found[-1].id) if found else f"trial {trial.number}")
    _texts(sample, {"description": ", ".join(item.id for item in found)})


def _parameters(entry: Any, record: CampaignRecord, trial: TrialInfo) -> None:
    """What the planner asked for and what the analysis found, in collections that NeXus leaves to their makers."""
    parameters = _group(entry, "parameters", "NXcollection")
    shown = unique({name: allowed(name) for name in trial.parameters})
    for name, value in trial.parameters.items():
        _value(parameters, shown[name], value, record.units.get(name, ""), name)
    outcomes = _group(entry, "outcomes", "NXcollection")
    shown = unique({name: allowed(name) for name in trial.outcomes})
    for name, outcome in trial.outcomes.items():
        _value(outcomes, shown[name], outcome.value, outcome.unit, name)
        if outcome.sem is not None:
            _value(outcomes, f"{shown[name]}_errors", outcome.sem, outcome.unit, f"standard error of {name}")


def _value(group: Any, name: str, value: Any, unit: str, key: str) -> None:
    about = {"long_name": key, **({"units": unit} if unit else {})}
    if isinstance(value, bool | int | float):
        _about(group.create_dataset(name, data=value), **about)
    else:
        _put(group, name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), **about)


def _device(instrument: Any, device: Instrument) -> None:
    group = _group(instrument, allowed(device.device), "NXdetector")
    _texts(group, {"description": f"{device.driver}, simulated" if device.simulated else device.driver})
    about = {"vendor": device.manufacturer, "model": device.model, "serial_number": device.serial}
    if any(about.values()):
        _texts(_group(group, "fabrication", "NXfabrication"), about)


def _data(entry: Any, plot: Plot) -> None:
    group = _group(entry, plot.name, "NXdata")
    _about(group, signal=plot.signal)
    group.attrs["axes"] = list(plot.axes)
    if plot.others:
        group.attrs["auxiliary_signals"] = list(plot.others)
    for name, dimensions in plot.indices.items():
        group.attrs[f"{name}_indices"] = list(dimensions)
    for field in plot.fields:
        _field(group, field)


def _field(group: Any, field: Field) -> None:
    values = field.values
    if values.dtype.kind in "OU":
        h5py = need("h5py", "the NeXus files of a release")
        values = values.astype(h5py.string_dtype("utf-8"))
    large = values.size > 1000
    options = {"compression": "gzip", "shuffle": True} if large and values.dtype.kind == "f" else {}
    dataset = group.create_dataset(field.name, data=values, **options)
    _about(dataset, long_name=field.key, **({"units": field.unit} if field.unit else {}))
