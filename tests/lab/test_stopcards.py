"""Stop cards and marks: what is written, who sees it, and what pressing does when instruments are odd or gone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdl.lab.labfile import load_lab
from sdl.lab.opening import connect_lab, stop_card
from sdl.lab.stopcards import (
    DeviceStop,
    StopExchange,
    device_stops,
    lab_key,
    mark,
    marked,
    marks,
    press,
    read_cards,
    refuse_if_stopped,
    release,
    stop_folder,
    write_card,
)
from sdl.model import SdlError

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state" / "stop"


class Instrument:
    """A TCP server that answers each line as it is told to, and remembers what came."""

    def __init__(self, answers: Callable[[bytes], bytes | None]) -> None:
        self.heard: list[bytes] = []
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._server.accept()[0] as line, line.makefile("rb") as requests:
                    line.settimeout(5)
                    for request in requests:
                        self.heard.append(request.strip())
                        answer = self._answers(request.strip())
                        if answer is None:
                            break
                        line.sendall(answer)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def instrument() -> Iterator[Callable[[Callable[[bytes], bytes | None]], Instrument]]:
    """Starts instruments, and ends them."""
    started: list[Instrument] = []

    def start(answers: Callable[[bytes], bytes | None]) -> Instrument:
        started.append(Instrument(answers))
        return started[-1]

    yield start
    for one in started:
        one.close()


def asked(address: str, request: bytes = b"STOP", **more: object) -> StopExchange:
    return StopExchange(address, request + b"\n", "stopped\n", "\n", **more)  # type: ignore[arg-type]


def card_of(*devices: DeviceStop, lab: str = "bench", file: str = "/nowhere/lab.yaml") -> None:
    """Leave a card as a process that has ended would."""
    write_card(lab, file, {}, devices)._let_go()


def test_a_card_says_all_that_is_needed(tmp_path: Path, state: Path) -> None:
    """What is written is read back equal, bytes and patterns included; removing takes the file away."""
    odd = bytes(range(256))
    exchange = StopExchange("tcp://[::1]:4001", odd, "\x00\xff.\n", "é", 0.25, 3, True)
    devices = (
        DeviceStop("pump", "tcp://[::1]:4001/7", (exchange,)),
        DeviceStop("valve", "", slow=True, note="why"),
    )
    written = write_card("bench", str(tmp_path / "lab.yaml"), {"table": "/a b"}, devices)
    (card,) = read_cards()
    assert card == written.card
    assert card.alive
    assert (card.pid, card.host) == (os.getpid(), socket.gethostname())
    assert card.devices == devices
    written.remove()
    written.remove()
    assert read_cards() == []
    assert list(state.iterdir()) == []


def test_a_card_knows_whether_its_process_lives(state: Path) -> None:
    """The card of a process says that it lives while that is stopped, and no longer once it is killed."""
    code = """
import sys, time
from sdl.lab.stopcards import DeviceStop, write_card
kept = write_card("other", "/elsewhere/lab.yaml", {}, [DeviceStop("valve", "", slow=True)])
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, 19)
        assert [card.alive for card in read_cards()] == [True]
        process.kill()
        process.wait()
    assert [(card.alive, card.pid) for card in read_cards()] == [(False, process.pid)]


def test_a_new_card_replaces_those_it_covers(tmp_path: Path) -> None:
    """A card left behind goes when the lab is opened again with its devices; cards of others and of the living stay."""
    pump, valve = DeviceStop("pump", "", slow=True), DeviceStop("valve", "", slow=True)
    file = str(tmp_path / "lab.yaml")
    card_of(pump, file=file)
    card_of(pump, valve, file=file)
    card_of(pump, file=str(tmp_path / "other.yaml"))
    living = write_card("bench", file, {}, [pump])
    left = {(card.file, len(card.devices)) for card in read_cards()}
    assert left == {(file, 1), (file, 2), (str(tmp_path / "other.yaml"), 1)}
    assert len(read_cards()) == 3
    again = write_card("bench", file, {}, [pump, valve])
    assert [card.path for card in read_cards() if card.file == file] == [again.card.path, living.card.path]
    living.remove()
    again.remove()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"version": 99}', '{"version": 1, "devices": [{"name": 1}]}'])
def test_a_damaged_card_is_told(state: Path, text: str) -> None:
    """A card that makes no sense is listed with what is wrong, and hides no other."""
    card_of(DeviceStop("valve", "", slow=True))
    (state / "broken-0123.7-1.card").write_text(text)
    cards = {card.key: card for card in read_cards()}
    assert len(cards) == 2
    assert cards["broken-0123"].damage
    assert sum(not card.damage for card in cards.values()) == 1


