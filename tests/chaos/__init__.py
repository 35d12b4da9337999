"""Fault points: a campaign is killed at every write to its journal and every exchange with an instrument.

`python -m chaos` (with `tests` on the path, or `make chaos`) runs them all; `test_sample.py` runs a sample.
"""
