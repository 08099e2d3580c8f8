"""Columns from lateral wavenumbers against NumPy's product."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.kernels.lateral_cpu import N_CELLS, N_COLUMNS, columns

from .conftest import complex_noise


@pytest.mark.parametrize(("n_n", "n_x", "n_cells"), [(1, 1, 1), (3, 2, 5), (37, 5, 4)])
def test_equals_the_matrix_product(n_n: int, n_x: int, n_cells: int) -> None:
    n_x, n_cells = n_x * N_COLUMNS, n_cells * N_CELLS
    phase = complex_noise(np.random.default_rng(0), n_n, n_x).astype(np.complex64)
    rows = complex_noise(np.random.default_rng(1), n_n, n_cells).astype(np.complex64)
    out = np.full((n_x, n_cells), np.nan, np.complex64)
    columns(phase, rows, out)
    wanted = phase.astype(np.complex128).T @ rows
    np.testing.assert_allclose(out, wanted, atol=1e-5 * np.abs(wanted).max())
