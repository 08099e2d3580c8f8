"""Image grids: their points, steps and edges, and grids that cannot be."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbeam import Grid
from usbeam.errors import GeometryError

X, Z = (-20e-3, 20e-3), (5e-3, 45e-3)
lateral = st.floats(-1, 1)
depth = st.floats(1e-4, 1)
length = st.floats(1e-4, 0.5)
count = st.integers(2, 300)


@given(lateral, depth, length, length, count, count)
def test_linear_includes_both_limits(left: float, top: float, width: float, height: float, n_x: int, n_z: int) -> None:
    grid = Grid.linear(x=(left, left + width), z=(top, top + height), shape=(n_z, n_x))
    assert grid.shape == (n_z, n_x)
    assert grid.size == n_z * n_x
    assert (grid.x[0], grid.x[-1], grid.z[0], grid.z[-1]) == (left, left + width, top, top + height)
    assert grid.spacing == pytest.approx((height / (n_z - 1), width / (n_x - 1)), rel=1e-6)


@given(lateral, depth, length, length, st.floats(1e-3, 0.1), st.floats(1e-3, 0.1))
def test_spaced_keeps_its_step_and_stays_inside(
    left: float, top: float, width: float, height: float, step_z: float, step_x: float
) -> None:
    grid = Grid.spaced(x=(left, left + width), z=(top, top + height), spacing=(step_z, step_x))
    for axis, first, extent, step in ((grid.x, left, width, step_x), (grid.z, top, height, step_z)):
        assert axis[0] == first
        assert axis[-1] <= first + extent + 1e-8 * step
        assert axis[-1] + step > first + extent
        np.testing.assert_allclose(np.diff(axis), step, rtol=1e-6)


def test_spaced_reaches_the_limit_that_is_a_whole_number_of_steps_away() -> None:
    grid = Grid.spaced(x=X, z=Z, spacing=0.1e-3)
    assert grid.shape == (401, 401)
    assert (grid.x[-1], grid.z[-1]) == pytest.approx((20e-3, 45e-3))


def test_one_column_and_one_point() -> None:
    line = Grid.linear(x=(0, 0), z=Z, shape=(5, 1))
    assert line.shape == (5, 1)
    assert np.isnan(line.spacing[1])
    assert Grid.linear(x=(1e-3, 1e-3), z=(2e-3, 2e-3), shape=(1, 1)).size == 1


def test_edges_lie_half_a_pixel_outside() -> None:
    grid = Grid.linear(x=X, z=Z, shape=(41, 21))
    assert grid.extent_mm == pytest.approx((-21, 21, 45.5, 4.5))


def test_a_single_row_of_pixels_has_a_height() -> None:
    left, right, bottom, top = Grid.linear(x=X, z=(5e-3, 5e-3), shape=(1, 21)).extent_mm
    assert (left, right) == pytest.approx((-21, 21))
    assert bottom > 5 > top
    left, right, bottom, top = Grid.linear(x=(0, 0), z=(5e-3, 5e-3), shape=(1, 1)).extent_mm
    assert left < 0 < right
    assert bottom > 5 > top


def test_axes_are_copied_and_locked() -> None:
    x = np.array([0.0, 1e-3])
    grid = Grid(x, np.array([1e-3]))
    x[0] = -5
    assert grid.x[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.x[0] = 1


def test_equal_where_the_points_are() -> None:
    grid = Grid.linear(x=X, z=Z, shape=(4, 3))
    assert grid == Grid(np.linspace(*X, 3), np.linspace(*Z, 4))
    assert grid != Grid.linear(x=X, z=Z, shape=(3, 3))
    assert grid != "grid"


nan, inf = float("nan"), float("inf")
BAD: list[tuple[dict[str, Any], str]] = [
    ({"x": X, "z": Z, "shape": (0, 10)}, "no points"),
    ({"x": X, "z": Z, "shape": (10, -1)}, "no points"),
    ({"x": X[::-1], "z": Z, "shape": (10, 10)}, "grid.x: limits are inverted"),
    ({"x": X, "z": Z[::-1], "shape": (10, 10)}, "grid.z: limits are inverted"),
    ({"x": (0, 0), "z": Z, "shape": (10, 10)}, "grid.x: limits are inverted or empty"),
    ({"x": X, "z": (0, 45e-3), "shape": (10, 10)}, "in front of the array"),
    ({"x": X, "z": (-5e-3, 45e-3), "shape": (10, 10)}, "in front of the array"),
    ({"x": (nan, 1), "z": Z, "shape": (10, 10)}, "grid.x: a limit is not finite"),
    ({"x": X, "z": (1e-3, inf), "shape": (10, 10)}, "grid.z: a limit is not finite"),
    ({"x": X, "z": Z, "shape": (1, 10**12)}, "too many points: the positions alone need 8e+03 GB"),
    ({"x": X, "z": Z, "spacing": 0}, "spacing must be positive"),
    ({"x": X, "z": Z, "spacing": -1e-4}, "spacing must be positive"),
    ({"x": X, "z": Z, "spacing": nan}, "spacing must be positive"),
    ({"x": X, "z": Z, "spacing": (1e-4, inf)}, "spacing must be positive"),
    ({"x": X, "z": Z, "spacing": 1e-13}, "too many points"),
    ({"x": X, "z": Z, "spacing": 1e-320}, "too many points"),
    ({"x": X[::-1], "z": Z, "spacing": 1e-4}, "grid.x: limits are inverted"),
    ({"x": (nan, 1), "z": Z, "spacing": 1e-4}, "grid.x: a limit is not finite"),
    ({"x": X, "z": (0, 1e-2), "spacing": 1e-4}, "in front of the array"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_grids_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError) as caught:
        (Grid.spaced if "spacing" in arguments else Grid.linear)(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "z"),
    [
        ([], [1e-3]),
        ([0.0], []),
        ([[0.0]], [1e-3]),
        (0.0, [1e-3]),
        ([0.0, 0.0], [1e-3]),
        ([1.0, 0.0], [1e-3]),
        ([0.0], [2e-3, 1e-3]),
        ([nan], [1e-3]),
        ([0.0], [1e-3, inf]),
        ([0.0], [0.0]),
    ],
)
def test_axes_that_cannot_be(x: Any, z: Any) -> None:
    with pytest.raises(GeometryError):
        Grid(np.array(x), np.array(z))


@given(st.lists(st.floats(), max_size=5), st.lists(st.floats(), max_size=5))
def test_any_axes_are_a_grid_or_a_geometry_error(x: list[float], z: list[float]) -> None:
    with contextlib.suppress(GeometryError):
        grid = Grid(np.array(x), np.array(z))
        assert grid.shape == (len(z), len(x))
        assert grid.z[0] > 0
