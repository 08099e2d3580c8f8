"""Windows over the acceptance angle: the cone of an f-number, and requests that give none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbeam.beamforming.apodization import Window, acceptance
from usbeam.errors import ConfigError
from usbeam.kernels.das_cpu import leg_tables


@given(st.floats(0.01, 100))
def test_an_f_number_is_depth_over_width(f_number: float) -> None:
    """The marginal ray from depth z meets the aperture's edge at z / (2 F)."""
    window = acceptance(f_number)
    assert math.tan(math.asin(window.max_sine)) == pytest.approx(1 / (2 * f_number))
    assert not window.unlimited
    assert not window.tapered


def test_no_f_number_accepts_everything() -> None:
    assert acceptance(None) == Window()
    assert acceptance(None).unlimited
    assert not acceptance(None).tapered


@pytest.mark.parametrize(
    ("name", "taper", "pedestal"),
    [
        ("boxcar", 0, 0),
        ("hann", 1, 0),
        ("hamming", 1, 0.08),
        ("tukey", 0.5, 0),
        ("tukey:0.25", 0.25, 0),
        ("tukey:0", 0, 0),
        ("tukey:1", 1, 0),
    ],
)
def test_shapes(name: str, taper: float, pedestal: float) -> None:
    window = acceptance(1.5, name)
    assert (window.taper, window.pedestal) == (taper, pedestal)
    assert window.max_sine == acceptance(1.5).max_sine
    assert window.tapered == (taper > 0)


@pytest.mark.parametrize("f_number", [0, -1.5, float("nan"), float("inf"), -float("inf")])
def test_f_numbers_that_are_none(f_number: float) -> None:
    with pytest.raises(ConfigError, match=r"f_number: not a positive number \(expected a finite number > 0"):
        acceptance(f_number)


@pytest.mark.parametrize("name", ["", "Hann", "kaiser", "hann:0.5", "boxcar:1", ":0.5"])
def test_unknown_windows(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"window: unknown window .expected boxcar, hann, hamming, tukey or tukey:0.3"
    ):
        acceptance(1.5, name)


@pytest.mark.parametrize("fraction", ["-0.1", "1.5", "nan", "half", "0.5:0.5"])
def test_tapers_that_are_no_fraction(fraction: str) -> None:
    with pytest.raises(ConfigError, match="the taper is a fraction"):
        acceptance(1.5, f"tukey:{fraction}")


@pytest.mark.parametrize("name", ["hann", "hamming", "tukey", "tukey:0.3"])
def test_a_taper_needs_a_width(name: str) -> None:
    with pytest.raises(ConfigError, match="needs an f-number") as caught:
        acceptance(None, name)
    assert "--f-number" in (caught.value.hint or "")


@given(st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 0.5))
@settings(deadline=None)
def test_both_beamformers_have_one_window(max_sine: float, taper: float, pedestal: float) -> None:
    """What delay-and-sum tabulates over image points is the weight of their angle."""
    x, z = np.linspace(-5e-3, 5e-3, 31), np.linspace(0.3e-3, 8e-3, 23)
    found = np.empty((1, len(x), len(z)), np.float32)
    legs = np.zeros(1, np.int8), np.arange(2), np.zeros((1, 3)), np.zeros(1), np.array([[0, 0, 1.0]])
    window = Window(max_sine, taper, pedestal)
    leg_tables(*legs, np.array([-1000, 1000]), x, z, 1540.0, 1.0, max_sine, taper, pedestal, found)
    sine = np.abs(x[:, None]) / np.hypot(x[:, None], z)
    inside = np.abs(sine - max_sine) > 1e-9  # either side of the edge is right on it
    np.testing.assert_allclose(found[0][inside], window.weight(sine)[inside], atol=1e-6)


def test_weights_at_the_marks_of_a_window() -> None:
    window = Window(0.5, 0.4, 0.1)
    sine = np.array([0, 0.3, 0.4, 0.5, 0.5001, 1])
    np.testing.assert_allclose(window.weight(sine), [1, 1, 0.55, 0.1, 0, 0])
    np.testing.assert_array_equal(Window(0.5).weight(sine), [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(Window().weight(sine), 1)
