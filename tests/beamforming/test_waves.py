"""Weights, phases and heights of waves against their formulas; every wave lies within its cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.conftest import complex_noise
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.gridding import Gridding
from usbeam.beamforming.waves import FullMatrix, Geometry, PlaneWaves

from .conftest import NARROW, WIDE
from .shot_profile import leg_weight

PITCH, DEPTH, SPEED = 0.3e-3, 15e-3, 1540.0
WINDOWS = [(WIDE, NARROW), (NARROW, WIDE), (NARROW, NARROW), (Window(0.6), Window(0.95, 1.0, 0.08))]
every_weighting = pytest.mark.parametrize("weighting", ["das", "adjoint"])


def geometry(
    weighting: str = "das", period: int = 40, band: tuple[float, float] = (2e6, 8e6), n_depths: int = 30
) -> Geometry:
    k = 2 * np.pi * np.linspace(*band, 48).reshape(3, 16) / SPEED
    gridding = Gridding(n_depths, 0.1e-3, 4, 2.0)
    return Geometry(np.arange(16), PITCH, period, k, DEPTH, gridding, weighting)


def directions(angles: list[float]) -> np.ndarray:
    return np.stack([np.sin(angles), np.zeros(len(angles)), np.cos(angles)], axis=1)


def complex_of(elements: np.ndarray) -> np.ndarray:
    return elements[..., :16].astype(np.float64) + 1j * elements[..., 16:]


def axial(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(k**2 - q**2, 0))


# Weights and heights


@every_weighting
@pytest.mark.parametrize("windows", WINDOWS)
def test_legs_of_a_full_matrix(weighting: str, windows: tuple[Window, Window]) -> None:
    shared = geometry(weighting)
    waves = FullMatrix(shared, windows, np.arange(16))
    reach, *legs, height, lowest = waves.tables(slice(0, 3))
    m = np.arange(height.shape[1])
    dk, k = 2 * np.pi / (40 * PITCH), shared.k[:, None, :]
    q = np.broadcast_to(m[:, None] * dk, height.shape)
    for leg, window, most in zip(legs, windows, reach.T, strict=True):
        weight = leg_weight(q, k, window, weighting) / (40 * PITCH)
        wanted = weight * np.exp(1j * (axial(q, k) * DEPTH + np.pi / 4))
        np.testing.assert_allclose(complex_of(leg), wanted, atol=2e-6 * np.abs(wanted).max())
        # A leg reaches just as far as anything counts, and is 0 beyond.
        np.testing.assert_array_equal(most, np.floor(shared.k[:, -1] * window.max_sine / dk))
        assert not leg[m > most[:, None]].any()
    cells = height + (lowest[:, None, None] + waves.lowest) / 2
    counts = q <= k * max(window.max_sine for window in windows)
    np.testing.assert_allclose(cells[counts], (axial(q, k) / shared.gridding.cell)[counts], atol=1e-4)


@every_weighting
@pytest.mark.parametrize("window", [WIDE, NARROW, Window(0.6)])
def test_legs_of_plane_waves(weighting: str, window: Window) -> None:
    shared, angles = geometry(weighting), [-0.4, 0.0, 0.1, 0.3]
    waves = PlaneWaves(shared, window, directions(angles))
    turn, rows, leg, height, lowest = waves.tables(slice(0, 3))
    k, dk = shared.k[:, None, :], 2 * np.pi / (40 * PITCH)
    across, down = (k * function(np.array(angles))[:, None] for function in (np.sin, np.cos))
    np.testing.assert_allclose(complex_of(turn), np.exp(1j * across * PITCH), atol=1e-6)
    n = np.arange(leg.shape[2]) - leg.shape[2] // 2
    np.testing.assert_allclose(waves.lateral, n * dk)
    q, k = n[:, None] * dk - across[:, :, None], k[..., None, :]
    kz = axial(q, k) + down[:, :, None]
    wanted = leg_weight(q, k, window, weighting) / (40 * PITCH) * np.exp(1j * (kz * DEPTH + np.pi / 4))
    np.testing.assert_allclose(complex_of(leg), wanted, atol=2e-6 * np.abs(wanted).max())
    cells = height + (lowest + waves.lowest)[:, None, None, None]
    counts = np.abs(q) <= k * window.max_sine
    np.testing.assert_allclose(cells[counts], (kz / shared.gridding.cell)[counts], atol=2e-4)
    # Rows that are left out hold nothing.
    row = np.arange(leg.shape[2])
    used = (row >= rows[..., :1]) & (row < rows[..., 1:])
    assert leg[used].any()
    assert not leg[~used].any()


def test_blocks_are_parts_of_the_whole() -> None:
    for waves in (
        FullMatrix(geometry(), (WIDE, NARROW), np.arange(16)),
        PlaneWaves(geometry(), WIDE, directions([-0.2, 0.3])),
    ):
        for part, whole in zip(waves.tables(slice(1, 2)), waves.tables(slice(0, 3)), strict=True):
            np.testing.assert_array_equal(part, whole[1:2])


# Cells

sizes = {
    "window": st.builds(Window, st.floats(0.02, 0.95), st.floats(0, 1)),
    "other": st.builds(Window, st.floats(0.02, 0.95), st.floats(0, 1)),
    "angles": st.lists(st.floats(-1.2, 1.2), min_size=1, max_size=4),
    "low": st.floats(0.1e6, 9e6),
    "width": st.floats(1e3, 9e6),
    "period": st.integers(1, 200),
    "n_depths": st.integers(1, 400),
}


@settings(deadline=None, max_examples=150)
@given(**sizes)
def test_every_wave_lies_within_its_cells(window, other, angles, low, width, period, n_depths) -> None:
    """The kernels check no bound. A height that rounding takes a little below 0 still is in cell 0."""
    shared = geometry("das", period, (low, low + width), n_depths)
    n_taps = shared.gridding.n_taps
    full = FullMatrix(shared, (window, other), np.arange(16))
    reach, _, _, height, lowest = full.tables(slice(0, 3))
    n_n, n_cells, _ = full.cells_shape
    assert reach.min() >= 0
    assert reach.sum(axis=1).max() < n_n
    assert len(full.lateral) == 2 * n_n - 1
    assert np.min(2 * height) > -1e-3
    assert lowest.min() == 0
    assert np.all(lowest + np.floor(2 * height.max(axis=(1, 2))) + n_taps <= n_cells)

    plane = PlaneWaves(shared, window, directions(angles))
    _, rows, leg, height, lowest = plane.tables(slice(0, 3))
    n_n, n_cells = plane.cells_shape
    assert len(plane.lateral) == n_n == leg.shape[2]
    assert rows.min() >= 0
    assert rows.max() <= n_n
    row = np.arange(n_n)
    used = (row >= rows[..., :1]) & (row < rows[..., 1:])
    assert not leg[~used].any()
    heights = np.where(used[..., None], height, 1)
    assert heights.min() > -1e-3
    assert np.all(lowest + np.floor(heights.max(axis=(1, 2, 3))) + n_taps <= n_cells)


def test_rows_are_the_cells_with_the_lateral_wavenumber_rising() -> None:
    rng = np.random.default_rng(0)
    full = FullMatrix(geometry(), (NARROW, NARROW), np.arange(16))
    plane = PlaneWaves(geometry(), NARROW, directions([0.1]))
    both, single = (complex_noise(rng, *waves.cells_shape).astype(np.complex64) for waves in (full, plane))
    n_n = len(both)
    for n, row in zip(range(1 - n_n, n_n), full.rows(both), strict=True):
        np.testing.assert_array_equal(row, both[abs(n), :, 0 if n >= 0 else 1])
    assert np.all(np.diff(full.lateral) > 0)
    np.testing.assert_array_equal(plane.rows(single), single)


def test_values_are_counted() -> None:
    """What the cost of an image is predicted from."""
    shared = geometry()
    reach = FullMatrix(shared, (WIDE, NARROW), np.arange(16)).tables(slice(0, 3))[0]
    counted = sum(16 * (2 * int(t) + 1) * (2 * int(r) + 1) for t, r in reach)
    assert FullMatrix(shared, (WIDE, NARROW), np.arange(16)).n_values == counted
    plane = PlaneWaves(shared, NARROW, directions([0.1, -0.3]))
    assert plane.n_values == sum(16 * (stop - start) for start, stop in plane.tables(slice(0, 3))[1].reshape(-1, 2))
