"""The dosing example as its README runs it, with instruments that the campaign itself starts."""

from __future__ import annotations

from pathlib import Path

from chaos.bench import EXAMPLE
from chaos.checker import VOLUMES, history_of, read_store, read_truth
from chaos.harness import Harness, Reference


def test_it_runs_without_an_address(harness: Harness, reference: Reference, tmp_path: Path) -> None:
    """`sdl run` starts the simulated instruments, and the campaign comes to what it always comes to."""
    truth = tmp_path / "truth.jsonl"
    argv = ("run", EXAMPLE / "campaign.yaml", "--store", tmp_path / "sdl.db", "--quiet")
    child = harness.forks.start(argv, tmp_path / "run", {"SDL_SIMULATION_LOG": str(truth)})
    assert child.wait(60) == 0, child.err
    entries, _ = read_store(tmp_path / "sdl.db")
    assert history_of(entries) == reference.history
    for pump, parameter in VOLUMES.items():
        wanted = sum(trial[1][parameter] for trial in reference.history[:-1])
        lines = [line for line in read_truth(truth) if line["instrument"] == pump and "total" in line]
        assert abs(lines[-1]["total"]["INF"] - wanted) < 0.01
