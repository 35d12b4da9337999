"""Files that cannot be used: always status 2, one readable line a fault, never a traceback."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Nursery, edit, soft_lab

from sdl.campaign import Campaign
from sdl.model import SdlError

_LINE = re.compile(r"^sdl: (?P<file>[^:]+\.yaml):(?P<line>\d+): (?P<path>[\w.]+): (?P<message>.+)$")


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


_FAULTS: dict[str, tuple[Callable[[Path], object], str, str, int | None]] = {
    "unknown key": (lambda f: _replace(f, "budget:", "budgett:"), "budgett", "did you mean 'budget'?", 12),
    "unknown key below": (
        lambda f: _replace(f, "trials:", "trails:"),
        "budget.trails",
        "did you mean 'trials'?",
        12,
    ),
    "wrong type": (lambda f: _replace(f, "seed: 3", "seed: soon"), "seed", "'soon'", 14),
    "bounds": (lambda f: _replace(f, "low: 0, high: 1", "low: 2, high: 1"), "problem.parameters.x", "low", 6),
    "unknown kind": (
        lambda f: _replace(f, "kind: minimize", "kind: minimise"),
        "problem.objectives.z",
        "minimize",
        9,
    ),
    "no such planner": (
        lambda f: _replace(f, "planner: random", "planner: randm"),
        "planner",
        "'random'",
        11,
    ),
    "planner option": (
        lambda f: _replace(f, "planner: random", "planner: {name: sobol, options: {scrambled: 1}}"),
        "planner",
        "scrambled",
        11,
    ),
    "no such procedure": (
        lambda f: _replace(f, "procedure: measure", "procedure: mesure"),
        "procedure",
        "measure",
        10,
    ),
    "no such lab": (lambda f: _replace(f, "lab: lab.yaml", "lab: lap.yaml"), "lab", "lap.yaml", 3),
    "lab is a number": (lambda f: _replace(f, "lab: lab.yaml", "lab: 5"), "lab", "string", 3),
    "lab has a long name": (
        lambda f: _replace(f, "lab: lab.yaml", f"lab: {'l' * 400}"),
        "lab",
        "no such file",
        3,
    ),
    "unknown input": (
        lambda f: _replace(f, "seed: 3", "seed: 3\ninputs: {tabel: x.csv}"),
        "",
        "no input 'tabel'",
        None,
    ),
    "inputs is a list": (
        lambda f: _replace(f, "seed: 3", "seed: 3\ninputs: [1]"),
        "inputs",
        "dictionary",
        15,
    ),
    "plan parameter": (lambda f: _replace(f, "    y: {kind: real", "    w: {kind: real"), "", "w", None),
}


@pytest.mark.parametrize("name", list(_FAULTS))
def test_one_fault(tmp_path: Path, nursery: Nursery, name: str) -> None:
    """A fault of the campaign file is one line: file, line, path, and what is wrong, with the nearest known name."""
    change, path, message, line = _FAULTS[name]
    campaign = soft_lab(tmp_path)
    change(campaign)
    process = nursery.run("run", "campaign.yaml", cwd=tmp_path)
    assert process.status == 2, process.err
    assert process.out == ""
    assert "Traceback" not in process.err
    assert message in process.err, process.err
    assert all(row.startswith("sdl: ") for row in process.err.splitlines())
    if line is not None:
        rows = [_LINE.match(row) for row in process.err.splitlines()]
        assert any(r and (r["path"], int(r["line"])) == (path, line) for r in rows), process.err
    assert not (tmp_path / "sdl.db").exists()


def test_all_faults_at_once(tmp_path: Path, nursery: Nursery) -> None:
    """Faults of the campaign file and of its lab file are reported together, a line each."""
    campaign = soft_lab(tmp_path)
    _replace(campaign, "seed: 3", "seed: -3\ntitel: a")
    _replace(campaign, "trials: 10", "trials: 0")
    _replace(tmp_path / "lab.yaml", "station: bench", "station: bank")
    process = nursery.run("run", "campaign.yaml", cwd=tmp_path)
    assert process.status == 2
    found = {m["path"] for m in map(_LINE.match, process.err.splitlines()) if m}
    assert {"seed", "titel", "budget.trials"} <= found
    assert sum("lab.yaml" in row and "known: bench" in row for row in process.err.splitlines()) == 2, process.err


_JUNK: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "zip": b"PK\x03\x04" + b"\0" * 40,
    "not YAML": b"name: [1, 2\nlab: }",
    "a list": b"- 1\n- 2\n",
    "a number": b"42\n",
    "two keys": b"name: a\nname: b\n",
    "two documents": b"name: a\n---\nname: b\n",
    "tag": b"name: !!python/object/apply:os.system ['true']\n",
    "own tag": b"name: !mine {a: 1}\n",
    "anchor loop": b"name: &a [*a]\n",
    "undefined alias": b"name: *nothing\n",
    "deep": b"[" * 3000,
    "tab": b"name:\n\t- a\n",
    "surrogates": b'name: "\\ud800"\n',
    "set": b"name: !!set {a, b}\n",
    "binary value": b"name: !!binary aGVsbG8=\n",
    "time": b"name: 2026-11-22T01:02:03Z\n",
    "big number": b"seed: " + b"9" * 5000 + b"\n",
    "merge": b"a: &a {b: 1}\nname: {<<: *a}\n",
    "bad merge": b"name: {<<: 5}\n",
    "complex key": b"? [1, 2]\n: 3\n",
    "null key": b"~: 3\n",
}


@pytest.mark.parametrize("name", list(_JUNK))
def test_junk(tmp_path: Path, nursery: Nursery, name: str) -> None:
    """A file that is no campaign is refused in plain words."""
    (tmp_path / "junk.yaml").write_bytes(_JUNK[name])
    process = nursery.run("run", "junk.yaml", cwd=tmp_path)
    assert process.status == 2, process.err
    assert "junk.yaml" in process.err
    assert "Traceback" not in process.err
    assert all(row.startswith("sdl: junk.yaml") for row in process.err.splitlines()), process.err
    assert not (tmp_path / "sdl.db").exists()


def test_key_given_twice(tmp_path: Path, nursery: Nursery) -> None:
    """A key given twice is named with its line."""
    campaign = soft_lab(tmp_path)
    _replace(campaign, "seed: 3", "seed: 3\nseed: 4")
    process = nursery.run("run", "campaign.yaml", cwd=tmp_path)
    assert process.status == 2
    assert re.search(r"campaign\.yaml:15: .*duplicate key.*seed", process.err), process.err


def test_places(tmp_path: Path, nursery: Nursery) -> None:
    """A missing file, a folder, a store that is none, and a store that cannot be made: status 2, one line."""
    campaign = soft_lab(tmp_path)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("create table mine (a)")
    connection.close()
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at " * 40)
    cases = {
        ("run", "missing.yaml"): "missing.yaml",
        ("run", "."): "cannot be read",
        ("run", campaign, "--store", other): "other.db",
        ("run", campaign, "--store", "text.db"): "text.db",
        ("run", campaign, "--store", "."): str(tmp_path),
        ("run", campaign, "--store", "no/such/folder/sdl.db"): "no/such/folder",
        ("run", campaign, "--store", "/proc/sdl.db"): "/proc",
        ("list", "--store", other): "other.db",
        ("simulate", tmp_path / "lab.yaml"): "simulation",
        ("simulate", campaign): "campaign.yaml",
        ("export", "soft", "--store", "missing.db"): "missing.db",
        ("watch", "--store", "missing.db"): "missing.db",
        ("watch", "--address", "nonsense"): "nonsense",
    }
    for argv, message in cases.items():
        process = nursery.run(*argv, cwd=tmp_path)
        assert process.status == 2, (argv, process.status, process.err)
        assert message in process.err, (argv, process.err)
        assert "Traceback" not in process.err
        assert "inside sdl" not in process.err


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_read_only_folder(tmp_path: Path, nursery: Nursery) -> None:
    """A folder that cannot be written gives status 2 and names the store."""
    campaign = soft_lab(tmp_path)
    tmp_path.chmod(0o500)
    try:
        process = nursery.run("run", campaign, cwd=tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert process.status == 2
    assert "sdl.db" in process.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("budget", "is not key=value"),
        ("=5", "is not key=value"),
        ("bugdet.hours=3", "did you mean 'budget'?"),
        ("budget.hours=soon", "budget.hours"),
        ("budget.hours=-1", "budget.hours"),
        ("planner=", "planner"),
        ("planner=[a]", "planner"),
        ("name={a: 1}", "name"),
        ("problem=5", "problem"),
        ("problem.parameters.x.high.y=5", "is not a group of settings"),
        ("lab=nowhere.yaml", "nowhere.yaml"),
        ("lab=", "lab"),
        ("creators=5", "creators"),
        ("creators.0.name=x", "creators"),
        ("inputs=5", "inputs"),
        ("pool=table", "no input 'table'"),
        ("stop.reach.y=0.1", "stop"),
        ("seed=99999999999999999999999", "seed"),
    ],
)
def test_bad_settings(tmp_path: Path, nursery: Nursery, setting: str, message: str) -> None:
    """A setting that cannot be used is named as it was given."""
    campaign = soft_lab(tmp_path)
    process = nursery.run("run", campaign, "--set", setting, cwd=tmp_path)
    assert process.status == 2, (process.status, process.out, process.err)
    assert message in process.err
    assert "Traceback" not in process.err


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "random", "lab.yaml", "\0", "~", "${x}", "1 h", "a" * 300, "/", "..", "file.py:"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=2),
)


def _places(node: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [at] if at else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += _places(value, (*at, key))
    return found


def _faults(campaign: Path) -> str | None:
    """The faults that loading a campaign reports; None when it loads. Anything but an `SdlError` fails the test."""
    try:
        Campaign.from_yaml(campaign, store=campaign.parent / "never.db")
    except SdlError as error:
        return str(error)
    return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_file(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever value stands anywhere in a campaign or lab file, loading it works or names the faults."""
    campaign = soft_lab(tmp_path)
    file = data.draw(st.sampled_from([campaign, tmp_path / "lab.yaml"]))

    def change(content: dict[str, object]) -> None:
        place = data.draw(st.sampled_from(_places(content)))
        here: object = content
        for key in place[:-1]:
            here = here[key]  # type: ignore[index]
        what = data.draw(st.sampled_from(["value", "remove", "add"]))
        if what == "remove":
            del here[place[-1]]  # type: ignore[attr-defined]
        elif what == "add" and isinstance(here, dict):
            here[data.draw(st.text(max_size=6))] = data.draw(_VALUES)
        else:
            here[place[-1]] = data.draw(_VALUES)  # type: ignore[index]

    edit(file, change)
    faults = _faults(campaign)
    assert faults is None or faults.strip()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_of_the_text(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes are cut from or put into a campaign file, loading it works or names the faults."""
    campaign = soft_lab(tmp_path)
    raw = campaign.read_bytes()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 40)))
    campaign.write_bytes(raw[:start] + data.draw(st.binary(max_size=12)) + raw[end:])
    faults = _faults(campaign)
    assert faults is None or "campaign.yaml" in faults or "lab" in faults
