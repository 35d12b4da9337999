"""`sdl run`."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from sdl.campaign import Campaign, Control, Feed, OnEvent, parse_settings
from sdl.cli._errors import ABORTED, ENDED, PAUSED
from sdl.cli._format import console, print_json
from sdl.cli._progress import Progress
from sdl.journal import Entry, JournalError, kinds
from sdl.journal.state import CampaignState
from sdl.lab.spec import OnInterrupt

__all__ = ["event_json", "run_command"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def run_command(
    path: Path,
    store: Path,
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
    """Run a campaign and return the exit status."""
    campaign = Campaign.from_yaml(path, store=store, settings=parse_settings(settings), seed=seed, trials=trials)
    seen = _Seen()
    try:
        with _listener(quiet, json) as (on_event, notice), _signals(Control(notice)) as control:
            campaign.run(
                on_event=seen.around(on_event),
                control=control,
                interrupted=cast(OnInterrupt | None, interrupted),
                feed=feed,
                key=key,
                virtual=virtual,
            )
    except JournalError as error:
        if not seen.any:  # nothing has begun: the store cannot be used, or another process has the campaign
            raise
        print(f"sdl: {error}", file=sys.stderr)
        return ABORTED
    state = campaign.state
    if not seen.any and not quiet:
        _already_ended(state, json)
    if quiet and state.status in ("paused", "aborted"):
        print(f"sdl: campaign {state.name} {state.status}: {state.message}", file=sys.stderr)
        if state.advice:
            print(f"sdl: what to do: {state.advice}", file=sys.stderr)
    return {"ended": ENDED, "aborted": ABORTED}.get(state.status, PAUSED)


class _Seen:
    """Remembers whether anything happened at all."""

    def __init__(self) -> None:
        self.any = False

    def around(self, inner: OnEvent) -> OnEvent:
        def listener(entry: Entry, state: CampaignState) -> None:
            self.any = True
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
def _listener(quiet: bool, json: bool) -> Iterator[tuple[OnEvent, Callable[[str], None]]]:
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
        with Progress(console()) as progress:
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
