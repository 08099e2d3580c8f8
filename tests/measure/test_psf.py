"""Spots: against closed forms, theory, an interpolation by FFT, and what must not change them."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import usbeam as ub
from usbeam.errors import ConfigError, MeasurementError
from usbeam.measure import psf

from .spots import MM, WAVELENGTH, aperture, gaussian, grid, image

WIDTHS = (0.5 * MM, 0.3 * MM)
SINC, SINC2 = 1.20671, 0.88589
"""FWHM of sinc(x) and of sinc(x)^2 in units of their first zero."""


def figures(spot: psf.Spot) -> list[float]:
    """What a spot is, without where and how strong."""
    return [spot.lateral_fwhm, spot.axial_fwhm, spot.major_fwhm, spot.minor_fwhm]


# Closed forms


@pytest.mark.parametrize("state", ["complex", "envelope"])
def test_gaussian(state: str) -> None:
    where = grid()
    at = (0.1234 * MM, 20.0321 * MM)
    shown = image(where, 3 * gaussian(where, WIDTHS, at=at))
    spot = psf.measure(shown if state == "complex" else shown.envelope())
    assert (spot.x, spot.z) == pytest.approx(at, abs=1e-8)
    assert spot.peak == pytest.approx(3, rel=1e-5)
    assert figures(spot) == pytest.approx([*WIDTHS, *WIDTHS], rel=1e-4)
    assert spot.angle == pytest.approx(0, abs=1e-3)
    assert spot.peak_sidelobe_db < -54  # what a Gaussian is at one and a half widths from its peak
    assert spot.warnings == ()


@pytest.mark.parametrize(("power", "width", "sidelobe"), [(1, SINC, -13.26), (2, SINC2, -26.52)])
def test_unapodised_aperture(power: int, width: float, sidelobe: float) -> None:
    """The first side lobe of sinc lies at 1.43 zeros, 13.26 dB down."""
    where, zeros = grid(), (0.5 * MM, 0.35 * MM)
    spot = psf.measure(image(where, aperture(where, zeros, power)))
    assert [spot.lateral_fwhm, spot.axial_fwhm] == pytest.approx([width * zero for zero in zeros], rel=2e-4)
    assert spot.peak_sidelobe_db == pytest.approx(sidelobe, abs=0.02)


def test_energy_outside_the_main_lobe() -> None:
    """Of a product of two sinc^2, from an integral over the ellipse through its four first zeros."""
    where, zeros = grid(), (0.4 * MM, 0.35 * MM)
    spot = psf.measure(image(where, aperture(where, zeros, 2)), window=1.6 * MM)
    x, z = (np.linspace(-1.6 * MM, 1.6 * MM, 2001) / zero for zero in zeros)
    energy = np.sinc(x) ** 4 * np.sinc(z[:, None]) ** 4
    inside = x**2 + z[:, None] ** 2 <= 1
    assert spot.integrated_sidelobe_db == pytest.approx(
        10 * np.log10(energy[~inside].sum() / energy[inside].sum()), abs=0.1
    )


@pytest.mark.parametrize("degrees", [-75, -45, -10, 20, 45, 80, 90])
def test_oblique_spread(degrees: float) -> None:
    where, widths = grid(), (0.9 * MM, 0.3 * MM)
    angle = np.radians(degrees)
    spot = psf.measure(image(where, gaussian(where, widths, angle=angle)))
    assert [spot.major_fwhm, spot.minor_fwhm] == pytest.approx(widths, rel=1e-3)
    assert np.sin(spot.angle - angle) == pytest.approx(0, abs=2e-3)
    assert -np.pi / 2 < spot.angle <= np.pi / 2
    lateral = 1 / np.hypot(np.cos(angle) / widths[0], np.sin(angle) / widths[1])
    assert spot.lateral_fwhm == pytest.approx(lateral, rel=1e-3)


def test_profiles_and_patch_are_those_of_the_spot() -> None:
    where = grid()
    spot = psf.measure(image(where, 5 * gaussian(where, WIDTHS)), window=1 * MM)
    for profile, center, width in ((spot.lateral, spot.x, WIDTHS[0]), (spot.axial, spot.z, WIDTHS[1])):
        expected = -20 * np.log10(2) * (2 * (profile.position - center) / width) ** 2
        near = expected > -60
        assert profile.level_db[near] == pytest.approx(expected[near], abs=0.05)
        assert np.abs(profile.position - center).max() == pytest.approx(1 * MM, rel=0.05)
    assert spot.patch.state == "envelope"
    assert spot.patch.data.max() == pytest.approx(5, rel=1e-5)
    assert spot.patch.grid == ub.Grid(spot.lateral.position, spot.axial.position)


@pytest.mark.parametrize("margin", [0.8, 1.2])
def test_near_the_border(margin: float) -> None:
    """The image ends that many widths from the peak; the kernel would reach five times as far."""
    for x, z in ((3 * MM - margin * WIDTHS[0], 20 * MM), (0.0, 23 * MM - margin * WIDTHS[1])):
        where = grid(WAVELENGTH / 5)
        spot = psf.measure(image(where, gaussian(where, WIDTHS, at=(x, z))))
        assert figures(spot) == pytest.approx([*WIDTHS, *WIDTHS], rel=1e-3)


# What must not change a spot


@settings(deadline=None, max_examples=25)
@given(
    gain=st.floats(1e-20, 1e20),
    x=st.floats(-0.5, 0.5),
    z=st.floats(19.5, 20.5),
    degrees=st.floats(-85, 85),
)
def test_gain_place_and_mirror(gain: float, x: float, z: float, degrees: float) -> None:
    where, widths = grid(WAVELENGTH / 6), (0.7 * MM, 0.3 * MM)
    angle = np.radians(degrees)
    still = psf.measure(image(where, gaussian(where, widths, angle=angle)))
    moved = psf.measure(image(where, gain * gaussian(where, widths, at=(x * MM, z * MM), angle=angle)))
    mirrored = psf.measure(image(where, gaussian(where, widths, at=(x * MM, z * MM), angle=-angle)))
    assert figures(moved) == pytest.approx(figures(still), rel=1e-3)
    assert moved.peak == pytest.approx(gain, rel=1e-3)
    assert figures(mirrored) == pytest.approx(figures(moved), rel=1e-3)
    assert np.sin(mirrored.angle + moved.angle) == pytest.approx(0, abs=5e-3)


# Simulated points

PROBE = ub.Probe.linear(64, 0.3 * MM, 5e6, bandwidth=0.65)
LENGTH = 1540 / 5e6
"""Wavelength."""


def recorded(x: float, z: float, probe: ub.Probe = PROBE) -> ub.Acquisition:
    """Single elements and one point."""
    places = np.array([[x, 0.0, z]])
    phantom = ub.simulate.Phantom(positions=places, amplitudes=np.ones(1), truth=ub.Truth(points=places), title="point")
    depth = (z - 4 * MM, z + 4 * MM)
    return ub.simulate.record(phantom, probe, ub.Transmits.elements(probe), sampling_frequency=40e6, depth=depth)


def around(x: float, z: float, step: float = LENGTH / 8, *, reach: float = 3 * MM) -> ub.Grid:
    return ub.Grid.spaced(x=(x - reach, x + reach), z=(z - reach, z + reach), spacing=step)


@pytest.mark.parametrize("z", [10 * MM, 20 * MM, 30 * MM, 40 * MM])
@pytest.mark.parametrize("x", [0.0, 4 * MM])
def test_theory(x: float, z: float) -> None:
    spot = psf.measure(ub.beamform(recorded(x, z), around(x, z)))
    limit = psf.diffraction_limit(PROBE.element_positions, (x, z), center_frequency=5e6, bandwidth=0.65)
    assert (spot.x, spot.z) == pytest.approx((x, z), abs=0.01 * LENGTH)
    assert (spot.lateral_fwhm, spot.axial_fwhm) == pytest.approx(limit, rel=0.01)
    if z >= 30 * MM and not x:  # small angles
        closed = (0.886 * LENGTH * z / (64 * 0.3 * MM), 1540 / 2 * 4 * np.log(2) / (np.pi * 0.65 * 5e6))
        assert (spot.lateral_fwhm, spot.axial_fwhm) == pytest.approx(closed, rel=0.05)


@pytest.mark.parametrize("z", [15 * MM, 35 * MM])
def test_interpolation_by_fft(z: float) -> None:
    """The image's own row and column through the peak, which lies on a pixel, refined 16 times."""
    step = LENGTH / 8
    where = ub.Grid(step * np.arange(-80, 81), z + step * np.arange(-80, 81))
    made = ub.beamform(recorded(0.0, z), where)
    spot = psf.measure(made)
    assert (spot.x, spot.z) == pytest.approx((0.0, z), abs=step / 20)
    for cut, found in ((made.data[80], spot.lateral_fwhm), (made.data[:, 80], spot.axial_fwhm)):
        fine = np.abs(scipy.signal.resample(cut, 16 * len(cut)))
        middle = 16 * 80
        sides = []
        for outward in (fine[middle:], fine[middle::-1]):
            # The straight line through the six samples around half of the peak.
            i = int(np.argmax(outward < fine[middle] / 2))
            slope, level = np.polyfit(np.arange(i - 3, i + 3), outward[i - 3 : i + 3], 1)
            sides.append((fine[middle] / 2 - level) / slope * step / 16)
        assert found == pytest.approx(sum(sides), rel=0.002)


