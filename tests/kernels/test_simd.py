"""Spreading a few values over neighbouring cells, against a plain loop."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from numba import njit

from usbeam.kernels.simd import spread_taps


@functools.cache
def spreading(n_values: int, n_taps: int):
    @njit
    def kernel(cells, cell, values, value, table, row):
        spread_taps(cells, cell, values, value, table, row, n_values, n_taps)

    return kernel


@pytest.mark.parametrize(("n_values", "n_taps"), [(2, 4), (4, 4), (2, 1), (4, 3), (4, 6)])
def test_taps_are_spread_and_added(n_values: int, n_taps: int) -> None:
    rng = np.random.default_rng(0)
    cells, values, table = (rng.standard_normal(size).astype(np.float32) for size in (60, 11, 20))
    cell, value, row = 3, 5, 7
    wanted = cells.astype(np.float64)
    for k, j in itertools.product(range(n_taps), range(n_values)):
        wanted[n_values * (cell + k) + j] += float(table[row + k]) * values[value + j]
    spreading(n_values, n_taps)(cells, cell, values, value, table, row)
    np.testing.assert_allclose(cells, wanted, rtol=1e-6, atol=1e-6)
