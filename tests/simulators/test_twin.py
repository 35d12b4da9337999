"""Flow, heat, detector, and the twin that joins them."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from sdl.simulators.silver import FEEDS, SilverFlowOptions, SilverFlowTwin
from sdl.simulators.silver.detector import DiodeArray
from sdl.simulators.silver.flow import FlowHistory, residence_quantiles
from sdl.simulators.silver.thermal import HeatedBlock

FLOWS = {"silver": 120.0, "reductant": 70.0, "stabiliser": 60.0, "seed": 50.0}


class Now:
    """Lab time that a test sets."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def _warm_twin(now: Now, seed: int = 1) -> SilverFlowTwin:
    twin = SilverFlowTwin(now, seed=seed, options=SilverFlowOptions(drift=0.0))
    twin.block.set_power(0.4)
    for now.time in range(0, 1200, 10):
        twin.block.temperature()
    return twin


def _pump(twin: SilverFlowTwin, flows: dict[str, float]) -> None:
    for feed in FEEDS:
        twin.set_flow(feed, flows[feed])


def test_history_finds_when_the_liquid_came_in() -> None:
    """The entry time of a parcel follows the flow backwards, through changes and pauses."""
    history = FlowHistory(("a", "b"))
    history.set("a", 60.0, 0.0)
    history.set("b", 60.0, 100.0)
    assert history.entered(50.0, 100.0) == pytest.approx(50.0)
    assert history.entered(50.0, 120.0) == pytest.approx(90.0)
    history.set("a", 0.0, 120.0)
    history.set("b", 0.0, 120.0)
    assert history.entered(50.0, 999.0) == pytest.approx(90.0)
    assert history.entered(1e6, 999.0) is None
    assert history.at(110.0) == {"a": 60.0, "b": 60.0}
    assert history.at(-1.0) == {"a": 0.0, "b": 0.0}


def test_history_counts_what_was_delivered() -> None:
    """Volumes delivered are the integral of the flow."""
    history = FlowHistory(("a",))
    history.set("a", 60.0, 10.0)
    history.set("a", 120.0, 20.0)
    assert history.delivered("a", 15.0) == pytest.approx(5.0)
    assert history.delivered("a", 30.0) == pytest.approx(30.0)


def test_history_takes_late_news() -> None:
    """A change that becomes known after later ones of other feeds is in its place, and theirs stay."""
    history = FlowHistory(("a", "b"))
    assert history.delivered("a", 5.0) == 0.0
    history.set("a", 60.0, 0.0)
    history.set("b", 30.0, 10.0)
    history.set("b", 90.0, 20.0)
    history.set("a", 0.0, 15.0)
    assert [history.at(t) for t in (5.0, 12.0, 17.0, 25.0)] == [
        {"a": 60.0, "b": 0.0},
        {"a": 60.0, "b": 30.0},
        {"a": 0.0, "b": 30.0},
        {"a": 0.0, "b": 90.0},
    ]
    assert history.delivered("a", 30.0) == 15.0
    assert history.delivered("b", 30.0) == 20.0


def test_residence_quantiles_have_mean_one_and_narrow_with_tanks() -> None:
    """A cascade's residence volumes spread about their mean, less so with more tanks."""
    wide, narrow = residence_quantiles(5, 9), residence_quantiles(100, 9)
    assert np.mean(wide) == pytest.approx(1.0)
    assert np.std(wide) == pytest.approx(5**-0.5, rel=0.15)
    assert np.std(narrow) < np.std(wide) / 3


def test_block_heats_towards_its_balance_and_cools_to_ambient() -> None:
    """Temperature follows the exact solution of the lumped heat balance, whenever it is looked at."""
    now = Now()
    block, watched = HeatedBlock(now), HeatedBlock(now)
    block.set_power(0.5)
    watched.set_power(0.5)
    balance = block.ambient + 0.5 * block.heater / block.loss
    for now.time in np.linspace(0, block.time_constant, 7):
        watched.temperature()
    assert block.temperature() == pytest.approx(block.ambient + (balance - block.ambient) * (1 - np.exp(-1)))
    assert watched.temperature() == pytest.approx(block.temperature())
    block.set_power(0.0)
    now.time += 20 * block.time_constant
    assert block.temperature() == pytest.approx(block.ambient, abs=1e-3)


