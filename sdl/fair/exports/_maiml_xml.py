"""Elements of MaiML: objects with id and UUID, references, properties; texts as XML can hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sdl.fair.exports._parts import identifier
from sdl.fair.record import CampaignRecord

__all__ = ["Writer", "add", "key_name", "root", "text_property", "to_bytes", "xml_text"]

_NAMESPACES = {
    "xmlns": "http://www.maiml.org/schemas",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xmlns:concept": "http://www.xes-standard.org/concept.xesext#",
    "xmlns:lifecycle": "http://www.xes-standard.org/lifecycle.xesext#",
    "xmlns:time": "http://www.xes-standard.org/time.xesext#",
    "xmlns:sdl": "https://w3id.org/sdl/terms#",
}
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def root() -> Element:
    """The root element."""
    return Element("maiml", {**_NAMESPACES, "version": "1.0", "xsi:type": "maimlRootType"})


def xml_text(text: str) -> str:
    """A text with what XML 1.0 cannot hold (control characters) written as in JSON, `\\u0007`."""
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text).replace("\r", "\\r")


def key_name(key: str) -> str:
    """A key as a qualified name: in the namespace of sdl unless it has a prefix that the root binds."""
    prefix, _, local = key.partition(":")
    if f"xmlns:{prefix}" in _NAMESPACES and local:
        return key
    name = re.sub(r"[^\w.-]|[\ud800-\udfff]", "_", key)
    return f"sdl:{name}" if re.match(r"[^\W\d]", name) else f"sdl:_{name}"


def add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """A child element."""
    made = SubElement(parent, tag, attributes)
    if text:
        made.text = xml_text(text)
    return made


def text_property(parent: Element, key: str, text: str, kind: str = "stringType") -> None:
    """A property that is a text; none where the text is empty."""
    if text:
        made = SubElement(parent, "property", {"xsi:type": kind, "key": key_name(key)})
        add(made, "value", text)


def to_bytes(whole: Element) -> bytes:
    """The file's content."""
    indent(whole, " ")
    text: str = tostring(whole, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode(errors="xmlcharrefreplace")


@dataclass
class Writer:
    """Makes objects; their UUIDs are the same whenever the same run is written."""

    record: CampaignRecord
    run: str
    _references: int = field(default=0, init=False)

    def object(
        self, parent: Element, tag: str, id: str, description: str = "", *, lasting: bool = False, ref: str = ""
    ) -> Element:
        """An object with its id, UUID and description.

        Args:
            parent: where it goes.
            tag: name of the element.
            id: id within the file.
            description: for people.
            lasting: a person, firm or instrument, which has one UUID in all files.
            ref: id of the template that it is an instance of.
        """
        made = SubElement(parent, tag, {"id": id} | ({"ref": ref} if ref else {}))
        uuid = uuid5(NAMESPACE_URL, f"{tag}:{description}") if lasting else identifier(self.record, self.run, id)
        add(made, "uuid", str(uuid))
        if description:
            add(made, "description", description)
        return made

    def reference(self, parent: Element, tag: str, ref: str) -> None:
        """A reference, with an id of its own."""
        self._references += 1
        add(parent, tag, id=f"ref{self._references}", ref=ref)
