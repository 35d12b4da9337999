"""Remembered action ids of the tabulated instrument: a measurement that was started once is not started again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sdl.model import InputError
from sdl.simulators.tabulated import REMEMBERED, TabulatedSimulation

Dial = Callable[[str], Awaitable[Any]]
ROWS = 24
SET = 'TABL:INP "x",1'


class Rig:
    """A simulated instrument with 24 replicates of one setting and one row of another."""

    def __init__(self, folder: Path, dial: Dial, seed: int = 1, duration: str = "0 s") -> None:
        table = folder / "table.csv"
        table.write_text("x,y\n" + "".join(f"1,{100 + row}\n" for row in range(ROWS)) + "2,7\n")
        self._dial = dial
        self.simulation = TabulatedSimulation(
            {"rig": {}}, seed=seed, speed=100.0, table=table, inputs={"x": {}}, outcomes={"y": {}}, duration=duration
        )

    async def start(self) -> Rig:
        self.address = (await self.simulation.start())["rig"]
        self.line = await self._dial(self.address)
        return self

    async def ask(self, message: str) -> str:
        return str(await self.line.scpi(message))

    async def result(self, command: str) -> float:
        """Start a measurement and wait for what it gives."""
        done, _, value = (await self.ask(f'{SET};:{command};*OPC?;:TABL:OUTC? "y"')).partition(";")
        assert done == "1"
        return float(value)

    def actions(self, *names: str) -> list[dict[str, Any]]:
        return [entry for entry in self.simulation.probes[0].log if entry["action"] in names]


@pytest.fixture
async def rig(tmp_path: Path, dial: Dial) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Starts instruments."""
    rigs: list[Rig] = []

    async def start(**settings: Any) -> Rig:
        rigs.append(Rig(tmp_path, dial, **settings))
        return await rigs[-1].start()

    yield start
    for each in rigs:
        await each.simulation.stop()


async def test_an_id_is_carried_out_once(rig: Callable[..., Awaitable[Rig]]) -> None:
    """The same id again: nothing is drawn, its own result is there again, whatever was measured or set since."""
    one = await rig()
    assert await one.ask('TABL:REC? "a"') == "0"
    first = await one.result('TABL:INIT "a"')
    assert await one.ask('TABL:REC? "a"') == "1"
    others = [await one.result(f'TABL:INIT "{name}"') for name in "bcdef"]
    assert any(value != first for value in others)
    assert await one.ask('*RST;TABL:INIT "a";*OPC?;:TABL:OUTC? "y";:SYST:ERR?') == f'1;{first};0,"No error"'
    assert await one.ask('TABL:INP "x",2;:TABL:INITIATE "a";*OPC?;:TABLE:OUTCOME? "y"') == f"1;{first}"
    assert len(one.actions("measured")) == len(one.actions("init")) == 6
    assert [(e["id"], e["executing"]) for e in one.actions("repeated")] == [("a", False)] * 2


async def test_ids_are_known_to_every_connection(rig: Callable[..., Awaitable[Rig]], dial: Dial) -> None:
    """Who comes back after a cut asks over a new connection and learns what became of it."""
    one = await rig()
    first = await one.result('TABL:INIT "trial-1/step-2/3 ""x"""')
    await one.line.close()
    again = await dial(one.address)
    assert await again.scpi('TABL:REC? "trial-1/step-2/3 ""x""";:TABL:REC? "trial-1"') == "1;0"
    assert await again.scpi('TABL:INIT "trial-1/step-2/3 ""x""";:TABL:OUTC? "y"') == repr(first)


async def test_an_id_that_is_being_carried_out_goes_on(rig: Callable[..., Awaitable[Rig]]) -> None:
    """The same id again: no error, and one measurement; any other is refused with -213 and was not carried out."""
    one = await rig(duration="30 s")
    assert await one.ask(f'{SET};:TABL:INIT "a";:TABL:REC? "a";:STAT:OPER:COND?') == "1;16"
    assert await one.ask('TABL:INIT "a";:SYST:ERR?;:TABL:OUTC? "y"') == '0,"No error"'
    assert (await one.ask("SYST:ERR?")).startswith("-230,")
    assert (await one.ask('TABL:INIT "b";:SYST:ERR?')).startswith("-213,")
    assert (await one.ask("INIT;:SYST:ERR?")).startswith("-213,")
    assert await one.ask('*OPC?;:TABL:REC? "b";:TABL:REC? "a"') == "1;0;1"
    assert [len(one.actions(name)) for name in ("init", "measured", "repeated")] == [1, 1, 1]


async def test_an_aborted_id_was_not_carried_out(rig: Callable[..., Awaitable[Rig]]) -> None:
    """ABORt before the result: the record says 0, and the same id starts anew."""
    one = await rig(duration="30 s")
    assert await one.ask(f'{SET};:TABL:INIT "a";:ABOR;:TABL:REC? "a"') == "0"
    assert one.actions("measured") == []
    await one.result('TABL:INIT "a"')
    assert [entry["action"] for entry in one.actions("init", "abort", "measured")] == [
        "init",
        "abort",
        "init",
        "measured",
    ]


