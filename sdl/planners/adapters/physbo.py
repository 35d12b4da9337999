"""`physbo`: PHYSBO, Bayesian optimisation over a list of candidates.

Motoyama et al., Comput. Phys. Commun. 278, 108405 (2022).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, PeerOptions, need

__all__ = ["PhysboOptions", "PhysboPlanner"]


class PhysboOptions(PeerOptions):
    """Options of `physbo`."""

    score: Literal["EI", "PI", "TS"] = "EI"
    """Expected improvement, its probability, or Thompson sampling; several objectives take EHVI, HVPI or TS instead."""
    random_features: int = 0
    """Random features that approximate the Gaussian process; 0 computes it exactly."""


class PhysboPlanner(Peer):
    """PHYSBO's discrete policy, made anew at each call.

    The candidates are the free rows of a pool; where the space is no list, points drawn at random. They are shuffled,
    since the picks of PHYSBO partly follow their order. Pending trials are not told, only left out.
    """

    name: ClassVar[str] = "physbo"
    package: ClassVar[str] = "physbo"
    options_type: ClassVar[type[PeerOptions]] = PhysboOptions

    def choose(self, case: Case, n: int) -> list[Choice]:
        """One Bayesian search step over the candidates."""
        physbo = need("physbo", self.name)
        offered = case.rng.permutation(case.offered(self.options.candidates))
        seen = case.raw(case.seen)
        matrix = physbo.misc.centering(case.matrix(np.concatenate([offered, seen])))
        actions = np.arange(len(offered), len(offered) + len(seen))
        policy = self._policy(physbo, matrix, actions, case.scores)
        policy.set_seed(case.seed % 2**32)
        chosen = policy.bayes_search(
            max_num_probes=1,
            num_search_each_probe=n,
            simulator=None,
            score=self._score(case),
            interval=0,
            num_rand_basis=self.options.random_features,
            is_disp=False,
        )
        return [Choice(offered[int(i)], {}) for i in chosen]

    def _policy(self, physbo: Any, matrix: Any, actions: Any, scores: Any) -> Any:
        if scores.shape[1] == 1:
            return physbo.search.discrete.Policy(test_X=matrix, initial_data=[actions, scores[:, 0]])
        policy = physbo.search.discrete_multi.Policy
        return policy(test_X=matrix, num_objectives=scores.shape[1], initial_data=[actions, scores])

    def _score(self, case: Case) -> str:
        several = {"EI": "EHVI", "PI": "HVPI", "TS": "TS"}
        score: str = self.options.score
        return several[score] if case.scores.shape[1] > 1 else score