def test_mean_temperature_is_over_the_span() -> None:
    """The mean over a span is that of the past, not of the present."""
    now = Now()
    block = HeatedBlock(now)
    now.time = 100.0
    block.set_power(1.0)
    for now.time in range(100, 400, 2):
        block.temperature()
    assert block.mean_temperature(0.0, 90.0) == pytest.approx(block.ambient)
    assert block.mean_temperature(300.0, 390.0) > 100


def test_old_sample_stays_until_it_has_been_pushed_out() -> None:
    """After a change of flows the detector sees the old sample for a residence time, then the other one."""
    now = Now()
    twin = _warm_twin(now)
    _pump(twin, FLOWS)
    now.time += 300.0
    before = twin.spectrum()
    _pump(twin, {**FLOWS, "stabiliser": 10.0})
    # 270 uL at 250 uL/min take 65 s
    now.time += 20.0
    early = twin.spectrum()
    now.time += 100.0
    late = twin.spectrum()
    assert np.abs(early - before).max() < 0.05
    assert np.abs(late - before).max() > 0.2


def test_water_before_the_first_fill() -> None:
    """Until something was pumped through, the flow cell holds water."""
    twin = SilverFlowTwin(Now(), seed=1)
    assert twin.sample() is None
    assert np.abs(twin.spectrum(100.0, 100)).max() < 0.02


def test_settled_sample_is_the_steady_state() -> None:
    """Once flows and temperature have settled the measured spectrum is the computed one and noise."""
    now = Now()
    twin = _warm_twin(now)
    _pump(twin, FLOWS)
    now.time += 600.0
    _, clean = twin.steady_state(FLOWS, twin.block.temperature())
    assert np.abs(twin.spectrum(100.0, 1000) - clean).max() < 0.02


def test_equal_seeds_give_equal_spectra() -> None:
    """The same commands at the same lab times give the same spectra; another seed gives other noise."""
    spectra = []
    for seed in (1, 1, 2):
        now = Now()
        twin = _warm_twin(now, seed)
        _pump(twin, FLOWS)
        now.time += 300.0
        spectra.append(twin.spectrum())
    np.testing.assert_array_equal(spectra[0], spectra[1])
    assert np.abs(spectra[0] - spectra[2]).max() > 0


def test_parameters_reach_from_violet_to_green_and_to_nothing() -> None:
    """The space of the example reaches from below 410 to above 500 nm, and to conditions that make next to nothing."""
    twin = SilverFlowTwin(Now(), seed=1)
    cases = {
        "small": ({"silver": 30.0, "reductant": 150.0, "stabiliser": 20.0, "seed": 60.0}, 40.0),
        "large": ({"silver": 58.0, "reductant": 64.0, "stabiliser": 43.0, "seed": 2.1}, 50.0),
        "nothing": ({"silver": 20.0, "reductant": 20.0, "stabiliser": 150.0, "seed": 2.0}, 25.0),
    }
    spectra = {name: twin.steady_state(*case)[1] for name, case in cases.items()}
    peaks = {name: twin.wavelength[spectrum.argmax()] for name, spectrum in spectra.items()}
    assert peaks["small"] < 410
    assert peaks["large"] > 500
    assert spectra["nothing"].max() < 0.05


def test_detector_noise_falls_with_averaging_and_absorbance_saturates() -> None:
    """Averaging 100 exposures cuts the noise tenfold; stray light limits what can be measured."""
    wavelength = np.arange(320.0, 801.0)
    detector = DiodeArray(wavelength, np.random.default_rng(0), drift=0.0)
    flat = np.full(wavelength.shape, 0.5)
    single = detector.measure(flat, 0.0, 100.0, 1) - 0.5
    averaged = detector.measure(flat, 0.0, 100.0, 100) - 0.5
    assert single.std() / averaged.std() == pytest.approx(10, rel=0.25)
    assert detector.measure(np.full(wavelength.shape, 8.0), 0.0, 100.0, 100).max() < 4.5


def test_options_take_quantities_and_refuse_others() -> None:
    """Options convert their units; unknown ones and impossible values are refused."""
    assert SilverFlowOptions(reactor_volume="0.25 mL").reactor_volume == pytest.approx(250.0)
    with pytest.raises(ValidationError, match="reactor_volum"):
        SilverFlowOptions.model_validate({"reactor_volum": 1})
    with pytest.raises(ValidationError, match="different things"):
        SilverFlowOptions.model_validate({"reactor_volume": "3 degC"})
