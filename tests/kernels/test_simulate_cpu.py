"""The simulator's kernels on arrays small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.kernels import simulate_cpu


def deposited(at: float, n_steps: int = 12, origin: float = 0.0) -> np.ndarray:
    traces = np.zeros((1, 1, n_steps), np.float32)
    delay = np.array([[0.25 * at], [0.75 * at]])
    gain = np.array([[2.0], [0.5]], np.float32)
    index = np.array([0]), np.array([1])
    simulate_cpu.deposit(np.array([3.0], np.float32), delay, gain, *index, origin, traces)
    return traces[0, 0]


@pytest.mark.parametrize("at", [1.0, 4.0, 4.3, 4.999, 8.9])
def test_an_impulse_keeps_its_weight_and_place(at: float) -> None:
    trace = deposited(at)
    steps = np.arange(len(trace))
    assert trace.sum() == pytest.approx(3.0, rel=1e-5)
    assert (trace * steps).sum() / trace.sum() == pytest.approx(at, abs=1e-5)
    # The cubic B-spline has variance 1/3 wherever it falls.
    assert (trace * (steps - at) ** 2).sum() / trace.sum() == pytest.approx(1 / 3, abs=1e-5)
    assert np.count_nonzero(np.abs(trace) > 1e-7) <= 4


@pytest.mark.parametrize("at", [-50.0, -0.5, 0.9, 9.0, 11.5, 1e9])
def test_an_impulse_off_the_ends_is_left_out(at: float) -> None:
    assert not deposited(at).any()


def test_origin_moves_the_impulse() -> None:
    np.testing.assert_allclose(deposited(104.3, origin=100.0), deposited(4.3), atol=1e-6)


def test_legs_of_a_tilted_element() -> None:
    angle = 0.3
    width, out = np.array([np.cos(angle), 0, -np.sin(angle)]), np.array([np.sin(angle), 0, np.cos(angle)])
    element = np.array([1e-3, 2e-3, -1e-3])
    scatterers = np.array([element + 5e-3 * out, element + 3e-3 * out + 4e-3 * width, element - out])
    delay = np.empty((1, 3))
    gain = np.empty((1, 3), np.float32)
    axes = np.array([[width, [0.0, 1.0, 0.0], out]])
    simulate_cpu.legs(scatterers, element[None], axes, 1.5, 4.0, 1e6, delay, gain)
    np.testing.assert_allclose(delay[0], [5e3, 5e3, 1e6])
    expected = np.array([1, np.sinc(1.5 * 0.8) * 0.6, 0]) / np.sqrt([5e-3, 5e-3, 1])
    np.testing.assert_allclose(gain[0], expected, rtol=1e-5)
