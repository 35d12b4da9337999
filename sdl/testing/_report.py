"""Reports of the conformance kits for devices and simulators: every check, what it found, and why it was not made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["CheckFailed", "CheckReport", "CheckResult", "CheckStatus", "Conformance", "Skip"]


class CheckStatus(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """One check."""

    name: str
    """Short name, which stays the same from release to release."""
    about: str
    """What is asked of the device or the simulator."""
    status: CheckStatus
    evidence: str
    """What was seen; why it failed; why it was not made."""
    seconds: float = 0.0
    """Wall seconds that it took."""

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "name": self.name,
            "about": self.about,
            "status": self.status.value,
            "evidence": self.evidence,
            "seconds": round(self.seconds, 3),
        }


class Conformance(AssertionError):
    """A device or simulator breaks its contract. Carries the report."""

    def __init__(self, report: CheckReport) -> None:
        self.report = report
        failed = [f"{result.name}: {result.evidence}" for result in report.failed]
        super().__init__("\n  ".join([report.headline, *failed]))


@dataclass(frozen=True)
class CheckReport:
    """All checks of one device or simulator, whatever became of them."""

    subject: str
    """What was checked."""
    results: tuple[CheckResult, ...]
    """In the order in which they were made."""

    @property
    def ok(self) -> bool:
        """Whether no check failed and at least one passed."""
        return not self.failed and any(result.status is CheckStatus.PASSED for result in self.results)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.status is CheckStatus.FAILED)

    @property
    def headline(self) -> str:
        """Subject and counts in one line."""
        counts = [f"{sum(r.status is status for r in self.results)} {status.value}" for status in CheckStatus]
        return f"{self.subject}: {len(self.results)} checks, {', '.join(counts)}"

    def __getitem__(self, name: str) -> CheckResult:
        """The check of a name.

        Raises:
            KeyError: there is none.
        """
        found = next((result for result in self.results if result.name == name), None)
        if found is None:
            raise KeyError(f"no check {name!r}; there are: {', '.join(r.name for r in self.results)}")
        return found

    def require(self) -> None:
        """Raise with every failure when there is one.

        Raises:
            Conformance: an `AssertionError` that lists them.
        """
        if not self.ok:
            raise Conformance(self)

    def as_json(self) -> dict[str, Any]:
        """For a file or a program."""
        return {"subject": self.subject, "ok": self.ok, "checks": [result.as_json() for result in self.results]}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.headline
        width = max((len(result.name) for result in self.results), default=0)
        marks = {CheckStatus.PASSED: "✓", CheckStatus.FAILED: "✗", CheckStatus.SKIPPED: "·"}
        for result in self.results:
            evidence = " ".join(result.evidence.split())
            yield f"  {marks[result.status]} {result.name:<{width}}  {evidence or result.about}"


class CheckFailed(Exception):
    """What a check found wrong."""


class Skip(Exception):
    """Why a check cannot be made."""
