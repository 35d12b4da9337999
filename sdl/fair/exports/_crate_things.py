"""Instruments, software, variables and samples of a crate."""

from __future__ import annotations

from typing import Any, Final

from sdl.fair._cited import slug
from sdl.fair.exports._crate_graph import Graph, property_value, ref
from sdl.fair.exports._crate_people import organisation_id
from sdl.fair.record import CampaignRecord, Instrument, SampleInfo
from sdl.model import Objective
from sdl.model.parameters import Parameter

__all__ = ["SDL", "analysis_id", "describe_things", "driver_id", "planner_id", "sample_id"]

SDL: Final = "#software-self-driving-lab"
_NO_PACKAGES: Final = frozenset({"platform", "python"})
"""Of what a session notes, what is no package of the Python Package Index."""
_SAMPLE: Final = "http://purl.obolibrary.org/obo/OBI_0000747"
"""material sample, Ontology for Biomedical Investigations."""


def describe_things(record: CampaignRecord, graph: Graph, root: dict[str, Any]) -> None:
    """Add what trials refer to, and the variables of the campaign."""
    _software(record, graph)
    root["isBasedOn"] = [*root.get("isBasedOn", []), ref(_lab(record, graph))]
    for instrument in record.instruments:
        _instrument(record, graph, instrument)
    for sample in record.samples:
        _sample(graph, sample)
    problem = record.spec.problem
    variables = [_parameter(graph, one, record.units) for one in problem.parameters]
    variables += [_objective(graph, one) for one in problem.objectives]
    root["variableMeasured"] = [ref(id_) for id_ in variables]
    root["about"] = [ref(_instrument_id(one.device)) for one in record.instruments]


def planner_id(planner: Any) -> str:
    """The id of a planner in its version."""
    return f"#planner-{slug(str(planner.get('name', '')))}-{slug(str(planner.get('version', '')))}"


def analysis_id(analysis: Any) -> str:
    """The id of an analysis in its version."""
    return f"#analysis-{slug(str(analysis.get('name', '')))}"


def driver_id(device: str) -> str:
    """The id of the driver of a device."""
    return f"#driver-{slug(device)}"


def sample_id(sample: str) -> str:
    """The id of a sample."""
    return f"#sample-{slug(sample)}"


def _instrument_id(device: str) -> str:
    return f"#instrument-{slug(device)}"


def _software(record: CampaignRecord, graph: Graph) -> None:
    versions = {one.name: one.version for one in record.software}
    own = versions.pop("self-driving-lab", "")
    needed = []
    for name, version in versions.items():
        entity = {"@id": f"#software-{slug(name)}", "@type": "SoftwareApplication", "name": name}
        if name not in _NO_PACKAGES:
            entity["url"] = f"https://pypi.org/project/{name}/{version}/"
        needed.append(ref(graph.add({**entity, "softwareVersion": version})["@id"]))
    sdl = {"@id": SDL, "@type": "SoftwareApplication", "name": "self-driving-lab", "softwareVersion": own}
    graph.add({**sdl, "softwareRequirements": needed})
    for trial in record.trials:
        planner, analysis = trial.planner, trial.analysis
        entity = {"@id": planner_id(planner), "@type": "SoftwareApplication", "name": f"planner {planner.get('name')}"}
        graph.add({**entity, "softwareVersion": str(planner.get("version", "")), "softwareRequirements": ref(SDL)})
        if analysis.get("name"):
            entity = {"@id": analysis_id(analysis), "@type": "SoftwareApplication", "name": str(analysis["name"])}
            version = str(analysis.get("version") or own)
            graph.add({**entity, "softwareVersion": version, "softwareRequirements": ref(SDL)})


def _lab(record: CampaignRecord, graph: Graph) -> str:
    """The lab file and the code beside it, in the revision that the campaign ran with."""
    digest = record.lab.get("sha256", "")
    entity = {
        "@id": "#lab",
        "@type": "CreativeWork",
        "name": f"lab file of {record.lab.get('name', '')}",
        "description": record.lab.get("description", ""),
        "identifier": f"sha256:{digest}" if digest else "",
        "version": record.revision,
    }
    return str(graph.add(entity)["@id"])


def _instrument(record: CampaignRecord, graph: Graph, one: Instrument) -> None:
    more: dict[str, Any] = {"station": one.station, "calibrated": one.calibrated, "firmware": one.firmware}
    more |= {"simulated": one.simulated, "certificate of conformance": one.certificate.get("id", "")}
    id_ = _instrument_id(one.device)
    about = [
        ref(graph.add(property_value(f"{id_}-{slug(name)}", name, value))["@id"])
        for name, value in more.items()
        if value != ""
    ]
    entity: dict[str, Any] = {
        "@id": id_,
        "@type": "IndividualProduct",
        "name": one.device,
        "model": one.model,
        "serialNumber": one.serial,
        "identifier": one.identifier,
        "description": f"{'Simulated instrument' if one.simulated else 'Instrument'} {one.device}",
        "additionalProperty": about,
    }
    if one.manufacturer:
        entity["manufacturer"] = ref(organisation_id(graph, record.project, one.manufacturer))
    if one.owner:
        entity["owner"] = ref(organisation_id(graph, record.project, one.owner))
    graph.add(entity)
    versions = {software.name: software.version for software in record.software}
    driver = {"@id": driver_id(one.device), "@type": "SoftwareApplication", "name": f"driver {one.driver}"}
    own = versions.get("self-driving-lab", "")
    graph.add({**driver, "softwareVersion": own, "about": ref(id_), "softwareRequirements": ref(SDL)})


def _sample(graph: Graph, sample: SampleInfo) -> None:
    graph.add(
        {
            "@id": sample_id(sample.id),
            "@type": "Thing",
            "additionalType": _SAMPLE,
            "name": sample.label or sample.id,
            "identifier": [text for text in (sample.id, sample.barcode) if text],
            "description": "; ".join(
                text
                for text in (
                    f"sample of trial {sample.trial}",
                    f"{sample.status}, {sample.place}" if sample.place else sample.status,
                    *(f"made of {used['item']}, lot {used['lot']}" for used in sample.stock),
                )
            ),
            "isBasedOn": [ref(sample_id(parent)) for parent in sample.parents],
        }
    )


def _parameter(graph: Graph, parameter: Parameter, units: Any) -> str:
    bounds = {"minValue": getattr(parameter, "low", None), "maxValue": getattr(parameter, "high", None)}
    entity = property_value(
        f"#parameter-{slug(parameter.name)}", parameter.name, None, units.get(parameter.name, ""),
        description=f"parameter: {parameter.description}" if parameter.description else "parameter", **bounds,
    )  # fmt: skip
    return str(graph.add(entity)["@id"])


def _objective(graph: Graph, objective: Objective) -> str:
    from sdl.fair._words import aim

    entity = property_value(
        f"#objective-{slug(objective.name)}", objective.name, None, objective.unit,
        description=f"objective: {aim(objective)}",
    )  # fmt: skip
    return str(graph.add(entity)["@id"])
