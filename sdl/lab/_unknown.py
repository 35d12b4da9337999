"""Replies for plans whose messages nobody executes: values that may be passed on, and that nobody can look into."""

from __future__ import annotations

from typing import Any

from bluesky import Msg, RunEngine

__all__ = ["NeedsData", "Replies"]

_SILENT = frozenset({
    "checkpoint", "clear_checkpoint", "create", "drop", "monitor", "null", "rewindable", "save", "sleep", "stop",
    "unmonitor", "unsubscribe",
})  # fmt: skip
"""Commands that the RunEngine answers with None."""


class NeedsData(BaseException):
    """The plan depends on a value that only an execution gives. No `except Exception` of a plan catches it."""


class _Unknown:
    """A value that is not known. Arithmetic gives another one; a decision or a number taken from it is `NeedsData`."""

    __slots__ = ("_replies",)

    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    def _same(self, *args: Any, **options: Any) -> _Unknown:
        return self

    def _refuse(self, *args: Any) -> Any:
        self._replies.asked = True
        if self._replies.over:
            raise RuntimeError("a value from the check of a plan was kept beyond that check; keep no state in plans")
        raise NeedsData

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # how numpy and others ask what this is
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> _Unknown:
        return self

    def __str__(self) -> str:
        return "?"

    def __format__(self, spec: str) -> str:
        return "?"

    __hash__ = object.__hash__
    __call__ = __round__ = __abs__ = __neg__ = __pos__ = _same
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = _same
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = _same
    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refuse
    __float__ = __int__ = __index__ = __complex__ = __len__ = __iter__ = __contains__ = _refuse


class _Readings(dict[str, Any]):
    """A reading whose keys may not be known before it is taken."""

    def __init__(self, keys: list[str], unknown: _Unknown) -> None:
        super().__init__({key: {"value": unknown, "timestamp": unknown} for key in keys})
        self._unknown = unknown

    def __missing__(self, key: str) -> Any:
        return self._unknown


class Replies:
    """What a plan gets for its messages. Nothing is asked of any device."""

    def __init__(self) -> None:
        self.asked = False
        """Whether the plan has depended on a value that is not known."""
        self.over = False
        """Whether the check has ended."""
        self._unknown = _Unknown(self)

    def to(self, msg: Msg) -> Any:
        """The reply to a message."""
        command = msg.command
        if command in _SILENT:
            return None
        if command == "read":
            return _Readings(_keys(msg.obj), self._unknown)
        if command == "locate":
            location = {"setpoint": self._unknown, "readback": self._unknown}
            return location if not msg.args and msg.kwargs.get("squeeze", True) else [location] * (1 + len(msg.args))
        if command in ("stage", "unstage"):
            return [msg.obj]
        if command in ("open_run", "close_run"):
            return "00000000-0000-0000-0000-000000000000"
        return RunEngine if command == "RE_class" else self._unknown

    def known(self, value: Any) -> bool:
        """Whether a value, which may be in a message, is known."""
        return value is not self._unknown


def _keys(obj: Any) -> list[str]:
    """Keys of a reading as far as the object tells without being asked: names of an ophyd-async device's signals."""
    children = getattr(obj, "children", None)
    if not callable(children):
        return []
    found = [key for _, child in children() for key in _keys(child)]
    return found or [obj.name]
