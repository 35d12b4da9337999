"""No way of reading leaks: every command that reads, and the live feed, over role, date, path and dataset."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zmq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sdl.cli._doubts import doubts_command
from sdl.cli._look import list_command, show_command
from sdl.cli._metrics import metrics_command
from sdl.cli._output import export_command, report_command
from sdl.cli._query import query_command
from sdl.cli._release import fair_check_command, release_command
from sdl.cli._replay import replay_command
from sdl.cli._samples import samples_command
from sdl.cli._schedule import schedule_command
from sdl.cli._stock import stock_command
from sdl.cli._store import backup_command, check_command, merge_command
from sdl.cli._tiled import tiled_command
from sdl.cli._verify import verify_command
from sdl.cli._watch import watch_command
from sdl.fair._seen import SeenStore
from sdl.fair.access import Hidden, feed_views, policy_of, role_of, seen_by
from sdl.journal import Entry, Store, kinds
from sdl.journal.labs import lab_chain
from sdl.model import CampaignSpec, SdlError
from sdl.wire import ClientKeys, Page, Publisher, ServerKeys, Watcher, WireError

TODAY = datetime.now(UTC).date()
LEVELS = {
    "open": "open",
    "shared": "shared",
    "closed": "closed",
    "over": f"embargoed until {TODAY - timedelta(days=2)}",
    "ahead": f"embargoed until {TODAY + timedelta(days=2)}",
}
"""Dates are told by embargoes: before and after the day on which the test runs."""
_LAB = {
    "name": "soft",
    "devices": {"d": {"driver": "soft"}},
    "places": {"rack": {"slots": 4}, "shelf": {"slots": 40}},
    "stock": {"salt": {"unit": "g"}},
    "stations": {"bench": {"devices": ["d"]}},
    "procedures": {
        "p": {"steps": [{"name": "a", "station": "bench", "plan": "count"}], "analysis": {"name": "q"}},
    },
}
ROLES = ("public", "shared:Hana", "shared:Ken")
_ACCOUNT, _HOLDER, _FOLDER, _STOCK = "hana_account", "bench-pc-7:4711", "/home/hana_account/lab", "lot-of-the-lab"


_VALUES = list(dict.fromkeys(n for n in (pow(5, k, 991) for k in range(3, 90)) if n > 99 and n % 10))
"""So irregular that no mean of some of them is one of the others."""


class Case(NamedTuple):
    """A campaign with one policy, and words that only it holds."""

    number: int
    metadata: str
    data: str

    @property
    def id(self) -> str:
        return f"2026-11-22-{0xABC000 + self.number:06x}"

    @property
    def name(self) -> str:
        return f"n{self.number:02d}x"

    @property
    def title(self) -> str:
        return f"title-{self.number:02d}x"

    @property
    def secrets(self) -> tuple[str, ...]:
        """A parameter, an outcome, a sample's label, a reading, a message, a note, what is in doubt."""
        words = ("label", "reading", "reached", "noted", "doubted", "quoted")
        n = self.number
        return (f"0.{n:02d}123", f"0.4{_VALUES[n]}", *(f"{word}-{n:02d}x" for word in words))

    def may(self, role: str, part: str) -> bool:
        """The rule said once more, in other words than the policy function's."""
        open_to = {"open", "over"} | ({"shared"} if role == "shared:Hana" else set())
        return self.metadata in open_to and (part == "metadata" or self.data in open_to)


CASES = [Case(n, *levels) for n, levels in enumerate(itertools.product(LEVELS, LEVELS))]


def _case(metadata: str, data: str) -> Case:
    return next(case for case in CASES if (case.metadata, case.data) == (metadata, data))


