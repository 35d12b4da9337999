"""JPCOAR 2.1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.released import PROJECT, made_record
from support.validators import validate

from sdl.fair.exports import jpcoar
from sdl.fair.exports._jpcoar_rules import NAMESPACES
from sdl.fair.record import CampaignRecord
from sdl.model.project import Access, AccessPolicy


def content(record: CampaignRecord | None = None) -> str:
    return jpcoar.document(record or made_record()).decode()


def test_a_full_project_satisfies_every_rule() -> None:
    """The record of a full project has no fault, and says in both languages who made what with whose money."""
    text = content()
    assert jpcoar.faults(text.encode()) == []
    for wanted in (
        '<dc:title xml:lang="ja">望みのスペクトルをもつ銀ナノ粒子</dc:title>',
        '<jpcoar:nameIdentifier nameIdentifierScheme="e-Rad_Researcher">20123456</jpcoar:nameIdentifier>',
        '<jpcoar:affiliationName xml:lang="ja">例示大学</jpcoar:affiliationName>',
        '<dcterms:accessRights rdf:resource="http://purl.org/coar/access_right/c_f1cf">embargoed access<',
        '<datacite:date dateType="Available">2027-04-01</datacite:date>',
        '<jpcoar:awardNumber awardNumberType="JGN">JPMJPF9999</jpcoar:awardNumber>',
        '<jpcoar:identifier identifierType="DOI">https://doi.org/10.5555/silver.1</jpcoar:identifier>',
    ):
        assert wanted in text


BREAKS = {
    "order": ("<dc:language>eng</dc:language>", "", "<dc:language>eng</dc:language>", "belongs before"),
    "title": ("dc:title", "dcterms:alternative", "", "dc:title is missing"),
    "access": ("embargoed access", "secret", "", "not a pair"),
    "access uri": ("c_f1cf", "c_abf2", "", "not a pair"),
    "embargo": ('dateType="Available"', 'dateType="Issued"', "", "an embargo needs"),
    "date": ("2027-04-01", "2027-02-30", "", "is no date"),
    "e-Rad": ("20123456", "2012", "", "is no e-Rad_Researcher"),
    "orcid": (">0000-0002-1825-0097", ">0000-0002", "", "is no ORCID"),
    "scheme": ('"ORCID"', '"Twitter"', "", "not in the vocabulary"),
    "relation": ("isSupplementTo", "isNear", "", "not in the vocabulary"),
    "doi": (">https://doi.org/10.5555/silver.1", ">10.5555/silver.1", "", "a DOI is written"),
    "namespace": ("master/2.1/", "master/1.0/", "", "not jpcoar:jpcoar of version 2.1"),
    "language": (' xml:lang="ja">望み', ">望み", "", "xml:lang"),
    "empty": (">JPMJPF9999<", "><", "", "is empty"),
    "well-formed": ("</jpcoar:jpcoar>", "", "", "no well-formed XML"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_copy_is_refused(how: str) -> None:
    """Each way of breaking the record is a fault that says what is wrong."""
    old, new, moved, message = BREAKS[how]
    text = content()
    assert old in text
    text = text.replace(old, new)
    if moved:
        text = text.replace("</jpcoar:jpcoar>", f"{moved}</jpcoar:jpcoar>")
    assert any(message in fault for fault in jpcoar.faults(text.encode()))


@pytest.mark.parametrize("level", ["open", "shared", "closed"])
def test_each_level_of_access_has_its_word(level: str) -> None:
    """Open, shared and closed data are written in COAR's words, with the day of issue instead of an embargo's end."""
    access = Access(level=level)  # type: ignore[arg-type]
    policy = AccessPolicy(metadata=Access(level="open"), data=access)
    text = content(made_record(project=PROJECT.model_copy(update={"access": policy})))
    assert jpcoar.faults(text.encode()) == []
    assert 'dateType="Available"' not in text
    assert 'dateType="Issued"' in text


def test_a_campaign_without_doi_has_an_identifier_all_the_same() -> None:
    """Without a DOI the identifier is a URN that is the same for the same campaign."""
    record = made_record(project=PROJECT.model_copy(update={"identifier": ""}))
    text = content(record)
    assert '<jpcoar:identifier identifierType="URI">urn:uuid:' in text
    assert text == content(record)
    assert jpcoar.faults(text.encode()) == []


def test_texts_that_xml_cannot_hold_are_written_as_in_json() -> None:
    """A control character in a title leaves the record well-formed."""
    record = made_record(project=PROJECT.model_copy(update={"title": "a\x07b <&> 🧪"}))
    text = content(record)
    assert jpcoar.faults(text.encode()) == []
    assert "a\\u0007b &lt;&amp;&gt; 🧪" in text


def test_the_official_schema_accepts_the_record_and_refuses_a_broken_one(tmp_path: Path) -> None:
    """The XSD of JPCOAR, where SDL_JPCOAR_XSD names a copy of it (it has no licence and does not come with sdl)."""
    schema = os.environ.get("SDL_JPCOAR_XSD")
    if not schema:
        pytest.skip("set SDL_JPCOAR_XSD to jpcoar_scm.xsd of github.com/JPCOAR/schema, folder 2.1")
    (file,) = jpcoar.write(made_record(), tmp_path)
    ok, text = validate("jpcoar", tmp_path / file.path, Path(schema))
    assert ok, text
    broken = tmp_path / "broken.xml"
    broken.write_text(content().replace("isSupplementTo", "isNear"))
    assert not validate("jpcoar", broken, Path(schema))[0]


def test_the_rules_know_the_namespaces_of_the_standard() -> None:
    """Records are in the namespace of version 2.1."""
    assert NAMESPACES["jpcoar"].endswith("/2.1/")
