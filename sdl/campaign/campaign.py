"""The public face of a campaign, for scripts and notebooks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sdl.campaign._ids import new_campaign_id
from sdl.campaign.amendment import amendments
from sdl.campaign.control import Control
from sdl.campaign.coordinator import OnEvent
from sdl.campaign.files import LoadedCampaign, load_campaign
from sdl.campaign.prior import with_prior
from sdl.campaign.rules import ended
from sdl.campaign.session import Feed, Seat, run_sessions
from sdl.journal import Entry, Store
from sdl.journal.location import location as located
from sdl.journal.location import shown
from sdl.journal.state import CampaignState, TrialState, best_trial
from sdl.lab.rehearsing import run_virtually
from sdl.lab.spec import OnInterrupt
from sdl.model import InputError, TrialStatus
from sdl.virtual import VirtualClock

if TYPE_CHECKING:
    import pandas

__all__ = ["Campaign"]


class Campaign:
    """A campaign in a store: what it is, where it stands, and the verbs to run it.

    `Campaign.from_yaml("campaign.yaml").run()` begins the campaign, or goes on with the one of that name in the store.
    """

    def __init__(self, store: str | Path, campaign_id: str, loaded: LoadedCampaign | None = None) -> None:
        self._path = located(str(store))
        self._loaded = loaded
        self.id = campaign_id
        """Identifier in the store; empty before the first run."""

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        store: str | Path = "sdl.db",
        settings: Mapping[str, Any] | None = None,
        seed: int | None = None,
        trials: int | None = None,
    ) -> Self:
        """Read a campaign file and its lab file; nothing runs yet.

        Args:
            path: the campaign file.
            store: the file that keeps the journal; made when missing.
            settings: dotted field of the campaign, or input of the lab → value; replaces what the file says.
            seed: replaces the file's seed.
            trials: replaces the budget of trials.

        Raises:
            InputError: every fault of the files and settings, with lines.
        """
        loaded = load_campaign(path, settings, seed=seed, trials=trials)
        return cls(store, _existing(store, loaded.spec.name), loaded)

    @classmethod
    def open(cls, name: str, *, store: str | Path = "sdl.db") -> Self:
        """A campaign of a store, to look at. `name` is its name, id, or a unique prefix of either.

        Raises:
            InputError: no store, no such campaign, or several.
        """
        with Store.open(store, create=False) as opened:
            return cls(store, opened.resolve(name))

    def run(
        self,
        *,
        on_event: OnEvent | None = None,
        control: Control | None = None,
        interrupted: OnInterrupt | None = None,
        feed: Feed | None = None,
        key: str | Path | None = None,
        virtual: bool = False,
    ) -> Self:
        """Run until the campaign ends by its own rule, pauses, or aborts; returns itself.

        Works in a script and in a notebook: the loop has a thread and an event loop of its own. Ctrl-C once finishes
        the step under way and pauses; twice aborts to the safe state.

        Args:
            on_event: called with each entry but documents and the state after it, in the campaign's thread. When it
                raises, the campaign pauses.
            control: to pause or abort from elsewhere.
            interrupted: what to do with interrupted steps whose procedure says `ask`.
            feed: where the live feed is served; a free port on loopback by default.
            key: file with your secret key, for workers that ask for one; see `sdl keys new`.
            virtual: on virtual time: everything as it is, with simulated instruments, as fast as it can be computed.

        Raises:
            InputError: the campaign was only opened, not loaded; or its files do not fit the record.
            LeaseHeld: another process runs it.
            JournalError: the record cannot be written; the stations are in their safe states.
        """
        feeds = () if feed is None else (feed,)
        self.run_together(
            [self], on_event=on_event, control=control, interrupted=interrupted, feeds=feeds, key=key, virtual=virtual
        )
        return self

    @classmethod
    def run_together(
        cls,
        campaigns: Sequence[Self],
        *,
        on_event: OnEvent | None = None,
        control: Control | None = None,
        interrupted: OnInterrupt | None = None,
        feeds: Sequence[Feed] = (),
        key: str | Path | None = None,
        virtual: bool = False,
    ) -> None:
        """Run several campaigns at once on one lab, whose stations, places and stock they share.

        One schedule serves them all: steps of a campaign with a higher `priority` go first where several wait. Each
        ends by its own rule; a station is left safe by the last campaign that uses it. A pause or an abort is for all.

        Args:
            campaigns: loaded ones, with one store, one lab file and different names.
            on_event: as for `run`; an entry names its campaign.
            control: as for `run`.
            interrupted: as for `run`.
            feeds: where each campaign's live feed is served; free ports on loopback by default.
            key: as for `run`.
            virtual: as for `run`.

        Raises:
            InputError: as for `run`; or the campaigns cannot run together.
            LeaseHeld: another process runs one of them.
            JournalError: the record cannot be written; the stations are in their safe states.
        """
        control = control or Control()
        loaded = _together(campaigns)
        with Store.open(campaigns[0]._path) as store:
            seats = []
            for one, its, feed in zip_longest(campaigns, loaded, feeds):
                one.id = one.id or _existing(one._path, its.spec.name)  # begun since the file was read
                if not one.id:
                    one.id = new_campaign_id()
                    store.create(one.id, its.spec.name)
                state = store.state(one.id)
                if not _has_ended(state, its):
                    its = with_prior(its, store, state)
                    seats.append(Seat(its, state, _guarded(on_event, control), feed or Feed()))
            secret = None if key is None else Path(key)

            def session(clock: VirtualClock | None = None) -> Coroutine[Any, Any, None]:
                return run_sessions(seats, store, control, interrupted, secret, clock)

            if seats:
                _in_thread(lambda: run_virtually(session) if virtual else asyncio.run(session()), control)

    @property
    def state(self) -> CampaignState:
        """The campaign as its journal tells it at this moment."""
        if not self.id:
            spec = self._loaded.spec if self._loaded else None
            return CampaignState(id="", name=spec.name if spec else "", spec=spec)
        with Store.open(self._path, create=False) as store:
            return store.state(self.id)

    @property
    def best(self) -> TrialState | None:
        """The observed trial that is best by the first objective."""
        return best_trial(self.state)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a trial: number, status, parameters, outcomes and their standard errors. Needs the extra `fair`."""
        from importlib import import_module

        # The table belongs to the exporters, a layer above: found by name, so that a light install runs without it.
        frame: pandas.DataFrame = import_module("sdl.fair").trials_frame(self.state)
        return frame

    def __repr__(self) -> str:
        state = self.state
        observed = state.count(TrialStatus.OBSERVED)
        lines = [
            f"Campaign {state.name!r} ({state.status}): {len(state.trials)} trials, {observed} observed",
            f"  store {shown(self._path)}, id {self.id or 'none yet'}",
        ]
        best = best_trial(state)
        if best is not None:
            outcomes = ", ".join(f"{name} {_shown(outcome)}" for name, outcome in best.outcomes.items())
            lines.append(f"  best: trial {best.number}, {outcomes}")
        return "\n".join(lines)


