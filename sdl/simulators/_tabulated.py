"""Server of an instrument that answers from a table; `sdl.simulators.tabulated` describes its protocol."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from sdl.lab.tables import Table
from sdl.model import Scalar
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import Handler, ScpiRefusal, ScpiServer, number, quoted, text

__all__ = ["NO_SUCH_EXPERIMENT", "REMEMBERED", "TabulatedServer"]

NO_SUCH_EXPERIMENT = 101
"""The instrument's own error: no row of the table has the inputs that were set."""
REMEMBERED = 1000
"""Action ids that the instrument remembers."""
_LONGEST_ID = 200
Key = tuple[Scalar, ...]


class TabulatedServer(ScpiServer):
    """Serves one table.

    A measurement answers with one of the measured rows that have the inputs set, unchanged.

    Args:
        table: rows that were measured.
        probe: faults and log.
        clock: lab time.
        seed: of the order of replicates.
        duration: of a measurement, lab s.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which it aborts; None for never.
    """

    def __init__(
        self,
        table: Table,
        probe: Probe,
        clock: Clock,
        *,
        seed: int,
        duration: float = 0.0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        self._table, self._clock, self._seed, self._duration = table, clock, seed, duration
        self._position = {key: i for i, key in enumerate(table.groups)}
        self._visits = dict.fromkeys(table.groups, 0)
        self._set: dict[str, Scalar] = {}
        self._measured: dict[str, float] = {}
        self._known_ids: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._under_way = ""
        super().__init__(
            probe,
            identity="sdl,table of experiments,0,1.0",
            commands=self._own_commands(),
            latency=latency,
            deadman=deadman,
        )

    async def reset(self) -> None:
        """No input set, nothing measured; action ids stay remembered."""
        await super().reset()
        self._set, self._measured = {}, {}

    def draw(self, key: Key) -> dict[str, float]:
        """Outcomes of the next replicate of a setting, as they were measured."""
        rows, visit = self._table.groups[key], self._visits[key]
        self._visits[key] += 1
        cycle, place = divmod(visit, len(rows))
        order = np.random.default_rng([self._seed, self._position[key], cycle]).permutation(len(rows))
        return self._row(rows[order[place]])

    def draw_for(self, key: Key, action_id: str) -> dict[str, float]:
        """Outcomes of the replicate of a setting that belongs to an action id."""
        rows = self._table.groups[key]
        digest = hashlib.sha256(f"{self._seed}\n{self._position[key]}\n{action_id}".encode()).digest()
        return self._row(rows[int.from_bytes(digest) % len(rows)])

    def _row(self, row: int) -> dict[str, float]:
        return {name: column[row] for name, column in self._table.outcomes.items()}

    def _own_commands(self) -> dict[str, Handler]:
        return {
            "TABLe:INPut": self._set_input,
            "TABLe:INPut?": self._get_input,
            "TABLe:OUTCome?": self._get_outcome,
            "TABLe:CATalog?": self._catalog,
            "INITiate[:IMMediate]": self._initiate,
            "TABLe:INITiate": self._initiate_once,
            "TABLe:RECord?": self._get_record,
        }

    async def _set_input(self, parameters: list[str]) -> None:
        if len(parameters) != 2:
            raise ScpiRefusal(-109 if len(parameters) < 2 else -108)
        name = self._known(parameters[0], self._table.inputs)
        value = text(parameters[1]) if parameters[1].startswith('"') else number(parameters[1])
        if isinstance(value, str) != isinstance(self._table.inputs[name][0], str):
            kind = "text" if isinstance(value, str) else "a number"
            raise ScpiRefusal(-224, f"{name} cannot be {kind}")
        if not self.probe.faults.stuck:
            self._set[name] = value
            self.probe.record("set", input=name, value=value)

    async def _get_input(self, parameters: list[str]) -> bytes:
        name = self._known(parameters[0] if parameters else "", self._table.inputs)
        if name not in self._set:
            raise ScpiRefusal(-230, f"{name} is not set")
        return _encode(self._set[name])

    async def _get_outcome(self, parameters: list[str]) -> bytes:
        name = self._known(parameters[0] if parameters else "", self._table.outcomes)
        if name not in self._measured or self.measuring:
            raise ScpiRefusal(-230, "nothing measured yet")
        return _encode(self._measured[name])

    async def _catalog(self, parameters: list[str]) -> bytes:
        kind = parameters[0].upper() if len(parameters) == 1 else ""
        if kind not in ("INP", "INPUT", "OUTC", "OUTCOME"):
            raise ScpiRefusal(-224, kind)
        names = self._table.inputs if kind.startswith("INP") else self._table.outcomes
        return b",".join(quoted(name) for name in names)

    async def _initiate(self, _: list[str]) -> None:
        self._measure("")

    async def _initiate_once(self, parameters: list[str]) -> None:
        action_id = _action_id(parameters)
        executing = self._executing(action_id)
        if self.measuring and not executing:
            raise ScpiRefusal(-213, "an acquisition is under way")
        if not executing and action_id not in self._known_ids:
            self._measure(action_id)
            return
        self.probe.record("repeated", id=action_id, executing=executing)
        if not executing:
            self._known_ids.move_to_end(action_id)
            self._measured = self._known_ids[action_id]

    async def _get_record(self, parameters: list[str]) -> bytes:
        action_id = _action_id(parameters)
        return b"1" if self._executing(action_id) or action_id in self._known_ids else b"0"

    def _executing(self, action_id: str) -> bool:
        return self.measuring and self._under_way == action_id

    def _measure(self, action_id: str) -> None:
        key, inputs = self._find(), dict(self._set)

        async def measure() -> None:
            await self._clock.sleep(self._duration)
            self._measured = self.draw_for(key, action_id) if action_id else self.draw(key)
            self.probe.record("measured", **named, inputs=inputs, outcomes=self._measured)
            if action_id:
                self._known_ids[action_id] = self._measured
                while len(self._known_ids) > REMEMBERED:
                    self._known_ids.popitem(last=False)

        named = {"id": action_id} if action_id else {}
        self.begin(measure)
        self._under_way = action_id
        self.probe.record("init", **named, inputs=inputs)

    def _find(self) -> Key:
        """Setting of the table that has the inputs set."""
        unset = [name for name in self._table.inputs if name not in self._set]
        if unset:
            raise ScpiRefusal(-200, f"not set: {', '.join(unset)}")
        key = self._table.find(self._set)
        if key is None:
            nearest = zip(self._table.inputs, self._table.nearest(self._set), strict=True)
            row = ", ".join(f"{name} = {_shown(value)}" for name, value in nearest)
            raise ScpiRefusal(NO_SUCH_EXPERIMENT, f"no such experiment in the table; nearest: {row}")
        return key

    @staticmethod
    def _known(parameter: str, names: Mapping[str, object]) -> str:
        name = text(parameter)
        if name not in names:
            raise ScpiRefusal(-224, f"no {name!r}, only {', '.join(names)}")
        return name


def _action_id(parameters: list[str]) -> str:
    if len(parameters) != 1:
        raise ScpiRefusal(-109 if not parameters else -108)
    action_id = text(parameters[0])
    if not 0 < len(action_id) <= _LONGEST_ID:
        raise ScpiRefusal(-224, f"an action id has 1 to {_LONGEST_ID} characters, not {len(action_id)}")
    return action_id


def _encode(value: Scalar) -> bytes:
    return quoted(value) if isinstance(value, str) else repr(float(value)).encode()


def _shown(value: Scalar) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"
