"""The pulse's spectrum is the transform of the pulse it describes."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.simulate.pulse import Pulse


@pytest.mark.parametrize("bandwidth", [0.3, 0.65, 1.4])
def test_spectrum_is_that_of_a_gaussian_cosine(bandwidth: float) -> None:
    pulse = Pulse(5e6, bandwidth)
    step = 1e-9
    time = (np.arange(2**15) - 2**14) * step
    wave = np.exp(-((time / pulse.sigma) ** 2) / 2) * np.cos(2 * np.pi * 5e6 * time)
    transform = np.abs(np.fft.rfft(wave)) * step
    expected = pulse.spectrum(np.fft.rfftfreq(len(time), step))
    np.testing.assert_allclose(transform, expected, atol=1e-9 * expected.max())


def test_half_of_the_spectrum_at_the_band_edges() -> None:
    low, center, high = Pulse(7.5e6, 0.5).spectrum(7.5e6 * np.array([0.75, 1.0, 1.25]))
    assert low / center == pytest.approx(0.5, abs=1e-6)
    assert high / center == pytest.approx(0.5, abs=1e-6)


def test_almost_nothing_beyond_the_half_length() -> None:
    pulse = Pulse(7.5e6, 0.65)
    assert 20 * np.log10(np.exp(-((pulse.half_length / pulse.sigma) ** 2) / 2)) < -108
