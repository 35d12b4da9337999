"""Checks of simulated instruments, one function each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from typing import Any

from sdl.model import Fault, InputError
from sdl.testing._bench import Bench, Deed
from sdl.testing._case import Act
from sdl.testing._left import here, nothing_left
from sdl.testing._relay import Relay, moved_to
from sdl.testing._report import CheckFailed, Skip
from sdl.testing._simulator_case import SimulatorCase
from sdl.testing._simulator_faults import has_to_be_told

__all__ = [
    "dies_safely",
    "keeps_its_limits",
    "keeps_its_log",
    "serves",
    "stops",
    "takes_two_clients",
    "withstands_garbage",
]

_DEADMAN = 0.4
_QUEUE = 60
"""Errors that an instrument may keep for whoever asks next."""


async def serves(case: SimulatorCase) -> str:
    """Serves each instrument on loopback, and lists them on its control channel."""
    async with Bench(case.first, connect=False) as bench:
        assert bench.simulation is not None
        assert bench.control is not None
        listed = await bench.control.instruments()
        wanted = sorted(case.first.instruments or {case.first.name: {}})
        if listed != wanted:
            raise CheckFailed(f"the control channel lists {listed}, and was to serve {wanted}")
        for device in case.devices:
            async with Bench(device) as other:
                host = device.at(address="").simulated and other.address.partition("://")[2].partition(":")[0]
                if other.relay is not None and host not in ("127.0.0.1", "localhost", "[::1]"):
                    raise CheckFailed(f"{device.name} is served at {other.address}, which is not loopback")
                await other.read()
    return f"{', '.join(listed)} answer their drivers"


def _rubbish(seed: int) -> dict[str, bytes]:
    rng = random.Random(seed)
    return {
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: instrument\r\n\r\n",
        "zeros": bytes(300),
        "bytes of 255": b"\xff" * 300,
        "random bytes": rng.randbytes(2000),
        "lines of random bytes": b"\r\n".join(rng.randbytes(20) for _ in range(50)) + b"\r\n",
        "what is no UTF-8": b"\xc3\x28\xa0\xa1\n\r\x00\x03",
        "a line without end": b"A" * (1 << 20),
        "half a message": b"\x02\x08",
        "JSON of another kind": b'{"a": [1, 2, {"b": null}]}\n[[[[[[\n',
        "nothing": b"",
    }


async def withstands_garbage(case: SimulatorCase) -> str:
    """Whatever bytes come, in whatever order, it goes on serving, and no server task ends with an error."""
    errors: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(str(context.get("exception") or context["message"])))
    rubbish = _rubbish(case.first.seed)
    for device in case.devices:
        async with Bench(device) as bench:
            if bench.relay is None:
                raise Skip(f"{device.name} is not behind a TCP port of its own")
            before = len(await bench.log())
            for what, data in rubbish.items():
                await _throw(bench, data, case.probe)
                await asyncio.sleep(0)
                if errors:
                    raise CheckFailed(f"{device.name}: after {what} a task of the server ended: {errors[0]}")
                await _answers(bench, what)
            made = (await bench.log())[before:]
            if made:
                raise CheckFailed(f"{device.name} took garbage for a command: {made}")
    return f"after {', '.join(rubbish)}: every driver still reads"


async def _answers(bench: Bench, what: str) -> None:
    """The driver reads; an error queue that it shares with whoever sent the garbage may have to be emptied first."""
    for attempt in range(_QUEUE):
        try:
            await bench.read()
        except Fault as error:
            if attempt == _QUEUE - 1:
                raise CheckFailed(f"{bench.case.name} does not answer after {what}: {error}") from error
        else:
            return


async def _throw(bench: Bench, data: bytes, patience: float) -> None:
    assert bench.relay is not None
    host, port = bench.relay.target
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(data)
                await writer.drain()
                writer.write_eof()
                while await reader.read(65536):
                    pass
            finally:
                writer.transport.abort()


async def takes_two_clients(case: SimulatorCase) -> str:
    """Two clients at once are both answered, and one that keeps silent in the middle of a message disturbs nobody."""
    for device in case.devices:
        async with Bench(device) as bench:
            if bench.relay is None:
                raise Skip(f"{device.name} is not behind a TCP port of its own")
            second = Relay(f"tcp://{bench.relay.target[0]}:{bench.relay.target[1]}")
            _, silent = await asyncio.open_connection(*bench.relay.target)
            try:
                silent.write(b"\x02")
                other = bench.make(moved_to(bench.address, await second.start()))
                await bench.connect(other)
                await bench.prepare(other)
                await asyncio.gather(*(bench.read(d) for _ in range(5) for d in (bench.device, other)))
                await bench.close(other)
            finally:
                silent.transport.abort()
                await second.stop()
    return f"{', '.join(device.name for device in case.devices)} answered two drivers beside a silent client"


async def keeps_its_limits(case: SimulatorCase) -> str:
    """What its own limits forbid it refuses by itself, whatever the driver lets pass."""
    if not case.beyond:
        raise Skip("no act was given that the instrument has to refuse (`beyond`)")
    told = []
    for device in case.devices:
        if device.name not in case.beyond:
            continue
        options, act = case.beyond[device.name]
        async with Bench(device.at(options={**device.options, **options})) as bench:
            told.append(await _refuses(bench, act))
    return "; ".join(told)


async def _refuses(bench: Bench, act: Act) -> str:
    """An act that the driver lets pass: the instrument refuses it, and has done no more than prepare for it."""
    before, name = len(await bench.log()), bench.case.name

    async def on_arm() -> None:
        nonlocal before
        before = len(await bench.log())

    try:
        await bench.perform(Deed(act), on_arm)
    except Fault as error:
        made = (await bench.log())[before:]
        # A delivery is prepared by settings, which the log holds as well; it arms, or is refused, right after them.
        if made and not bench.acts_of(act).arms:
            raise CheckFailed(f"{name} refused {act} and acted all the same: {made}") from error
        return str(error)
    except Exception as error:  # a LimitError of the driver, for example
        raise CheckFailed(f"{name}: {act} did not reach the instrument: {error}") from error
    raise CheckFailed(f"{name} did {act}")


async def dies_safely(case: SimulatorCase) -> str:
    """When nobody talks to it for its `deadman` it makes itself safe, by its own clock, and writes that down."""
    told, without = [], []
    for device in case.devices:
        own = {**device.instruments.get(device.name, {}), "deadman": f"{_DEADMAN} s"}
        try:
            bench = Bench(device.at(instruments={**device.instruments, device.name: own}))
            await bench.__aenter__()
        except InputError as error:
            without.append(f"{device.name} has no setting `deadman`: {error}")
            continue
        try:
            await _left_alone(bench)
            told.append(device.name)
        finally:
            await bench.__aexit__(None, None, None)
    if not told:
        raise Skip("; ".join(without))
    acted = f"{', '.join(told)} acted after {_DEADMAN:g} s of silence, and can be used again"
    return "; ".join([acted, *without])


async def _left_alone(bench: Bench) -> None:
    name = bench.case.name
    for act in bench.exercise()[:1]:
        await bench.perform(Deed(act))
    await bench.close(bench.device)
    log: list[dict[str, Any]] = []
    for _ in range(60):
        await asyncio.sleep(0.05)
        log = await bench.log()
        if any(entry["action"] == "deadman" for entry in log):
            break
    else:
        raise CheckFailed(f"{name} kept silent for 3 s with a lease of {_DEADMAN:g} s: {log[-3:]}")
    await bench.connect(bench.device)
    await bench.usable()


async def keeps_its_log(case: SimulatorCase) -> str:
    """Each act is in its own log, each time, in the order of time."""
    told = []
    for device in case.devices:
        async with Bench(device) as bench:
            for act in bench.exercise():
                counts = []
                for number in range(3):  # the first time settings may be written that are there afterwards
                    before = len(await bench.log())
                    await bench.perform(Deed(act, f"check/{number}/act/1"))
                    counts.append(Counter(str(entry["action"]) for entry in (await bench.log())[before:]))
                if not counts[0] and has_to_be_told(bench, act):
                    raise CheckFailed(f"{device.name}: {act} is not in the log")
                if counts[1] != counts[2]:
                    raise CheckFailed(f"{device.name}: {act} is {dict(counts[1])} in the log, then {dict(counts[2])}")
                told.append(f"{act}: {', '.join(counts[1]) or 'nothing'}")
            _ordered(device.name, await bench.log())
    return "; ".join(told)


def _ordered(name: str, log: list[dict[str, Any]]) -> None:
    for entry in log:
        missing = {"at", "wall", "instrument", "action"} - entry.keys()
        if missing or entry["instrument"] != name:
            raise CheckFailed(f"{name}: an entry of the log lacks {missing or 'the right instrument'}: {entry}")
    if any(later["at"] < earlier["at"] for earlier, later in itertools.pairwise(log)):
        raise CheckFailed(f"{name}: the log is not in the order of time")


async def stops(case: SimulatorCase) -> str:
    """Stopping it twice does no harm; no port, socket or task is left."""
    before = here()
    async with Bench(case.first) as bench:
        assert bench.simulation is not None
        target = bench.relay.target if bench.relay is not None else None
        await bench.read()
        await bench.close(bench.device)
        for _ in range(2):
            await bench.simulation.stop()
        if target is not None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(*target)
                writer.transport.abort()
                raise CheckFailed(f"port {target[1]} still listens after stop()")
    return await nothing_left(before)
