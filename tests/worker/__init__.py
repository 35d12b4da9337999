"""Tests of stations in processes of their own; `worker.rig` has what they share."""