async def test_an_open_lab_has_a_card(write_lab: Write) -> None:
    """The card is there while the lab is open, with every device, and gone when it is closed."""
    lab = load_lab(write_lab())
    async with connect_lab(lab) as opened:
        (card,) = read_cards()
        assert (card.lab, card.file, card.key) == ("soft", str(lab.file.path), opened.key)
        assert [device.name for device in card.devices] == ["detector", "other"]
        assert card.inputs == {"table": str(lab.inputs["table"].path)}
    assert read_cards() == []


_CAMERA = """

class Camera:
    def __init__(self, address, name):
        self.name = name

    async def connect(self):
        from sdl.lab.stopcards import read_cards
        assert [card.lab for card in read_cards()] == ["soft"], "no card while connecting"
        raise OSError("no such camera")

    async def safe_state(self):
        pass
"""


async def test_a_lab_that_fails_leaves_its_card(write_lab: Write) -> None:
    """The card is there before the first device is connected; when that fails, it stays for `sdl stop`."""
    path = write_lab(
        ("other: {driver: soft_detector}", 'other: {driver: "plans.py:Camera", address: "tcp://127.0.0.1:9"}')
    )
    (path.parent / "plans.py").write_text((path.parent / "plans.py").read_text() + _CAMERA)
    with pytest.raises(SdlError, match="no such camera"):
        async with connect_lab(load_lab(path)):
            pytest.fail("it opened")
    (card,) = read_cards()
    assert not card.alive
    assert [(d.name, d.slow) for d in card.devices] == [("detector", False), ("other", True)]


def test_when_a_card_stays(write_lab: Write) -> None:
    """An exception leaves no card where every instrument was simulated and ended with the process.

    Real ones stay on it, after an exception or when that was asked for, until the lab is opened and closed in order.
    """
    lab = load_lab(write_lab())
    exchange = asked("tcp://127.0.0.1:9")

    class Pump:
        def stop_exchanges(self) -> list[StopExchange]:
            return [exchange]

    for simulated, left in ((["a", "b"], []), (["a"], ["b"])):
        with pytest.raises(ZeroDivisionError), stop_card(lab, {"a": Pump(), "b": Pump()}, {}, simulated):
            raise ZeroDivisionError
        assert [device.name for card in read_cards() for device in card.devices] == left
    with stop_card(lab, {"a": Pump(), "b": Pump()}, {}) as keep:
        (card,) = read_cards()  # it has replaced the one that was left
        keep()
    assert [(left.path, left.alive, len(left.devices)) for left in read_cards()] == [(card.path, False, 2)]
    with stop_card(lab, {"a": Pump(), "b": Pump()}, {}):
        pass
    assert read_cards() == []


async def test_no_card_no_lab(write_lab: Write, tmp_path: Path) -> None:
    """Where no card can be written, a lab with real instruments is not opened, and one without them is."""
    (tmp_path / "state").write_text("in the way")
    async with connect_lab(load_lab(write_lab())):
        assert read_cards() == []
    path = write_lab(
        ("other: {driver: soft_detector}", 'other: {driver: scpi_spectrometer, address: "tcp://127.0.0.1:9"}')
    )
    with pytest.raises(SdlError, match=r"cannot be written to .*SDL_STATE_DIR"):
        async with connect_lab(load_lab(path)):
            pytest.fail("it opened")


def test_a_driver_that_cannot_say_what_stops_it() -> None:
    """Faulty exchanges are found when the card is written; the device is then stopped through its driver."""

    class Raises:
        def stop_exchanges(self) -> list[StopExchange]:
            raise KeyError("calibration")

    class Elsewhere:
        def stop_exchanges(self) -> list[StopExchange]:
            return [asked("usb:7")]

    class Pattern:
        def stop_exchanges(self) -> list[StopExchange]:
            return [StopExchange("tcp://127.0.0.1:9", b"", "(")]

    class Old:
        async def safe_state(self) -> None: ...

    devices = {"a": Raises(), "b": Elsewhere(), "c": Pattern(), "d": Old(), "e": object()}
    stops = device_stops(devices, {"a": "tcp://x:1"})
    assert [stop.slow for stop in stops] == [True, True, True, True, False]
    assert "calibration" in stops[0].note
    assert "'usb:7' is not an address" in stops[1].note
    assert stops[4].note == "its driver knows no safe state"


