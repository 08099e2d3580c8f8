"""The Fourier beamformer against its brute-force oracle, against delay-and-sum, and against itself: every tolerance."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.fourier import Fourier

from .conftest import (
    BAND,
    NARROW,
    SPEED,
    WIDE,
    cone,
    correlation,
    error_db,
    fine_das,
    fine_probe,
    record,
    worst_db,
)
from .oracle import delay_and_sum
from .shot_profile import shot_profiles

TARGETS = np.array([[0.0, 0.0, 16e-3], [-3e-3, 0.0, 20e-3], [3.5e-3, 0.0, 24e-3]])
CYST = (0.0, 20e-3, 2.5e-3)


@dataclass(frozen=True)
class Case:
    """Which transmits, the two windows, and how near to delay-and-sum: peak [wavelengths], width, correlation."""

    transmits: str
    transmit: Window
    receive: Window
    peak: float
    width: float
    correlation: float


CASES = {
    "64": Case("all", WIDE, WIDE, 0.02, 0.01, 0.999),
    "64, two windows": Case("all", WIDE, NARROW, 0.02, 0.01, 0.999),
    "8": Case("ends:8", WIDE, NARROW, 0.1, 0.03, 0.995),
    "2": Case("ends:2", WIDE, NARROW, 0.1, 0.03, 0.995),
    "random": Case("random:7@3", WIDE, WIDE, 0.1, 0.03, 0.995),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def beamformer(acquisition: ub.Acquisition, grid: ub.Grid, case: Case, **options) -> Fourier:
    windows = {"transmit_window": case.transmit, "receive_window": case.receive}
    return Fourier(acquisition, grid, **{"sound_speed": SPEED, "band": BAND, **windows, **options})


def fourier(acquisition: ub.Acquisition, grid: ub.Grid, case: Case, weights=None, **options) -> np.ndarray:
    chosen = ub.subsets.parse(case.transmits, acquisition) if weights is None else weights
    subsets = np.asarray(chosen, np.float32)[None]
    return beamformer(acquisition, grid, case, **options)(acquisition.frame(0)[None], subsets)[0, 0]


def das(acquisition: ub.Acquisition, grid: ub.Grid, case: Case) -> np.ndarray:
    weights = ub.subsets.parse(case.transmits, acquisition)
    return fine_das(acquisition, grid, weights, **cone(case.transmit, case.receive))


@pytest.fixture(scope="module")
def points() -> ub.Acquisition:
    array = fine_probe(64)
    return record(ub.Transmits.elements(array), array, points=TARGETS, depth=(14e-3, 26e-3))


@pytest.fixture(scope="module")
def speckle() -> ub.Acquisition:
    """A cyst in speckle."""
    array = fine_probe(64)
    phantom = ub.simulate.phantoms.cysts(array, x=(-7e-3, 7e-3), z=(14e-3, 26e-3), circles=[CYST], seed=2)
    fired = dataclasses.replace(ub.Transmits.elements(array), pulse_peak_time=0.41e-6)
    return ub.simulate.record(phantom, array, fired, sampling_frequency=25e6, depth=(14e-3, 26e-3), sound_speed=SPEED)


@pytest.fixture(scope="module")
def field() -> ub.Grid:
    """All targets, at the spacing of an image."""
    return ub.Grid.linear(x=(-5e-3, 5e-3), z=(15e-3, 25e-3), shape=(180, 81))


# The oracle


@pytest.mark.parametrize("kind", ["element", "delayed", "plane"])
def test_the_oracle_has_the_gain_phase_and_time_of_delay_and_sum(kind):
    array = fine_probe(16)
    if kind == "plane":
        fired = ub.Transmits.plane(array, np.deg2rad([-8, 0, 11]), SPEED)
        options = {name: value for name, value in cone(NARROW, NARROW).items() if "transmit" not in name}
    else:
        fired, options = ub.Transmits.elements(array), cone(NARROW, NARROW)
        if kind == "delayed":
            fired = dataclasses.replace(fired, delays=fired.delays + np.linspace(-1e-6, 2e-6, 16)[:, None])
    recording = record(fired, array, points=TARGETS[:2], depth=(14e-3, 21e-3))
    options["window"] = options["window"].partition(":")[0]  # half of the cone tapered: the oracle's own tukey
    if "transmit_window" in options:
        options["transmit_window"] = options["window"]
    grid = ub.Grid.linear(x=(-4e-3, 2e-3), z=(16e-3, 20e-3), shape=(2, 41))
    wanted = delay_and_sum(recording, grid, ub.subsets.all(recording), interpolation="cubic", upsampling=8, **options)
    found = shot_profiles(recording, grid, transmit_window=NARROW, receive_window=NARROW, band=BAND).sum(axis=0)
    gain = np.linalg.norm(found) / np.linalg.norm(wanted)
    similarity = correlation(found, wanted)
    assert abs(similarity) > 0.999
    assert abs(np.angle(similarity)) < 0.01
    assert gain == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("weighting", ["das", "adjoint"])
@pytest.mark.parametrize("receive", [WIDE, NARROW], ids=["one window", "two windows"])
def test_equals_the_oracle(points, receive, weighting):
    """For every transmit, hence for any subset; and for the subsets of the other tests."""
    grid = ub.Grid.linear(x=(-3.5e-3, 3.5e-3), z=(16e-3, 24e-3), shape=(3, 9))
    windows = {"transmit_window": WIDE, "receive_window": receive}
    shots = shot_profiles(points, grid, band=BAND, weighting=weighting, **windows)
    for name in ("all", "ends:8", "ends:2", "random:7@3"):
        case = Case(name, WIDE, receive, 0, 0, 0)
        found = fourier(points, grid, case, taps=6, oversampling=2.0, weighting=weighting)
        wanted = np.tensordot(ub.subsets.parse(name, points), shots, 1)
        assert worst_db(found, wanted) < -70, name
        assert error_db(found, wanted) < -70, name


# The operator's own approximations


@every_case
def test_default_gridding_is_fine_enough(points, speckle, field, case):
    for recording, tolerance in ((points, -70), (speckle, -55)):
        coarse = fourier(recording, field, case)
        fine = fourier(recording, field, case, taps=6, oversampling=2.0)
        assert error_db(coarse, fine) < tolerance
        assert worst_db(coarse, fine) < tolerance


@every_case
def test_period_is_long_enough(points, field, case):
    period = beamformer(points, field, case).period
    chosen = fourier(points, field, case)
    assert worst_db(chosen, fourier(points, field, case, period=2 * period)) < -65
    # Half of it is not: the test can tell.
    assert worst_db(fourier(points, field, case, period=0.5 * period), chosen) > -65


def test_period_is_long_enough_for_a_narrow_window(points):
    """A target in the lower corner, just past the cone of the farthest element's copy."""
    corner = ub.Grid.linear(x=(-3.5e-3, 3.5e-3), z=(15e-3, 25e-3), shape=(180, 57))
    case = Case("all", Window(0.35, 0.3), Window(0.35, 0.3), 0, 0, 0)
    longer = fourier(points, corner, case, period=2 * beamformer(points, corner, case).period)
    assert worst_db(fourier(points, corner, case), longer) < -65