def _entries(case: Case) -> list[tuple[str, dict[str, Any]]]:
    parameter, outcome, label, reading, reached, noted, doubted, quoted = case.secrets
    access = {"metadata": LEVELS[case.metadata], "data": LEVELS[case.data], "shared_with": ["Hana"]}
    people = [{"name": "Sato, Hana", "accounts": [_ACCOUNT], "email": "hana_account@lab.example", "roles": ["contact"]}]
    spec = CampaignSpec.model_validate(
        {"name": case.name, "title": case.title, "lab": f"{_FOLDER}/lab.yaml", "procedure": "p",
         "budget": {"trials": 1},
         "problem": {"parameters": {"x": {"kind": "real", "low": 0, "high": 1, "unit": "mm"}},
                     "objectives": {"z": {"kind": "maximize", "unit": "1"}}}}
    )  # fmt: skip
    about = {"trial": 1, "step": "a", "attempt": 1}
    run = [
        ("start", {"uid": f"r{case.number}", "time": 0.0, "comment": reading}),
        ("stop", {"uid": f"s{case.number}", "run_start": f"r{case.number}", "time": 1.0, "exit_status": "success"}),
    ]
    sample = f"{case.id.rpartition('-')[2]}-1"
    action = f"{case.id}/2/a/1"
    again = {**about, "trial": 2}
    proposed = {
        "trial": 1, "parameters": {"x": float(parameter)}, "seed": 1, "known_seq": 2,
        "planner": {"name": "random", "version": "1"},
        "reason": {"summary": f"as {quoted}", "acquisition": None, "predicted": {}},
    }  # fmt: skip
    return [
        (kinds.CAMPAIGN_CREATED, {
            "spec": spec.model_dump(mode="json"), "inputs": {},
            "lab": {"name": "soft", "file": f"{_FOLDER}/lab.yaml", "sha256": "0" * 64,
                    "text": json.dumps(_LAB)},
            "procedure": {"name": "p", "steps": [{"name": "a", "station": "bench", "plan": "p", "with": {}}]},
            "project": {"name": "pro", "access": access, "people": people}}),
        (kinds.SESSION_OPENED, {"holder": _HOLDER, "epoch": 1, "versions": {}, "lab_speed": 1}),
        (kinds.TRIAL_PROPOSED, proposed),
        (kinds.STEP_STARTED, {**about, "station": "bench", "plan": "p", "arguments": {}}),
        *((kinds.DOCUMENT, {**about, "name": name, "doc": doc}) for name, doc in run),
        (kinds.SAMPLE_CREATED, {**about, "sample": sample, "label": label, "barcode": label, "place": "rack", "slot": 1,
                                "stock": [], "parents": []}),
        (kinds.TRIAL_ANNOTATED, {"trial": 1, "by": f"person:{_ACCOUNT}", "text": f"{noted} in {_FOLDER}/x.txt"}),
        (kinds.STEP_DONE, {**about, "runs": [f"r{case.number}"]}),
        (kinds.TRIAL_OBSERVED, {"trial": 1, "outcomes": {"z": {"value": float(outcome), "sem": None, "unit": "1"}},
                                "analysis": {"name": "q", "version": "1", "options": {}}, "runs": [],
                                "lab_seconds": 1}),
        (kinds.TRIAL_PROPOSED, {**proposed, "trial": 2}),
        (kinds.STEP_STARTED, {**again, "station": "bench", "plan": "p", "arguments": {}}),
        (kinds.ACTION_DISPATCHED, {**again, "action": action, "try": 1, "station": "bench", "device": doubted,
                                   "path": doubted, "verb": "set", "arguments": {"args": [1], "kwargs": {}},
                                   "effect": "non_repeatable", "arms": False, "continues": False, "epoch": 1}),
        (kinds.ACTION_DOUBTFUL, {"trial": 2, "action": action, "cause": "fault", "message": doubted}),
        (kinds.CAMPAIGN_ENDED, {"rule": "reach", "message": reached}),
        (kinds.SESSION_CLOSED, {"lab_seconds": 1}),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no word is broken."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a campaign for every pair of levels, and what people put on record of the lab."""
    path = tmp_path_factory.mktemp("paths") / "sdl.db"
    with Store.open(path) as store:
        for case in CASES:
            store.create(case.id, case.name)
            with store.writer(case.id) as writer:
                for kind, body in _entries(case):
                    writer.append(kind, body, durable=False)
        store.create(lab_chain("soft"), "soft")
        with store.writer(lab_chain("soft")) as writer:
            received = {"item": "salt", "lot": _STOCK, "amount": 1.0, "unit": "g", "expires": "", "note": ""}
            writer.append(kinds.STOCK_RECEIVED, {**received, "by": f"person:{_ACCOUNT}"}, durable=False)
            for case in CASES:
                seen = {"sample": f"{case.id.rpartition('-')[2]}-1", "place": "shelf", "slot": 1}
                said = {"by": f"person:{_ACCOUNT}", "note": case.secrets[5]}
                writer.append(kinds.SAMPLE_LOCATED, {**seen, **said}, durable=False)
    return path


# ── the ways of reading: each takes a store, the name of a campaign, a role and a folder to write to ──

Way = Callable[[Path, Case, str, Path], object]


def _release(path: Path, case: Case, role: str, folder: Path) -> object:
    about = folder.parent / "project.yaml"
    return release_command(case.name, folder / "out", path, about, ["datacite"], "", "", None, False, role, False)


WAYS: dict[str, Way] = {
    "list": lambda p, c, r, f: list_command(p, False, r),
    "list --json": lambda p, c, r, f: list_command(p, True, r),
    "show": lambda p, c, r, f: show_command(c.name, None, p, False, r),
    "show --json": lambda p, c, r, f: show_command(c.name, None, p, True, r),
    "show TRIAL": lambda p, c, r, f: show_command(c.name, 1, p, False, r),
    "show TRIAL --json": lambda p, c, r, f: show_command(c.name, 1, p, True, r),
    "watch": lambda p, c, r, f: watch_command(c.name, p, "", False, True, None, r),
    "watch --json": lambda p, c, r, f: watch_command(c.name, p, "", True, True, None, r),
    "watch newest": lambda p, c, r, f: watch_command("", p, "", True, True, None, r),
    "query": lambda p, c, r, f: query_command("z > 0", [], [], {}, "csv", None, r, p),
    "query CAMPAIGN": lambda p, c, r, f: query_command("z > 0", [c.name], [], {}, "table", None, r, p),
    "query --out": lambda p, c, r, f: query_command("", [], [], {}, "csv", f / "a.csv", r, p),
    "export csv": lambda p, c, r, f: export_command(c.name, "csv", None, p, r),
    "export json": lambda p, c, r, f: export_command(c.name, "json", f / "a.json", p, r),
    "report": lambda p, c, r, f: report_command(c.name, f / "a.html", p, r),
    "metrics": lambda p, c, r, f: metrics_command(c.name, "", True, p, False, r),
    "metrics --json": lambda p, c, r, f: metrics_command(c.name, "", False, p, True, r),
    "metrics --baseline": lambda p, c, r, f: metrics_command(CASES[0].name, c.name, False, p, True, r),
    "schedule": lambda p, c, r, f: schedule_command(c.name, p, False, True, r),
    "schedule --json": lambda p, c, r, f: schedule_command(c.name, p, True, False, r),
    "samples": lambda p, c, r, f: samples_command("", None, p, True, False, None, r),
    "samples CAMPAIGN": lambda p, c, r, f: samples_command(c.name, None, p, True, True, None, r),
    "samples --labels": lambda p, c, r, f: samples_command(c.name, None, p, True, False, f / "a.html", r),
    "stock": lambda p, c, r, f: stock_command(None, p, False, r),
    "stock --json": lambda p, c, r, f: stock_command(None, p, True, r),
    "doubts": lambda p, c, r, f: doubts_command("", p, False, r),
    "doubts --json": lambda p, c, r, f: doubts_command("", p, True, r),
    "doubts CAMPAIGN": lambda p, c, r, f: doubts_command(c.name, p, False, r),
    "replay": lambda p, c, r, f: replay_command(c.name, None, p, False, r),
    "replay --json": lambda p, c, r, f: replay_command(c.name, None, p, True, r),
    "verify": lambda p, c, r, f: verify_command("", p, "", r),
    "verify STORE": lambda p, c, r, f: verify_command(str(p), f / "none.db", "", r),
    "verify CAMPAIGN": lambda p, c, r, f: verify_command(c.name, p, "", r),
    "store check": lambda p, c, r, f: check_command(p, True, r),
    "store backup": lambda p, c, r, f: backup_command(p, f / "copy.db", r),
    "store merge": lambda p, c, r, f: merge_command(f / "new.db", p, [], True, r),
    "release": _release,
    "fair check": lambda p, c, r, f: fair_check_command(c.name, p, f.parent / "project.yaml", True, r),
    "tiled": lambda p, c, r, f: tiled_command(c.name, "http://127.0.0.1:9", p, "NO_KEY", True, r),
}
"""Every command that reads a store. `tiled` ends where no server answers, after it has gathered what it would send."""
SLOW = ("report", "release", "fair check", "replay", "replay --json", "tiled")
TELLS = {  # those that show data of the campaign that they name → which of its secrets
    "show --json": 0, "show TRIAL": 1, "watch --json": 4, "query CAMPAIGN": 1, "export csv": 0, "export json": 1,
    "report": 1, "samples CAMPAIGN": 2, "samples --labels": 2, "doubts CAMPAIGN": 6, "samples": 2, "doubts": 6,
}  # fmt: skip


def _told(way: Way, path: Path, case: Case, role: str) -> str:
    """Everything that somebody gets to see: what is printed, what is written, and the error."""
    out = io.StringIO()
    with tempfile.TemporaryDirectory() as outer:
        (Path(outer) / "project.yaml").write_text(PROJECT)
        folder = Path(outer) / "out"
        folder.mkdir()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                way(path, case, role, folder)
            except SdlError as error:
                out.write(str(error))
        files = "".join(f.read_bytes().decode("utf-8", "replace") for f in folder.rglob("*") if f.is_file())
    return out.getvalue() + files


PROJECT = """name: pro
title: t
description: d
licence: CC-BY-4.0
publisher: u
people: [{name: "Sato, Hana", roles: [creator, contact]}]
"""


def _leaks(text: str, role: str, named: Case) -> list[str]:
    """What of all campaigns is in a text that the role may not see. Names that it said itself are left aside."""
    found = [word for word in (_ACCOUNT, _HOLDER, _STOCK) if word in text]
    for case in CASES:
        if not case.may(role, "metadata"):
            words = (case.title, case.id, *((case.name,) if case != named else ()))
            found += [word for word in words if word in text]
        if not case.may(role, "data"):
            # A value also counts where it was rounded or is part of a longer text.
            found += [
                word for word in case.secrets if word in text and re.search(rf"(?<![0-9.]){re.escape(word)}", text)
            ]
    return found


def _check(way: str, path: Path, case: Case, role: str) -> None:
    text = _told(WAYS[way], path, case, role)
    assert _leaks(text, role, case) == [], text
    if way in TELLS and case.may(role, "data"):
        assert case.secrets[TELLS[way]] in text
    if way in TELLS and case.may(role, "metadata") and not case.may(role, "data"):
        until = LEVELS[case.data].removeprefix("embargoed ") if "until" in LEVELS[case.data] else LEVELS[case.data]
        if way not in ("show --json", "watch --json"):
            assert re.search(rf"data are .*{until}", text), text
            assert "ask Sato, Hana" in text
        else:
            assert case.title in text


@pytest.mark.parametrize("way", [way for way in WAYS if way not in SLOW])
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.sampled_from(CASES), role=st.sampled_from(ROLES))
@example(case=_case("closed", "open"), role="public")
@example(case=_case("open", "ahead"), role="shared:Hana")
def test_no_command_leaks(path: Path, way: str, case: Case, role: str) -> None:
    """No command shows others what the policies keep from them, of the campaign that is named or of any other.

    Where the data are open they are shown; where they are not it is said by what policy, until when, and whom to ask.
    """
    _check(way, path, case, role)