@pytest.mark.parametrize(("x", "z"), [(0.03 * MM, 12 * MM), (3.9 * MM, 30 * MM)])
def test_step_of_the_grid(x: float, z: float) -> None:
    recording = recorded(x, z)
    spots = [psf.measure(ub.beamform(recording, around(x, z, LENGTH / divisor))) for divisor in (4, 5.3, 8, 16)]
    for spot in spots[:-1]:
        assert figures(spot) == pytest.approx(figures(spots[-1]), rel=0.01)
        assert (spot.x, spot.z) == pytest.approx((spots[-1].x, spots[-1].z), abs=0.01 * LENGTH)
        assert spot.peak_sidelobe_db == pytest.approx(spots[-1].peak_sidelobe_db, abs=0.5)
        assert spot.integrated_sidelobe_db == pytest.approx(spots[-1].integrated_sidelobe_db, abs=0.5)


def test_grating_lobes_of_a_sparse_array() -> None:
    """Two wavelengths of pitch: the first grating lobe at half of the full angle, and none with half a wavelength."""
    z = 30 * MM
    where = ub.Grid.spaced(x=(-16 * MM, 16 * MM), z=(z - 8 * MM, z + 3 * MM), spacing=(LENGTH / 6, LENGTH / 2))
    levels = {}
    for pitch, count in ((2 * LENGTH, 16), (LENGTH / 2, 64)):
        probe = ub.Probe.linear(count, pitch, 5e6, bandwidth=0.3)
        made = ub.beamform(recorded(0.0, z, probe), where)
        levels[count] = psf.measure(made).grating_lobe_db
        wide = psf.measure(made, pitch=2 * LENGTH, wavelength=LENGTH).grating_lobe_db
        assert wide is not None
        assert (wide > -25) == (count == 16)
    assert levels[16] > -25
    assert levels[64] is None