async def test_a_refused_id_was_not_carried_out(rig: Callable[..., Awaitable[Rig]]) -> None:
    """Inputs not set, no such experiment, no id or a bad one: an error, and nothing to remember."""
    one = await rig()
    for message, code in (
        ('TABL:INIT "a"', -200),
        ('TABL:INP "x",1.5;:TABL:INIT "a"', 101),
        ('TABL:INIT ""', -224),
        (f'TABL:INIT "{"a" * 201}"', -224),
        ("TABL:INIT", -109),
        ('TABL:INIT "a","b"', -108),
        ("TABL:INIT a", -151),
        ("TABL:REC", -113),
    ):
        assert (await one.ask(f"{message};:SYST:ERR?")).startswith(f"{code},"), message
    assert await one.ask('TABL:REC? "a"') == "0"
    assert one.actions("init", "measured") == []


async def test_a_lost_answer_is_found_in_the_record(rig: Callable[..., Awaitable[Rig]]) -> None:
    """INIT whose answer is lost was carried out, one that hung was not, and the record tells them apart."""
    one = await rig()
    await one.ask(f"{SET};*OPC?")
    for fault, recorded in (("lose", "1"), ("hang", "0")):
        one.simulation.probes[0].faults.inject(fault, count=1)
        one.line.send(f'TABL:INIT "{fault}";:SYST:ERR?\n'.encode())
        await asyncio.sleep(0.05)
        assert await one.ask(f'TABL:REC? "{fault}"') == recorded
    assert [entry["id"] for entry in one.actions("measured")] == ["lose"]


async def test_the_draw_depends_on_seed_setting_and_id_alone(rig: Callable[..., Awaitable[Rig]]) -> None:
    """Another order, other measurements in between, another process: an id gets its replicate; another seed differs."""
    names = [f"id-{number}" for number in range(12)]
    one, two, other = await rig(), await rig(), await rig(seed=2)
    first = {name: await one.result(f'TABL:INIT "{name}"') for name in names}
    second = {}
    for name in reversed(names):
        await two.result("INIT")
        second[name] = await two.result(f'TABL:INIT "{name}"')
    third = {name: await other.result(f'TABL:INIT "{name}"') for name in names}
    assert first == second
    assert first != third
    assert len(set(first.values())) > 4


async def test_plain_measurements_draw_as_if_there_were_no_ids(rig: Callable[..., Awaitable[Rig]]) -> None:
    """INITiate gives each replicate once before any twice, in the order of the seed, with or without ids between."""
    plain, mixed = await rig(), await rig()
    expected = [await plain.result("INIT") for _ in range(ROWS)]
    assert sorted(expected) == [100.0 + row for row in range(ROWS)]
    got = []
    for number in range(ROWS):
        await mixed.result(f'TABL:INIT "{number}"')
        got.append(await mixed.result("INIT"))
    assert got == expected
    assert "id" not in plain.actions("measured")[0]


async def test_the_last_thousand_ids_are_remembered(rig: Callable[..., Awaitable[Rig]]) -> None:
    """A thousand ids later the first is still known and keeps its result; beyond that, the longest unused goes."""
    one = await rig()
    first = await one.result('TABL:INIT "0"')
    for number in range(1, REMEMBERED):
        await one.ask(f'TABL:INIT "{number}";*OPC?')
    assert await one.ask('TABL:REC? "0";:TABL:REC? "1"') == "1;1"
    assert await one.ask('TABL:INIT "0";:TABL:OUTC? "y"') == repr(first)
    await one.ask('TABL:INIT "new";*OPC?')
    assert await one.ask('TABL:REC? "0";:TABL:REC? "1";:TABL:REC? "2";:TABL:REC? "new"') == "1;0;1;1"
    assert Counter(e["action"] for e in one.actions("measured", "repeated")) == {"measured": 1001, "repeated": 1}


def test_every_bad_setting_is_reported_at_once(tmp_path: Path) -> None:
    """Instruments, columns, duration, dead-man lease: each fault with its place."""
    with pytest.raises(InputError) as caught:
        TabulatedSimulation(
            {"a": {"deadman": "-1 s"}, "b": {"deadmann": 1}},
            seed=1,
            speed=1.0,
            table=tmp_path / "missing.csv",
            inputs={"x": {"unit": "perzent"}},
            outcomes={"y": {}},
            duration="-1 min",
            deadman="1 kg",
        )
    found = {fault.path: fault.message for fault in caught.value.faults}
    assert found["instruments"] == "a tabulated lab has one instrument, not 2"
    assert found["instruments.a.deadman"] == "-1 s is outside its limits, 0.05 to 1e+06 s"
    assert found["instruments.b.deadmann"] == "unknown key; did you mean 'deadman'?"
    assert "perzent" in found["x.unit"]
    assert found["options.duration"] == "-60 s must not be below 0 s"
    assert "cannot convert 1 kg to s" in found["options.deadman"]
    assert len(found) == 6
