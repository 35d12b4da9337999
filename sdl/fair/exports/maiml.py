"""MaiML, the Measurement, Analysis and Instrument Markup Language of JIS K 0200: a file a run that read something.

A file says who measured what with which instrument (document), how (protocol: a Petri net of material, conditions, one
operation and its results), what came out (data), and when each of it happened (event log, as XES has it).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from sdl.fair._facts import iso
from sdl.fair._units import ucum
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._maiml_data import conditions, readings
from sdl.fair.exports._maiml_xml import Writer, add, root, text_property, to_bytes
from sdl.fair.exports._parts import file_stem, organisation_of, own_version, unique, write_bytes
from sdl.fair.record import CampaignRecord, Instrument, RunInfo, TrialInfo

__all__ = ["document", "write"]

_STANDARD = "https://www.maiml.org/schemas"
_MAKER = "The sdl developers"
_XES = ("concept", "lifecycle", "time")


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write a file for each run that read something, also of trials that failed later.

    Raises:
        InputError: a file cannot be written.
    """
    files = []
    for trial in record.trials:
        runs = [run for uid in trial.runs if (run := record.runs.get(uid)) and run.record.events]
        names = unique({run.uid: f"trial-{trial.number:04}-{file_stem(run.step)}-{run.attempt}" for run in runs})
        for run in runs:
            path = f"maiml/{names[run.uid]}.maiml"
            write_bytes(folder, path, document(record, trial, run))
            title = f"Measurement of trial {trial.number}, step {run.step}"
            files.append(ExportedFile(path, "application/xml", _STANDARD, title, f"run:{run.uid}"))
    return files


def document(record: CampaignRecord, trial: TrialInfo, run: RunInfo) -> bytes:
    """The file of one run."""
    writer = Writer(record, run.uid)
    instruments = [item for item in record.instruments if item.station == run.station]
    whole = root()
    _document(writer, whole, record, trial, run, instruments)
    _protocol(writer, whole, record, run)
    _data(writer, whole, record, trial, run)
    _event_log(writer, whole, run)
    return to_bytes(whole)


def _document(
    writer: Writer, whole: Element, record: CampaignRecord, trial: TrialInfo, run: RunInfo, devices: list[Instrument]
) -> None:
    project = record.project
    about = writer.object(whole, "document", "document", f"{record.name}: trial {trial.number}, {run.step}")
    for key, text in {
        "campaign": record.id,
        "trial": str(trial.number),
        "run": run.uid,
        "status": run.status,
        "licence": project.licence or record.spec.licence,
        "journalHead": record.head,
    }.items():
        text_property(about, key, text)
    creator = writer.object(about, "creator", "creator", "sdl", lasting=True)
    text_property(creator, "version", own_version(record))
    writer.reference(creator, "vendorRef", "vendor0")
    for number, _ in enumerate(devices):
        writer.reference(creator, "instrumentRef", f"instrument{number}")
    vendors = [_MAKER, *dict.fromkeys(device.manufacturer for device in devices if device.manufacturer)]
    for number, name in enumerate(vendors):
        writer.object(about, "vendor", f"vendor{number}", name, lasting=True)
    for number, (name, identifiers) in enumerate(_owners(record)):
        owner = writer.object(about, "owner", f"owner{number}", name, lasting=True)
        for key, text in identifiers.items():
            text_property(owner, key, text)
    for number, device in enumerate(devices):
        _instrument(writer, about, f"instrument{number}", device)
    add(about, "date", iso(run.ended or run.started) or "")


def _owners(record: CampaignRecord) -> Iterator[tuple[str, dict[str, str]]]:
    """Who answers for the measurement: the people of the project, or its publisher, or nobody that it names."""
    project = record.project
    for person in project.people:
        home = organisation_of(record, person)
        yield (
            person.name,
            {
                "name_ja": person.name_ja,
                "orcid": person.orcid or "",
                "eRadResearcherNumber": person.e_rad,
                "affiliation": home.name if home else "",
                "ror": home.ror if home else "",
            },
        )
    if not project.people:
        yield project.publisher or "not stated", {}


