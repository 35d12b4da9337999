"""The kit finds what is wrong with a simulated instrument: variants of the template's doser with one flaw each."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sdl.cli._plugin import plugin_new_command
from sdl.testing import SIMULATOR_CHECKS, Act, CheckReport, DeviceCase, check_simulator

Change = tuple[str, str]
Load = Callable[[str, Change | None], ModuleType]

FLAWS: dict[str, tuple[Change, set[str]]] = {
    "dies of what is no ASCII": (
        ('return await reader.readuntil(b"\\n")', 'return (await reader.readuntil(b"\\n")).decode("ascii").encode()'),
        {"garbage"},
    ),
    "has no limits": (("0 < volume <= self._largest", "0 < volume"), {"limits"}),
    "never makes itself safe": (("super().__init__(probe, deadman=deadman)", "super().__init__(probe)"), {"deadman"}),
    "logs what is not over": (
        ('self.probe.record("dose", ', 'self.probe.record("d%s" % id(object()), '),
        {"truth_log"},
    ),
    "is silent when it refuses": (('return b"ERR busy\\n"', 'return b""'), {"faults"}),
    "goes on after stop": (
        ("            await server.stop()\n        await self._control.stop()", "            pass"),
        {"stop"},
    ),
    "does not repeat": (
        ('f"{self._total:.6f}"', "f\"{self._total + __import__('random').random() * 1e-3:.6f}\""),
        {"seeds"},
    ),
    "ticks": (
        (
            "        probe.faults.on_change.append(self._advance)\n",
            "        probe.faults.on_change.append(self._advance)\n        self._tick()\n\n"
            "    def _tick(self) -> None:\n        asyncio.get_running_loop().call_later(1.0, self._tick)\n",
        ),
        {"virtual_time"},
    ),
}


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Loads the template's package under a name of its own, with one change of its simulator."""
    made: list[str] = []

    def loaded(name: str, change: Change | None) -> ModuleType:
        folder = tmp_path_factory.mktemp("doser") / name
        plugin_new_command("device", name, folder)
        package = folder / "src" / name
        if change is not None:
            path = package / "simulator.py"
            text = path.read_text()
            assert text.count(change[0]) == 1, change[0]
            path.write_text(text.replace(*change))
        for part in ("", "link", "signals", "device", "simulator"):
            full = f"{name}.{part}".rstrip(".")
            file = package / f"{part or '__init__'}.py"
            spec = importlib.util.spec_from_file_location(
                full, file, submodule_search_locations=None if part else [str(package)]
            )
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[full] = module
            made.append(full)
            spec.loader.exec_module(module)
        return sys.modules[name]

    yield loaded
    for name in made:
        del sys.modules[name]


def checked(name: str) -> CheckReport:
    """The whole kit on a doser with a name."""
    class_name = name.capitalize()
    driver = getattr(sys.modules[f"{name}.device"], class_name)
    simulation = getattr(sys.modules[f"{name}.simulator"], f"{class_name}Simulation")
    return check_simulator(
        simulation,
        [DeviceCase(driver=driver, name="doser", exercise=(Act("", 20.0),), timeout=0.3)],
        instruments={"doser": {"largest": "100 uL"}},
        beyond={"doser": ({"largest": "500 uL"}, Act("", 300.0))},
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_fails_the_check_that_is_meant_for_it(flaw: str, load: Load, tmp_path: Path) -> None:
    """All checks are made in spite of the failure, and only those that are about the flaw fail."""
    change, expected = FLAWS[flaw]
    name = f"doser{list(FLAWS).index(flaw)}"
    load(name, change)
    report = checked(name)
    assert {result.name for result in report.failed} == expected, str(report)
    assert len(report.results) == len(SIMULATOR_CHECKS)


@pytest.mark.slow
def test_without_a_flaw_nothing_fails(load: Load) -> None:
    """The doser as the template has it passes every check, and none is skipped."""
    load("soundoser", None)
    report = checked("soundoser")
    report.require()
    assert {result.status.value for result in report.results} == {"passed"}, str(report)


def test_a_simulator_needs_a_driver() -> None:
    """What is looked at through drivers cannot be looked at without one."""
    with pytest.raises(ValueError, match="give at least one device"):
        check_simulator("silver_flow", [])


def test_unknown_checks_are_refused() -> None:
    """A misspelt check is no check that passed."""
    with pytest.raises(ValueError, match="no check limit; there are: serves"):
        check_simulator("silver_flow", [DeviceCase(driver="soft_detector")], only=["limit"])
