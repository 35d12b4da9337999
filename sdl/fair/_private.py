"""What a release must not tell: folders of machines, names of accounts, and who holds a session where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from sdl.journal import Entry
from sdl.model.project import Person

__all__ = ["Discretion", "without_folders"]

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


def without_folders(text: str) -> str:
    """A text in which each absolute path is only its last part."""
    if "/" not in text and "\\" not in text:
        return text
    if _WHOLE.fullmatch(text):  # names of folders may hold blanks
        path = PurePosixPath(text) if text.startswith("/") else PureWindowsPath(text)
        return text if str(path).startswith(_KEPT) else path.name
    shown = _POSIX.sub(lambda found: found[0] if found[1] in _KEPT else found[2], text)
    return _WINDOWS.sub(lambda found: found[1], shown)
