"""What a release must not tell: folders of machines, names of accounts, and who holds a session where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from sdl.journal import Entry
from sdl.model.project import Person

__all__ = ["Discretion", "texts_of", "without_folders"]

_PART = r"[^\s/'\"<>|:;,()\[\]{}\\]"
_POSIX: Final = re.compile(rf"(?:file://(?:localhost)?|(?<![\w.:/~\-]))(/{_PART}+)(?:/{_PART}+)*/({_PART}*)")
_WINDOWS: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:\\(?:[^\\\s:*?\"<>|]+\\)*([^\\\s:*?\"<>|]*)")
_WHOLE: Final = re.compile(r"(?:/[^/\n]+){2,}/?|[A-Za-z]:\\[^\n]*")
_KEPT: Final = ("/dev",)
"""First parts of paths that are the same on every machine."""
_PLAIN: Final = frozenset({int, float, bool, type(None)})
"""Types of values that tell nothing; most lists are readings, and long."""
_WITHHELD: Final = "withheld"
_SIGNED: Final = "person:"


@dataclass
class Discretion:
    """Takes out of entries what identifies machines and accounts; the same account always gets the same name."""

    people: Sequence[Person] = ()
    """Those who may be named, because the project does."""
    _known: dict[str, str] = field(default_factory=dict, init=False)
    _unnamed: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for person in self.people:
            for alias in (person.name, person.name_ja, person.orcid or "", *person.accounts):
                if alias:
                    self._known.setdefault(alias.casefold(), person.name)

    @property
    def operators(self) -> tuple[str, ...]:
        """Names, as released, of all whom entries named so far."""
        return tuple(dict.fromkeys(self._unnamed.values()))

    def person(self, account: str) -> str:
        """The name under which a release tells of somebody: the project's, or `operator N`."""
        if account not in self._unnamed:
            others = sum(name.startswith("operator ") for name in self._unnamed.values())
            self._unnamed[account] = self._known.get(account.casefold(), f"operator {others + 1}")
        return self._unnamed[account]

    def who(self, by: str) -> str:
        """Whoever decided, as released: `person:hana` becomes a name, anything else stays."""
        return self.person(by.removeprefix(_SIGNED)) if by.startswith(_SIGNED) else by

    def clean(self, entry: Entry) -> tuple[Entry, tuple[str, ...]]:
        """The entry as it may be shown, and the places in its body that were changed."""
        if _tells_nothing(entry.body):
            return entry, ()
        changed: list[str] = []
        body = self._value(entry.body, "", changed)
        return (entry._replace(body=body), tuple(changed)) if changed else (entry, ())

    def _value(self, value: Any, at: str, changed: list[str]) -> Any:
        if isinstance(value, str):
            return self._text(value, at, changed)
        if isinstance(value, Mapping):
            return {key: self._value(item, f"{at}.{key}" if at else key, changed) for key, item in value.items()}
        if isinstance(value, list) and not _PLAIN.issuperset(map(type, value)):
            return [self._value(item, f"{at}[{index}]", changed) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, at: str, changed: list[str]) -> str:
        shown: str
        if at == "holder" or ".accounts[" in at:  # of a session; of a person of the project
            shown = _WITHHELD if text else text
        elif at == "by" or at.endswith(".by"):
            shown = f"{_SIGNED}{self.who(text)}" if text.startswith(_SIGNED) else text
        else:
            shown = without_folders(text)
        if shown != text:
            changed.append(at)
        return shown


def _tells_nothing(value: Any) -> bool:
    """Whether nothing in a value can have to be left out; found without the places, of which most entries need none."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is str:
        return ("/" not in value and "\\" not in value) or without_folders(value) == value
    if kind is dict:
        return all(_tells_nothing(item) and not _names_somebody(key) for key, item in value.items())
    return kind is list and (_PLAIN.issuperset(map(type, value)) or all(map(_tells_nothing, value)))


def texts_of(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, behind its place as `clean` names it."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_of(item, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_of(item, f"{at}[{index}]")


@lru_cache(4096)
def _names_somebody(key: str) -> bool:
    """Whether what stands under a key may name a person or a session: `by`, `holder`, `accounts`."""
    return key.endswith("by") or key == "holder" or "accounts" in key


@lru_cache(4096)
def without_folders(text: str) -> str:
    """A text in which each absolute path is only its last part."""
    if "/" not in text and "\\" not in text:
        return text
    if _WHOLE.fullmatch(text):  # names of folders may hold blanks
        path = PurePosixPath(text) if text.startswith("/") else PureWindowsPath(text)
        return text if str(path).startswith(_KEPT) else path.name
    shown = _POSIX.sub(lambda found: found[0] if found[1] in _KEPT else found[2], text)
    return _WINDOWS.sub(lambda found: found[1], shown)
