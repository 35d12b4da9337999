"""Quotes of whole campaigns, and what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign.rehearsal.bakery import bakery
from support import edit, silver_lab

from sdl.campaign import Campaign
from sdl.campaign.files import load_campaign
from sdl.campaign.labbook import record
from sdl.campaign.rehearsal.experience import gather
from sdl.campaign.rehearsal.making import ground_of, make_quote
from sdl.campaign.rehearsal.quote import Quote
from sdl.campaign.rehearsal.recording import record_quote
from sdl.campaign.rehearsal.score import Score, score
from sdl.journal import Store, kinds
from sdl.model import InputError, SdlError


def _quoted(
    path: Path, *, runs: int = 2, target: str = "", store: str = "sdl.db", keep: bool = True, workers: int = 1
) -> Quote:
    file = path.parent / store

    def ground(loaded):  # type: ignore[no-untyped-def]
        with Store.open(file) as opened:
            return ground_of(opened, loaded)

    quote, _ = make_quote(path, {}, ground, runs=runs, workers=workers, target=target, draws=50)
    if keep:
        with Store.open(file) as opened:
            record_quote(opened, quote)
    return quote


def _receive(path: Path, grams: float) -> None:
    body = {"item": "flour", "lot": "F-1", "amount": grams, "unit": "g", "expires": "", "by": "", "note": ""}
    with Store.open(path.parent / "sdl.db") as store:
        record(store, "bakery", kinds.STOCK_RECEIVED, body)


def _score(path: Path) -> Score:
    with Store.open(path.parent / "sdl.db") as store:
        state = store.state(store.campaigns()[-1].id)
        found = score(store, state)
    assert found is not None
    return found


def _run(path: Path, *, virtual: bool = True) -> Campaign:
    return Campaign.from_yaml(path, store=path.parent / "sdl.db").run(virtual=virtual)


def test_a_quote_comes_true(tmp_path: Path) -> None:
    """Three trials in flight, ovens that limit: end, hours, cost and flour are foretold and come true."""
    path = bakery(tmp_path, trials=12)
    _receive(path, 100.0)
    quote = _quoted(path, runs=3, target="z > 5 MS/m", workers=2)
    # Two ovens bake twelve loaves of ten minutes, after one minute of mixing.
    assert quote.hours.median == pytest.approx(1.03, rel=0.1)
    assert quote.hours.low < quote.hours.median < quote.hours.high
    assert quote.bottleneck.startswith("first_oven and second_oven: busy 9")
    assert quote.stock["flour"].used.median == pytest.approx(24)
    assert (quote.stock["flour"].lacks.share, quote.stock["flour"].trial) == (0, None)
    assert quote.cost.median == pytest.approx(0.2 * 100 + 2.0 * 50 + 24 * 2, rel=0.1)
    assert quote.target is not None
    assert quote.target.chance.share == 1
    assert any("nothing is on record" in note for note in quote.notes)
    state = _run(path).state
    assert (state.status, len(state.trials), len(state.quotes)) == ("ended", 12, 1)
    found = _score(path)
    assert found.ended
    assert {line.what: line.verdict for line in found.lines} == {
        "lab time": "inside", "trials": "inside", "faults": "inside", "mixing at work": "inside",
        "first_oven at work": "inside", "second_oven at work": "inside", "looking at work": "inside",
        "flour": "inside", "cost": "inside",
    }  # fmt: skip
    assert found.reached
    assert "reached it" in found.target


def test_it_learns_from_real_campaigns(tmp_path: Path) -> None:
    """A step that takes twice as long as declared: a real campaign shows it, the next one's quote knows it.

    The second campaign ends inside the interval, and outside that of a quote made from what is declared only.
    """
    lab = {"mix": 0.2, "bake": 1.0, "look": 0.1, "declared": 0.5, "in_flight": 3}
    path = bakery(tmp_path, trials=8, **lab)  # type: ignore[arg-type]
    _receive(path, 100.0)
    _run(path, virtual=False)
    # The rehearsed instruments are as quick as is declared; the lab is not.
    path = bakery(tmp_path, trials=10, name="again", **{**lab, "bake": 0.5})  # type: ignore[arg-type]
    with Store.open(tmp_path / "sdl.db") as store:
        known = gather(store, load_campaign(path))
    assert (known.attempts, known.campaigns) == (24, 1)
    quote = _quoted(path, keep=True)
    blind = _quoted(path, store="other.db", keep=False)
    path = bakery(tmp_path, trials=10, name="again", **lab)  # type: ignore[arg-type]
    seconds = _run(path, virtual=False).state.lab_seconds
    assert quote.hours.low * 3600 <= seconds <= quote.hours.high * 3600
    assert seconds > blind.hours.high * 3600
    assert {line.what: line.verdict for line in _score(path).lines}["lab time"] == "inside"
    assert quote.attempts == 24


def test_it_knows_what_the_campaign_will_know(tmp_path: Path) -> None:
    """Earlier campaigns of the store are told to the planner of a rehearsal, which begins where they promise most."""
    first = bakery(tmp_path, trials=8, name="first")
    _receive(first, 100.0)
    _run(first)
    path = bakery(tmp_path, trials=1, in_flight=1)
    edit(path, lambda data: data.update(planner="bayes", learn_from=[{"campaign": "first"}]))
    told = _quoted(path, target="z > 9 MS/m", runs=3)
    assert told.target is not None
    assert told.target.chance.share == 1.0
    edit(path, lambda data: data.update(learn_from=[{"campaign": "frist"}]))
    with pytest.raises(InputError, match="learn_from campaign 'frist'"):
        _quoted(path, target="z > 9 MS/m", runs=1)


def test_stock_that_runs_out_is_foretold(tmp_path: Path) -> None:
    """Flour for six and a half trials of ten: the quote says trial 7, and there the campaign pauses."""
    path = bakery(tmp_path)
    _receive(path, 13.0)
    stock = _quoted(path).stock["flour"]
    assert stock.lacks.share == 1
    assert stock.trial is not None
    assert stock.hours is not None
    assert (stock.trial.low, stock.trial.median, stock.trial.high) == (7, 7, 7)
    state = _run(path).state
    assert (state.status, len(state.trials)) == ("paused", 6)
    assert "not enough flour" in state.message
    assert stock.hours.low * 0.9 <= state.lab_seconds / 3600


def test_stock_that_depends_on_parameters(tmp_path: Path) -> None:
    """A trial takes as much flour as its parameter says: about 5 g each, so 22 g are gone near the fifth trial."""
    path = bakery(tmp_path, flour="x", trials=12)
    _receive(path, 22.0)
    stock = _quoted(path, runs=6).stock["flour"]
    assert stock.trial is not None
    assert 3 <= stock.trial.low <= stock.trial.median <= stock.trial.high <= 9
    state = _run(path).state
    assert stock.trial.low <= len(state.trials) + 1 <= stock.trial.high


def test_it_quotes_what_is_left(tmp_path: Path) -> None:
    """A campaign of which four of ten trials are done is quoted for the other six, and scored for them alone."""
    path = bakery(tmp_path, trials=4, in_flight=1)
    _receive(path, 100.0)
    whole = _quoted(path, keep=False)
    _run(path)
    edit(path, lambda data: data.update(budget={"trials": 10}))
    quote = _quoted(path)
    assert (quote.done, quote.trials.median) == (4, 6)
    assert quote.hours.median == pytest.approx(1.5 * whole.hours.median, rel=0.15)
    assert all(line.verdict == "so far" for line in _score(path).lines)
    assert _run(path).state.status == "ended"
    actual = {line.what: line.actual for line in _score(path).lines}
    assert (actual["trials"], actual["flour"]) == (6, 12)
    assert actual["lab time"] == pytest.approx(quote.hours.median, rel=0.15)


def test_the_same_seed_gives_the_same_quote(tmp_path: Path) -> None:
    """However many processes take part; another seed gives another."""
    path = bakery(tmp_path, flour="x", trials=5)
    first, second = (_quoted(path, runs=3, keep=False, workers=workers) for workers in (1, 2))
    assert first.hours == pytest.approx(second.hours)
    assert first.stock == second.stock


def test_what_has_ended_is_not_rehearsed(tmp_path: Path) -> None:
    """A campaign that has used up its budget has nothing to foretell; the message says how to go on."""
    path = bakery(tmp_path, trials=2)
    _receive(path, 100.0)
    _run(path)
    with pytest.raises(InputError, match=r"has ended already.*--set budget.trials=N"):
        _quoted(path)


def test_a_lab_without_simulation_is_refused(tmp_path: Path) -> None:
    """Registered drivers without a simulated instrument: the message names the devices and what to add."""
    path = silver_lab(tmp_path / "lab")
    lab = path.parent / "lab.yaml"

    def real(data):  # type: ignore[no-untyped-def]
        del data["simulation"]
        for name, device in data["devices"].items():
            device["address"] = f"tcp://127.0.0.1:1?{name}" if name != "heater" else "tcp://127.0.0.1:1"

    edit(lab, real)
    with pytest.raises(InputError, match=r"no `simulation:` block for .*heater.*simulation.instruments"):
        _quoted(path)


def test_a_campaign_that_cannot_run_has_no_quote(tmp_path: Path) -> None:
    """When no rehearsal comes to the end of a trial, the reason is said instead of a quote."""
    path = bakery(tmp_path, trials=2)
    plans = (tmp_path / "plans.py").read_text()
    plans = plans.replace("yield from _work(mixer, seconds)", 'raise Fault("mixer", "its bowl is missing")\n    yield')
    (tmp_path / "plans.py").write_text(plans.replace("import Outcome", "import Fault, Outcome"))
    with pytest.raises(SdlError, match=r"cannot be rehearsed: .*its bowl is missing"):
        _quoted(path)
