"""`sdl run`."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from sdl.campaign import Campaign, Control, Feed, OnEvent, parse_settings
from sdl.cli._errors import ABORTED, ENDED, PAUSED
from sdl.cli._format import console, print_json
from sdl.cli._progress import Progress
from sdl.journal import Entry, JournalError, kinds
from sdl.journal.location import StoreLocation
from sdl.journal.state import CampaignState
from sdl.lab.spec import OnInterrupt
from sdl.model import InputError

__all__ = ["event_json", "run_command"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def run_command(
    paths: Sequence[Path],
    store: StoreLocation,
    seed: int | None,
    trials: int | None,
    settings: list[str],
    quiet: bool,
    json: bool,
    interrupted: str | None,
    feed: Feed | None = None,
    key: Path | None = None,
    virtual: bool = False,
) -> int:
    """Run campaigns, several at once on one lab, and return the exit status: the gravest of theirs."""
    if feed is not None and len(paths) > 1:
        raise InputError("--feed gives one address, and each campaign has a feed of its own; run one, or leave it out")
    campaigns = [
        Campaign.from_yaml(path, store=store, settings=parse_settings(settings), seed=seed, trials=trials)
        for path in paths
    ]
    seen = _Seen()
    try:
        with _listener(quiet, json, len(paths) > 1) as (on_event, notice), _signals(Control(notice)) as control:
            Campaign.run_together(
                campaigns,
                on_event=seen.around(on_event),
                control=control,
                interrupted=cast(OnInterrupt | None, interrupted),
                feeds=() if feed is None else (feed,),
                key=key,
                virtual=virtual,
            )
    except JournalError as error:
        if not seen.campaigns:  # nothing has begun: the store cannot be used, or another process has the campaign
            raise
        print(f"sdl: {error}", file=sys.stderr)
        return ABORTED
    return max(_told(campaign.state, seen, quiet, json) for campaign in campaigns)


def _told(state: CampaignState, seen: _Seen, quiet: bool, json: bool) -> int:
    """Say what has not been said of a campaign that runs no more; returns the exit status."""
    if state.id not in seen.campaigns and not quiet:
        _already_ended(state, json)
    if quiet and state.status in ("paused", "aborted"):
        print(f"sdl: campaign {state.name} {state.status}: {state.message}", file=sys.stderr)
        if state.advice:
            print(f"sdl: what to do: {state.advice}", file=sys.stderr)
    return {"ended": ENDED, "aborted": ABORTED}.get(state.status, PAUSED)


class _Seen:
    """Remembers in which campaigns anything happened at all."""

    def __init__(self) -> None:
        self.campaigns: set[str] = set()

    def around(self, inner: OnEvent) -> OnEvent:
        def listener(entry: Entry, state: CampaignState) -> None:
            self.campaigns.add(entry.campaign)
            inner(entry, state)

        return listener


def _already_ended(state: CampaignState, json: bool) -> None:
    if json:
        body = {
            "event": kinds.CAMPAIGN_ENDED,
            "campaign": state.id,
            "seq": state.seq,
            "message": state.message,
        }
        print_json({**body, "already": True})
        return
    console().print(
        f"campaign {state.name} has ended already: {state.message}\n"
        "to go on, give it a larger budget (--trials N); to begin anew, give its file another name",
        markup=False,
    )


@contextlib.contextmanager
def _listener(quiet: bool, json: bool, several: bool) -> Iterator[tuple[OnEvent, Callable[[str], None]]]:
    """What to do with each entry, and with a request to pause or abort."""
    if json:
        out: TextIO = sys.stdout
        # Libraries that print would break the contract of one JSON object a line.
        with contextlib.redirect_stdout(sys.stderr):
            yield lambda entry, state: print_json(event_json(entry), out), _to_stderr
    elif quiet:
        with contextlib.redirect_stdout(sys.stderr):
            yield lambda entry, state: None, _to_stderr
    else:
        with Progress(console(), several) as progress:
            yield progress.on_event, progress.notice


def _to_stderr(text: str) -> None:
    print(f"sdl: {text}", file=sys.stderr)


def event_json(entry: Entry) -> dict[str, Any]:
    """An entry as `sdl run --json` and `sdl watch --json` print it."""
    return {"event": entry.kind, "campaign": entry.campaign, "seq": entry.seq, "at": entry.at, **entry.body}


@contextlib.contextmanager
def _signals(control: Control) -> Iterator[Control]:
    """SIGTERM and SIGHUP pause, and a second one aborts, as Ctrl-C does."""

    def on_signal(number: int, frame: Any) -> None:
        control.ask(signal.Signals(number).name)

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield control
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
