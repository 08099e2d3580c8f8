"""Transforms of sixteen signals at a time against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbeam.kernels.lane_fft import stages, transform

from .conftest import complex_noise, from_lanes, to_lanes

SMOOTH = sorted(2**a * 3**b * 5**c for a in range(12) for b in range(8) for c in range(6))


def transformed(signals: np.ndarray) -> np.ndarray:
    """Of ``(n, 16)`` complex signals."""
    data = to_lanes(signals).ravel()
    result = transform(data, np.full_like(data, np.nan), *stages(len(signals)))
    return from_lanes(result.reshape(-1, 32))


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    """RMS over RMS."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("length", [0, -4, 7, 11, 14, 49, 1001, 2 * 3 * 5 * 7])
def test_lengths_with_other_prime_factors_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} is no product of 2, 3 and 5"):
        stages(length)


def test_what_it_takes_for_a_length() -> None:
    radices, twiddles = stages(60)
    assert np.prod(radices) == 60
    assert (radices.dtype, twiddles.dtype) == (np.int64, np.complex64)
    np.testing.assert_allclose(np.abs(twiddles), 1, atol=1e-6)
    assert [len(part) for part in stages(1)] == [0, 0]


@pytest.mark.parametrize(
    "length", [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 25, 27, 30, 32, 60, 64, 100, 125, 243, 256, 360, 625, 1024, 2700]
)
def test_equals_numpy(length: int) -> None:
    signals = complex_noise(np.random.default_rng(length), length, 16)
    assert error(transformed(signals), np.fft.fft(signals, axis=0)) < 4e-7


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([length for length in SMOOTH if length <= 600]), st.integers(0, 10**6))
def test_equals_numpy_for_any_length(length: int, seed: int) -> None:
    signals = complex_noise(np.random.default_rng(seed), length, 16)
    assert error(transformed(signals), np.fft.fft(signals, axis=0)) < 4e-7


@pytest.mark.parametrize("length", [1, 4, 20, 60, 120, 480])
def test_the_result_lies_in_either_buffer(length: int) -> None:
    """After an even number of stages in the first, after an odd number in the second."""
    data = np.zeros(length * 32, np.float32)
    work = np.zeros_like(data)
    result = transform(data, work, *stages(length))
    assert np.shares_memory(result, (data, work)[len(stages(length)[0]) % 2])


def test_linear() -> None:
    rng = np.random.default_rng(0)
    one, other = complex_noise(rng, 90, 16), complex_noise(rng, 90, 16)
    total = transformed(2 * one - 3j * other)
    assert error(2 * transformed(one) - 3j * transformed(other), total) < 4e-7


def test_energy_is_kept() -> None:
    signals = complex_noise(np.random.default_rng(1), 240, 16)
    energy = np.sum(np.abs(signals) ** 2, axis=0)
    np.testing.assert_allclose(np.sum(np.abs(transformed(signals)) ** 2, axis=0) / 240, energy, rtol=1e-6)


def test_no_signal_hears_another() -> None:
    signals = complex_noise(np.random.default_rng(2), 150, 16)
    alone = transformed(signals)
    signals[:, 5] = np.nan
    found = transformed(signals)
    np.testing.assert_array_equal(np.delete(found, 5, axis=1), np.delete(alone, 5, axis=1))
    assert np.all(np.isnan(found[:, 5]))
