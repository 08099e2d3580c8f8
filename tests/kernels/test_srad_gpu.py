"""SRAD's kernels on the GPU against the same oracles as those on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.test_srad_cpu import RNG, SHAPES, naive_step, stepped
from usbeam.kernels.backend import backend

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.mark.parametrize("shape", [*SHAPES, (1, 1), (9, 32), (16, 64)])
@pytest.mark.parametrize("q0_squared", [1e-4, 0.27, 1.0])
def test_a_step_is_the_published_equations(shape: tuple[int, int], q0_squared: float) -> None:
    image = RNG.uniform(1e-3, 1, shape)
    image[0, 0] = 1e-6
    for time_step in (0.05, 1.0):
        wanted = naive_step(image.astype(np.float32).astype(np.float64), q0_squared, time_step)
        np.testing.assert_allclose(stepped(image, q0_squared, time_step, backend=backend("gpu")), wanted, atol=1e-6)


def test_many_steps_too() -> None:
    image = RNG.rayleigh(size=(24, 47))
    image = wanted = (image / image.max()).astype(np.float32).astype(np.float64)
    for _ in range(40):
        wanted = naive_step(wanted, 0.2, 0.5)
    np.testing.assert_allclose(stepped(image, 0.2, 0.5, times=40, backend=backend("gpu")), wanted, atol=1e-5)


def test_zeros_do_no_harm() -> None:
    image = np.zeros((30, 40), np.float32)
    image[10:20, 10:30] = RNG.rayleigh(size=(10, 20)) / 5
    for q0_squared in (0.0, 1e-12, 0.27):
        found = stepped(image, q0_squared, 1.0, times=20, backend=backend("gpu"))
        assert np.all(np.isfinite(found))
        assert found.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-5)
    np.testing.assert_array_equal(stepped(image, 0.0, 1.0, backend=backend("gpu")), image)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_squared_variation(offset: float, gpu: Any) -> None:
    image = (offset + RNG.rayleigh(size=(50, 70))).astype(np.float32)
    here, found = backend("gpu").srad.bordered(gpu.asarray(image)), gpu.empty(2)
    # Of a whole image, of fewer pixels than threads, and of one.
    for top, bottom, left, right in ((0, 50, 0, 70), (3, 4, 5, 7), (10, 40, 20, 31), (49, 50, 69, 70)):
        region = image[top:bottom, left:right].astype(np.float64)
        backend("gpu").srad.squared_variation(here, top, bottom, left, right, found[1:])
        assert found.get()[1] == pytest.approx(region.var() / region.mean() ** 2, rel=1e-9, abs=1e-15)
