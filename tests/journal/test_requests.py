"""The inbox of a store: what people ask of the session that holds a campaign."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from support.postgres import execute, rows

from sdl.journal import JournalError, Store

BODY = {"action": "c1/3/mix/1", "verdict": "done", "by": "person:hana", "note": "the beaker is full, 100 µL"}


def test_a_request_waits_until_it_is_answered(store: Store) -> None:
    """A request is open, with its body and time, until it is answered; then it is found with its answer only."""
    before = time.time_ns()
    first, second = store.request("c1", "resolve", BODY), store.request("c1", "resolve", {"n": 2})
    assert first < second
    assert [r.id for r in store.requests("c1")] == [first, second]
    request = store.requests("c1")[0]
    assert (request.campaign, request.kind, request.body) == ("c1", "resolve", BODY)
    assert (request.taken_at, request.answer) == (None, "")
    assert before <= request.at <= time.time_ns()
    store.answer(first, "recorded: done")
    assert [r.id for r in store.requests("c1")] == [second]
    answered = store.requests("c1", open_only=False)[0]
    assert answered.answer == "recorded: done"
    assert answered.taken_at is not None
    assert request.at <= answered.taken_at


def test_the_first_answer_stays(store: Store) -> None:
    """A second answer, as a session gives that took a request up twice, changes nothing."""
    number = store.request("c1", "resolve", BODY)
    store.answer(number, "recorded: done")
    once = store.requests("c1", open_only=False)
    store.answer(number, "not in doubt (any more)")
    assert store.requests("c1", open_only=False) == once


def test_a_request_is_begun_with_or_given_up(store: Store) -> None:
    """Never both: whoever comes second is told so. One that was begun with is open until it is answered."""
    first, second = store.request("c1", "entry", BODY), store.request("c1", "entry", BODY)
    assert store.take(first)
    assert not store.take(first)
    assert not store.answer(first, "given up", untaken=True)
    assert [(r.id, r.taken_at is None) for r in store.requests("c1")] == [(first, False), (second, True)]
    assert store.answer(second, "given up", untaken=True)
    assert not store.take(second)
    assert not store.answer(second, "recorded")
    begun = store.requests("c1")[0].taken_at
    assert store.answer(first, "recorded")
    assert [(r.taken_at == begun, r.answer) for r in store.requests("c1", open_only=False)] == [
        (True, "recorded"), (False, "given up"),
    ]  # fmt: skip
    for call in (store.take, lambda number: store.answer(number, "x")):
        with pytest.raises(JournalError, match="there is no request 77"):
            call(77)
    with pytest.raises(JournalError, match="an answer needs a text"):
        store.answer(first, "")


def test_requests_belong_to_a_campaign(store: Store) -> None:
    """A campaign's session sees what is asked of it alone; one that does not exist is asked nothing."""
    store.create("c2", "gold")
    store.request("c2", "resolve", BODY)
    assert store.requests("c1") == []
    with pytest.raises(JournalError, match="there is no campaign 'c3'"):
        store.request("c3", "resolve", BODY)
    with pytest.raises(JournalError, match="there is no request 77"):
        store.answer(77, "no")
    with pytest.raises(JournalError, match="has no form in JSON"):
        store.request("c2", "resolve", {"x": object()})
    assert len(store.requests("c2")) == 1


def test_a_store_without_the_table(place: str | Path) -> None:
    """A store of an earlier release has no inbox: it holds no requests, is intact, and gets one with the first."""
    with Store.open(place) as store:
        store.create("c1", "silver")
        with store.writer("c1") as writer:
            writer.append("a kind", {})
        assert store.requests("c1") == []
        with pytest.raises(JournalError, match="there is no request 1"):
            store.answer(1, "no")
        with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
            rows(place, "SELECT * FROM requests")
        assert store.verify() == []
        head = store.campaigns()[0]
        number = store.request("c1", "resolve", BODY)
        store.answer(number, "recorded")
        assert store.verify() == []
        assert store.campaigns()[0] == head


def test_a_damaged_request_harms_nobody(store: Store) -> None:
    """A body that was damaged comes out empty, so the campaign can refuse it and go on; others are as they were."""
    bad, array, good = (store.request("c1", "resolve", BODY) for _ in range(3))
    execute(
        store.location,
        f"UPDATE requests SET body = substr(body, 2) WHERE id = {bad}",
        f"UPDATE requests SET body = '[1]' WHERE id = {array}",
    )
    assert [(r.id, r.body) for r in store.requests("c1")] == [(bad, {}), (array, {}), (good, BODY)]


_ASKING = """
import sys
from sdl.journal import Store
with Store.open(sys.argv[1], create=False) as store:
    for i in range(20):
        store.request("c1", "resolve", {"who": sys.argv[2], "i": i})
"""


def test_several_processes_at_once(store: Store) -> None:
    """Three processes ask, from the first request on, while a session writes and answers: nothing is lost or mixed."""
    command = [sys.executable, "-c", _ASKING, str(store.location)]
    asking = [subprocess.Popen([*command, who]) for who in "abc"]
    answered: dict[int, object] = {}
    try:
        with store.writer("c1") as writer:
            deadline = time.monotonic() + 60
            while len(answered) < 60:
                assert time.monotonic() < deadline, f"{len(answered)} of 60 requests came"
                for request in store.requests("c1"):
                    writer.append("taken", request.body)
                    store.answer(request.id, "taken")
                    assert request.id not in answered
                    answered[request.id] = request.body
                time.sleep(0.005)
    finally:
        statuses = [process.wait(30) for process in asking]
    assert statuses == [0, 0, 0]
    assert store.requests("c1") == []
    for who in "abc":
        own = [r.body["i"] for r in store.requests("c1", open_only=False) if r.body["who"] == who]
        assert own == list(range(20))
    assert [entry.body for entry in store.entries("c1")] == list(answered.values())
    assert store.verify() == []