def test_a_neighbour_in_a_survey_is_no_grating_lobe() -> None:
    """Three spots: two of the same distance hide each other's grating lobes; the third has its own place."""
    pitch, wavelength, distance = 1 * MM, 0.3 * MM, 20 * MM
    left, right = ((distance * s, distance * np.sqrt(1 - s**2)) for s in (-0.15, 0.15))
    where = ub.Grid.spaced(x=(-6 * MM, 6 * MM), z=(17 * MM, 27 * MM), spacing=wavelength / 4)
    shown = image(where, sum(gaussian(where, WIDTHS, at=at) for at in (left, right, (0.0, 25 * MM))))
    spots = psf.survey(shown, pitch=pitch, wavelength=wavelength)
    assert [spot.grating_lobe_db is None for spot in spots] == [True, True, False]
    hidden = "another spot lies where grating lobes would be"
    assert [hidden in spot.warnings for spot in spots] == [True, True, False]
    assert psf.measure(shown, left, pitch=pitch, wavelength=wavelength).grating_lobe_db == pytest.approx(0, abs=0.05)


def test_level_and_place_of_a_grating_lobe() -> None:
    """Two spots, one where the first grating lobe of the other is, 20 dB down and between the pixels."""
    pitch, wavelength, distance = 1 * MM, 0.3 * MM, 20 * MM
    first, second = ((distance * s, distance * np.sqrt(1 - s**2)) for s in (-0.1, -0.1 + wavelength / pitch))
    where = ub.Grid.spaced(x=(-4 * MM, 6 * MM), z=(17 * MM, 22 * MM), spacing=wavelength / 4)
    shown = image(where, gaussian(where, WIDTHS, at=first) + 0.1 * gaussian(where, WIDTHS, at=second))
    assert psf.measure(shown, pitch=pitch, wavelength=wavelength).grating_lobe_db == pytest.approx(-20, abs=0.05)
    assert psf.measure(shown, pitch=pitch / 4, wavelength=wavelength).grating_lobe_db is None
    assert psf.measure(shown, pitch=pitch).grating_lobe_db is None
    known = dataclasses.replace(shown, settings={"pitch": pitch, "wavelength": wavelength})
    assert psf.measure(known).grating_lobe_db == pytest.approx(-20, abs=0.05)
    for nonsense in ("1 mm", 0.0, -1.0, float("nan"), [1.0], None):
        damaged = dataclasses.replace(known, settings={"pitch": nonsense, "wavelength": wavelength})
        assert psf.measure(damaged).grating_lobe_db is None
    from_it = psf.measure(known, second)
    assert from_it.grating_lobe_db == pytest.approx(20, abs=0.05)


