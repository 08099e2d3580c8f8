"""The diffraction limit: closed forms where they hold, subsets, and what limits nothing."""

from __future__ import annotations

import numpy as np
import pytest

import usbeam as ub
from usbeam.errors import GeometryError, MeasurementError
from usbeam.measure.diffraction import diffraction_limit
from usbeam.measure.width import half_widths

from .spots import MM

SPEED, CENTER = 1500.0, 5e6
WAVELENGTH = SPEED / CENTER
WIDTH, DEPTH = 5 * MM, 60 * MM
APERTURE = np.linspace(-WIDTH / 2, WIDTH / 2, 101)
FULL = WIDTH * 101 / 100
"""Each of the points stands for its share of the aperture."""
BAND = {"center_frequency": CENTER, "sound_speed": SPEED}


def test_closed_forms() -> None:
    """A narrow aperture far away, at nearly one frequency across, and with a band in depth."""
    both = diffraction_limit(APERTURE, (0.0, DEPTH), bandwidth=0.05, **BAND)
    assert both.lateral_fwhm == pytest.approx(0.8859 * WAVELENGTH * DEPTH / FULL, rel=5e-3)
    one = np.zeros(len(APERTURE))
    one[50] = 1
    single = diffraction_limit(APERTURE, (0.0, DEPTH), bandwidth=0.05, transmit_weights=one, **BAND)
    assert single.lateral_fwhm == pytest.approx(1.2067 * WAVELENGTH * DEPTH / FULL, rel=5e-3)
    for bandwidth in (0.2, 0.65):
        found = diffraction_limit(APERTURE, (0.0, DEPTH), bandwidth=bandwidth, **BAND).axial_fwhm
        assert found == pytest.approx(SPEED / 2 * 4 * np.log(2) / (np.pi * bandwidth * CENTER), rel=2e-3)


def test_two_transmitters_and_one_receiver_make_fringes() -> None:
    """cos(2 pi x s / wavelength) on the transmit leg alone, s the sine of either transmitter."""
    ends, one = np.zeros(len(APERTURE)), np.zeros(len(APERTURE))
    ends[[0, -1]] = one[50] = 1
    found = diffraction_limit(
        APERTURE, (0.0, DEPTH), bandwidth=0.05, transmit_weights=ends, receive_weights=one, **BAND
    )
    sine = WIDTH / 2 / np.hypot(WIDTH / 2, DEPTH)
    assert found.lateral_fwhm == pytest.approx(2 / 3 * WAVELENGTH / sine / 2, rel=5e-3)


def test_mirrored_points_and_given_coordinates() -> None:
    left, right = (diffraction_limit(APERTURE, (x, 20 * MM), bandwidth=0.6, **BAND) for x in (-7 * MM, 7 * MM))
    assert left == pytest.approx(right, rel=1e-6)
    places = np.stack([APERTURE, 0 * APERTURE, 0 * APERTURE], axis=1)
    assert diffraction_limit(places, (7 * MM, 20 * MM), bandwidth=0.6, **BAND) == right
    shifted = diffraction_limit(places + np.array([3 * MM, 0, 2 * MM]), (10 * MM, 22 * MM), bandwidth=0.6, **BAND)
    assert shifted == pytest.approx(right, rel=1e-6)


def test_directivity_of_wide_elements_widens_the_spot() -> None:
    """Against a simulated array of such elements, whose full aperture is four times as wide as it is deep."""
    probe = ub.Probe.linear(64, 0.3 * MM, 5e6, bandwidth=0.6, element_width=0.27 * MM)
    point = np.array([[0.0, 0.0, 10 * MM]])
    phantom = ub.simulate.Phantom(positions=point, amplitudes=np.ones(1), truth=ub.Truth(points=point))
    recording = ub.simulate.record(
        phantom, probe, ub.Transmits.elements(probe), sampling_frequency=40e6, depth=(7 * MM, 13 * MM)
    )
    grid = ub.Grid.spaced(x=(-2 * MM, 2 * MM), z=(8 * MM, 12 * MM), spacing=0.04 * MM)
    spot = ub.psf.measure(ub.beamform(recording, grid))
    limits = [
        diffraction_limit(
            probe.element_positions, (0.0, 10 * MM), center_frequency=5e6, bandwidth=0.6, element_width=width
        )
        for width in (0.0, 0.27 * MM)
    ]
    assert (spot.lateral_fwhm, spot.axial_fwhm) == pytest.approx(limits[1], rel=0.01)
    assert limits[1].lateral_fwhm > 1.05 * limits[0].lateral_fwhm


def test_one_element_is_limited_by_its_pulse_alone() -> None:
    """Across, until the distance has grown by half of the axial width."""
    found = diffraction_limit([0.0], (0.0, 20 * MM), bandwidth=0.6, **BAND)
    assert found.lateral_fwhm == pytest.approx(
        2 * np.sqrt((20 * MM + found.axial_fwhm / 2) ** 2 - (20 * MM) ** 2), rel=1e-3
    )
    with pytest.raises(MeasurementError, match="longer than its distance"):
        diffraction_limit(APERTURE, (0.0, 20 * MM), bandwidth=1e-3, **BAND)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"center_frequency": -1.0}, "center_frequency"),
        ({"sound_speed": np.nan}, "sound_speed"),
        ({"point": (0.0, 0.0)}, "in front of the elements"),
        ({"point": (np.nan, 1.0)}, "point"),
        ({"transmit_weights": np.ones(3)}, "transmit_weights"),
        ({"receive_weights": np.zeros(101)}, "receive_weights: no element in use"),
        ({"element_positions": np.ones((4, 2))}, "element_positions"),
        ({"element_width": -1.0}, "element_width"),
    ],
)
def test_refused(changed: dict, message: str) -> None:
    given = {"element_positions": APERTURE, "point": (0.0, DEPTH), "bandwidth": 0.6, **BAND, **changed}
    with pytest.raises(GeometryError, match=message):
        diffraction_limit(**given)


def test_half_widths() -> None:
    """Different on both sides; found in the first dip; none where it does not fall; a limit within a step."""
    sides = half_widths(lambda s: np.where(s < 0, 1 + s, 1 - s / 3), step=0.01, limits=(5.0, 5.0))
    assert sides == pytest.approx((0.5, 1.5))
    assert half_widths(lambda s: np.cos(np.pi * s), step=0.01, limits=(9.0, 9.0)) == pytest.approx((1 / 3, 1 / 3))
    assert half_widths(lambda s: 1 / (1 + s**2), step=0.01, limits=(0.9, 9.0)) is None
    assert half_widths(lambda s: 1 / (1 + s**2), step=0.3, limits=(1.01, 1.01)) == pytest.approx((1, 1), abs=1e-5)
    assert half_widths(np.ones_like, step=0.01, limits=(0.0, 1.0)) is None
