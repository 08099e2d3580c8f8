"""Acceptance angles where the user gives none, and where the user gives a part."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

import usbeam as ub
from usbeam.beamforming.apodization import acceptance
from usbeam.beamforming.requests import Acceptance, acceptances, fourier_acceptance

SPEED, FREQUENCY = 1540.0, 5e6
WAVELENGTH = SPEED / FREQUENCY


def recording(probe: ub.Probe, fired: ub.Transmits | None = None) -> ub.Acquisition:
    transmits = ub.Transmits.elements(probe) if fired is None else fired
    return ub.Acquisition(
        samples=np.zeros((1, len(transmits), probe.n_elements, 4), np.float32),
        kind="rf",
        sampling_frequency=25e6,
        start_time=0.0,
        sound_speed=SPEED,
        probe=probe,
        transmits=transmits,
    )


def linear(pitch: float, width: float | None, n_elements: int = 8) -> ub.Probe:
    return ub.Probe.linear(n_elements, pitch * WAVELENGTH, FREQUENCY, element_width=width and width * WAVELENGTH)


def half_sine(width: float) -> float:
    """Where an element so many wavelengths wide hears half of what it hears straight ahead."""
    return brentq(lambda s: np.sinc(width * s) * np.sqrt(1 - s**2) - 0.5, 1e-6, min(1, 1 / width))


@pytest.mark.parametrize("width", [0.7, 0.9, 1.5, 3.0])
def test_the_receive_window_is_at_half_where_an_element_is(width: float) -> None:
    _, receive = fourier_acceptance(recording(linear(1.1 * width, width)))
    window = acceptance(*receive)
    np.testing.assert_allclose(window.weight(np.array([half_sine(width)])), 0.5, atol=0.02)
    np.testing.assert_allclose(window.weight(np.array([0.0, 0.5 * half_sine(width)])), 1)


def test_without_a_width_elements_touch_each_other() -> None:
    assert fourier_acceptance(recording(linear(1.3, None))) == fourier_acceptance(recording(linear(1.3, 1.3)))
    # A single element is taken to be half a wavelength wide.
    alone, like = linear(1.0, None, n_elements=1), linear(1.0, 0.5, n_elements=1)
    assert fourier_acceptance(recording(alone)) == fourier_acceptance(recording(like))


def test_nothing_accepts_every_angle() -> None:
    """A point-like element hears everything, but the Fourier beamformer needs an edge."""
    transmit, receive = (acceptance(*one) for one in fourier_acceptance(recording(linear(0.5, 0.01))))
    assert transmit.max_sine == pytest.approx(0.9)
    assert receive.max_sine == pytest.approx(0.9)


def test_on_transmit_nearly_every_angle_counts_in_full() -> None:
    """However directive the elements: a narrow window would leave points that few transmitters reach blind."""
    for width in (0.5, 3.0):
        window = acceptance(*fourier_acceptance(recording(linear(3.1, width)))[0])
        assert window.tapered
        np.testing.assert_array_equal(window.weight(np.linspace(0, 0.75, 20)), 1)


def test_plane_waves_have_no_transmit_angle() -> None:
    probe = linear(1.0, 0.9)
    transmit, receive = fourier_acceptance(recording(probe, ub.Transmits.plane(probe, [0.0, 0.1], SPEED)))
    assert acceptance(*transmit).unlimited
    assert receive == fourier_acceptance(recording(probe))[1]


def test_each_method_has_its_own() -> None:
    acquisition = recording(linear(1.0, 0.9))
    *cones, taper = acceptances(acquisition, "fourier")
    assert tuple(cones) == fourier_acceptance(acquisition)
    assert acceptance(1.5, taper).tapered
    *cones, taper = acceptances(acquisition, "das")
    assert all(acceptance(*cone).unlimited for cone in cones)
    assert taper == "boxcar"


@pytest.mark.parametrize(
    ("f_number", "window", "wanted"),
    [
        (None, None, (2.0, "hann")),
        (None, "boxcar", (2.0, "boxcar")),
        (1.0, None, (1.0, "tukey:0.3")),
        (1.0, "hamming", (1.0, "hamming")),
    ],
)
def test_what_the_user_gives_goes_first(f_number: float | None, window: str | None, wanted: Acceptance) -> None:
    assert Acceptance.given(f_number, window, Acceptance(2.0, "hann"), "tukey:0.3") == wanted
