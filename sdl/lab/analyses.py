"""Analyses that come with the package: means of readings, and spectra against a target."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sdl.model import FileFault, Infeasible, InputError, Outcome
from sdl.model.units import convert
from sdl.protocols import RunRecord, quick

__all__ = [
    "SpectrumFeatures",
    "mean_of_readings",
    "measure_peak",
    "read_spectrum",
    "spectral_loss",
    "spectrum_match",
]

Array = npt.NDArray[np.float64]


def _outcome(values: Sequence[float], unit: str) -> Outcome:
    """Mean and standard error of the mean; no standard error for a single value."""
    numbers = np.asarray(values, dtype=float)
    sem = float(numbers.std(ddof=1) / np.sqrt(numbers.size)) if numbers.size > 1 else None
    return Outcome(value=float(numbers.mean()), sem=sem, unit=unit)


@quick
def mean_of_readings(
    runs: Sequence[RunRecord], *, keys: Mapping[str, str], units: Mapping[str, str] | None = None
) -> dict[str, Outcome]:
    """Mean and standard error of the mean of the readings of each data key, over all runs that have it.

    Args:
        runs: of the trial.
        keys: outcome → data key, as in `{toughness: tester-outcomes-toughness}`.
        units: outcome → unit to convert to; by default the unit in which the key was recorded.

    Raises:
        KeyError: no run has a key; the message lists those there are.
        ValueError: a unit does not fit.
        Infeasible: a reading is not a finite number.
    """
    outcomes = {}
    for outcome, key in keys.items():
        values, unit = _readings(runs, key)
        numbers = np.asarray(values, dtype=float)
        if not np.isfinite(numbers).all():
            raise Infeasible(f"{outcome}: a reading of {key} is not a finite number: {values}")
        wanted = (units or {}).get(outcome, unit)
        outcomes[outcome] = _outcome([convert(float(v), unit, wanted) for v in numbers], wanted)
    return outcomes


def _readings(runs: Sequence[RunRecord], key: str) -> tuple[list[float], str]:
    found, unit, missing = [], "1", None
    for run in runs:
        try:
            found += run.readings(key)
            unit = run.units(key)
        except KeyError as error:
            missing = error
    if not found:
        raise missing or KeyError(f"no run recorded {key!r}: there are no runs")
    return found, unit


@dataclass(frozen=True)
class SpectrumFeatures:
    """The tallest peak of a spectrum."""

    peak_wavelength: float
    """nm"""
    linewidth: float
    """Full width at half maximum, nm; up to the end of the spectrum where it does not fall to half."""
    absorbance: float
    """Height above the baseline."""


def read_spectrum(path: str | Path) -> tuple[Array, Array]:
    """Wavelength (nm) and absorbance from a CSV file with columns `wavelength_nm` and `absorbance`.

    Lines that begin with `#` are comments.

    Raises:
        InputError: the file cannot be read, or its cells are no numbers; every fault with its line.
    """
    faults: list[FileFault] = []
    rows: list[tuple[float, float]] = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the spectrum {str(path)!r}: {error}") from error
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    for index, cells in enumerate(csv.reader(line for _, line in numbered)):
        line = numbered[index][0]
        if index == 0:
            if [cell.strip() for cell in cells] != ["wavelength_nm", "absorbance"]:
                faults.append(FileFault("the headings must be wavelength_nm,absorbance", str(path), line))
            continue
        try:
            wavelength, absorbance = map(float, cells)
            rows.append((wavelength, absorbance))
        except ValueError:
            faults.append(FileFault(f"{','.join(cells)!r} is no pair of numbers", str(path), line))
    if not faults and (len(rows) < 10 or np.any(np.diff([w for w, _ in rows]) <= 0)):
        faults.append(FileFault("a spectrum needs at least 10 wavelengths in ascending order", str(path)))
    if faults:
        raise InputError(faults[:20])
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def _above_baseline(absorbance: Array) -> Array:
    """Absorbance less its mean at the red end, where silver hardly absorbs: takes lamp drift out."""
    return np.asarray(absorbance - absorbance[-max(absorbance.size // 20, 3) :].mean(), dtype=np.float64)


def spectral_loss(absorbance: Array, target: Array) -> float:
    """Angle between two spectra above their baselines, rad: 0 for the same shape at any height, π/2 for no overlap.

    The spectral angle of F. A. Kruse et al., Remote Sens. Environ. 44, 145 (1993), doi:10.1016/0034-4257(93)90013-N.

    Args:
        absorbance: shape (w,).
        target: shape (w,), same wavelengths.
    """
    a, b = _above_baseline(absorbance), _above_baseline(target)
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.arccos(np.clip(a @ b / scale, -1.0, 1.0))) if scale > 0 else float(np.pi / 2)


def measure_peak(wavelength: Array, absorbance: Array, window: float = 16.0) -> SpectrumFeatures:
    """Position, height and width of the tallest peak, by local parabolas.

    Smooths with a second-degree least-squares filter (A. Savitzky and M. J. E. Golay, Anal. Chem. 36, 1627 (1964)),
    then fits a parabola around the maximum.

    Args:
        wavelength: nm, ascending and evenly spaced, shape (w,).
        absorbance: shape (w,).
        window: width of both fits, nm.
    """
    smooth = _smoothed(_above_baseline(absorbance), wavelength, window)
    top = int(smooth.argmax())
    near = np.abs(wavelength - wavelength[top]) <= window / 2
    offset = wavelength[near] - wavelength[top]
    peak, height = 0.0, float(smooth[top])
    if near.sum() > 3:
        curve, slope, level = np.polyfit(offset, smooth[near], 2)
        if curve < 0 and abs(slope / (2 * curve)) <= window / 2:
            peak = float(-slope / (2 * curve))
            height = float(level + slope * peak / 2)
    width = _crossing(wavelength, smooth, top, height / 2, 1) - _crossing(wavelength, smooth, top, height / 2, -1)
    return SpectrumFeatures(float(wavelength[top] + peak), width, height)


def _smoothed(values: Array, wavelength: Array, window: float) -> Array:
    step = float(np.median(np.diff(wavelength)))
    half = int(max(1, min(round(window / (2 * step)), (values.size - 1) // 2)))
    offsets = np.arange(-half, half + 1)
    kernel = np.linalg.pinv(np.vander(offsets, 3))[2]  # weights that give the parabola's value at the middle
    padded = np.concatenate([2 * values[0] - values[half:0:-1], values, 2 * values[-1] - values[-2 : -half - 2 : -1]])
    smooth: Array = np.convolve(padded, kernel[::-1], mode="valid")
    return np.asarray(smooth, dtype=np.float64)


def _crossing(wavelength: Array, values: Array, top: int, level: float, step: int) -> float:
    """Wavelength at which the values fall to `level`, going from `top` in direction `step`."""
    index = top
    while 0 <= index + step < values.size and values[index + step] > level:
        index += step
    following = index + step
    if not 0 <= following < values.size:
        return float(wavelength[index])
    share = (values[index] - level) / (values[index] - values[following])
    return float(wavelength[index] + share * (wavelength[following] - wavelength[index]))


def spectrum_match(
    runs: Sequence[RunRecord],
    *,
    target: str,
    spectrum: str,
    wavelength: str,
    min_absorbance: float = 0.05,
) -> dict[str, Outcome]:
    """Compare measured spectra with a target.

    Each spectrum of the primary stream counts as a replicate: outcomes are means, with their standard errors.

    Args:
        runs: of the trial.
        target: path of a CSV file, see `read_spectrum`; interpolated to the measured wavelengths.
        spectrum: data key of the spectra.
        wavelength: data key of their wavelengths, nm, read or in the configuration.
        min_absorbance: least peak height that counts as particles.

    Returns:
        `mismatch` (an angle, unit 1, see `spectral_loss`), `peak_wavelength` (nm), `linewidth` (nm), `absorbance` (1).

    Raises:
        Infeasible: the mean spectrum has no peak of that height.
        InputError: the target cannot be used.
        KeyError: a key was not recorded.
    """
    axis, spectra = _spectra(runs, spectrum, wavelength)
    mean = measure_peak(axis, spectra.mean(axis=0))
    if not mean.absorbance >= min_absorbance:
        raise Infeasible(f"no particles: peak absorbance {mean.absorbance:.2g} below {min_absorbance:g}")
    given, wanted = read_spectrum(target)
    if given[0] > axis[0] or given[-1] < axis[-1]:
        raise InputError(
            f"the target {target!r} covers {given[0]:g} to {given[-1]:g} nm, the spectra {axis[0]:g} to {axis[-1]:g} nm"
        )
    wanted = np.interp(axis, given, wanted)
    peaks = [measure_peak(axis, row) for row in spectra]
    return {
        "mismatch": _outcome([spectral_loss(row, wanted) for row in spectra], "1"),
        "peak_wavelength": _outcome([p.peak_wavelength for p in peaks], "nm"),
        "linewidth": _outcome([p.linewidth for p in peaks], "nm"),
        "absorbance": _outcome([p.absorbance for p in peaks], "1"),
    }


def _spectra(runs: Sequence[RunRecord], spectrum: str, wavelength: str) -> tuple[Array, Array]:
    """Wavelengths, shape (w,), and spectra, shape (n, w)."""
    rows, _ = _readings(runs, spectrum)
    axis = np.asarray(_axis(runs, wavelength), dtype=float)
    try:
        spectra = np.asarray(rows, dtype=float)
    except ValueError:
        lengths = sorted({len(row) for row in rows})  # type: ignore[arg-type]
        raise ValueError(f"the spectra in {spectrum!r} differ in length: {lengths}") from None
    if spectra.ndim != 2 or spectra.shape[1] != axis.size:
        raise ValueError(f"spectra of shape {spectra.shape} on {axis.size} wavelengths")
    if not np.isfinite(spectra).all():
        raise ValueError(f"a spectrum in {spectrum!r} has values that are not finite")
    return axis, spectra


def _axis(runs: Sequence[RunRecord], key: str) -> Sequence[float]:
    for run in runs:
        for descriptor in run.descriptors:
            for device in descriptor.get("configuration", {}).values():
                if key in device.get("data", {}):
                    return list(device["data"][key])
    return _readings(runs, key)[0][0]  # type: ignore[return-value]
