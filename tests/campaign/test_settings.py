"""`key=value` settings."""

from __future__ import annotations

from typing import Any

import pytest

from sdl.campaign.settings import apply_settings, parse_settings
from sdl.model import InputError


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("budget.hours=72", "budget.hours", 72),
        ("x=1.5", "x", 1.5),
        ("x=true", "x", True),
        ("x=[a, b]", "x", ["a", "b"]),
        ("x={a: 1}", "x", {"a": 1}),
        ("x=", "x", ""),
        ("x=null", "x", None),
        ("x='7'", "x", "7"),
        ("x=a=b", "x", "a=b"),
        ("table=/data/run #1: final.csv", "table", "/data/run #1: final.csv"),
        ("x=2026-11-22", "x", "2026-11-22"),
        ("x=2026-13-45", "x", "2026-13-45"),
        ("x=[a", "x", "[a"),
        (" x = y ", "x", "y"),
    ],
)
def test_values(text: str, key: str, value: Any) -> None:
    """Numbers, truth values and what is in brackets or quotes are YAML; everything else is text as it stands."""
    parsed = parse_settings([text])
    assert parsed == {key: value}
    assert type(parsed[key]) is type(value)


def test_texts_without_an_equals_sign() -> None:
    """Every one that is not key=value is told."""
    with pytest.raises(InputError) as caught:
        parse_settings(["budget", "=3", "seed=1"])
    assert [f.message for f in caught.value.faults] == [
        "--set 'budget' is not key=value, as in budget.hours=72",
        "--set '=3' is not key=value, as in budget.hours=72",
    ]


def test_fields_and_inputs() -> None:
    """A dotted path changes a field, the name of an input fills it, and the file's own data stays as it was."""
    data = {"planner": "bayes", "budget": None, "inputs": None, "problem": {"constraints": [{"at_most": 1}]}}
    settings = {
        "planner.options.k": 2,
        "budget.hours": 3,
        "table": 7,
        "problem.constraints.0.at_most": 9,
        "stop.patience": 4,
    }
    changed = apply_settings(data, settings, ["table"])
    assert changed == {
        "planner": {"name": "bayes", "options": {"k": 2}},
        "budget": {"hours": 3},
        "inputs": {"table": "7"},
        "problem": {"constraints": [{"at_most": 9}]},
        "stop": {"patience": 4},
    }
    assert data["planner"] == "bayes"
    assert data["problem"] == {"constraints": [{"at_most": 1}]}


def test_settings_that_lead_nowhere() -> None:
    """Unknown keys name the nearest, and every one is told."""
    with pytest.raises(InputError) as caught:
        apply_settings({"seed": 1}, {"budgte.hours": 1, "tabel": "x", "seed.x": 1}, ["table"])
    first, second, third = (f.message for f in caught.value.faults)
    assert "did you mean 'budget'?" in first
    assert "did you mean 'table'?" in second
    assert third == "--set seed.x: seed is not a group of settings"
