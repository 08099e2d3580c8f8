"""One step of SRAD against the published equations in float64, and what must stay."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.kernels.backend import CPU, Backend
from usbeam.kernels.srad_cpu import bordered, squared_variation

RNG = np.random.default_rng(0)
SHAPES = [(3, 3), (1, 7), (9, 1), (2, 40), (61, 33)]


def naive_step(image: np.ndarray, q0_squared: float, time_step: float) -> np.ndarray:
    """The equations as the paper and the MATLAB program of its authors' group have them, pixel by pixel."""
    n_z, n_x = image.shape

    def at(values: np.ndarray, i: int, j: int) -> float:
        return values[min(max(i, 0), n_z - 1), min(max(j, 0), n_x - 1)]

    c = np.empty(image.shape)
    for i, j in np.ndindex(n_z, n_x):
        value = image[i, j]
        differences = [at(image, *place) - value for place in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))]
        gradient = sum(d * d for d in differences) / value**2
        laplacian = sum(differences) / value
        q_squared = (gradient / 2 - laplacian**2 / 16) / (1 + laplacian / 4) ** 2
        c[i, j] = min(max(1 / (1 + (q_squared - q0_squared) / (q0_squared * (1 + q0_squared))), 0), 1)
    out = np.empty(image.shape)
    for i, j in np.ndindex(n_z, n_x):
        value = image[i, j]
        flow = c[i, j] * (at(image, i - 1, j) - value) + at(c, i + 1, j) * (at(image, i + 1, j) - value)
        flow += c[i, j] * (at(image, i, j - 1) - value) + at(c, i, j + 1) * (at(image, i, j + 1) - value)
        out[i, j] = value + time_step / 4 * flow
    return out


def stepped(
    image: np.ndarray, q0_squared: float, time_step: float, times: int = 1, backend: Backend = CPU
) -> np.ndarray:
    here = backend.srad.bordered(backend.asarray(image))
    there = backend.xp.full_like(here, np.nan)
    squared = backend.asarray(np.array([q0_squared]))
    for _ in range(times):
        backend.srad.step(here, there, squared, time_step / 4)
        here, there = there, here
    found = backend.numpy(here)
    np.testing.assert_array_equal(found[:, [0, -1]], found[:, [1, -2]])
    return found[:, 1:-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("q0_squared", [1e-4, 0.03, 0.27, 1.0])
def test_a_step_is_the_published_equations(shape: tuple[int, int], q0_squared: float) -> None:
    image = RNG.uniform(1e-3, 1, shape)
    image[0, 0] = 1e-6
    for time_step in (0.05, 1.0):
        wanted = naive_step(image.astype(np.float32).astype(np.float64), q0_squared, time_step)
        np.testing.assert_allclose(stepped(image, q0_squared, time_step), wanted, atol=1e-6)


def test_many_steps_too() -> None:
    image = RNG.rayleigh(size=(24, 17))
    image = wanted = (image / image.max()).astype(np.float32).astype(np.float64)
    for _ in range(60):
        wanted = naive_step(wanted, 0.2, 0.5)
    np.testing.assert_allclose(stepped(image, 0.2, 0.5, times=60), wanted, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_sum_and_extremes_stay(shape: tuple[int, int]) -> None:
    image = RNG.uniform(0.2, 1, shape).astype(np.float32)
    found = stepped(image, 0.3, 1.0, times=50)
    assert found.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-5)
    assert image.min() - 1e-6 <= found.min() <= found.max() <= image.max() + 1e-6
    assert found.std() < 0.9 * image.std()


def test_rows_and_columns_are_treated_alike() -> None:
    image = RNG.uniform(0, 1, (31, 20))
    np.testing.assert_allclose(stepped(image.T, 0.2, 1.0, times=9), stepped(image, 0.2, 1.0, times=9).T, atol=1e-6)


def test_zeros_do_no_harm() -> None:
    image = np.zeros((30, 40), np.float32)
    image[10:20, 10:30] = RNG.rayleigh(size=(10, 20)) / 5
    for q0_squared in (0.0, 1e-12, 0.27):
        found = stepped(image, q0_squared, 1.0, times=20)
        assert np.all(np.isfinite(found))
        assert found.min() > -1e-6
        assert found.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-5)
    np.testing.assert_array_equal(stepped(image, 0.0, 1.0), image)
    np.testing.assert_array_equal(stepped(0 * image, 0.27, 1.0), 0 * image)


def test_what_is_even_stays_even() -> None:
    np.testing.assert_array_equal(stepped(np.full((5, 6), 0.7, np.float32), 0.27, 1.0, times=3), np.float32(0.7))


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_squared_variation(offset: float) -> None:
    image = (offset + RNG.rayleigh(size=(50, 70))).astype(np.float32)
    found = np.empty(1)
    for top, bottom, left, right in ((0, 50, 0, 70), (3, 4, 5, 7), (10, 40, 20, 31)):
        region = image[top:bottom, left:right].astype(np.float64)
        squared_variation(bordered(image), top, bottom, left, right, found)
        assert found[0] == pytest.approx(region.var() / region.mean() ** 2, rel=1e-9)
    squared_variation(bordered(np.full((4, 4), np.float32(0.1))), 0, 4, 0, 4, found)
    assert found[0] == pytest.approx(0, abs=1e-15)
