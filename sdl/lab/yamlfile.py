"""YAML files that people write: read with line numbers, checked against a record, every fault reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from sdl.model import FileFault, InputError

__all__ = ["YamlFile", "faults_of", "read_yaml"]

Path_ = tuple[str | int, ...]

MOST_BYTES = 1 << 20
"""Files above this size are refused: a campaign file may come from anyone, and reading YAML is slow."""
MOST_NODES = 200_000
"""Values that a file may hold once its aliases are written out."""
MOST_CHARACTERS = 360
"""Characters of one message; what is longer loses its middle."""
MOST_LEVELS = 64
"""Levels that a file may be nested."""


@dataclass(frozen=True)
class YamlFile:
    """The content of a YAML file as plain Python, and the line of each key."""

    name: str
    """The file as the user named it."""
    data: Any
    text: str
    lines: Mapping[Path_, int]
    """Path of keys and indices → 1-based line."""

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return Path(self.name).resolve()

    def line(self, path: Sequence[str | int]) -> int | None:
        """Line of the deepest known part of a path."""
        for end in range(len(path), 0, -1):
            if tuple(path[:end]) in self.lines:
                return self.lines[tuple(path[:end])]
        return None

    def fault(self, path: Sequence[str | int], message: str) -> FileFault:
        """A fault of this file at a path."""
        return FileFault(_readable(message), self.name, self.line(path), _dotted(path))


def _readable(text: str) -> str:
    """A message that quotes what a file holds, fit for one line of a terminal: no control characters, not endless."""
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS // 2]}…{text[-MOST_CHARACTERS // 3 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _dotted(path: Sequence[str | int]) -> str:
    return _readable(".".join(map(str, path)))


def read_yaml(path: str | Path) -> YamlFile:
    """Read a YAML 1.2 file whose top level is a mapping.

    Raises:
        InputError: the file is missing, is not UTF-8, or is not YAML; the message has the line.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    name = str(path)
    text = _text(path, name)
    reader = _Reader(name)
    try:
        data = reader.plain(_library(name).load(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        raise InputError([FileFault(_readable(f"not valid YAML: {problem}"), name, line)]) from None
    except RecursionError:
        raise InputError([FileFault("is nested too deeply, or holds itself", name)]) from None
    except (YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise InputError([FileFault(_readable(f"not valid YAML: {problem}"), name)]) from None
    except (LookupError, TypeError, AttributeError, AssertionError) as error:
        # The library is not total: `!!int ""`, `!!bool x` and the like end in one of these.
        message = f"not valid YAML: {type(error).__name__}: {error}"
        raise InputError([FileFault(_readable(message), name)]) from None
    if not isinstance(data, dict):
        raise InputError([FileFault("the top level must be a mapping of keys to values", name, 1)])
    return YamlFile(name, data, text, reader.lines)


def _library(name: str) -> Any:
    """The YAML library, with an end to nesting: its scanner's time grows with the square of the depth."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scanner import RoundTripScanner

    class Shallow(RoundTripScanner):
        def fetch_more_tokens(self) -> Any:
            if len(self.flow_context) + len(self.indents) > MOST_LEVELS:
                line = self.reader.get_mark().line + 1
                message = f"is nested too deeply: more than {MOST_LEVELS} levels"
                raise InputError([FileFault(message, name, line)])
            return super().fetch_more_tokens()

    library = YAML(typ="rt", pure=True)
    library.Scanner = Shallow
    return library


def _text(path: str | Path, name: str) -> str:
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise InputError([FileFault("cannot be read: it is not an ordinary file", name)])
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: bytes that are not UTF-8, or a path with a NUL in it
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([FileFault(f"cannot be read: {reason}", name)]) from None
    if len(content) > MOST_BYTES:
        limit = f"{MOST_BYTES >> 20} MiB"
        raise InputError([FileFault(f"is larger than {limit}; put tables into files of their own", name)])
    return text


class _Reader:
    """Turns what the YAML library returns into plain Python, and notes the line of each key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Path_, int] = {}
        self._nodes = 0

    def plain(self, node: Any, path: Path_ = ()) -> Any:
        """The node and all below it; aliases are written out, up to `MOST_NODES` in all."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._fault(f"holds more than {MOST_NODES} values; put tables into files of their own", ())
        if isinstance(node, Mapping):
            return self._mapping(node, path)
        if isinstance(node, list):
            for index in range(len(node)):
                self.lines[(*path, index)] = self._line(node, index, path)
            return [self.plain(value, (*path, index)) for index, value in enumerate(node)]
        return self._scalar(node, path)

    def _mapping(self, node: Mapping[Any, Any], path: Path_) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in node.items():
            here = (*path, str(key))
            self.lines[here] = self._line(node, key, path)
            if not isinstance(key, str | int | float):
                raise self._fault("a key must be a name", here)
            if str(key) in out:
                raise self._fault(f"key {str(key)!r} is given twice", here)
            out[str(key)] = self.plain(value, here)
        return out

    def _line(self, node: Any, key: Any, path: Path_) -> int:
        """1-based line of a key or item; of the whole for what a merge key (`<<`) brought in."""
        known = node.lc.data or {}
        line = known[key][0] if key in known else node.lc.line
        return int(line) + 1 if line is not None else self.lines.get(path, 1)

    def _scalar(self, node: Any, path: Path_) -> Any:
        from ruamel.yaml.scalarbool import ScalarBoolean

        if isinstance(node, ScalarBoolean):  # an int, for the library
            return bool(node)
        if node is None or isinstance(node, bool):
            return node
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        if isinstance(node, date):
            return node.isoformat()
        tag = getattr(getattr(node, "tag", None), "value", None)
        what = f"the tag {tag}" if tag else f"a value of type {type(node).__name__}"
        raise self._fault(f"{what} has no place here", path)

    def _fault(self, message: str, path: Path_) -> InputError:
        line = self.lines.get(path)
        return InputError([FileFault(_readable(message), self.name, line, _dotted(path))])


def faults_of(error: ValidationError, model: type[BaseModel], file: YamlFile) -> list[FileFault]:
    """The faults of a validation error in terms of the file: path, line, and the nearest known key."""
    faults = []
    for item in error.errors(include_url=False):
        path, owner, own = _locate(item["loc"], model, file.data)
        about = own if item["type"].startswith("union_tag") else owner
        faults.append(file.fault(path, _message(dict(item), path, about)))
    return faults


def _message(item: Mapping[str, Any], path: Path_, owner: Any) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _fields(owner)
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(known)}")
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_not_found":
        return f"`kind` is missing; one of {', '.join(map(repr, _tags(owner)))}"
    if kind == "union_tag_invalid":
        tag = item["ctx"]["tag"]
        near = difflib.get_close_matches(str(tag), _tags(owner), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown kind {tag!r}, expected one of {item['ctx']['expected_tags']}{hint}"
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = isinstance(given, str | int | float | bool) and kind != "value_error"
    return f"{message} (got {given!r})" if shown else message


def _fields(owner: Any) -> list[str]:
    if not (isinstance(owner, type) and issubclass(owner, BaseModel)):
        return []
    return [field.alias or name for name, field in owner.model_fields.items()]


def _tags(owner: Any) -> list[str]:
    return [str(tag) for member in _members(owner) for tag in _tag(member)]


def _members(owner: Any) -> tuple[Any, ...]:
    """The members of a union, annotations stripped; a single type is its own member."""
    if get_origin(owner) is Annotated:
        return _members(get_args(owner)[0])
    if get_origin(owner) in (Union, UnionType):
        return tuple(m for member in get_args(owner) for m in _members(member) if m is not type(None))
    return (owner,)


def _tag(member: Any) -> tuple[Any, ...]:
    if isinstance(member, type) and issubclass(member, BaseModel) and "kind" in member.model_fields:
        annotation = member.model_fields["kind"].annotation
        return get_args(annotation) if get_origin(annotation) is Literal else ()
    # Members of a union without a `kind` are told apart by what they hold, and tagged with their names.
    return (member.__name__,) if isinstance(member, type) and issubclass(member, BaseModel) else ()


def _locate(loc: Sequence[str | int], model: Any, data: Any) -> tuple[Path_, Any, Any]:
    """Walk a pydantic location through the raw data and the types at once.

    Returns the path in the file, the type that owns its last element, and the type of that element. Tags of unions
    are no part of the path, and an index into a mapping (records keep named things as sequences) is the name at that
    place.
    """
    path: Path_ = ()
    owner: Any = model
    current: Any = model
    for element in loc:
        members = _members(current)
        chosen = [m for m in members if element in _tag(m)]
        if chosen and not (isinstance(data, Mapping) and element in data):
            current = chosen[0]
            continue
        owner = members[0] if len(members) == 1 else current
        if isinstance(data, Mapping) and isinstance(element, int):
            element = list(data)[element] if element < len(data) else element
        data, current = _descend(data, element), _type_at(members, element)
        path = (*path, element)
    return path, owner, current


def _descend(data: Any, element: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(str(element))
    if isinstance(data, list) and isinstance(element, int) and element < len(data):
        return data[element]
    return None


def _type_at(members: Sequence[Any], element: str | int) -> Any:
    for member in members:
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                if element in (name, field.alias):
                    return field.annotation
        arguments = get_args(member)
        if get_origin(member) is tuple and arguments:
            return arguments[0]
        if get_origin(member) in (dict, Mapping) and len(arguments) == 2:
            return arguments[1]
    return None
