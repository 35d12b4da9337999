"""The checks behind the indicators that can be judged offline: each says what is wrong, or nothing.

Each looks at what is written, in the files of the release, and never takes a claim for the thing: a file that is said
to follow a standard has to be there, and a reference has to lead somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sdl.fair._maturity_view import View, many

__all__ = ["CHECKS"]

_IRI: Final = re.compile(r"https?://\S+")
_RELEASE: Final = re.compile(r"urn:sdl:release:[0-9a-f]{64}")
_GLOBAL: Final = re.compile(r"(https?://|doi:|urn:|hdl:|ark:)\S+|10\.\d{4,9}/\S+|[0-9a-f]{64}")
_OPEN_FORMS: Final = re.compile(
    r"text/.*|application/(json|jsonl|ld\+json|x-ndjson|xml|zip|x-hdf5?|x-?hdf.*|vnd\.apache\.parquet|x-parquet|x-nexus|"
    r".*\+(json|xml|zip|hdf5?))"
)
_SELF_DESCRIBING: Final = ("croissant", "nexus", "event-model", "blueskyproject", "bluesky", "maiml")
_COMMUNITY: Final = ("nexus", "event-model", "blueskyproject", "bluesky", "maiml", "rde")
_CRATE: Final = "w3id.org/ro/crate/1.1"
_PROFILE: Final = "w3id.org/ro/wfrun/process/"


def _unique_metadata(view: View) -> str:
    from sdl.fair._manifest import identifier_of

    stated = str(view.manifest.get("identifier", ""))
    if not _RELEASE.fullmatch(stated) or stated != identifier_of(view.manifest):
        return "make the release anew: release.json does not give its own identifier"
    return "" if view.root else "release the export ro_crate: there is no crate to identify"


def _unique_data(view: View) -> str:
    identifiers = [one if isinstance(one, str) else "" for one in many(view.root.get("identifier"))]
    identifiers += [str(one.get("value", "")) for one in view.referred(view.root, "identifier")]
    if not any(_GLOBAL.fullmatch(one) for one in identifiers):
        return "give the data an identifier in the project file, as in identifier: https://doi.org/10.5072/…"
    without = [file["path"] for file in view.data if not re.fullmatch(r"[0-9a-f]{64}", str(file.get("sha256", "")))]
    return f"make the release anew: no hash identifies {', '.join(map(str, without))}" if without else ""


def _rich(view: View) -> str:
    wanted = {
        "titles": "title",
        "creators": "people",
        "descriptions": "description",
        "subjects": "keywords and field",
        "dates": "",
        "publisher": "publisher",
        "publicationYear": "",
        "types": "data_type",
    }
    absent = [key or name for name, key in wanted.items() if not view.datacite.get(name)]
    if not view.datacite:
        return "release the export datacite"
    if (view.datacite.get("publisher") or {}).get("name") == ":unav":
        absent.append("publisher")
    abstract = [one for one in view.datacite.get("descriptions", ()) if one.get("descriptionType") == "Abstract"]
    if not abstract and "description" not in absent:
        absent.append("description")
    return f"write into the project file: {', '.join(absent)}" if absent else ""


def _names_data(view: View) -> str:
    parts = {one.get("@id") for one in many(view.root.get("hasPart")) if isinstance(one, dict)}
    left_out = [str(file["path"]) for file in view.data if file["path"] not in parts]
    if left_out:
        return f"make the release anew: its crate does not list {', '.join(left_out[:5])}"
    if not view.datacite.get("doi") and not view.datacite.get("alternateIdentifiers"):
        return "release the export datacite, which names the identifier of the data"
    return "" if view.data else "release exports that hold data, such as tables and documents"


def _access(view: View) -> str:
    rights = [str(one.get("rightsUri", "")) for one in view.datacite.get("rightsList", ())]
    if not any("purl.org/coar/access_right" in one for one in rights) or not view.root.get("conditionsOfAccess"):
        return "say who may see the data, as in access: {metadata: open, data: open}"
    if not view.referred(view.root, "contactPoint") and not view.root.get("url"):
        return "write `contact` or `repository` into the project file: whom to ask for the data, or where they are"
    return ""


def _metadata_form(view: View) -> str:
    if not any(isinstance(one, str) and _CRATE in one for one in view.context):
        return "release the export ro_crate"
    if "datacite.org/schema" not in str(view.datacite.get("schemaVersion", "")):
        return "release the export datacite"
    return ""


def _data_form(view: View) -> str:
    if not view.data:
        return "release exports that hold data, such as tables and documents"
    closed = [str(file["path"]) for file in view.data if not _OPEN_FORMS.fullmatch(str(file.get("media_type", "")))]
    if closed:
        return f"no open format is stated of {', '.join(closed[:5])}"
    return "" if any(file.get("conforms_to") for file in view.data) else "release the export tables, in Parquet"


def _metadata_meaning(view: View) -> str:
    if not view.crate:
        return "release the export ro_crate"
    untyped = [id_ for id_, entity in view.crate.items() if not entity.get("@type")]
    dead = {to for _, to in view.references() if to not in view.crate and not _IRI.match(to)}
    if untyped or dead:
        return (
            f"make the release anew: its crate refers to what is not in it: {', '.join([*untyped, *sorted(dead)][:5])}"
        )
    return ""


def _data_meaning(view: View) -> str:
    if not view.conforming(*_SELF_DESCRIBING):
        return "release tables (with Croissant), nexus or documents: they say what each column means"
    return "" if view.referred(view.root, "variableMeasured") else "make the release anew: its crate names no variable"


def _metadata_words(view: View) -> str:
    absent = []
    if not any(str(one.get("@id", "")).startswith("https://orcid.org/") for one in view.entities("Person")):
        absent.append("the ORCID iD of one of the people at least")
    if not any("spdx.org/licenses/" in str(one.get("@id", "")) for one in view.referred(view.root, "license")):
        absent.append("a licence by its SPDX identifier")
    if not any("purl.org/coar" in str(one.get("@id", "")) for one in view.referred(view.root, "usageInfo")):
        absent.append("access")
    return f"write into the project file: {', '.join(absent)}" if absent else ""


def _data_words(view: View) -> str:
    variables = view.referred(view.root, "variableMeasured")
    if not variables:
        return "make the release anew: its crate names no variable"
    # Quantities have bounds or an aim, and a unit in UCUM; levels of a category have neither.
    bare = [str(one.get("name")) for one in variables if not one.get("unitText") and "minValue" in one]
    return f"make the release anew: no UCUM code of the units of {', '.join(bare)}" if bare else ""


def _outward(view: View) -> list[str]:
    return sorted({to for _, to in view.references() if _IRI.match(to)})


def _to_metadata(view: View) -> str:
    known = ("orcid.org", "ror.org", "doi.org", "spdx.org", "w3id.org")
    found = [one for one in _outward(view) if any(place in one for place in known[:3])]
    return "" if found else "add ORCID iDs of people, ROR ids of organisations or `related` works to the project file"


def _data_to_data(view: View) -> str:
    """Each run that an outcome of the journal names has its documents there."""
    from sdl.fair._maturity_journal import runs_of_outcomes

    named, there = runs_of_outcomes(view)
    if not there:
        return "release the export journal with at least one run in it"
    lost = sorted(named - there)
    return f"make the release anew: outcomes name runs that are not in it: {', '.join(lost[:5])}" if lost else ""


def _metadata_to_data(view: View) -> str:
    works = [*view.referred(view.root, "citation"), *view.referred(view.root, "isBasedOn")]
    works = [one for one in works if one.get("@id") != "#lab"]
    inputs = [file for file in view.files if str(file.get("path", "")).startswith("inputs/")]
    return "" if works or inputs else "name what the data belong with, under `related` in the project file"


def _data_to_data_qualified(view: View) -> str:
    derived = view.prov.get("wasDerivedFrom")
    if not view.prov:
        return "release the export prov"
    return "" if derived or not view.prov.get("entity") else "no trial was observed, so nothing was derived from a run"


def _to_metadata_qualified(view: View) -> str:
    works = many(view.datacite.get("relatedIdentifiers"))
    people = [
        name
        for one in (*many(view.datacite.get("creators")), *many(view.datacite.get("contributors")))
        for name in many(one.get("nameIdentifiers"))
    ]
    unclear = [one for one in works if not one.get("relationType")]
    unclear += [one for one in people if not one.get("nameIdentifierScheme")]
    if unclear:
        return "make the release anew: a reference does not say what it is"
    return "" if works or people else "add ORCID iDs of people or `related` works with their relation"


def _metadata_to_data_qualified(view: View) -> str:
    actions = view.entities("CreateAction")
    bare = [str(one.get("name")) for one in actions if not view.referred(one, "object")]
    if bare:
        return f"make the release anew: {', '.join(bare[:5])} do not say what they were done with"
    if not any(view.referred(one, "result") for one in actions):
        return "no trial has a result: release the campaign when one was observed"
    return ""


def _plural(view: View) -> str:
    absent = []
    variables = view.referred(view.root, "variableMeasured")
    if not variables or any(not one.get("name") for one in variables):
        absent.append("variables")
    if not view.entities("IndividualProduct"):
        absent.append("instruments")
    software = view.entities("SoftwareApplication")
    if not any(one.get("softwareVersion") for one in software):
        absent.append("versions of software")
    actions = view.entities("CreateAction")
    if not actions or any(not one.get("startTime") or not one.get("actionStatus") for one in actions):
        absent.append("trials with their times and ends")
    if not view.root.get("temporalCoverage"):
        absent.append("when the data were made")
    return (
        f"make the release anew from a campaign that has run: it does not tell of {', '.join(absent)}" if absent else ""
    )


def _licence(view: View) -> str:
    stated = view.referred(view.root, "license")
    return (
        "" if stated and view.datacite.get("rightsList") else "write `licence` into the project file, as in CC-BY-4.0"
    )


def _rights(view: View) -> list[Mapping[str, Any]]:
    return [one for one in view.datacite.get("rightsList", ()) if one.get("rightsIdentifierScheme") == "SPDX"]


def _standard_licence(view: View) -> str:
    from sdl.fair._licences import STANDARD

    named = [str(one.get("rightsIdentifier", "")) for one in _rights(view)]
    if any(name in STANDARD for name in named):
        return ""
    said = f"{', '.join(named)} is none that is widely used for data" if named else "no SPDX identifier is given"
    return f"choose a standard licence, as CC-BY-4.0 or CC0-1.0: {said}"


def _machine_licence(view: View) -> str:
    iris = [str(one.get("@id", "")) for one in view.referred(view.root, "license")]
    uris = [str(one.get("rightsUri", "")) for one in _rights(view)]
    known = any(_IRI.fullmatch(one) for one in iris) and any(_IRI.fullmatch(one) for one in uris)
    return "" if known else "name the licence by its SPDX identifier, as in CC-BY-4.0: it then has an IRI"


def _community_provenance(view: View) -> str:
    actions = view.entities("CreateAction")
    if not any(_PROFILE in str(one.get("@id")) for one in view.referred(view.root, "conformsTo")):
        return "release the export ro_crate, which follows Process Run Crate"
    bare = [
        str(one.get("name"))
        for one in actions
        if not view.referred(one, "instrument") or not view.referred(one, "agent")
    ]
    if bare:
        return f"name the people who ran it, with the role operator: nobody is said to have done {', '.join(bare[:5])}"
    return "" if actions else "release a campaign that has trials"


def _cross_provenance(view: View) -> str:
    absent = [part for part in ("entity", "activity", "agent", "wasGeneratedBy") if not view.prov.get(part)]
    return f"release the export prov: it has no {', '.join(absent)}" if absent else ""


def _metadata_standard(view: View) -> str:
    if not any(_CRATE in str(one) for one in many(view.crate.get("ro-crate-metadata.json", {}).get("conformsTo"))):
        return "release the export ro_crate"
    needed = [key for key in ("name", "description", "datePublished", "license") if not view.root.get(key)]
    needed += [key for key in ("creators", "titles", "publisher", "publicationYear") if not view.datacite.get(key)]
    return f"the crate or the DataCite record lacks {', '.join(needed)}" if needed else ""


def _data_standard(view: View) -> str:
    return "" if view.conforming(*_COMMUNITY) else "release nexus, maiml, rde or documents (event-model)"


def _metadata_standard_machine(view: View) -> str:
    return _metadata_form(view) or _metadata_meaning(view)


def _data_standard_machine(view: View) -> str:
    there = [file for file in view.conforming(*_COMMUNITY) if (view.folder / str(file["path"])).is_file()]
    machine = [file for file in there if _OPEN_FORMS.fullmatch(str(file.get("media_type", "")))]
    return "" if machine else "release nexus, maiml or documents: machines read them by their schemas"


CHECKS: Final = {
    "RDA-F1-02M": _unique_metadata,
    "RDA-F1-02D": _unique_data,
    "RDA-F2-01M": _rich,
    "RDA-F3-01M": _names_data,
    "RDA-A1-01M": _access,
    "RDA-I1-01M": _metadata_form,
    "RDA-I1-01D": _data_form,
    "RDA-I1-02M": _metadata_meaning,
    "RDA-I1-02D": _data_meaning,
    "RDA-I2-01M": _metadata_words,
    "RDA-I2-01D": _data_words,
    "RDA-I3-01M": _to_metadata,
    "RDA-I3-01D": _data_to_data,
    "RDA-I3-02M": _metadata_to_data,
    "RDA-I3-02D": _data_to_data_qualified,
    "RDA-I3-03M": _to_metadata_qualified,
    "RDA-I3-04M": _metadata_to_data_qualified,
    "RDA-R1-01M": _plural,
    "RDA-R1.1-01M": _licence,
    "RDA-R1.1-02M": _standard_licence,
    "RDA-R1.1-03M": _machine_licence,
    "RDA-R1.2-01M": _community_provenance,
    "RDA-R1.2-02M": _cross_provenance,
    "RDA-R1.3-01M": _metadata_standard,
    "RDA-R1.3-01D": _data_standard,
    "RDA-R1.3-02M": _metadata_standard_machine,
    "RDA-R1.3-02D": _data_standard_machine,
}
"""Indicator → what is to be mended; an empty text when it passes."""