# Doubts


def test_few_samples_and_a_coarse_grid() -> None:
    where = grid(WAVELENGTH / 2)
    spot = psf.measure(image(where, gaussian(where, (1 * MM, 0.2 * MM))), window=2 * MM)
    assert len(spot.warnings) == 2
    assert spot.warnings[0].startswith("fewer than 4 samples across the axial width (1.")
    assert spot.warnings[1].startswith("the axial step of the grid, 0.15 mm, is too coarse")


def test_window_too_small_or_too_large() -> None:
    where = grid()
    shown = image(where, aperture(where, WIDTHS, 2))
    small = psf.measure(shown, window=0.2 * MM)
    assert small.warnings == ("a half-maximum crossing lies outside the window",)
    assert small.lateral_fwhm == pytest.approx(SINC2 * WIDTHS[0], rel=2e-4)
    assert small.peak_sidelobe_db is None
    (large,) = psf.measure(shown, window=4 * MM).warnings
    assert large.startswith("the window reaches beyond the image")


def test_clipped_peak() -> None:
    where = grid()
    whole = gaussian(where, WIDTHS)
    assert psf.measure(ub.Image(whole.astype(np.float32), where, "envelope")).warnings == ()
    clipped = np.minimum(whole, 0.8).astype(np.float32)
    assert any("clipped" in each for each in psf.measure(ub.Image(clipped, where, "envelope")).warnings)


