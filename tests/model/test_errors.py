"""The exceptions: what they say, and that they survive a process boundary."""

from __future__ import annotations

import copy
import pickle

import pytest

from sdl.model import Exhausted, Fault, FileFault, Infeasible, InputError, MissingExtra, SdlError, UnsafeState

ALL = [
    SdlError("x"),
    Fault("heater", "no answer within 2 s"),
    Fault("", "the plan is wrong"),
    UnsafeState("heater", "still at 80 degC"),
    Infeasible("no peak"),
    Exhausted("all tried"),
    MissingExtra("planner 'bayes'", "planners"),
    InputError("no such campaign"),
    InputError([FileFault("is missing", "c.yaml", 3, "budget"), FileFault("unknown key", "c.yaml", 9, "a.b")]),
]


@pytest.mark.parametrize("error", ALL, ids=lambda e: type(e).__name__)
def test_errors_can_be_pickled(error: SdlError) -> None:
    """An error that crosses a process boundary keeps its type, its text and what it carries."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_a_fault_names_its_device() -> None:
    """The device comes first in the text, and alone in an attribute."""
    fault = Fault("heater", "no answer")
    assert (str(fault), fault.device) == ("heater: no answer", "heater")
    assert str(Fault("", "no answer")) == "no answer"


def test_input_errors_carry_every_fault() -> None:
    """Each fault has a line of its own: file, line, key, message."""
    error = ALL[-1]
    assert str(error) == "c.yaml:3: budget: is missing\nc.yaml:9: a.b: unknown key"
    assert str(FileFault("cannot be read", "c.yaml")) == "c.yaml: cannot be read"


def test_a_missing_extra_shows_the_command() -> None:
    """The command that mends it is in the text."""
    assert "pip install 'self-driving-lab[planners]'" in str(MissingExtra("planner 'bayes'", "planners"))


def test_unsafe_state_is_a_fault_and_infeasible_is_not() -> None:
    """The equipment's failures and the chemistry's are told apart by type."""
    assert issubclass(UnsafeState, Fault)
    assert not issubclass(Infeasible, Fault)
