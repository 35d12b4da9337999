"""YAML files with line numbers, and every fault at once."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator, ValidationError

from sdl.lab import yamlfile
from sdl.lab.spec import LabSpec
from sdl.lab.yamlfile import YamlFile, faults_of, read_yaml
from sdl.model import CampaignSpec, InputError, Record

CAMPAIGN = """\
name: demo
lab: lab.yaml
problem:
  parameters:
    x: {kind: real, low: 0, high: 1, unit: nm}
    n:
      kind: integer
      low: 1
      high: 4
    s: {kind: categorical, levels: [a, b]}
  objectives:
    z: {kind: minimize, unit: "1"}
  constraints:
    - sum: {x: 1}
      at_most: 1
procedure: measure
budget:
  trials: 10
"""


def written(folder: Path, text: str | bytes) -> YamlFile:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def refusal(folder: Path, text: str | bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        written(folder, text)
    return caught.value


def faults(folder: Path, text: str, model: type[Record] = CampaignSpec) -> dict[str, tuple[int | None, str]]:
    """Path → line and message of every fault."""
    file = written(folder, text)
    with pytest.raises(ValidationError) as caught:
        model.model_validate(file.data)
    return {f.path: (f.line, f.message) for f in faults_of(caught.value, model, file)}


def test_a_good_file_has_no_faults(tmp_path: Path) -> None:
    """The example of this module is valid, and its lines are known."""
    file = written(tmp_path, CAMPAIGN)
    CampaignSpec.model_validate(file.data)
    assert file.line(("problem", "parameters", "n", "low")) == 8
    assert file.line(("problem", "constraints", 0, "at_most")) == 15
    assert file.line(("problem", "parameters", "n", "unit")) == 6
    assert file.line(("nowhere",)) is None


@pytest.mark.parametrize(
    ("old", "new", "path", "line", "message"),
    [
        ("procedure:", "procedur:", "procedur", 16, "unknown key; did you mean 'procedure'?"),
        ("  trials: 10", "  trails: 10", "budget.trails", 18, "unknown key; did you mean 'trials'?"),
        ("      high: 4", "      hihg: 4", "problem.parameters.n.hihg", 9, "did you mean 'high'?"),
        ("high: 1, unit: nm", "high: 1, unti: nm", "problem.parameters.x.unti", 5, "did you mean 'unit'?"),
        ("levels: [a, b]", "level: [a, b]", "problem.parameters.s.level", 10, "did you mean 'levels'?"),
        (
            "kind: minimize, unit",
            "kind: minimize, units",
            "problem.objectives.z.units",
            12,
            "did you mean 'unit'?",
        ),
        (
            "      at_most: 1",
            "      at_mots: 1",
            "problem.constraints.0.at_mots",
            15,
            "did you mean 'at_most'?",
        ),
        ("kind: integer", "kind: interger", "problem.parameters.n", 6, "did you mean 'integer'?"),
        (
            "      kind: integer\n",
            "",
            "problem.parameters.n",
            6,
            "is missing; one of 'real', 'integer', 'ordinal', 'categorical', 'fixed', 'derived'",
        ),
        ("kind: minimize, ", "", "problem.objectives.z", 12, "one of 'maximize', 'minimize', 'match'"),
        ("high: 1, unit: nm", "high: one, unit: nm", "problem.parameters.x.high", 5, "(got 'one')"),
        ("unit: nm", "unit: nmm", "problem.parameters.x.unit", 5, "unknown unit 'nmm'"),
        ("low: 0, high: 1", "low: 2, high: 1", "problem.parameters.x", 5, "low 2 nm must be below high 1 nm"),
        ("    n:\n", "    9n:\n", "problem.parameters.9n.name", 6, "match pattern"),
        ("  trials: 10", "  trials: 0", "budget.trials", 18, "greater than or equal to 1 (got 0)"),
        ("  trials: 10", "  trials: .nan", "budget.trials", 18, "finite number"),
        ("lab: lab.yaml\n", "", "lab", None, "is missing"),
        ("  trials: 10", "  {}", "budget", 17, "a budget needs trials, hours or cost"),
        (
            "    - sum: {x: 1}",
            "    - sum: {y: 1}",
            "problem",
            3,
            "names y, which is no real or integer parameter",
        ),
    ],
)
def test_one_fault(tmp_path: Path, old: str, new: str, path: str, line: int | None, message: str) -> None:
    """A fault at any depth has its key, its line and the nearest known key."""
    assert CAMPAIGN.count(old) == 1
    found = faults(tmp_path, CAMPAIGN.replace(old, new))
    assert path in found, found
    assert found[path][0] == line
    assert message in found[path][1]


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Four slips in different places give four faults, each with its line."""
    text = CAMPAIGN.replace("procedure:", "procedur:").replace("trials", "trails").replace("hihg", "high")
    text = text.replace("unit: nm", "unti: nm").replace("at_most", "atmost")
    found = faults(tmp_path, text)
    wanted = {
        "procedur": 16,
        "budget.trails": 18,
        "problem.parameters.x.unti": 5,
        "problem.constraints.0.atmost": 15,
    }
    assert {path: found[path][0] for path in wanted} == wanted
    assert found["problem.parameters.x.unit"] == (5, "is missing")