def _instrument(writer: Writer, parent: Element, name: str, device: Instrument) -> None:
    made = writer.object(parent, "instrument", name, device.device, lasting=True)
    for key, text in {
        "driver": device.driver,
        "simulated": str(device.simulated).lower(),
        "manufacturer": device.manufacturer,
        "model": device.model,
        "serialNumber": device.serial,
        "owner": device.owner,
        "calibrated": device.calibrated,
        "identifier": device.identifier,
    }.items():
        text_property(made, key, text)


def _protocol(writer: Writer, whole: Element, record: CampaignRecord, run: RunInfo) -> None:
    protocol = writer.object(whole, "protocol", "protocol", str(record.procedure.get("name") or record.spec.procedure))
    method = writer.object(protocol, "method", "method", run.step)
    net = writer.object(method, "pnml", "pnml", "material and conditions go in, a result comes out")
    for place in ("material", "condition", "result"):
        add(net, "place", id=f"{place}Place")
    add(net, "transition", id="transition")
    for number, (source, target) in enumerate(
        (("materialPlace", "transition"), ("conditionPlace", "transition"), ("transition", "resultPlace"))
    ):
        add(net, "arc", id=f"arc{number}", source=source, target=target)
    program = writer.object(method, "program", "program", str(run.record.start.get("plan_name") or run.step))
    text_property(program, "station", run.station)
    instruction = writer.object(program, "instruction", "instruction", run.step)
    writer.reference(instruction, "transitionRef", "transition")
    for kind in ("material", "condition", "result"):
        template = writer.object(method, f"{kind}Template", f"{kind}Template")
        writer.reference(template, "placeRef", f"{kind}Place")


def _data(writer: Writer, whole: Element, record: CampaignRecord, trial: TrialInfo, run: RunInfo) -> None:
    data = writer.object(whole, "data", "data")
    results = writer.object(data, "results", "results", f"trial {trial.number}, attempt {run.attempt}")
    samples = [sample for sample in record.samples if sample.trial == trial.number]
    label = (samples[-1].label or samples[-1].id) if samples else f"sample of trial {trial.number}"
    material = writer.object(results, "material", "material", label, ref="materialTemplate")
    for sample in samples:
        text_property(material, "sample", sample.id)
    for use in trial.stock:
        code = ucum(use.unit)
        text_property(material, "stock", f"{use.amount:.17g} {code} of {use.item}, lot {use.lot}")
    condition = writer.object(
        results, "condition", "condition", "parameters and configuration", ref="conditionTemplate"
    )
    conditions(condition, record, trial, run)
    result = writer.object(results, "result", "result", run.step, ref="resultTemplate")
    readings(result, run)


def _event_log(writer: Writer, whole: Element, run: RunInfo) -> None:
    event_log = writer.object(whole, "eventLog", "eventLog")
    log = writer.object(event_log, "log", "log", ref="method")
    for name in _XES:
        uri = f"http://www.xes-standard.org/{name}.xesext#"
        add(log, "extension", name=name.capitalize(), prefix=name, uri=uri)
    trace = writer.object(log, "trace", "trace", ref="program")
    moments = [("start", run.started), ("complete", run.ended or run.started)]
    for transition, at in moments:
        event = writer.object(trace, "event", f"event{transition.capitalize()}", ref="instruction")
        text_property(event, "concept:name", run.step)
        text_property(event, "lifecycle:transition", transition)
        text_property(event, "time:timestamp", iso(at) or "", kind="dateTimeType")
        if transition == "complete":
            writer.reference(event, "resultsRef", "results")
        writer.reference(event, "creatorRef", "creator")
        writer.reference(event, "ownerRef", "owner0")
