"""Conformance kits for authors of plug-ins. Public: a plug-in's own tests import from here."""

from sdl.testing.planner import PlannerReport, PlannerViolations, check_planner

__all__ = ["PlannerReport", "PlannerViolations", "check_planner"]