@every_case
def test_linear_in_transmits(speckle, field, case):
    weights = np.random.default_rng(0).normal(size=64).astype(np.float32)
    parts = [np.where(np.arange(64) % 3 == part, weights, 0) for part in range(3)]
    total = sum(fourier(speckle, field, case, part) for part in parts)
    assert error_db(total, fourier(speckle, field, case, weights)) < -100


@every_case
def test_mirror_symmetry(speckle, field, case):
    mirrored = speckle.replace(samples=np.asarray(speckle.samples)[:, ::-1, ::-1])
    weights = ub.subsets.parse(case.transmits, speckle)
    found = fourier(mirrored, field, case, weights[::-1])
    assert error_db(found, fourier(speckle, field, case)[:, ::-1]) < -100


@every_case
def test_start_time_does_not_matter(points, field, case):
    """The same echoes, sampled at other instants."""
    earlier = np.asarray(points.start_time) - 10.37 / points.sampling_frequency
    array = fine_probe(64)
    shifted = record(ub.Transmits.elements(array), array, points=TARGETS, depth=(14e-3, 26e-3), start_time=earlier)
    assert error_db(fourier(shifted, field, case), fourier(points, field, case)) < -50


# Against the truth and against delay-and-sum


def profile_width(profile: np.ndarray, axis: np.ndarray) -> float:
    """-6 dB width of the lobe that holds the maximum."""
    top = int(np.argmax(profile))
    half = profile[top] / 2
    below = np.flatnonzero(profile < half)
    left, right = below[below < top].max(), below[below > top].min()
    first = np.interp(half, profile[[left, left + 1]], axis[[left, left + 1]])
    last = np.interp(half, profile[[right, right - 1]], axis[[right, right - 1]])
    return float(last - first)


