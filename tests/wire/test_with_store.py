"""A real store's writer publishes, and its history is served from the publisher's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from sdl.journal import Store
from sdl.wire import Publisher, Watcher, follow


def test_a_store_published_live(
    tmp_path: Path,
    publish: Callable[..., Publisher],
    watch: Callable[..., Watcher],
    ledger: Any,
    closing: ExitStack,
) -> None:
    """Watchers over the wire and with the store at hand both see what the store holds, entry by entry."""
    with Store.open(tmp_path / "sdl.db") as store:
        store.create(ledger.campaign, "silver")
        history = partial(_after, store, ledger.campaign)
        with store.writer(ledger.campaign) as writer:
            for trial in range(700):
                writer.post("trial.approved", {"trial": trial, "by": "policy"})
            writer.flush()
            publisher = publish(history=history)
            writer.subscribe(publisher.publish)
            remote = watch(publisher.address)
            reading = closing.enter_context(ThreadPoolExecutor(1)).submit(list, remote)
            for trial in range(300):
                writer.post("document", {"trial": trial, "name": "event", "doc": {"data": {"x": trial / 3}}})
            with follow(history, publisher.address) as local:
                for trial in range(100):
                    writer.append("trial.approved", {"trial": trial, "by": "policy"}, durable=False)
                writer.flush()
                publisher.close()
                seen = reading.result(20), list(local)
            assert remote.missing == local.missing == 0
        stored = list(store.entries(ledger.campaign))
    assert len(stored) >= 1100
    for entries in seen:
        assert entries == stored[: len(entries)]
        assert len(entries) >= 1100


def _after(store: Store, campaign: str, after: int) -> Any:
    return store.entries(campaign, after=after)
