"""`sdl schedule`: what runs, what comes next and who waits for what; and how well the stations were used."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sdl.campaign.labbook import LabBook
from sdl.campaign.timeline import Bar, Coming, Outlook, Timeline, Wait, outlook, timeline
from sdl.cli._as import only_data, opened_as, with_data
from sdl.cli._format import console, duration, plain, print_json, when
from sdl.cli._gantt import Block, Kind, Row, draw, hours
from sdl.journal import Store
from sdl.journal.location import StoreLocation
from sdl.journal.state import CampaignState

__all__ = ["schedule_command"]

_PIPE_WIDTH = 100
"""Characters of the chart where nobody says how wide the screen is."""
_LOOK_BACK = 2.0
"""The chart of a campaign that goes on shows so many times more of the past than of what is planned."""
_LEAST_BACK = 4 * 3600.0
"""Lab seconds of the past that it shows at least."""


def schedule_command(name: str, path: StoreLocation, json: bool, plan: bool, as_: str = "") -> None:
    """Print the schedule of a campaign; `as_`: for whom, as in `--as`."""
    with opened_as(path, as_) as (seen, role):
        campaign = with_data(seen, name, role)
        store = only_data(seen)
        lease = store.lease(campaign)
        live = lease is not None and lease.alive
        state = store.state(campaign)
        now = time.time_ns() if live and not state.virtual else None
        done = timeline(state, now, live)
        taken = _taken(store, state) if state.samples else {}
        coming = outlook(state, done.bars, now=now, live=live, taken=taken)
    status = "interrupted" if state.status in ("running", "created") and not live else state.status
    if json:
        print_json(_as_json(state, status, done, coming))
        return
    _print(state, status, done, coming, plan)


def _taken(store: Store, state: CampaignState) -> dict[str, int]:
    """Place → slots taken by samples of no trial that goes on in this campaign."""
    inventory = LabBook(store, state.created.get("lab", {}).get("name", "")).refresh().inventory()
    mine = {trial.number for trial in state.trials.values() if trial.status.pending}
    taken: dict[str, int] = {}
    for (place, _), holders in inventory.taken.items():
        if any(holder.campaign != state.id or holder.trial not in mine for holder in holders):
            taken[place] = taken.get(place, 0) + 1
    return taken


# ── for people ──


def _print(state: CampaignState, status: str, done: Timeline, coming: Outlook | None, plan: bool) -> None:
    out = console()
    said = f"{status}, {hours(done.now)} h of lab time"
    out.print(Text(f"{state.name}  {state.id}", style="bold"), Text(f"  {said}"), soft_wrap=True)
    if not done.bars:
        out.print("no step has begun yet", markup=False)
        return
    out.print()
    width = out.width if out.is_terminal else _PIPE_WIDTH
    for line in _chart(done, coming, plan, width):
        out.print(line, soft_wrap=True)
    out.print(_legend(plan, coming is not None and bool(coming.schedule.planned)), soft_wrap=True)
    if coming is not None:
        _print_outlook(out, state, coming)
    _print_use(out, done)


def _chart(done: Timeline, coming: Outlook | None, plan: bool, width: int) -> list[Text]:
    ahead = coming.schedule.planned if coming is not None else ()
    going = coming is not None and bool(coming.running or ahead)
    rows = []
    for station in done.stations:
        blocks = [_block(bar) for bar in done.bars if bar.station == station]
        if coming is not None:
            blocks += [
                Block(trial, max(coming.now, r.started), r.end(coming.now), "planned")
                for trial, _, r in coming.running
                if r.station == station
            ]
        blocks += [Block(p.job, p.start, p.end, "planned") for p in ahead if p.station == station]
        rows.append(Row(plain(station), tuple(blocks)))
        if plan:
            was = [Block(p.trial, p.start, p.end, "planned") for p in done.planned if p.station == station]
            rows.append(Row("  as planned", tuple(was), quiet=True))
    end = max([done.end, *(block.end for row in rows for block in row.blocks if not row.quiet)])
    begin = done.begin
    if going and coming is not None:
        begin = max(begin, coming.now - max(_LOOK_BACK * (end - coming.now), _LEAST_BACK))
    return draw(rows, begin, end, width, done.now if going else None)


def _block(bar: Bar) -> Block:
    kinds: dict[str, Kind] = {"done": "done", "running": "running"}
    return Block(bar.trial, bar.start, bar.end, kinds.get(bar.status, "failed"))


def _legend(plan: bool, ahead: bool) -> Text:
    parts = ["█ done", "▓ under way", "× fault or interrupted"]
    parts += ["░ planned"] if plan or ahead else []
    return Text(f"{'  '.join(parts)}  numbers: trials; lab time in h:min", style="dim")


def _print_outlook(out: Console, state: CampaignState, coming: Outlook) -> None:
    clock = coming.now if not state.virtual and state.times and state.times[-1].speed == 1.0 else None
    if coming.running:
        out.print()
        table = Table("now", "step", "station", "since", "ends", "in", box=None, pad_edge=False)
        for trial, step, running in coming.running:
            end = running.end(coming.now)
            cells = (hours(running.started), _at(end, coming.now, clock), duration(end - coming.now))
            table.add_row(*(Text(plain(cell)) for cell in (f"trial {trial}", step, running.station, *cells)))
        out.print(table)
    if coming.coming:
        out.print()
        table = Table("next", "step", "station", "begins", "in", "waits for", "maximum wait", box=None, pad_edge=False)
        for item in coming.coming:
            table.add_row(*_coming(coming, item, clock))
        out.print(table)
    if coming.schedule.note:
        out.print(Text(plain(coming.schedule.note), style="yellow"), soft_wrap=True)


def _coming(coming: Outlook, item: Coming, clock: float | None) -> Iterator[Text]:
    planned = item.planned
    yield Text(f"trial {item.trial}")
    yield Text(plain(item.step))
    yield Text(plain(planned.station) if planned is not None else "–")
    yield Text(_at(planned.start, coming.now, clock) if planned is not None else "–")
    yield Text(duration(planned.start - coming.now) if planned is not None else "–")
    yield Text(plain(item.why) or "–")
    if item.most is None or item.left is None:
        yield Text("–")
    elif item.left < 0:
        yield Text(f"EXCEEDED by {duration(-item.left)}", style="bold red")
    else:
        near = coming.near(item)
        yield Text(f"{duration(item.left)} left{': NEAR' if near else ''}", style="bold yellow" if near else "")


def _at(moment: float, now: float, clock: float | None) -> str:
    """A lab time, with the time of day where the lab's clock goes as that on the wall."""
    if clock is None:
        return hours(moment)
    return f"{hours(moment)} ({when(time.time_ns() + round((moment - now) * 1e9))[11:16]})"