def test_aliased_fields_are_known_as_people_write_them(tmp_path: Path) -> None:
    """`with:` is the key that people know; a slip in it is told so."""
    text = (
        "name: l\ndevices: {d: {driver: soft_detector}}\nstations: {s: {devices: [d]}}\nprocedures:\n  p:\n"
        "    steps:\n      - {name: a, station: s, plan: 'p.py:f'}\n      - name: b\n        station: s\n"
        "        plan: p.py:f\n        whit: {k: 1}\n    analysis: {name: mean_of_readings, wiht: {}}\n"
    )
    found = faults(tmp_path, text, LabSpec)
    assert found["procedures.p.steps.1.whit"] == (11, "unknown key; did you mean 'with'?")
    assert found["procedures.p.analysis.wiht"] == (12, "unknown key; did you mean 'with'?")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2\n", 2, 'duplicate key "a"'),
        ("a:\n  b: 1\n  b: 2\n", 3, 'duplicate key "b"'),
        ('1: a\n"1": b\n', 2, "key '1' is given twice"),
        ("a:\n\tb: 1\n", 2, "cannot start any token"),
        ("a: [1\nb: 2\n", 2, "expected"),
        ("", 1, "the top level must be a mapping"),
        ("# nothing\n", 1, "the top level must be a mapping"),
        ("- 1\n", 1, "the top level must be a mapping"),
        ("just text\n", 1, "the top level must be a mapping"),
        ("a: 1\n---\nb: 2\n", 2, "expected a single document"),
        ("a: *x\n", 1, "undefined alias 'x'"),
        ("a: 1\nb: !secret x\n", 2, "the tag !secret has no place here"),
        ("a: 1\nb: !!binary aGVsbG8=\n", 2, "type bytes has no place here"),
        ("a:\n  ? [1, 2]\n  : 3\n", 2, "a key must be a name"),
        ("a: \0\n", None, "not valid YAML"),
        (b"a: \xff\xfe\n", None, "it is not UTF-8 text"),
        ('a: !!int ""\n', None, "not valid YAML"),
        ("a: !!bool x\n", None, "not valid YAML"),
        ("a: 2001-13-45\n", None, "not valid YAML"),
        ("a: 0x_\n", None, "not valid YAML"),
        ("%YAML 1.9999\n---\na: 1\n", None, "not valid YAML"),
    ],
)
def test_what_is_not_yaml(tmp_path: Path, text: str | bytes, line: int | None, message: str) -> None:
    """Text that is no YAML of ours is refused with the file's name, and the line where there is one."""
    error = refusal(tmp_path, text)
    assert message in str(error)
    assert error.faults[0].file == str(tmp_path / "file.yaml")
    assert error.faults[0].line == line


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("base: &b {a: 1}\nx:\n  <<: *b\n", {"base": {"a": 1}, "x": {"a": 1}}),
        ("b: &b {a: 1, c: 1}\nx: {<<: *b, c: 2}\n", {"b": {"a": 1, "c": 1}, "x": {"c": 2, "a": 1}}),
        (
            "b: &b {k: 1}\nc: &c {l: 2}\nd: {<<: [*b, *c]}\n",
            {"b": {"k": 1}, "c": {"l": 2}, "d": {"k": 1, "l": 2}},
        ),
        ("a: &x true\nb: *x\n", {"a": True, "b": True}),
        ("a: &x 1.5\nb: [*x, *x]\n", {"a": 1.5, "b": [1.5, 1.5]}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: on\nb: yes\nc: 012\nd: 1:30\n", {"a": "on", "b": "yes", "c": 12, "d": "1:30"}),
        ("a: 2001-12-01\n", {"a": "2001-12-01"}),
        ("a:\n", {"a": None}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_plain_data(tmp_path: Path, text: str, data: Any) -> None:
    """Anchors, aliases, merge keys, YAML 1.2 scalars and dates become plain Python of the right types."""
    file = written(tmp_path, text)
    assert file.data == data
    assert repr(file.data) == repr(data)


def test_a_fault_in_what_a_merge_key_brought_in(tmp_path: Path) -> None:
    """A fault in merged content has a line of the mapping that merged it."""
    text = CAMPAIGN + "base: &b {trails: 3}\n"
    text = text.replace("budget:\n  trials: 10\n", "").replace("base:", "x: 1\nbase:") + "budget:\n  <<: *b\n"
    line, message = faults(tmp_path, text)["budget.trails"]
    assert message == "unknown key; did you mean 'trials'?"
    assert line in (text.count("\n") - 1, text.count("\n"))


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file, a folder, a device and an impossible name are each refused with the reason."""
    for path, reason in [
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "it is not an ordinary file"),
        (Path("/dev/zero"), "it is not an ordinary file"),
        (tmp_path / ("x" * 5000), "File name too long"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(InputError, match=reason):
            read_yaml(path)


def cpu_of(folder: Path, text: str) -> tuple[float, str]:
    begun = time.process_time()
    message = str(refusal(folder, text))
    return time.process_time() - begun, message


def test_an_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    """Nine aliases of nine aliases of … are refused before they fill the memory."""
    names = "abcdefghijk"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise(names)]
    seconds, message = cpu_of(tmp_path, "\n".join(lines))
    assert f"more than {yamlfile.MOST_NODES} values" in message
    assert seconds < 10


def test_a_very_large_file_is_refused_at_once(tmp_path: Path) -> None:
    """A file above the limit is refused before it is read in whole."""
    seconds, message = cpu_of(tmp_path, "a:\n" + "  - 1\n" * 300_000)
    assert "is larger than 1 MiB; put tables into files of their own" in message
    assert seconds < 1


@pytest.mark.parametrize("text", ["a: " + "[" * 400 + "]" * 400, "\n".join(" " * i + "a:" for i in range(600))])
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    """What is nested hundreds of levels deep is refused, and is no RecursionError."""
    seconds, message = cpu_of(tmp_path, text)
    assert "nested too deeply" in message
    assert seconds < 15


class Leaf(Record):
    size: int


def _listed(value: Any) -> Any:
    return [{"name": k, **v} for k, v in value.items()] if isinstance(value, dict) else value


class Named(Leaf):
    name: str


class Tree(Record):
    maybe: Leaf | None = None
    either: Leaf | int = 0
    many: dict[str, tuple[Leaf, ...]] = {}
    named: Annotated[tuple[Named, ...], BeforeValidator(_listed)] = ()


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("maybe: {siez: 1}\n", "maybe.siez", 1),
        ("many:\n  a:\n    - {size: 1}\n    - {size: 1, siez: 2}\n", "many.a.1.siez", 4),
        ("named:\n  b: {size: 1}\n  c:\n    siez: 1\n    size: 1\n", "named.c.siez", 4),
    ],
)
def test_optional_nested_and_named_records(tmp_path: Path, text: str, path: str, line: int) -> None:
    """The nearest key is found through optional records, mappings of sequences, and mappings turned to sequences."""
    assert faults(tmp_path, text, Tree)[path] == (line, "unknown key; did you mean 'size'?")


_PIECES = [*"abc01:-?,[]{}&*!|>'\"%@`#~ \t\n.<=_é\0\ufeff\ud800", "&a", "*a", "<<", "!!", "---", "\n  "]
yaml_pieces = st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(yaml_pieces)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever the text, it is read as plain data or refused as bad input; nothing else is raised."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        file = read_yaml(path)
        told = type(file.data) is dict
    except InputError as error:
        told = error.faults[0].file == str(path)
    assert told