@pytest.mark.parametrize("way", SLOW)
@pytest.mark.parametrize("levels", [("closed", "open"), ("open", "ahead"), ("open", "open")], ids="-".join)
def test_nor_does_a_slow_one(path: Path, way: str, levels: tuple[str, str]) -> None:
    """The same of those that make much, of a campaign that is hidden, one with metadata only, and an open one."""
    _check(way, path, _case(*levels), "public")


def test_the_owner_sees_everything(path: Path) -> None:
    """What the property looks for is there: the owner is shown it."""
    case = CASES[-1]
    for way, secret in TELLS.items():
        assert case.secrets[secret] in _told(WAYS[way], path, case, ""), way
    assert _STOCK in _told(WAYS["stock"], path, case, "")
    assert _ACCOUNT in _told(WAYS["show TRIAL"], path, case, "")


def test_every_method_of_a_store_is_made_for_others_or_refused(path: Path) -> None:
    """Whatever a store can do, the store as others see it does in its own way, or refuses: nothing is inherited."""
    harmless = {"open", "there", "resolve"}  # make a store, ask whether there is one; look among `campaigns`
    with Store.open(path, create=False) as store:
        seen = seen_by(store, role_of("public"), TODAY)
        assert isinstance(seen, SeenStore)
        own = {name for name in vars(SeenStore) if not name.startswith("__")}
        for name in {name for name in vars(Store) if not name.startswith("_")} - harmless - own:
            with pytest.raises((Hidden, AttributeError)):
                _call(seen, name, path)
        assert len(store.campaigns()) == len(CASES)
        said = str(list(seen.entries(lab_chain("soft"))))
        assert _leaks(said, "public", _case("open", "open")) == []
        assert _case("open", "open").secrets[5] in said
        for secret in ("_engine", "_writing", "_connections", "database"):
            assert not hasattr(seen, secret)


