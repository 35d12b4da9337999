"""Analyses that come with the package, on runs made by hand with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl import plugins
from sdl.lab.analyses import mean_of_readings, measure_peak, read_spectrum, spectral_loss, spectrum_match
from sdl.model import Infeasible, InputError
from sdl.protocols import RunRecord

AXIS = np.arange(320.0, 801.0)


def _gauss(centre: float, width: float, height: float = 1.0, baseline: float = 0.0) -> np.ndarray:
    return baseline + height * np.exp(-4 * np.log(2) * ((AXIS - centre) / width) ** 2)


def _run(readings: Sequence[dict], units: dict[str, str] | None = None, **configuration: list) -> RunRecord:
    keys = {key: {"units": unit} for key, unit in (units or {}).items()}
    descriptor = {
        "uid": "d",
        "name": "primary",
        "data_keys": keys,
        "configuration": {"device": {"data": configuration}},
    }
    events = tuple({"descriptor": "d", "data": data} for data in readings)
    return RunRecord("react", {"uid": "r"}, (descriptor,), events, {"exit_status": "success"})


def _spectra(*spectra: np.ndarray) -> RunRecord:
    return _run([{"s": list(spectrum)} for spectrum in spectra], {"s": "1"}, w=list(AXIS))


@pytest.fixture
def target(tmp_path: Path) -> str:
    """A target spectrum with its peak at 440 nm, 60 nm wide."""
    path = tmp_path / "target.csv"
    rows = "\n".join(f"{w:.0f},{a:.6f}" for w, a in zip(AXIS, _gauss(440, 60), strict=True))
    path.write_text(f"# made by hand\nwavelength_nm,absorbance\n{rows}\n")
    return str(path)


def test_mean_and_standard_error() -> None:
    """The mean over all runs comes with std/√n and the unit of the descriptor, converted when asked to."""
    runs = [_run([{"t": 1.0}, {"t": 2.0}], {"t": "J"}), _run([{"t": 6.0}], {"t": "J"})]
    outcome = mean_of_readings(runs, keys={"toughness": "t"})["toughness"]
    assert (outcome.value, outcome.unit) == (3.0, "J")
    assert outcome.sem == pytest.approx(np.std([1, 2, 6], ddof=1) / 3**0.5)
    in_mj = mean_of_readings(runs, keys={"toughness": "t"}, units={"toughness": "mJ"})["toughness"]
    assert (in_mj.value, in_mj.unit) == (pytest.approx(3000.0), "mJ")


def test_single_reading_has_no_standard_error() -> None:
    """One value says nothing about its scatter."""
    assert mean_of_readings([_run([{"t": 1.0}])], keys={"x": "t"})["x"].sem is None


def test_missing_key_lists_what_there_is() -> None:
    """A key that was not recorded is named together with those that were."""
    with pytest.raises(KeyError, match=r"recorded no 'y'.*'t'"):
        mean_of_readings([_run([{"t": 1.0}])], keys={"x": "y"})
    with pytest.raises(KeyError, match="there are no runs"):
        mean_of_readings([], keys={"x": "y"})


def test_reading_that_is_not_finite_is_infeasible() -> None:
    """NaN is no outcome."""
    with pytest.raises(Infeasible, match="not a finite number"):
        mean_of_readings([_run([{"t": float("nan")}])], keys={"x": "t"})


@settings(max_examples=60, deadline=None)
@given(
    centre=st.floats(380.0, 620.0),
    width=st.floats(40.0, 110.0),
    height=st.floats(0.1, 2.0),
    baseline=st.floats(-0.05, 0.05),
)
def test_known_peaks_are_found(centre: float, width: float, height: float, baseline: float) -> None:
    """Position, width and height of a Gaussian line come back, whatever its baseline."""
    found = measure_peak(AXIS, _gauss(centre, width, height, baseline))
    assert found.peak_wavelength == pytest.approx(centre, abs=0.3)
    assert found.linewidth == pytest.approx(width, rel=0.06)
    assert found.absorbance == pytest.approx(height, rel=0.04)


def test_noise_moves_the_peak_little() -> None:
    """With noise of 1 % the peak of a line of 60 nm is found within 2 nm."""
    rng = np.random.default_rng(3)
    found = [measure_peak(AXIS, _gauss(443.3, 60) + 0.01 * rng.standard_normal(481)).peak_wavelength for _ in range(20)]
    assert np.abs(np.array(found) - 443.3).max() < 2


def test_loss_is_zero_for_the_same_shape_and_grows_with_distance() -> None:
    """The loss ignores height and offset, and grows as the peak moves away."""
    target = _gauss(440, 60)
    assert spectral_loss(0.3 * target + 0.02, target) == pytest.approx(0, abs=1e-6)
    losses = [spectral_loss(_gauss(440 + shift, 60), target) for shift in (0, 5, 10, 20, 40)]
    assert losses == sorted(losses)
    assert 0.5 < losses[-1] < np.pi / 2
    assert spectral_loss(np.zeros(481), target) == pytest.approx(np.pi / 2)


def test_match_gives_all_outcomes_with_errors(target: str) -> None:
    """Replicate spectra give four outcomes with units and standard errors."""
    run = _spectra(_gauss(449, 60), _gauss(450, 60), _gauss(451, 60))
    outcomes = spectrum_match([run], target=target, spectrum="s", wavelength="w")
    assert outcomes["peak_wavelength"].value == pytest.approx(450, abs=0.2)
    assert outcomes["peak_wavelength"].sem == pytest.approx(1 / 3**0.5, rel=0.1)
    assert [outcomes[n].unit for n in ("mismatch", "peak_wavelength", "linewidth", "absorbance")] == [
        "1",
        "nm",
        "nm",
        "1",
    ]
    assert outcomes["mismatch"].value > 0


def test_wavelengths_may_be_read_with_each_event(target: str) -> None:
    """The axis may be a reading instead of configuration."""
    run = _run([{"s": list(_gauss(440, 60)), "w": list(AXIS)}])
    outcomes = spectrum_match([run], target=target, spectrum="s", wavelength="w")
    assert outcomes["mismatch"].value == pytest.approx(0, abs=1e-4)
    assert outcomes["mismatch"].sem is None


def test_no_peak_is_infeasible(target: str) -> None:
    """A flat spectrum means that there are no particles."""
    with pytest.raises(Infeasible, match=r"no particles: peak absorbance 0.01 below 0.05"):
        spectrum_match([_spectra(_gauss(440, 60, 0.01))], target=target, spectrum="s", wavelength="w")


def test_lengths_that_differ_are_refused(target: str) -> None:
    """Spectra that do not fit each other or their axis are not averaged."""
    with pytest.raises(ValueError, match=r"differ in length: \[480, 481\]"):
        spectrum_match([_spectra(_gauss(440, 60), _gauss(440, 60)[:-1])], target=target, spectrum="s", wavelength="w")
    with pytest.raises(ValueError, match="on 481 wavelengths"):
        spectrum_match([_spectra(_gauss(440, 60)[:-1])], target=target, spectrum="s", wavelength="w")


def test_target_must_cover_the_spectrum(tmp_path: Path) -> None:
    """A target that ends inside the spectrum is refused with both ranges."""
    path = tmp_path / "short.csv"
    path.write_text("wavelength_nm,absorbance\n" + "\n".join(f"{w},1" for w in range(400, 500)))
    with pytest.raises(InputError, match="covers 400 to 499 nm, the spectra 320 to 800 nm"):
        spectrum_match([_spectra(_gauss(440, 60))], target=str(path), spectrum="s", wavelength="w")


def test_faults_of_a_target_are_reported_together(tmp_path: Path) -> None:
    """Every bad line of a target is named."""
    path = tmp_path / "bad.csv"
    path.write_text("nm,absorbance\n400,1\n401,high\n402\n")
    with pytest.raises(InputError) as caught:
        read_spectrum(path)
    assert [fault.line for fault in caught.value.faults] == [1, 3, 4]
    with pytest.raises(InputError, match="cannot read the spectrum"):
        read_spectrum(tmp_path / "missing.csv")


def test_analyses_are_registered() -> None:
    """Both come through the entry points."""
    assert plugins.load("sdl.analyses", "mean_of_readings") is mean_of_readings
    assert plugins.load("sdl.analyses", "spectrum_match") is spectrum_match
