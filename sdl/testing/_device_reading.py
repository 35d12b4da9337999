"""Checks of a device that only read: connection, units, documents, limits, effects, closing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import event_model

from sdl.lab.watchdog import attach
from sdl.protocols import Effect
from sdl.testing._bench import Bench, Deed
from sdl.testing._case import Act, DeviceCase
from sdl.testing._left import here, nothing_left
from sdl.testing._parts import limits_of, parts_of, reached, readers_of, settled, verbs_of
from sdl.testing._report import CheckFailed, Skip

__all__ = [
    "agrees_with_event_model",
    "attaches",
    "closes_twice",
    "connects",
    "declares_effects",
    "has_units",
    "keeps_limits",
    "keeps_shapes",
    "leaves_nothing",
]

_NO_UNIT = ("string", "boolean")


def _failures(found: list[str]) -> None:
    if found:
        raise CheckFailed("; ".join(found))


async def connects(case: DeviceCase) -> str:
    """Connects, describes itself, and gives what it described."""
    async with Bench(case) as bench:
        keys, reading = await settled(bench.device.describe()), await bench.read()
        _failures([f"{key} is described and not read" for key in keys.keys() - reading.keys()])
        _failures([f"{key} is read and not described" for key in reading.keys() - keys.keys()])
        return f"reads {', '.join(sorted(reading)) or 'nothing'}"


async def _described(device: Any) -> dict[str, Mapping[str, Any]]:
    keys = dict(await settled(device.describe()))
    configured = getattr(device, "describe_configuration", None)
    return {**keys, **dict(await settled(configured()))} if callable(configured) else keys


async def _all_readings(device: Any) -> dict[str, Mapping[str, Any]]:
    found = dict(await settled(device.read()))
    configured = getattr(device, "read_configuration", None)
    return {**found, **dict(await settled(configured()))} if callable(configured) else found


async def has_units(case: DeviceCase) -> str:
    """Every number has a unit; `1` for what has none."""
    async with Bench(case) as bench:
        keys = await _described(bench.device)
        numbers = {key: value for key, value in keys.items() if value.get("dtype") not in _NO_UNIT}
        _failures([f"{key} has no unit" for key, value in numbers.items() if not value.get("units")])
        return ", ".join(f"{key} in {value['units']}" for key, value in numbers.items()) or "reads no numbers"


def _shape(value: Any) -> list[int]:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return [int(length) for length in shape]
    return [len(value), *_shape(value[0])] if isinstance(value, list | tuple) and value else []


async def keeps_shapes(case: DeviceCase) -> str:
    """Type and shape are what was described, and the same at each reading."""
    async with Bench(case) as bench:
        first = await _described(bench.device)
        wrong = []
        for _ in range(2):
            for key, reading in (await _all_readings(bench.device)).items():
                told, came = [n or 0 for n in first[key].get("shape", [])], _shape(reading["value"])
                if len(told) != len(came) or any(a and a != b for a, b in zip(told, came, strict=True)):
                    wrong.append(f"{key} was described with shape {told} and has {came}")
        again = await _described(bench.device)
        for key, value in first.items():
            wrong += [
                f"{key} was first described with {field} {value.get(field)!r}, then with {again[key].get(field)!r}"
                for field in ("dtype", "shape", "units")
                if again[key].get(field) != value.get(field)
            ]
        _failures(list(dict.fromkeys(wrong)))
        return f"{len(first)} keys, the same in two descriptions and two readings"


async def agrees_with_event_model(case: DeviceCase) -> str:
    """The documents that a run would make of it are valid in the sense of event-model."""
    async with Bench(case) as bench:
        keys, reading = await settled(bench.device.describe()), await bench.read()
        if not keys:
            raise Skip("reads nothing")
        run = event_model.compose_run()
        # NumPy's arrays are what Bluesky's devices give; the schema, written for JSON, checks lists.
        data = {key: value["value"] for key, value in reading.items()}
        plain = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in data.items()}
        try:
            described = run.compose_descriptor(name="primary", data_keys={k: dict(v) for k, v in keys.items()})
            described.compose_event(data=plain, timestamps={key: value["timestamp"] for key, value in reading.items()})
        except Exception as error:  # jsonschema's and event-model's own
            raise CheckFailed(f"event-model refuses its documents: {str(error).splitlines()[0]}") from error
        return f"a descriptor and an event of {len(keys)} keys are valid"


def _counts(bench: Bench) -> int:
    return bench.relay.sent if bench.relay is not None else 0


async def keeps_limits(case: DeviceCase) -> str:
    """What is outside the limits is refused with a `LimitError` before any byte leaves."""
    async with Bench(case) as bench:
        told, seen, free = list(case.beyond), [str(act) for act in case.beyond], []
        for path, part in parts_of(bench.device).items():
            if "set" not in verbs_of(part):
                continue
            limits = limits_of(part)
            if limits is None:
                if not any(act.path == path for act in case.beyond):
                    free.append(path or case.name)
                continue
            whole = await _whole(part)
            seen.append(f"{path or case.name}: {limits}")
            told += [Act(path, int(v) if whole else v) for v in limits.outside(whole=whole)]
        if not told:
            raise Skip(f"nothing it can set has limits ({', '.join(free) or 'it can set nothing'})")
        for act in told:
            await _refused(bench, act)
        without = f"; without limits: {', '.join(free)}" if free else ""
        return f"{'; '.join(seen)}{without}"


async def _whole(part: Any) -> bool:
    describe = getattr(part, "describe", None)
    if not callable(describe):
        return False
    keys = dict(await settled(describe()))
    return any(value.get("dtype") == "integer" for value in keys.values())


async def _refused(bench: Bench, act: Act) -> None:
    """An action beyond the limits: a real instrument is never told, whatever its driver is like."""
    part = reached(bench.device, act.path)
    check = getattr(part, "check_value", None)
    sent, log = _counts(bench), len(await bench.log())
    if callable(check) and act.verb == "set":
        try:
            check(*act.args)
        except Exception as error:  # judged below
            _limit_error(act, error)
        else:
            raise CheckFailed(f"check_value takes {act.args[0]!r} for {act.path or bench.case.name}")
    if bench.case.address:
        return
    try:
        await bench.perform(Deed(act))
    except Exception as error:  # judged below
        _limit_error(act, error)
    else:
        raise CheckFailed(f"{act} was not refused")
    if _counts(bench) != sent or len(await bench.log()) != log:
        raise CheckFailed(f"{act} was refused after {_counts(bench) - sent} bytes had left")


def _limit_error(act: Act, error: Exception) -> None:
    if type(error).__name__ != "LimitError" and not getattr(error, "clean", False):
        raise CheckFailed(f"{act} raises {type(error).__name__} ({error}) instead of a LimitError")


async def declares_effects(case: DeviceCase) -> str:
    """For every verb it offers, it says what repeating it does; whatever must not be repeated can be asked about."""
    async with Bench(case) as bench:
        told, silent, wrong = [], [], []
        for path, part in parts_of(bench.device).items():
            for verb in verbs_of(part):
                act = Act(path, verb=verb)
                name = f"{path}.{verb}".lstrip(".")
                found = bench.acts_of(act)
                if found.effect is Effect.NON_REPEATABLE and not _declared(bench, act):
                    silent.append(name)
                told.append(f"{name} {found.effect.value}")
                if found.effect is Effect.NON_REPEATABLE and _declared(bench, act):
                    wrong += [f"{name} must not be repeated, and does not arm"] * (not found.arms)
                    asked = callable(getattr(bench.device, "receipt", None))
                    wrong += [f"{name} must not be repeated, and there is no receipt"] * (not asked)
        if silent:
            wrong.append(
                f"{', '.join(silent)} declared nowhere, so taken for non_repeatable: each crash will ask a person; "
                "declare it in `effects`"
            )
        _failures(wrong)
        return ", ".join(told) or "offers nothing that acts"


def _declared(bench: Bench, act: Act) -> bool:
    """Whether what is found is what somebody wrote, and not what holds for whatever nobody declared."""
    parts = act.path.split(".") if act.path else []
    above = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    keys = {key for prefix in above for key in (prefix, f"{prefix}.{act.verb}")} or {act.verb}
    part = reached(bench.device, act.path)
    own = getattr(part, "effects", None) if part is not bench.device else None
    sources = (bench.case.effects, getattr(bench.device, "effects", None) or {})
    return any(key in source for source in sources for key in keys) or (bool(own) and act.verb in (own or {}))


async def attaches(case: DeviceCase) -> str:
    """A second driver can be attached beside the first: it reads, and the instrument is told nothing."""
    async with Bench(case) as bench:
        before = len(await bench.log())
        beside = bench.make()
        await attach(beside)
        read = []
        for path, reader in readers_of(beside).items():
            if await _readable(bench, path):
                await settled(reader())
                read.append(path or case.name)
        if len(await bench.log()) != before:
            raise CheckFailed(f"attaching made the instrument act: {(await bench.log())[before:]}")
        await bench.close(beside)
        await bench.read()
        return f"read {', '.join(read)} beside the first driver, which goes on"


async def _readable(bench: Bench, path: str) -> bool:
    """Whether the first driver can read it now."""
    try:
        await settled(readers_of(bench.device)[path]())
    except Exception:  # nothing has been measured yet, for example: so the second cannot read it either
        return False
    return True


async def closes_twice(case: DeviceCase) -> str:
    """Closing twice does no harm, and closes its connections."""
    async with Bench(case) as bench:
        await bench.read()
        if not any(callable(getattr(bench.device, verb, None)) for verb in ("close", "disconnect", "destroy")):
            raise CheckFailed("has no `close`")
        for _ in range(2):
            await bench.close(bench.device)
        if bench.relay is not None:
            for _ in range(100):
                if not bench.relay.connections:
                    return "closed; the instrument saw the connection end"
                await asyncio.sleep(0.01)
            raise CheckFailed(f"{bench.relay.connections} connections are still open after close")
        return "closed"


async def leaves_nothing(case: DeviceCase) -> str:
    """After it was used and closed, no task, socket or thread is left."""
    before = here()
    async with Bench(case) as bench:
        await bench.read()
        if case.may_act:
            for act in case.exercise or ():
                await bench.perform(Deed(act))
        for device in bench.devices:
            await bench.close(device)
    return await nothing_left(before)