def _print_use(out: Console, done: Timeline) -> None:
    out.print()
    table = Table(box=None, pad_edge=False)
    for column in ("station", "busy", "work", "set-up", "blocked", "idle"):
        table.add_column(column, justify="left" if column == "station" else "right")
    for use in done.uses:
        shares = (use.busy, *(use.share(part) for part in (use.work, use.setup, use.blocked, use.idle)))
        table.add_row(Text(plain(use.station)), *(Text(f"{share:.0%}") for share in shares))
    out.print(table)
    out.print()
    if done.bottleneck is not None:
        out.print(Text(plain(done.bottleneck.sentence)), soft_wrap=True)
    if done.bound > 0:
        times = (
            f"{done.makespan / done.bound:.2f} times the {hours(done.bound)} h that the busiest stations have to work"
        )
        text = f"{hours(done.makespan)} h from the first step to the last: {times}"
        out.print(text, markup=False, soft_wrap=True)
    for wait in done.broken:
        out.print(Text(_broken(wait), style="red"), soft_wrap=True)


def _broken(wait: Wait) -> str:
    assert wait.most is not None
    waits = "has waited" if wait.open else "waited"
    return f"trial {wait.trial} {waits} {duration(wait.seconds)} for {wait.step}, allowed are {duration(wait.most)}"


# ── for machines ──


def _as_json(state: CampaignState, status: str, done: Timeline, coming: Outlook | None) -> dict[str, Any]:
    return {
        "campaign": state.id,
        "name": state.name,
        "status": status,
        "now": done.now,
        "begin": done.begin,
        "end": done.end,
        "makespan": done.makespan,
        "bound": done.bound,
        "bottleneck": asdict(done.bottleneck) if done.bottleneck is not None else None,
        "stations": [{**asdict(use), "busy": use.busy} for use in done.uses],
        "done": [asdict(bar) for bar in done.bars],
        "planned": [asdict(bar) for bar in done.planned],
        "waits": [{**asdict(wait), "broken": wait.broken} for wait in done.waits],
        **_coming_json(coming),
    }


def _coming_json(coming: Outlook | None) -> Mapping[str, Any]:
    if coming is None:
        return {"running": [], "next": [], "plan": []}
    return {
        "running": [
            {"trial": trial, "step": step, "station": r.station, "started": r.started, "end": r.end(coming.now)}
            for trial, step, r in coming.running
        ],
        "next": [
            {
                "trial": item.trial,
                "step": item.step,
                "station": item.planned.station if item.planned is not None else None,
                "start": item.planned.start if item.planned is not None else None,
                "waits_for": item.why,
                "waited": item.waited,
                "max_wait": item.most,
                "near": coming.near(item),
            }
            for item in coming.coming
        ],
        "plan": [
            {"trial": p.job, "step": p.step, "station": p.station, "place": p.place, "start": p.start, "end": p.end}
            for p in coming.schedule.planned
        ],
    }