def _call(store: Store, name: str, path: Path) -> object:
    """Do what a method does, with arguments that it takes."""
    arguments: dict[str, tuple[Any, ...]] = {
        "create": ("x", "x"), "writer": (CASES[0].id,), "request": (CASES[0].id, "entry", {}), "answer": (1, ""),
        "take": (1,), "backup": (path.with_name("copy.db"),), "merge": (store,), "query": ("",),
    }  # fmt: skip
    found = getattr(store, name)
    return found(*arguments.get(name, ())) if callable(found) else found


# ── the live feed, over real sockets ──


class Feeds:
    """A publisher for each campaign, begun when it is first asked for, and a key for each role."""

    def __init__(self, store: Store, stack: contextlib.ExitStack) -> None:
        pairs = {name: zmq.curve_keypair() for name in ("lab", "operator", *ROLES)}
        self._store, self._stack, self._pairs = store, stack, pairs
        keys = {pairs[role][0]: role for role in ROLES}
        self._keys = ServerKeys(*pairs["lab"], frozenset({pairs["operator"][0]}), keys)
        self._open: dict[str, Publisher] = {}

    def address(self, case: Case) -> str:
        """Where the campaign is published."""
        if case.id not in self._open:
            history = partial(self._history, case.id)
            views = feed_views(self._store, case.id)
            self._open[case.id] = self._stack.enter_context(
                Publisher(case.id, history, keys=self._keys, views=views, page=5)
            )
        return self._open[case.id].address

    def _history(self, campaign: str, after: int) -> Iterator[Entry]:
        return self._store.entries(campaign, after=after)

    def told(self, case: Case, who: str) -> tuple[list[Entry], str]:
        """Entries that somebody gets of a campaign, and everything that was said."""
        found: list[Entry] = []
        keys = ClientKeys(*self._pairs[who], self._pairs["lab"][0])
        length = len(_entries(case))
        with Watcher(self.address(case), keys=keys, patience=30) as watcher:
            try:
                while not found or (found[-1].kind != kinds.SESSION_CLOSED and len(found) < length):
                    found += watcher.poll(5)
            except WireError as error:
                return found, f"{found}{error}{watcher}"
            return found, f"{found}{watcher}"


