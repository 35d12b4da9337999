"""`sdl stop`: the soft emergency stop. Standard library only, up to the devices that need their drivers.

The way from the shell to the instrument's socket is kept short: no Typer, no entry points, no lab file. First the mark
that keeps others from starting anything, then the bytes of every stop card, then words.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from sdl.lab.stopcards import (
    Mark,
    Pressed,
    StopCard,
    lab_key,
    mark,
    marks,
    press,
    read_cards,
    release,
    stop_folder,
)

__all__ = ["stop_command", "stop_main"]

_SAFE, _BAD_INPUT, _NEEDS_A_PERSON, _CTRL_C = 0, 2, 3, 130


def stop_main(argv: list[str]) -> int:
    """Run `sdl stop` with these arguments; return the exit status."""
    try:
        return stop_command(*_arguments(argv)) if argv else stop_command("", "", False, False)
    except KeyboardInterrupt:
        return _CTRL_C


def _arguments(argv: list[str]) -> tuple[str, str, bool, bool]:
    import argparse  # takes several ms, and the usual press has no arguments

    parser = argparse.ArgumentParser(
        prog="sdl stop",
        description="Soft emergency stop: bring the instruments to their safe state, whatever the campaign is doing, "
        "and mark the lab as stopped until `sdl stop --release`. It does not replace the emergency switch.",
        epilog="Exit status: 0 every device confirmed, 2 nothing to stop, 3 a device did not confirm: go there.",
    )
    parser.add_argument("lab", nargs="?", default="", metavar="LAB", help="lab file or name; default: every open lab")
    parser.add_argument("--note", default="", metavar="TEXT", help="why; those who come after you read it")
    parser.add_argument("--release", action="store_true", help="take the stop away, so that `sdl run` works again")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    given = parser.parse_args(argv)
    return given.lab, given.note, given.release, given.json


def stop_command(lab: str, note: str, release_it: bool, json: bool) -> int:
    """Stop the labs that are meant, or take their marks away; return the exit status."""
    if release_it:
        return _release(lab, json)
    every = read_cards()
    cards = [card for card in every if _meant(lab, card.key, card.lab, card.file)]
    file = os.path.realpath(lab) if not cards and _is_file(lab) else ""
    if not cards and not file:
        return _nothing(lab, every)
    out = _Out(json)
    labs = {card.key: (card.lab, card.file) for card in cards if _matters(card)}
    marked, troubles = _mark_all({lab_key(file): ("", file)} if file else labs, note)
    results = press(card for card in cards if not card.damage)
    done = [result for result in results if result.state != "slow"]
    out.results(done)
    for more in _through_drivers(cards, file):
        out.results(more)
        done += more
    troubles += [f"the stop card {card.path} cannot be read ({card.damage})" for card in cards if card.damage]
    out.end(marked, troubles)
    for card in cards:
        if not _matters(card):
            with contextlib.suppress(OSError):
                os.unlink(card.path)
    unconfirmed = troubles or any(result.state not in ("safe", "none") for result in done)
    return _NEEDS_A_PERSON if unconfirmed else _SAFE


def _meant(wanted: str, key: str, name: str, file: str) -> bool:
    """Whether a lab is the one that a person named; every lab is when none was named."""
    return not wanted or wanted in (name, file) or (_is_file(wanted) and lab_key(wanted) == key)


def _is_file(text: str) -> bool:
    return bool(text) and os.path.isfile(text)


def _matters(card: StopCard) -> bool:
    """Whether anything can be there to stop: simulated instruments end with the process that has the lab open."""
    return bool(card.damage) or card.alive or any(device.real for device in card.devices)


def _mark_all(labs: dict[str, tuple[str, str]], note: str) -> tuple[list[Mark], list[str]]:
    """Mark labs as stopped; return the marks, and what went wrong."""
    made, troubles = [], []
    for key, (name, file) in labs.items():
        try:
            made.append(mark(key, _who(), note, lab=name, file=file))
        except OSError as error:
            reason = error.strerror or str(error)
            troubles.append(f"the mark that keeps `sdl run` from lab {name or file} cannot be written ({reason})")
    return made, troubles


def _who() -> str:
    import pwd

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have no name for the user
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _through_drivers(cards: list[StopCard], file: str) -> Iterator[list[Pressed]]:
    """Devices whose bytes nobody wrote down: imports what they need, and takes a second or more."""
    for card in cards:
        slow = [d.name for d in card.devices if d.slow and (card.alive or not d.simulated)]
        if not slow:
            continue
        try:
            from sdl.cli._stop_slow import stop_devices

            results = stop_devices(card, slow)
        except Exception as error:  # whatever it is, the other labs still have to be stopped
            results = [Pressed(card.lab, name, "", "unconfirmed", f"{type(error).__name__}: {error}") for name in slow]
        yield results
    if file:
        from sdl.cli._stop_slow import stop_lab

        yield stop_lab(file)


def _nothing(lab: str, every: list[StopCard]) -> int:
    there = ", ".join(sorted({card.lab for card in every if card.lab}))
    said = f"no lab {lab!r} is open" if lab else "no lab is open"
    cards = f"the stop cards of: {there}" if there else "no stop card"
    _say(
        f"NOTHING WAS STOPPED: {said} on this machine ({stop_folder()} holds {cards}). "
        "To stop instruments all the same, name their lab file: sdl stop LAB.yaml"
    )
    return _BAD_INPUT


def _release(lab: str, json: bool) -> int:
    found = marks()
    meant = [mark for mark in found if _meant(lab, mark.key, mark.lab, mark.file)]
    if len(meant) > 1 and not lab:
        names = ", ".join(mark.file or mark.lab or mark.key for mark in meant)
        _say(f"several labs are stopped: {names}; name the one to release")
        return _BAD_INPUT
    if not meant:
        _say(f"lab {lab} is not marked as stopped" if lab else "no lab is marked as stopped")
        return _BAD_INPUT if lab and not _is_file(lab) else _SAFE
    out = _Out(json)
    for one in meant:
        try:
            release(one.key)
        except OSError as error:
            _say(f"the mark of lab {one.lab or one.file} cannot be taken away: {error}")
            return _BAD_INPUT
        out.released(one)
    return _SAFE


def _say(text: str) -> None:
    print(f"sdl: {text}", file=sys.stderr)


class _Out:
    """What is printed, for people or as JSON."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._lab = ""

    def results(self, results: list[Pressed]) -> None:
        """A line a device, as soon as it is known."""
        width = max((len(result.device) for result in results), default=0)
        for result in results:
            if self._json:
                self._object("device", result._asdict())
                continue
            if result.lab != self._lab:
                self._lab = result.lab
                _print(result.lab)
            _print(f"  {result.device:<{width}}  {_words(result)}")

    def end(self, marked: list[Mark], troubles: list[str]) -> None:
        """What is marked, and what went wrong beside the devices."""
        for one in marked:
            if self._json:
                self._object("marked", one._asdict())
            else:
                name = one.lab or one.file
                _print(f"lab {name} is marked as stopped; to go on later: sdl stop --release {one.file or name}")
        for trouble in troubles:
            if self._json:
                self._object("trouble", {"message": trouble})
            else:
                _print(f"NOT DONE: {trouble}; go to the instruments and make sure by hand")

    def released(self, one: Mark) -> None:
        """What was marked."""
        if self._json:
            self._object("released", one._asdict())
            return
        when = one.when()
        _print(f"lab {one.lab or one.file or one.key} was stopped by {one.by or 'nobody knows whom'}{when}")
        if one.note:
            _print(f"  {one.note}")
        _print("the stop is taken away; the instruments are as they were left, and `sdl run` works again")

    def _object(self, event: str, body: dict[str, Any]) -> None:
        import json

        _print(json.dumps({"event": event, **body}))


def _print(text: str) -> None:
    """Print a line now. Nobody to read it, or no letters for it, is no reason to stop stopping."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        print(ascii(text), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _words(result: Pressed) -> str:
    at = f"  {result.address}" if result.address else ""
    if result.state == "safe":
        took = "" if result.seconds is None else f"  after {1e3 * result.seconds:.0f} ms"
        return f"safe{at}{took}"
    if result.state == "none":
        return f"-     {result.message}"
    return f"NOT CONFIRMED{at}: {result.message}; go there and make it safe by hand"
