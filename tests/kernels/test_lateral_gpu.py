"""Columns from lateral wavenumbers on the device against NumPy's product."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.conftest import complex_noise
from usbeam.kernels.backend import backend


def test_equals_the_matrix_product(gpu: Any) -> None:
    phase, rows = (complex_noise(np.random.default_rng(n), 37, n).astype(np.complex64) for n in (21, 50))
    here = backend("gpu").asarray
    out = here(np.full((21, 50), np.nan, np.complex64))
    backend("gpu").lateral.columns(here(phase), here(rows), out)
    wanted = phase.astype(np.complex128).T @ rows
    np.testing.assert_allclose(out.get(), wanted, atol=1e-5 * np.abs(wanted).max())