def _together(campaigns: Sequence[Campaign]) -> list[LoadedCampaign]:
    """What was loaded of campaigns that are to run at once.

    Raises:
        InputError: they cannot; everything that stands in the way.
    """
    loaded = [one._loaded for one in campaigns if one._loaded is not None]
    if len(loaded) < len(campaigns):
        raise InputError("a campaign that was opened by name can be looked at; load its file to run it")
    faults = []
    names = [one.spec.name for one in loaded]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        faults.append(f"campaign {', '.join(twice)} is given twice; give each file a name of its own")
    if len({str(one._path) for one in campaigns}) > 1:
        faults.append("campaigns that run together keep their record in one store")
    labs = {one.lab.file.path.resolve(): f"{one.spec.name} has {one.lab.file.path}" for one in loaded}
    inputs = {tuple((name, item.path) for name, item in sorted(one.lab.inputs.items())) for one in loaded}
    if len(labs) > 1:
        faults.append(f"campaigns that run together need one lab file: {'; '.join(labs.values())}")
    elif len(inputs) > 1:
        faults.append("campaigns that run together need the same inputs of their lab")
    if faults:
        raise InputError("; ".join(faults))
    return loaded


def _has_ended(state: CampaignState, loaded: LoadedCampaign) -> bool:
    """Whether a campaign has ended and its file asks for nothing more."""
    if state.spec is None or state.status != "ended" or state.count(*_PENDING):
        return False
    return not amendments(state, loaded) or ended(state, loaded.spec, state.lab_seconds) is not None


_PENDING = (TrialStatus.PROPOSED, TrialStatus.APPROVED, TrialStatus.RUNNING)


def _shown(outcome: Any) -> str:
    unit = "" if outcome.unit == "1" else f" {outcome.unit}"
    sem = "" if outcome.sem is None else f" ± {outcome.sem:.2g}"
    return f"{outcome.value:.4g}{sem}{unit}"


def _guarded(listener: OnEvent | None, control: Control) -> OnEvent:
    """A listener that cannot harm the campaign: the first time it raises, the campaign pauses and it is dropped."""
    current = listener

    def guarded(entry: Entry, state: CampaignState) -> None:
        nonlocal current
        if current is None:
            return
        try:
            current(entry, state)
        except Exception as error:  # whatever it is, the lab comes first
            current = None
            control.pause(f"whoever follows the campaign failed ({type(error).__name__}: {error})")

    return guarded


def _existing(store: str | Path, name: str) -> str:
    """Id of the newest campaign of a name in a store; empty when there is none."""
    if not Store.there(store):
        return ""
    with Store.open(store) as opened:
        return next((c.id for c in reversed(opened.campaigns()) if c.name == name), "")


def _in_thread(work: Callable[[], Any], control: Control) -> None:
    """Run `work` in a thread; meanwhile Ctrl-C pauses, and again aborts. Raises what `work` raises.

    Ctrl-C raises no KeyboardInterrupt here: one at the wrong moment would leave the thread alone with a closed store.
    """
    failure: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=call, name="sdl-campaign")
    with _ctrl_c(control):
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            control.settle()
    if failure:
        raise failure[0]


@contextlib.contextmanager
def _ctrl_c(control: Control) -> Iterator[None]:
    """Ctrl-C asks the campaign. Only the main thread may say so; elsewhere it stays as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: control.ask("Ctrl-C"))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
