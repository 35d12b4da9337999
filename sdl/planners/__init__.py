"""Planners: `random`, `sobol` and `bayes`.

Each is a pure function of `(problem, trials, n, seed)` and is reached by its entry point, so that a campaign which
draws at random loads no torch. `in_process` says where a campaign runs it: cheap planners where the loop runs, the
others in a worker process.
"""