def test_two_equal_pixels_are_no_clipping() -> None:
    """A spot midway between two columns, or four pixels."""
    where = grid()
    for at in ((WAVELENGTH / 16, 20 * MM), (WAVELENGTH / 16, 20 * MM + WAVELENGTH / 16)):
        envelope = gaussian(where, WIDTHS, at=at)
        rounded = np.round(envelope, 6).astype(np.float32)
        assert np.count_nonzero(rounded == rounded.max()) in (2, 4)
        assert psf.measure(ub.Image(rounded, where, "envelope")).warnings == ()


def test_two_points_closer_than_their_width() -> None:
    where = grid()
    two = gaussian(where, WIDTHS, at=(-0.24 * MM, 20 * MM)) + gaussian(where, WIDTHS, at=(0.24 * MM, 20 * MM))
    spot = psf.measure(image(where, two))
    assert any("2 peaks" in each for each in spot.warnings)
    assert spot.lateral_fwhm > 0.9 * MM


# What cannot be measured


def spot_at(x: float, z: float = 20.0) -> ub.Image:
    where = grid()
    return image(where, gaussian(where, WIDTHS, at=(x * MM, z * MM)))


def test_empty_image() -> None:
    where = grid()
    for state, kind in (("complex", np.complex64), ("envelope", np.float32)):
        with pytest.raises(MeasurementError, match="image is empty"):
            psf.measure(ub.Image(np.zeros(where.shape, kind), where, state))
        with pytest.raises(MeasurementError, match="image is empty"):
            psf.find(ub.Image(np.zeros(where.shape, kind), where, state))
    broken = np.ones(where.shape, np.float32)
    broken[3, 4] = np.nan
    with pytest.raises(MeasurementError, match="no number"):
        psf.measure(ub.Image(broken, where, "envelope"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2)])
def test_images_that_are_all_border(shape: tuple[int, int]) -> None:
    where = ub.Grid(0.1 * MM * np.arange(shape[1]), 10 * MM + 0.1 * MM * np.arange(shape[0]))
    with pytest.raises(MeasurementError, match="border"):
        psf.measure(ub.Image(np.ones(shape, np.float32), where, "envelope"))
    assert psf.find(ub.Image(np.ones(shape, np.float32), where, "envelope")) == []


def test_smallest_image() -> None:
    where = ub.Grid(0.1 * MM * np.arange(3), 10 * MM + 0.1 * MM * np.arange(3))
    peak = np.array([[0, 0.1, 0], [0.1, 1, 0.1], [0, 0.1, 0]], np.float32)
    spot = psf.measure(ub.Image(peak, where, "envelope"))
    assert (spot.x, spot.z) == pytest.approx((0.1 * MM, 10.1 * MM), abs=1e-6)
    assert len(spot.warnings) >= 2


@pytest.mark.parametrize(("x", "z"), [(3.0, 20.0), (-3.2, 20.0), (0.0, 17.0), (0.0, 23.1), (3.0, 23.0)])
def test_peak_on_the_border(x: float, z: float) -> None:
    with pytest.raises(MeasurementError, match=r"lies on the image's border.*") as caught:
        psf.measure(spot_at(x, z))
    assert "larger grid" in caught.value.hint
    with pytest.raises(MeasurementError, match=r"lies on the image's border.*"):
        psf.measure(spot_at(x, z), (float(np.clip(x, -2.9, 2.9)) * MM, float(np.clip(z, 17.1, 22.9)) * MM))


@pytest.mark.parametrize(("x", "z"), [(2.85, 20.0), (0.0, 22.9)])
def test_no_crossing(x: float, z: float) -> None:
    with pytest.raises(MeasurementError, match="does not fall to half of its peak before the image's border"):
        psf.measure(spot_at(x, z))
    where = grid()
    with pytest.raises(MeasurementError, match="does not fall to half"):
        psf.measure(image(where, 1 + 0.1 * gaussian(where, WIDTHS)))