def test_pressing_sends_and_confirms(instrument: Callable[..., Instrument]) -> None:
    """The bytes arrive in order, each as often as it says; one that confirms is not sent again."""
    pump = instrument(lambda request: b"stopped\n" if request == b"ASK" else b"ok\n")
    exchanges = (
        StopExchange(pump.address, b"STOP\n", complete="\n", repeat=2),
        StopExchange(pump.address, b"ASK\n", "stopped", "\n", repeat=3),
    )
    card_of(DeviceStop("pump", pump.address, exchanges))
    (result,) = press(read_cards())
    assert (result.lab, result.device, result.state) == ("bench", "pump", "safe")
    assert result.seconds is not None
    assert result.seconds < 1
    assert pump.heard == [b"STOP", b"STOP", b"ASK"]


def test_the_first_commands_go_first(instrument: Callable[..., Instrument]) -> None:
    """Devices behind one address each get what stops them before any is asked to confirm."""
    line = instrument(lambda request: b"stopped\n")
    card_of(
        *(
            DeviceStop(name, "", tuple(asked(line.address, f"{verb} {name}".encode()) for verb in ("STOP", "ASK")))
            for name in ("a", "b", "c")
        )
    )
    assert {result.state for result in press(read_cards())} == {"safe"}
    assert line.heard == [b"STOP a", b"STOP b", b"STOP c", b"ASK a", b"ASK b", b"ASK c"]


def test_a_fallback_is_for_those_that_do_not_confirm(instrument: Callable[..., Instrument]) -> None:
    """Exchanges of the other mode are sent when the first ones were not understood, and only then."""
    good = instrument(lambda request: b"stopped\n")
    other = instrument(lambda request: b"stopped\n" if request == b"OTHER" else b"?\n")
    for where in (good, other):
        programme = (asked(where.address), asked(where.address, b"OTHER", fallback=True))
        card_of(DeviceStop("pump", "", programme), file=f"/nowhere/{where.address[-5:]}.yaml")
    assert [result.state for result in press(read_cards())] == ["safe", "safe"]
    assert (good.heard, other.heard) == ([b"STOP"], [b"STOP", b"OTHER"])


def test_a_connection_that_breaks_is_made_again(instrument: Callable[..., Instrument]) -> None:
    """An instrument that hangs up once is asked again; one that never confirms is unconfirmed with its last words."""
    count = iter(range(100))
    moody = instrument(lambda request: None if next(count) == 0 else b"stopped\n")
    card_of(DeviceStop("moody", "", (asked(moody.address),)))
    assert [result.state for result in press(read_cards())] == ["safe"]
    wrong = instrument(lambda request: b"running\n")
    card_of(DeviceStop("moody", "", (asked(wrong.address),)))
    (result,) = press(read_cards())
    assert (result.state, result.message) == ("unconfirmed", r"replied 'running\n' to the stop")


def test_those_who_cannot_confirm(instrument: Callable[..., Instrument]) -> None:
    """A device without a confirming exchange is told to stop and not called safe."""
    deaf = instrument(lambda request: b"")
    card_of(DeviceStop("deaf", "", (StopExchange(deaf.address, b"STOP\n"),)))
    (result,) = press(read_cards())
    assert (result.state, result.message) == ("unconfirmed", "was told to stop, and cannot confirm it")
    assert b"STOP" in deaf.heard


