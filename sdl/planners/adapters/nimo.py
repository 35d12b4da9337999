"""`nimo`: NIMO, the NIMS orchestration system's choice of candidates, by its files of candidates and proposals.

Tamura et al., "NIMS-OS: an automation software", Sci. Technol. Adv. Mater. Methods 3, 2232297 (2023).
"""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np

from sdl.model import InputError, Problem
from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, PeerOptions, need

__all__ = ["NimoOptions", "NimoPlanner"]


class NimoOptions(PeerOptions):
    """Options of `nimo`."""

    method: Literal["PHYSBO", "BLOX", "RE"] = "PHYSBO"
    """Bayesian optimisation, search for what stands out, or random exploration; the other methods seek phases or
    ranges, not an optimum."""


class NimoPlanner(Peer):
    """NIMO's `selection`, which reads a file of all candidates with the outcomes known so far and writes proposals.

    The candidates are the free rows of a pool, or points drawn at random. NIMO seeds PHYSBO with 0 whatever the call,
    so the seed of a call decides the order of the candidates, and which are drawn.
    """

    name: ClassVar[str] = "nimo"
    package: ClassVar[str] = "nimo"
    options_type: ClassVar[type[PeerOptions]] = NimoOptions

    def refuse(self, problem: Problem) -> None:
        """As all adapters; BLOX and RE besides take one objective.

        Raises:
            InputError: several objectives for a method that takes one.
        """
        super().refuse(problem)
        if self.options.method == "BLOX" and len(problem.objectives) > 1:
            raise InputError("planner 'nimo' with method BLOX takes one objective; use method PHYSBO for several")

    def choose(self, case: Case, n: int) -> list[Choice]:
        """Write the candidates, let NIMO select, read its proposals."""
        nimo = need("nimo", self.name)
        offered = case.rng.permutation(case.offered(self.options.candidates))
        features = case.matrix(np.concatenate([offered, case.raw(case.seen)]))
        with TemporaryDirectory(prefix="sdl-nimo-") as folder:
            given, answer = Path(folder, "candidates.csv"), Path(folder, "proposals.csv")
            _write(given, features, case.scores)
            more: dict[str, Any] = {"re_seed": case.seed % 2**31} if self.options.method == "RE" else {}
            if self.options.method == "PHYSBO" and case.scores.shape[1] > 1:
                more["physbo_score"] = "EHVI"  # NIMO's own choice draws from a joint normal of all candidates: minutes
            nimo.selection(
                method=self.options.method,
                input_file=str(given),
                output_file=str(answer),
                num_objectives=case.scores.shape[1],
                num_proposals=n,
                **more,
            )
            with answer.open(encoding="utf-8", newline="") as file:
                chosen = [int(float(row["actions"])) for row in csv.DictReader(file)]
        return [Choice(offered[i], {"method": self.options.method}) for i in chosen]


def _write(path: Path, features: Any, scores: Any) -> None:
    """Candidates first, then what was observed; objectives of candidates stay empty. Scores are maximised."""
    blank = [""] * scores.shape[1]
    first = len(features) - len(scores)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"x{i}" for i in range(features.shape[1])] + [f"y{i}" for i in range(scores.shape[1])])
        for i, row in enumerate(features.tolist()):
            writer.writerow([*row, *(blank if i < first else scores[i - first].tolist())])
