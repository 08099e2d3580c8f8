"""Gridded waves against their sum written out: accuracy, every number of depths, any height."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbeam.beamforming.gridding import Gridding

STEP = 0.07e-3


def depths_of(gridding: Gridding, n_depths: int) -> np.ndarray:
    """From the depth that phases are counted from [m]."""
    return (np.arange(n_depths) - gridding.center) * STEP


def gridded(gridding: Gridding, kz: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Spread waves as the kernels do, one wave at a time, and sum them at every depth."""
    u = gridding.cells(kz)
    cell = np.floor(u).astype(int)
    lowest = int(cell.min())
    taps = gridding.table.reshape(-1, gridding.n_taps)
    rows = taps[((u - cell) * len(taps)).astype(int)]
    waves = np.zeros((1, int(cell.max()) - lowest + gridding.n_taps), np.complex128)
    for first, row, value in zip(cell - lowest, rows, values, strict=True):
        waves[0, first : first + gridding.n_taps] += row * value
    return gridding.depths(waves.astype(np.complex64), lowest)[0]


def written_out(z: np.ndarray, kz: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.exp(1j * np.outer(z, kz)) @ values


def error_db(found: np.ndarray, wanted: np.ndarray) -> float:
    return 20 * np.log10(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def echoes(gridding: Gridding, z: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A dense band of waves, a third of the grid wide, that makes an image of scatterers at depths `z`."""
    kz = gridding.cell * np.sort(rng.uniform(-50, 2 * gridding.n_cells, 6 * gridding.n_cells))
    band = np.exp(-(((kz - kz.mean()) / (gridding.n_cells * gridding.cell / 6)) ** 2))
    return kz, band * (np.exp(-1j * np.outer(kz, z)) @ rng.standard_normal(len(z)))


@pytest.mark.parametrize(
    ("n_taps", "oversampling", "within", "anywhere"),
    [(2, 1.5, -26, -20), (4, 1.5, -62, -55), (4, 2.0, -73, -65), (6, 1.5, -75, -67), (6, 2.0, -78, -70)],
)
def test_accuracy(n_taps: int, oversampling: float, within: float, anywhere: float) -> None:
    """RMS error over RMS value: of an image of what lies at its depths, and of waves that would fill any depth."""
    n_depths, rng = 300, np.random.default_rng(0)
    gridding = Gridding(n_depths, STEP, n_taps, oversampling)
    z = depths_of(gridding, n_depths)
    kz, values = echoes(gridding, rng.uniform(z[0], z[-1], 60), rng)
    assert error_db(gridded(gridding, kz, values), written_out(z, kz, values)) < within
    random = rng.standard_normal(len(kz)) + 1j * rng.standard_normal(len(kz))
    assert error_db(gridded(gridding, kz, random), written_out(z, kz, random)) < anywhere


@settings(deadline=None, max_examples=100)
@given(
    n_depths=st.integers(1, 130),
    taps=st.sampled_from([(4, 2.0, -54), (4, 1.5, -42), (6, 2.0, -60)]),
    span=st.floats(0.01, 5.0),
    begin=st.floats(-3.0, 3.0),
    seed=st.integers(0, 10**6),
)
def test_any_number_of_depths_and_any_heights(
    n_depths: int, taps: tuple[int, float, float], span: float, begin: float, seed: int
) -> None:
    """Also one depth, waves below 0 and a range of waves several times as wide as the grid, which then folds."""
    n_taps, oversampling, tolerance = taps
    gridding, rng = Gridding(n_depths, STEP, n_taps, oversampling), np.random.default_rng(seed)
    kz = gridding.n_cells * gridding.cell * (begin + span * rng.random(200))
    values = rng.standard_normal(200) + 1j * rng.standard_normal(200)
    found, wanted = gridded(gridding, kz, values), written_out(depths_of(gridding, n_depths), kz, values)
    # No wave may be worse, wherever it lies; all may err alike where they lie close together.
    assert np.abs(found - wanted).max() < 10 ** (tolerance / 20) * np.abs(values).sum()


@pytest.mark.parametrize("n_depths", [1, 2, 3, 64, 65])
def test_sizes(n_depths: int) -> None:
    gridding = Gridding(n_depths, STEP, 4, 2.0)
    assert gridding.center == n_depths // 2
    assert gridding.n_cells >= max(2 * n_depths, 8)
    assert gridding.cell * gridding.n_cells * STEP == pytest.approx(2 * np.pi)
    assert len(gridding.table) % 4 == 0
    waves = np.ones((3, 5), np.complex64)
    assert gridding.depths(waves, -2).shape == (3, n_depths)


def test_rows_are_summed_apart() -> None:
    gridding, rng = Gridding(20, STEP, 4, 1.5), np.random.default_rng(0)
    waves = (rng.standard_normal((3, 70)) + 1j * rng.standard_normal((3, 70))).astype(np.complex64)
    together = gridding.depths(waves, 5)
    for row, found in zip(waves, together, strict=True):
        np.testing.assert_allclose(gridding.depths(row[None], 5)[0], found, rtol=1e-5, atol=1e-6)


def test_a_whole_grid_higher_is_the_same() -> None:
    """Depths lie so far apart that they do not tell cells apart that lie a grid apart."""
    gridding, waves = Gridding(20, STEP, 4, 1.5), np.ones((1, 9), np.complex64)
    np.testing.assert_array_equal(gridding.depths(waves, 7), gridding.depths(waves, 7 + 3 * gridding.n_cells))