def spot(image: np.ndarray, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of the maximum, refined by parabolas, and the lateral and axial width there."""
    envelope = np.abs(image)
    i, k = np.unravel_index(np.argmax(envelope), envelope.shape)

    def refined(values: np.ndarray, axis: np.ndarray, top: int) -> float:
        before, here, after = np.log(values[top - 1 : top + 2])
        return axis[top] + (axis[1] - axis[0]) * 0.5 * (before - after) / (before - 2 * here + after)

    place = np.array([refined(envelope[i], x, k), refined(envelope[:, k], z, i)])
    return place, np.array([profile_width(envelope[i], x), profile_width(envelope[:, k], z)])


@every_case
def test_points_are_where_they_are_and_as_sharp_as_by_delay_and_sum(points, case):
    offsets = np.linspace(-0.8e-3, 0.8e-3, 81)
    order = np.argsort(TARGETS[:, 0])
    grid = ub.Grid(np.concatenate([TARGETS[i, 0] + offsets for i in order]), np.linspace(15.2e-3, 24.8e-3, 961))
    found, wanted = fourier(points, grid, case), das(points, grid, case)
    for block, target in enumerate(order):
        columns = slice(81 * block, 81 * (block + 1))
        rows = np.abs(grid.z - TARGETS[target, 2]) < 0.8e-3
        place, width = spot(found[rows, columns], grid.x[columns], grid.z[rows])
        das_place, das_width = spot(wanted[rows, columns], grid.x[columns], grid.z[rows])
        if case.transmits == "all":
            assert np.linalg.norm(place - TARGETS[target, [0, 2]]) < 0.05 * points.wavelength
        assert np.linalg.norm(place - das_place) < case.peak * points.wavelength
        assert width / das_width == pytest.approx(1, abs=case.width)


def within_cone(acquisition: ub.Acquisition, grid: ub.Grid, case: Case) -> np.ndarray:
    """Points that every active transmit reaches in the flat part of its window."""
    active = np.flatnonzero(ub.subsets.parse(case.transmits, acquisition))
    z, x = np.meshgrid(grid.z, grid.x, indexing="ij")
    offset = x[..., None] - acquisition.probe.element_positions[active, 0]
    sine = np.abs(offset) / np.hypot(offset, z[..., None])
    return np.all(sine <= case.transmit.max_sine * (1 - case.transmit.taper), axis=-1)


@every_case
def test_equals_delay_and_sum_within_the_cone(points, speckle, field, case):
    inside = within_cone(points, field, case)
    assert np.mean(inside) > 0.5
    for recording in (points, speckle):
        found, wanted = fourier(recording, field, case)[inside], das(recording, field, case)[inside]
        # Real part: an image with another phase is another image.
        assert correlation(found, wanted).real > case.correlation
        assert np.linalg.norm(found) / np.linalg.norm(wanted) == pytest.approx(1, abs=0.01)


@every_case
def test_contrast_of_a_cyst_equals_that_of_delay_and_sum(speckle, case):
    grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(16e-3, 24e-3), shape=(160, 101))
    z, x = np.meshgrid(grid.z, grid.x, indexing="ij")
    radius = np.hypot(x - CYST[0], z - CYST[1]) / CYST[2]

    def contrast(image: np.ndarray) -> float:
        inner, outer = np.abs(image)[radius < 0.8], np.abs(image)[(radius > 1.2) & (radius < 1.6)]
        return abs(inner.mean() - outer.mean()) / np.hypot(inner.std(), outer.std())

    assert contrast(fourier(speckle, grid, case)) == pytest.approx(contrast(das(speckle, grid, case)), rel=0.02)


def test_default_band_is_the_pulse_down_to_40_db(field):
    array = fine_probe(64, bandwidth=0.65)
    recording = record(ub.Transmits.elements(array), array, points=TARGETS, depth=(14e-3, 26e-3))
    case = CASES["64"]
    band = beamformer(recording, field, case, band=None).band
    half = 0.65 / 2 * 5e6 * np.sqrt(40 / (20 * np.log10(2)))
    np.testing.assert_allclose(band, (5e6 - half, 5e6 + half), rtol=0.01)
    # Delay-and-sum of what lies within the band. What the filter spreads beyond the record is cut off.
    samples, n = np.asarray(recording.samples), recording.n_samples
    frequency = np.fft.rfftfreq(4 * n, 1 / recording.sampling_frequency)
    outside = (frequency < band[0]) | (frequency > band[1])
    spectrum = np.fft.rfft(samples, 4 * n)
    spectrum[..., outside] = 0
    filtered = recording.replace(samples=np.fft.irfft(spectrum)[..., :n].astype(np.float32))
    inside = within_cone(recording, field, case)
    found, wanted = fourier(recording, field, case, band=None)[inside], das(filtered, field, case)[inside]
    assert correlation(found, wanted).real > 0.999