@pytest.fixture(scope="module")
def feeds(path: Path) -> Iterator[Feeds]:
    """Publishers of the store's campaigns."""
    with Store.open(path, create=False) as store, contextlib.ExitStack() as stack:
        yield Feeds(store, stack)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.sampled_from(CASES), who=st.sampled_from((*ROLES, "operator")))
def test_the_feed_leaks_nothing(feeds: Feeds, case: Case, who: str) -> None:
    """Whoever follows with a key gets what the policy opens to its role, and an operator all, as it was written."""
    entries, text = feeds.told(case, who)
    if who == "operator":
        assert [entry.body for entry in entries] == [body for _, body in _entries(case)]
        return
    assert _leaks(text, who, case) == [], text
    seqs = [entry.seq for entry in entries]
    if case.may(who, "data"):
        assert seqs == list(range(1, len(_entries(case)) + 1))
        assert all(word in text for word in case.secrets)
    elif case.may(who, "metadata"):
        assert case.title in text
        assert [entry.kind for entry in entries] == [
            kinds.CAMPAIGN_CREATED, kinds.SESSION_OPENED, kinds.CAMPAIGN_ENDED, kinds.SESSION_CLOSED
        ]  # fmt: skip
        assert seqs == [1, 2, 3, 4]  # how long the record is, is data
    else:
        assert re.search("may not know of this campaign: metadata are (closed|shared|embargoed until)", text)


