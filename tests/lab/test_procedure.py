"""Plans loaded, and their arguments bound by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdl.lab.code import load_object
from sdl.lab.labfile import load_lab
from sdl.lab.procedure import Procedure
from sdl.model import InputError, Outcome
from sdl.protocols import RunRecord

Write = Callable[..., Path]


def bound(path: Path, *parameters: str) -> Procedure:
    return load_lab(path).procedure("measure", parameters or ("x",))


def refusal(path: Path, *parameters: str) -> InputError:
    with pytest.raises(InputError) as caught:
        bound(path, *parameters)
    return caught.value


def with_plan(write: Write, head: str, settings: str = "{}", station: str = "oven") -> Path:
    """The lab with another second step: a plan with these arguments, and this `with:`."""
    plans = (
        "from bluesky.plan_stubs import null\ndef read(detector, x):\n    yield from null()\n"
        f"def bake({head}):\n    yield from null()\ndef analyse(runs):\n    return {{}}\n"
    )
    return write(("{hours: 2}", settings), ("station: oven", f"station: {station}"), plans=plans)


def test_binding_by_name(write_lab: Write) -> None:
    """Devices, parameters, constants and defaults each find their argument; `**rest` gets what is left."""
    procedure = bound(write_lab(), "x", "wait", "colour")
    read, bake = procedure.steps
    assert (read.devices, read.parameters) == (("detector",), ("x", "wait"))
    assert (bake.devices, bake.parameters) == (("other",), ("x", "wait", "colour"))
    values = {"x": 0.5, "wait": 1.0, "colour": "red"}
    assert read.arguments(values) == {"x": 0.5, "wait": 1.0}
    assert bake.arguments(values) == {"hours": 2, **values}
    assert procedure.raw["steps"][1]["with"] == {"hours": 2}


def test_a_default_is_used_when_nothing_else_is_given(write_lab: Write) -> None:
    """An argument with a default needs neither a parameter nor a constant."""
    assert bound(write_lab()).steps[0].arguments({"x": 1}) == {"x": 1}


@pytest.mark.parametrize(
    ("head", "settings", "message"),
    [
        (
            "other, houres",
            "{}",
            "argument 'houres' is neither a device of station 'oven' (other) nor a parameter (x)",
        ),
        ("detector", "{}", "argument 'detector' is neither a device of station 'oven'"),
        (
            "other, hours",
            "{hours: 2, hoours: 3}",
            "`with:` has 'hoours', which plans.py:bake does not take; did you mean",
        ),
        ("other, *more", "{}", "argument 'more' cannot be given by name"),
        ("other, x, /", "{}", "argument 'other' cannot be given by name"),
        ("other, x", "{x: 3}", "`with:` has 'x', which is a parameter"),
        ("other", "{other: 3}", "`with:` has 'other', which is a device of station 'oven'"),
    ],
)
def test_arguments_that_do_not_fit(write_lab: Write, head: str, settings: str, message: str) -> None:
    """An argument without a value, or a value without an argument, is refused with the line of the step."""
    error = refusal(with_plan(write_lab, head, settings))
    assert error.faults[0].line == 14
    assert error.faults[0].path == "procedures.measure.steps.1"
    assert message in error.faults[0].message


def test_a_parameter_that_no_step_takes(write_lab: Write) -> None:
    """A parameter that would not change anything is refused."""
    error = refusal(with_plan(write_lab, "other"), "x", "temperature")
    assert "no step of procedure 'measure' takes the parameter 'temperature'; parameters taken: x" in str(error)
    assert error.faults[0].line == 11


def test_faults_of_all_steps_at_once(write_lab: Write) -> None:
    """Both steps and the analysis are looked at before anything is said."""
    path = write_lab(
        ("plans.py:read", "plans.py:raed"),
        ("plans.py:bake", "gone.py:bake"),
        ("plans.py:analyse", "plans.py:bps"),
    )
    faults = refusal(path).faults
    assert [f.line for f in faults] == [13, 14, 15]
    assert "plans.py has no 'raed'; did you mean 'read'?" in faults[0].message
    assert "gone.py: cannot be read: No such file" in faults[1].message
    assert "plans.py:bps is not a function" in faults[2].message


@pytest.mark.parametrize(
    ("limit", "seconds"), [("10 min", 600.0), ("30", 30.0), ("1.5", 1.5), ("'2 h'", 7200.0), ("null", None)]
)
def test_time_limits(write_lab: Write, limit: str, seconds: float | None) -> None:
    """A time limit is read as lab seconds."""
    path = write_lab(("on_interrupt: redo", f"time_limit: {limit}"))
    assert bound(path).steps[0].time_limit == seconds


@pytest.mark.parametrize("limit", ["10 nm", "soon", "-5 s", "0", "inf s"])
def test_impossible_time_limits(write_lab: Write, limit: str) -> None:
    """A time limit that is no span of time above 0 is refused."""
    error = refusal(write_lab(("on_interrupt: redo", f"time_limit: {limit}")))
    assert error.faults[0].message.startswith("time_limit: ")
    assert error.faults[0].line == 13


@pytest.mark.parametrize("plan", ["plans.py:bps", "math:pi", "builtins:dict"])
def test_a_plan_is_a_function_with_known_arguments(write_lab: Write, plan: str) -> None:
    """A module, a number or a thing without a signature is no plan."""
    error = refusal(write_lab(("plans.py:read", plan)))
    assert plan in error.faults[0].message


def test_an_unknown_procedure(write_lab: Write) -> None:
    """The nearest procedure is named."""
    with pytest.raises(InputError, match="no procedure 'mesure'; did you mean 'measure'"):
        load_lab(write_lab()).procedure("mesure", ("x",))


def test_the_analysis_gets_the_runs_of_its_steps(write_lab: Write) -> None:
    """Runs of other steps are kept from it, and its options are given."""
    path = write_lab(('{name: "plans.py:analyse"}', '{name: "plans.py:analyse", steps: [bake], with: {scale: 2}}'))
    runs = [RunRecord(step, {"parameters": {"x": x}}) for step, x in (("read", 9.0), ("bake", 1.3))]
    assert bound(path).analyse(runs) == {"z": Outcome(value=2.0, sem=0.1)}


def test_where_to_begin_again(write_lab: Write) -> None:
    """A step with `redo_from` begins at that step, one without at itself."""
    procedure = bound(write_lab(("{hours: 2}", "{hours: 2}, redo_from: read")))
    assert [procedure.begin_from(i) for i in (0, 1)] == [0, 0]
    assert procedure.index("bake") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef read(:\n", ":2: invalid syntax"),
        ("\nimport no_such_module\n", ":2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    return 1 / 0\nx = 1\ny = f()\n", ":2: ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
        ("x = '\udc80'", "plans.py"),
    ],
)
def test_code_that_fails_on_import(tmp_path: Path, text: str, message: str) -> None:
    """Code that cannot be imported is refused with its file and line, and leaves no half module behind."""
    (tmp_path / "plans.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    before = set(sys.modules)
    with pytest.raises(InputError) as caught:
        load_object("plans.py:read", tmp_path)
    assert f"{tmp_path}/plans.py" in str(caught.value)
    assert message in str(caught.value)
    assert not [name for name in set(sys.modules) - before if name.startswith("_sdl_lab_")]


@pytest.mark.parametrize("text", ["def broken(:\n", "raise ValueError('no')\n", "import sys\nsys.exit()\n"])
def test_a_package_that_fails_on_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Code named as a module is refused as bad input, whatever it raises."""
    (tmp_path / "sdl_test_broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="module 'sdl_test_broken' fails on import"):
        load_object("sdl_test_broken:x", tmp_path)


@pytest.mark.parametrize("reference", ["read", ":read", "plans.py:", "no.such.module:f", ".relative:f", "..:f"])
def test_references_that_name_no_code(tmp_path: Path, reference: str) -> None:
    """A reference that names no code is bad input, and nothing else."""
    with pytest.raises(InputError):
        load_object(reference, tmp_path)


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    """An edit within the same second and of the same length is seen; an unchanged file is imported once."""
    path = tmp_path / "plans.py"
    values: list[Any] = []
    for value in (1, 2, 1):
        path.write_text(f"value = {value}\nthing = object()\n")
        values.append(load_object("plans.py:value", tmp_path))
    assert values == [1, 2, 1]
    assert load_object("plans.py:thing", tmp_path) is load_object("plans.py:thing", tmp_path)
    assert not (tmp_path / "__pycache__").exists()


def test_code_knows_its_file(tmp_path: Path) -> None:
    """A plan file can find files beside it, and tracebacks show its lines."""
    (tmp_path / "plans.py").write_text("from pathlib import Path\nhere = Path(__file__).parent\n")
    assert load_object("plans.py:here", tmp_path) == tmp_path
