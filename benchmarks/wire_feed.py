"""CPU a published entry costs, with nobody listening and with one watcher.

Run: `python benchmarks/wire_feed.py`. The watcher is a process of its own; CPU is that of the publishing process, all
threads, and in a second column that of the thread that calls `publish` alone. Entries are documents of six scalars.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time

from sdl.journal import Entry
from sdl.wire import Publisher, Watcher

ENTRIES = 20_000
_DOCUMENT = {
    "data": {f"signal_{n}": n / 7 for n in range(6)},
    "timestamps": {f"signal_{n}": 1.8e9 + n / 7 for n in range(6)},
    "uid": "6f1d1c5e-7a55-4f0e-9d7e-0c5a3d5c7a11",
    "time": 1.8e9,
    "seq_num": 1,
}
_BODY = {"trial": 1, "step": "measure", "attempt": 1, "name": "event", "doc": _DOCUMENT}


def make_entries(count: int) -> list[Entry]:
    """Entries as a campaign's journal would have them."""
    return [Entry("c", n, n, "document", _BODY, f"{n - 1:064x}", f"{n:064x}") for n in range(1, count + 1)]


def measure(watchers: int) -> tuple[float, float]:
    """CPU of an entry with `watchers` watching processes.

    Returns:
        All threads, and the calling thread alone, µs an entry.
    """
    entries = make_entries(ENTRIES)
    recorded: list[Entry] = []
    with Publisher("c", lambda after: recorded[after:]) as publisher:
        command = [sys.executable, __file__, "watch", publisher.address]
        others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(watchers)]
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()
        process, thread = time.process_time(), time.thread_time()
        for start in range(0, ENTRIES, 50):
            for entry in entries[start : start + 50]:
                recorded.append(entry)
                publisher.publish(entry)
            time.sleep(0.005 if watchers else 0)
        thread = time.thread_time() - thread
        time.sleep(0.5 if watchers else 0)
        process = time.process_time() - process
    for other in others:
        print("watcher:", other.communicate()[0].strip())
    return process / ENTRIES * 1e6, thread / ENTRIES * 1e6


def watch(address: str) -> None:
    """The watching process: counts what it gets and its own CPU."""
    with Watcher(address) as watcher:
        watcher.poll(1)
        while watcher.status == "connecting":
            watcher.poll(0.1)
        print("ready", flush=True)
        began, count = time.process_time(), 0
        while not watcher.ended:
            count += len(watcher.poll(0.5))
        used = time.process_time() - began
        print(f"{count} entries, {watcher.status}, {used / max(count, 1) * 1e6:.1f} µs CPU an entry")


def main() -> None:
    """Print the table."""
    print(f"{platform.machine()}, Python {platform.python_version()}, {ENTRIES} entries")
    print("| watchers | CPU µs an entry, all threads | CPU µs an entry, calling thread |")
    print("|---|---|---|")
    for watchers in (0, 1):
        every, calling = measure(watchers)
        print(f"| {watchers} | {every:.1f} | {calling:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["watch"]:
        watch(sys.argv[2])
    else:
        main()