def test_an_amendment_closes_the_feed(tmp_path: Path) -> None:
    """The policy counts as it is: what was open and is closed now is not shown any more, also of what was before."""
    case = _case("open", "open")
    with Store.open(tmp_path / "sdl.db") as store:
        store.create(case.id, case.name)
        view = feed_views(store, case.id)("public")
        assert view.page(0, 100) == Page([], False, "")
        with store.writer(case.id) as writer:
            for kind, body in _entries(case):
                writer.append(kind, body, durable=False)
            full = view.page(0, 100)
            assert (full.part, len(full.entries)) == ("data", len(_entries(case)))
            assert view.page(3, 4).entries == full.entries[3:7]
            created = _entries(case)[0][1]
            access = {"metadata": "open", "data": "closed"}
            amended = {**created, "project": {**created["project"], "access": access}, "changes": {}}
            writer.append(kinds.CAMPAIGN_AMENDED, amended, durable=False)
            described = view.page(0, 100)
            assert (described.part, len(described.entries)) == ("metadata", 5)
            assert not any(word in str(described) for word in case.secrets)
        text = "".join(_told(WAYS[way], tmp_path / "sdl.db", case, "public") for way in ("watch --json", "show --json"))
        assert not any(word in text for word in case.secrets)


def test_readers_are_not_kept_from_their_names(path: Path) -> None:
    """Who joins late calls people who are not named by the project as those do who were there from the start."""
    case = _case("open", "open")
    with Store.open(path, create=False) as store:
        late, early = (feed_views(store, case.id)("public") for _ in range(2))
        assert late.page(13, 100).entries == early.page(0, 100).entries[13:]
        assert policy_of(store, case.id) == policy_of(seen_by(store, role_of("public"), TODAY), case.id)