def test_a_place_with_no_peak() -> None:
    with pytest.raises(MeasurementError, match="rises towards something farther off"):
        psf.measure(spot_at(0), (1.5 * MM, 20 * MM))
    assert psf.measure(spot_at(0), (1.5 * MM, 20 * MM), within=2 * MM).x == pytest.approx(0, abs=1e-7)
    for place in ((0.0, 30 * MM), (-3.1 * MM, 20 * MM), (0.0, 20.0), (np.nan, 20 * MM)):
        with pytest.raises(MeasurementError, match="place lies outside the image"):
            psf.measure(spot_at(0), place)


def test_the_nearer_place_wins_over_the_brighter_spot() -> None:
    where = grid()
    two = gaussian(where, WIDTHS) + 0.3 * gaussian(where, WIDTHS, at=(1.5 * MM, 20.5 * MM))
    assert psf.measure(image(where, two)).x == pytest.approx(0, abs=0.01 * MM)
    assert psf.measure(image(where, two), (1.4 * MM, 20.4 * MM)).x == pytest.approx(1.5 * MM, abs=0.01 * MM)


def test_requests_that_make_no_sense() -> None:
    shown = spot_at(0)
    with pytest.raises(ConfigError, match="no linear envelope"):
        psf.measure(shown.db(60))
    with pytest.raises(ConfigError, match="no linear envelope"):
        psf.find(shown.db(60))
    for name in ("window", "within", "pitch", "wavelength"):
        for value in (0.0, -1.0, np.nan, np.inf):
            with pytest.raises(ConfigError, match=name):
                psf.measure(shown, **{name: value})
    with pytest.raises(ConfigError, match="above_db"):
        psf.find(shown, above_db=0.0)
    with pytest.raises(ConfigError, match="apart"):
        psf.find(shown, apart=0.0)


# Whole phantoms

POINTS = [(-2.0 * MM, 18.5 * MM), (0.0, 18.5 * MM), (1.0 * MM, 20.0 * MM), (-1.5 * MM, 21.5 * MM)]


@pytest.fixture(scope="module")
def phantom() -> ub.Image:
    where = grid()
    return image(
        where, sum(gain * gaussian(where, WIDTHS, at=at) for gain, at in zip((1, 0.5, 0.7, 0.2), POINTS, strict=True))
    )


def test_find(phantom: ub.Image) -> None:
    found = psf.find(phantom, apart=1 * MM)
    assert np.array(found) == pytest.approx(np.array(POINTS), abs=WAVELENGTH / 8)
    assert len(psf.find(phantom, above_db=-12, apart=1 * MM)) == 3
    # The second lies 2 mm from the first: the brighter one stays.
    assert [x for x, _ in psf.find(phantom, apart=2.05 * MM)] == pytest.approx(
        [x for x, _ in POINTS[:1] + POINTS[2:]], abs=WAVELENGTH / 8
    )


def test_survey(phantom: ub.Image) -> None:
    for spots in (psf.survey(phantom, POINTS), psf.survey(phantom)):
        assert {tuple(np.round((spot.x / MM, spot.z / MM), 2)) for spot in spots} <= {
            (round(x / MM, 2), round(z / MM, 2)) for x, z in POINTS
        }
        for spot in spots:
            assert figures(spot) == pytest.approx([*WIDTHS, *WIDTHS], rel=1e-3)
    assert len(psf.survey(phantom, POINTS)) == 4


def test_what_a_survey_cannot_measure_is_said(phantom: ub.Image, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "usbeam"):
        (spot,) = psf.survey(phantom, [POINTS[2], (0.0, 30 * MM)])
    assert spot.x == pytest.approx(1 * MM, abs=1e-6)
    assert "(0, 30) mm" in caplog.text
    assert "outside the image" in caplog.text
    with pytest.raises(MeasurementError, match="no spot that can be measured"):
        psf.survey(phantom, [(0.0, 30 * MM)])


def test_plot() -> None:
    near, cuts = psf.measure(spot_at(0.3)).plot()
    assert near.get_xlim()[0] < 0.3 < near.get_xlim()[1]
    assert cuts.get_ylabel() == "level [dB]"
