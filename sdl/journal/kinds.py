"""The kinds of journal entries and the keys of their bodies.

A body that came from a station's worker has `origin` {station, seq} beside its other keys.
A journal written by any release stays readable: kinds and keys are added, never renamed or given another meaning.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTION_ABORTED",
    "ACTION_ACKED",
    "ACTION_ARMED",
    "ACTION_DISPATCHED",
    "ACTION_DONE",
    "ACTION_DOUBTFUL",
    "ACTION_FAILED",
    "ACTION_RESOLVED",
    "ACTION_SKIPPED",
    "CAMPAIGN_ABORTED",
    "CAMPAIGN_AMENDED",
    "CAMPAIGN_CREATED",
    "CAMPAIGN_ENDED",
    "CAMPAIGN_PAUSED",
    "CAMPAIGN_WITHDRAWN",
    "DOCUMENT",
    "INTERLOCK_TRIPPED",
    "KINDS",
    "LAB_OPENED",
    "PLANNER_FAULT",
    "REHEARSAL_QUOTED",
    "RUN_INTERRUPTED",
    "SAMPLE_ARCHIVED",
    "SAMPLE_CONSUMED",
    "SAMPLE_CREATED",
    "SAMPLE_LOCATED",
    "SAMPLE_MOVED",
    "SAMPLE_QUARANTINED",
    "SESSION_CLOSED",
    "SESSION_OPENED",
    "STATION_LOST",
    "STATION_SAFE",
    "STEP_DONE",
    "STEP_FAILED",
    "STEP_STARTED",
    "STOCK_COUNTED",
    "STOCK_LOW",
    "STOCK_RECEIVED",
    "STOCK_RELEASED",
    "STOCK_RESERVED",
    "TRIAL_ANNOTATED",
    "TRIAL_APPROVED",
    "TRIAL_CORRECTED",
    "TRIAL_FAILED",
    "TRIAL_INFEASIBLE",
    "TRIAL_OBSERVED",
    "TRIAL_PROPOSED",
    "TRIAL_REJECTED",
    "TRIAL_SCHEDULED",
]

CAMPAIGN_CREATED: Final = "campaign.created"
"""`spec` (CampaignSpec, the pool filled in), `lab` {name, file, sha256, text}, `inputs` {name: {path, sha256, text}},
`procedure`; `project` where one is stated."""
CAMPAIGN_AMENDED: Final = "campaign.amended"
"""As in `campaign.created`, all of it in force from here on; `changes` {dotted key: [old, new]}."""
SESSION_OPENED: Final = "session.opened"
"""`holder`, `epoch`, `versions` {package: version}, `revision` (of the lab's folder, as `git:4f9a…`), `environment`
[NAME==VERSION], `lab_speed`, `virtual`. A process took the campaign up."""
LAB_OPENED: Final = "lab.opened"
"""`addresses` {device: address}, `simulated` [device], `control` (of the simulation, or ""), `speed`, `workers`
{station: address}, `certificates` {device: what is cited of its newest certificate of conformance}, `identity` {device:
{said, manufacturer, model, serial, firmware}, as far as it says}. Devices are connected."""
SESSION_CLOSED: Final = "session.closed"
"""`lab_seconds` in all. The process let the campaign go in good order."""
CAMPAIGN_PAUSED: Final = "campaign.paused"
"""`message`, `advice`: why, and what a person has to do."""
CAMPAIGN_ENDED: Final = "campaign.ended"
"""`rule` (trials | hours | reach | patience | exhausted), `message`."""
CAMPAIGN_ABORTED: Final = "campaign.aborted"
"""`message`. Stopped at once, devices driven to their safe states."""
PLANNER_FAULT: Final = "planner.fault"
"""`planner`, `message`: the planner raised or proposed something outside the problem."""
TRIAL_PROPOSED: Final = "trial.proposed"
"""`trial`, `parameters`, `reason`, `planner` {name, version, options}, `seed`, `known_seq` (last entry that the planner
knew)."""
TRIAL_APPROVED: Final = "trial.approved"
"""`trial`, `by`."""
TRIAL_REJECTED: Final = "trial.rejected"
"""`trial`, `by`, `message`."""
STEP_STARTED: Final = "step.started"
"""`trial`, `step`, `attempt` (1, 2 …), `station`, `plan`, `arguments`; of a step that makes or moves a sample
`into` {place, slot}, where it then is."""
STEP_DONE: Final = "step.done"
"""`trial`, `step`, `attempt`, `runs` (uids)."""
STEP_FAILED: Final = "step.failed"
"""`trial`, `step`, `attempt`, `cause` (fault | infeasible | interrupted | aborted | doubt | interlock | refused),
`message`, `device`."""
DOCUMENT: Final = "document"
"""`trial`, `step`, `attempt`, `name` (start | descriptor | event | …), `doc`: one Bluesky document."""
RUN_INTERRUPTED: Final = "run.interrupted"
"""`trial`, `step`, `attempt`, `doc`: a stop document written for a run whose process ended before its own."""
STATION_SAFE: Final = "station.safe"
"""`station`, `devices` {name: "safe" | what went wrong}, `cause`."""
STATION_LOST: Final = "station.lost"
"""`station`, `message`: its worker does not answer, and what it does meanwhile is in its own spool; an empty message
when it answers again."""
INTERLOCK_TRIPPED: Final = "interlock.tripped"
"""`station`, `interlock`, `message`: what was read, and what it must be. The station is driven to its safe state."""
ACTION_DISPATCHED: Final = "action.dispatched"
"""`trial`, `step`, `attempt`, `action` (id), `try` (1, 2 …), `station`, `device`, `path`, `verb`, `arguments` {args,
kwargs}, `effect` (absolute | dedup | non_repeatable), `arms`, `continues`, `epoch`. On the disk before any byte
leaves."""
ACTION_ARMED: Final = "action.armed"
"""`trial`, `action`, `evidence`: everything is prepared, and the bytes that act leave next. On the disk before them."""
ACTION_ACKED: Final = "action.acked"
"""`trial`, `action`, `evidence`: the instrument has taken the command."""
ACTION_DONE: Final = "action.done"
"""`trial`, `action`, `evidence`."""
ACTION_FAILED: Final = "action.failed"
"""`trial`, `action`, `message`: it has not happened (FAILED_CLEAN), or may be repeated at will."""
ACTION_ABORTED: Final = "action.aborted"
"""`trial`, `action`, `message`, `evidence`: stopped part-way, and `evidence` says how far."""
ACTION_DOUBTFUL: Final = "action.doubtful"
"""`trial`, `action`, `cause` (fault | interrupted), `message`: whether it happened is not known."""
ACTION_RESOLVED: Final = "action.resolved"
"""`trial`, `action`, `verdict` (done | not_done | partial | quarantine), `by` (instrument:NAME or a person), `note`,
`evidence`."""
ACTION_SKIPPED: Final = "action.skipped"
"""`trial`, `action`, `attempt`: a replayed message whose action is done completed without touching the instrument."""
TRIAL_SCHEDULED: Final = "trial.scheduled"
"""`trial`, `now` (lab s of the campaign), `by` (lookahead | rule), `steps` [{step, station, start, end}] in lab seconds
of the campaign: what was planned when its first step began."""
SAMPLE_CREATED: Final = "sample.created"
"""`trial`, `sample` (id), `label`, `barcode`, `step`, `attempt`, `place`, `slot`, `stock` [{item, lot}], `parents`
[samples]."""
SAMPLE_MOVED: Final = "sample.moved"
"""`trial`, `sample`, `step`, `attempt`, `place`, `slot`, `from` {place, slot}: a step handed it over."""
SAMPLE_CONSUMED: Final = "sample.consumed"
"""`trial`, `sample`, `step`, `message`: there is nothing of it left."""
SAMPLE_ARCHIVED: Final = "sample.archived"
"""`trial`, `sample`, `step`, `attempt`, `place`, `slot`: its trial is done with it, and this is where it is kept."""
SAMPLE_QUARANTINED: Final = "sample.quarantined"
"""`trial`, `sample`, `by`, `message`: not to be used; its place stays taken until somebody says where it is."""
SAMPLE_LOCATED: Final = "sample.located"
"""`sample`, `place`, `slot`, `by`, `note`: somebody says where it is; an empty place when it is out of the lab.
Those of people are in the chain of the lab."""
STOCK_RECEIVED: Final = "stock.received"
"""`item`, `lot`, `amount`, `unit`, `expires` (ISO date or ""), `by`, `note`. In the chain of the lab."""
STOCK_COUNTED: Final = "stock.counted"
"""`item`, `lot`, `amount`, `unit`, `by`, `note`: somebody looked how much is left; what was used before is in it. In
the chain of the lab."""
STOCK_RESERVED: Final = "stock.reserved"
"""`trial`, `items` [{item, lot, amount, unit, step, each, devices, path}]: set aside before the trial begins. What is
used follows from the actions of `devices` (from the starts of the step where there are none): `each` for each."""
STOCK_RELEASED: Final = "stock.released"
"""`trial`, `items` [{item, lot, amount, unit, step}]: what the trial did not use is free again."""
STOCK_LOW: Final = "stock.low"
"""`item`, `left`, `warn_below`, `unit`: what is free has come below the limit of the lab file."""
REHEARSAL_QUOTED: Final = "rehearsal.quoted"
"""`runs`, `quote`: what rehearsals on virtual time foretell of the campaign."""
TRIAL_OBSERVED: Final = "trial.observed"
"""`trial`, `outcomes` {name: {value, sem, unit}}, `analysis` {name, version, options}, `runs`, `lab_seconds`."""
TRIAL_INFEASIBLE: Final = "trial.infeasible"
"""`trial`, `message`, `lab_seconds`."""
TRIAL_FAILED: Final = "trial.failed"
"""`trial`, `message`, `device`, `lab_seconds`."""
TRIAL_CORRECTED: Final = "trial.corrected"
"""`trial`, `outcomes` {name: {value, sem, unit}}, `by`, `why`: what these are from here on, for planners too."""
TRIAL_ANNOTATED: Final = "trial.annotated"
"""`trial`, `by`, `text`: somebody noted something about it."""
CAMPAIGN_WITHDRAWN: Final = "campaign.withdrawn"
"""`by`, `why`: its data are not to be relied on. They stay on record."""

KINDS: Final = frozenset(value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str))