def test_the_silent_hold_up_nobody(instrument: Callable[..., Instrument]) -> None:
    """One instrument silent, one refusing connections, one good, all is said within seconds; the good at once."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    silent, good = instrument(lambda request: b""), instrument(lambda request: b"stopped\n")
    where = {"silent": silent.address, "gone": gone, "good": good.address}
    card_of(*(DeviceStop(name, address, (asked(address),)) for name, address in where.items()))
    begun = time.monotonic()
    results = {result.device: result for result in press(read_cards())}
    assert time.monotonic() - begun < 4.5
    assert {name: result.state for name, result in results.items()} == {
        "silent": "unconfirmed",
        "gone": "unconfirmed",
        "good": "safe",
    }
    assert results["silent"].message == "did not reply to the stop"
    assert results["gone"].message == "cannot be reached (Connection refused)"
    seconds = results["good"].seconds
    assert seconds is not None
    assert seconds < 1


def test_an_instrument_on_two_cards_is_told_once(instrument: Callable[..., Instrument]) -> None:
    """Two cards that hold the same instrument, of a dead process and a living one, make one conversation."""
    pump = instrument(lambda request: b"stopped\n")
    stop = DeviceStop("pump", pump.address, (asked(pump.address),))
    card_of(stop, DeviceStop("older", "", slow=True))
    living = write_card("bench", "/nowhere/lab.yaml", {}, [stop])
    results = press(read_cards())
    living.remove()
    assert [(r.device, r.state) for r in results] == [("pump", "safe"), ("pump", "safe"), ("older", "slow")]
    assert pump.heard == [b"STOP"]


def test_nothing_is_sent_in_vain(instrument: Callable[..., Instrument]) -> None:
    """Nothing goes to the port of a simulated instrument that has ended, nor to the loopback of another machine."""
    stranger = instrument(lambda request: b"stopped\n")
    card_of(DeviceStop("twin", "", (asked(stranger.address),), simulated=True))
    (result,) = press(read_cards())
    assert (result.state, "ended" in result.message) == ("none", True)
    (card,) = read_cards()
    here = DeviceStop("pump", "", (asked(stranger.address),))
    (result,) = press([card._replace(host="elsewhere", devices=(here,))])
    assert (result.state, result.message) == ("unconfirmed", "is connected to elsewhere; run `sdl stop` there")
    assert stranger.heard == []


def test_marks(tmp_path: Path, state: Path) -> None:
    """A mark says who, when and why; it refuses until it is released, which tells what it said."""
    key = lab_key(tmp_path / "lab.yaml")
    assert marked(key) is None
    refuse_if_stopped(key)
    mark(key, "ada@bench", "leak at pump 2", lab="silver", file="/labs/lab.yaml")
    found = marked(key)
    assert found is not None
    assert abs(found.at - time.time_ns()) < 60e9
    assert marks() == [found]
    with pytest.raises(SdlError) as caught:
        refuse_if_stopped(key)
    said = str(caught.value)
    assert "lab silver was stopped by ada@bench on 20" in said
    assert "(leak at pump 2)" in said
    assert "sdl stop --release /labs/lab.yaml" in said
    assert release(key) == found
    assert release(key) is None
    refuse_if_stopped(key)


def test_a_second_press_keeps_the_first_mark(tmp_path: Path) -> None:
    """Who stopped the lab first stays on record; a later note is added with its author."""
    first = mark("k", "ada@bench", "leak at pump 2", lab="silver")
    assert mark("k", "bob@bench") == first
    mark("k", "bob@bench", "smoke")
    found = marked("k")
    assert found is not None
    assert (found.by, found.at) == ("ada@bench", first.at)
    assert found.note == "leak at pump 2; bob@bench: smoke"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"by": "x"}'])
def test_a_mark_that_cannot_be_read_is_a_mark(state: Path, text: str) -> None:
    """An empty or damaged mark refuses all the same, and can be made again and released."""
    mark("k", "ada@bench")
    (state / "k.stopped").write_text(text)
    with pytest.raises(SdlError, match="lab k was stopped; make sure"):
        refuse_if_stopped("k")
    assert mark("k", "bob@bench", "again").by == "bob@bench"
    assert release("k") is not None
    assert marked("k") is None


def test_asking_for_a_mark_is_quick(tmp_path: Path) -> None:
    """Where there is no mark, asking takes microseconds: it is asked before each action."""
    key = lab_key(tmp_path / "lab.yaml")
    begun = time.process_time()
    for _ in range(2000):
        assert marked(key) is None
    assert (time.process_time() - begun) / 2000 < 100e-6


def test_keys_follow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lab file has one key, however it is named; another file has another."""
    (tmp_path / "lab.yaml").touch()
    (tmp_path / "link.yaml").symlink_to("lab.yaml")
    monkeypatch.chdir(tmp_path)
    keys = {lab_key("lab.yaml"), lab_key(tmp_path / "lab.yaml"), lab_key("link.yaml"), lab_key("./x/../lab.yaml")}
    assert len(keys) == 1
    assert lab_key("other.yaml") not in keys
    assert lab_key("Ünïcode lab/..").isascii()


def test_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SDL_STATE_DIR, else XDG_STATE_HOME, else the folder under the home that the XDG specification names."""
    assert stop_folder() == str(tmp_path / "state" / "stop")
    monkeypatch.delenv("SDL_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert stop_folder() == "/x/sdl/stop"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert stop_folder() == "/home/ada/.local/state/sdl/stop"


def test_nothing_heavy_is_imported() -> None:
    """The way from the command to the instruments' sockets loads the standard library and nothing else."""
    code = (
        "import json, sys\nbefore = set(sys.modules)\nimport sdl.cli._stop\n"
        "print(json.dumps(sorted({n.partition('.')[0] for n in set(sys.modules) - before})))"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert set(found) - set(sys.stdlib_module_names) == {"sdl"}
