"""How a campaign ran: degree of autonomy, operational lifetime, throughput, and the use of each station."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sdl.campaign._labtime import LabTime
from sdl.fair._metric import Metric, MetricGroup
from sdl.journal import Entry, kinds
from sdl.model import TrialStatus

if TYPE_CHECKING:
    from sdl.campaign.timeline import Timeline
    from sdl.journal.state import CampaignState

__all__ = ["RunFacts", "autonomy", "lifetime", "throughput", "use_of_stations"]

_PERSON: Final = "person:"
_BY_HAND: Final = {
    kinds.TRIAL_APPROVED: "approved", kinds.TRIAL_REJECTED: "rejected", kinds.ACTION_RESOLVED: "settled a doubt",
    kinds.SAMPLE_LOCATED: "located a sample", kinds.SAMPLE_QUARANTINED: "put a sample in quarantine",
}  # fmt: skip
"""Kinds of entries in which a person may have had a hand, and what the person did."""


@dataclass
class RunFacts:
    """What metrics need of a journal besides the folded state; `add` each entry in order."""

    by_hand: dict[int, list[str]] = field(default_factory=dict)
    """Trial → what people did in its loop."""
    touched: list[tuple[int, str]] = field(default_factory=list)
    """When somebody had a hand in the campaign while it ran (UTC, ns), and what was done."""
    sessions: list[tuple[int, int]] = field(default_factory=list)
    """Begin and last sign of each, UTC, ns."""
    simulated: set[str] = field(default_factory=set)
    """Devices that were simulated."""
    runs: int = 0
    events: int = 0
    _open: bool = False

    def add(self, entry: Entry) -> None:
        """Take note of an entry."""
        body = entry.body
        if entry.kind == kinds.SESSION_OPENED:
            self.sessions.append((entry.at, entry.at))
            self._open = True
        elif entry.kind == kinds.LAB_OPENED and self._open:
            self.sessions[-1] = (entry.at, entry.at)
        elif self._open:
            self.sessions[-1] = (self.sessions[-1][0], entry.at)
        if entry.kind == kinds.SESSION_CLOSED:
            self._open = False
        elif entry.kind == kinds.LAB_OPENED:
            self.simulated |= set(body.get("simulated", ()))
        elif entry.kind == kinds.DOCUMENT:
            self.runs += body["name"] == "start"
            self.events += _events(body)
        elif entry.kind == kinds.TRIAL_PROPOSED and str(body["planner"].get("name", "")).startswith(_PERSON):
            self._note(entry, "proposed")
        elif entry.kind in _BY_HAND and str(body.get("by", "")).startswith(_PERSON):
            self._note(entry, _BY_HAND[entry.kind])

    def _note(self, entry: Entry, what: str) -> None:
        if "trial" in entry.body:
            self.by_hand.setdefault(entry.body["trial"], []).append(what)
        if self._open:
            self.touched.append((entry.at, what))


def _events(body: Any) -> int:
    return 1 if body["name"] == "event" else len(body["doc"]["seq_num"]) if body["name"] == "event_page" else 0


def autonomy(state: CampaignState, facts: RunFacts) -> MetricGroup:
    """The role that people had in the loop."""
    trials, hands = len(state.trials), facts.by_hand
    proposed = sum("proposed" in done for done in hands.values())
    share = 1 - len(hands) / trials if trials else None
    if not trials:
        level, note = None, "no trial was proposed"
    elif proposed == trials:
        level, note = "piecewise", "a person proposed every trial"
    elif hands:
        level, note = "semi-closed loop", f"people had a hand in {len(hands)} of {trials} trials"
    else:
        level, note = "closed loop", "no trial needed a person between its proposal and what was learned from it"
    did: dict[str, int] = {}
    for done in hands.values():
        for what in done:
            did[what] = did.get(what, 0) + 1
    return MetricGroup("autonomy", "Degree of autonomy", (
        Metric(
            "degree_of_autonomy", "Degree of autonomy", level, "",
            "What people have to do for the next experiment to be chosen and done. Piecewise: a person carries every "
            "decision from the algorithm to the platform. Semi-closed loop: the two talk to each other, and a person "
            "has a hand in some trials. Closed loop: in none. Self-motivated: the platform also sets its own "
            "objectives, which no record of sdl can show.",
            "piecewise if a person proposed all trials; else semi-closed if any trial has an approval, a rejection, a "
            "settled doubt or a sample handled by a person; else closed",
            note, {"by_hand": did, "trials": sorted(hands)},
        ),
        Metric(
            "autonomous_trials", "Trials without a person", share, "1",
            "Share of the trials in which nobody had a hand.", "1 − trials with a hand in them / trials",
            "" if trials else note,
        ),
    ))  # fmt: skip


def lifetime(state: CampaignState, facts: RunFacts) -> MetricGroup:
    """How long the lab worked, with and without help."""
    time = LabTime(state)
    stretches: list[float] = []
    total = 0.0
    for begin, end in facts.sessions:
        cuts = [begin, *(at for at, _ in facts.touched if begin < at < end), end]
        lengths = [time.at(b) - time.at(a) for a, b in pairwise(cuts)]
        stretches += [length for length in lengths if length > 0]
        total += time.at(end) - time.at(begin)
    details = {
        "sessions": len(facts.sessions),
        "interventions": [what for _, what in facts.touched],
        "stretches_s": stretches,
    }
    note = "" if stretches else "no session was opened"
    longest = max(stretches) if stretches else None
    mean = sum(stretches) / len(stretches) if stretches else None
    assisted = total if stretches else None
    return MetricGroup("lifetime", "Operational lifetime, demonstrated", (
        Metric(
            "unassisted_longest", "Longest unassisted", longest, "s",
            "Longest time in which the lab worked on the campaign and nobody had a hand in it, in lab time.",
            "max of tᵢ₊₁ − tᵢ over the begin of each session, each entry by a person within it, and its end", note,
            details,
        ),
        Metric(
            "unassisted_mean", "Mean unassisted", mean, "s",
            "Time between two interventions, on average. That somebody starts the next session is one of them.",
            "sum of the stretches / their number", note,
        ),
        Metric(
            "assisted", "Assisted", assisted, "s",
            "Time in which the lab worked on the campaign in all, with whatever help it got between and within "
            "sessions. It is what was demonstrated, not how long the lab could go on.",
            "sum over sessions of end − begin, in lab time", note,
        ),
    ))  # fmt: skip


def throughput(state: CampaignState, facts: RunFacts, shown: Timeline) -> MetricGroup:
    """How many experiments an hour, and how many it could be."""
    done = state.count(TrialStatus.OBSERVED, TrialStatus.INFEASIBLE)
    hours, bound = shown.makespan / 3600, shown.bound / 3600
    busiest = ", ".join(shown.bottleneck.stations) if shown.bottleneck is not None else ""
    begun = len({bar.trial for bar in shown.bars})
    counted = {"trials": done, "runs": facts.runs, "events": facts.events, "hours": hours}
    none = "no step was done" if hours <= 0 else ""
    return MetricGroup("throughput", "Throughput", (
        Metric(
            "demonstrated", "Demonstrated", done / hours if hours > 0 else None, "1/h",
            "Experiments an hour that gave a result, also that the trial is infeasible, while the lab worked: making "
            "the material and measuring it, waits and failed attempts included.",
            "trials observed or infeasible / (end of the last step − begin of the first), in lab time", none, counted,
        ),
        Metric(
            "theoretical", "Theoretical", begun / bound if bound > 0 else None, "1/h",
            "Experiments an hour that no schedule of the same steps could beat: the busiest station, or group of "
            "stations that stand in for each other, works without a gap; set-ups and waits are left out.",
            "trials begun / work of the busiest stations, each attempt as long as it took; the scheduler's lower bound",
            "" if bound > 0 else none or "the journal does not have the lab file",
            {"trials": begun, "bound_hours": bound, "stations": busiest},
        ),
        Metric(
            "measurements", "Readings", facts.events / hours if hours > 0 else None, "1/h",
            "Readings (Bluesky events) an hour.", "events / (end of the last step − begin of the first)", none,
        ),
    ))  # fmt: skip


def use_of_stations(state: CampaignState, shown: Timeline, devices: Iterable[tuple[str, Sequence[str]]]) -> MetricGroup:
    """How well each station, with its instruments, was used."""
    own = {name: list(held) for name, held in devices}
    return MetricGroup("utilisation", "Utilisation of instruments", tuple(
        Metric(
            f"busy_{use.station}", use.station, use.busy, "1",
            "Share of the time from the first step to the last in which a step was under way at the station, set-up "
            "included.", "(work + set-up) / (work + set-up + blocked + idle)", "",
            {
                "devices": own.get(use.station, []), "work_s": use.work, "setup_s": use.setup,
                "blocked_s": use.blocked, "idle_s": use.idle,
            },
        )
        for use in shown.uses
    ))  # fmt: skip
