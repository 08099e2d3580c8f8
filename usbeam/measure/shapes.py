"""Shapes of regions: each knows how far every pixel lies from its border, and so which pixels it holds.

The signed distance is negative inside. A pixel belongs to a shape if its centre lies inside or on the border, where the
border is a nanometre wide (`BORDER`): whether a pixel exactly on it belongs does not hang on the last bit of a float.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from usbeam.checks import Floats
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.measure.mask import Mask, Pixels

BORDER = 1e-9
"""Distance [m] outside a shape up to which a pixel's centre counts as on its border."""
FARTHEST = 1e3
"""Largest coordinate [m]; beyond it a number is a mistake, and its square may overflow."""
MAX_POINTS = 1000
"""Corners of a polygon; each costs a pass over the image."""

Bounds = tuple[float, float, float, float]
"""``(left, right, top, bottom)`` [m]."""


class _Outline(ABC):
    """A shape that is drawn by its border."""

    @property
    @abstractmethod
    def bounds(self) -> Bounds:
        """``(left, right, top, bottom)`` [m]."""

    @abstractmethod
    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the border (n_z, n_x) [m], negative inside."""

    def inside(self, grid: Grid) -> Pixels:
        """Which pixels belong to the shape (n_z, n_x)."""
        left, right, top, bottom = self.bounds
        columns, rows = (
            slice(*np.searchsorted(axis, (first - 2 * BORDER, last + 2 * BORDER)))
            for axis, first, last in ((grid.x, left, right), (grid.z, top, bottom))
        )
        inside = np.zeros(grid.shape, bool)
        if inside[rows, columns].size:
            inside[rows, columns] = self.signed_distance(Grid(grid.x[columns], grid.z[rows])) <= BORDER
        return inside


@dataclass(frozen=True)
class Circle(_Outline):
    """All within `radius` of ``(x, z)``.

    Parameters
    ----------
    x, z
        Centre [m].
    radius
        [m], > 0.

    Raises
    ------
    ConfigError
        For numbers that are not finite or a radius that is not positive.

    Examples
    --------
    >>> grid = Grid.linear(x=(-1e-3, 1e-3), z=(9e-3, 11e-3), shape=(3, 3))
    >>> Circle(x=0.0, z=10e-3, radius=1e-3).inside(grid).astype(int)
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]])
    """

    x: float
    z: float
    radius: float

    def __post_init__(self) -> None:
        _check_lengths({"x": self.x, "z": self.z, "radius": self.radius})
        _check_order("radius", 0.0, self.radius)

    @property
    def bounds(self) -> Bounds:
        """``(left, right, top, bottom)`` [m]."""
        return self.x - self.radius, self.x + self.radius, self.z - self.radius, self.z + self.radius

    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the border (n_z, n_x) [m], negative inside."""
        return _from_point(grid, self.x, self.z) - self.radius


@dataclass(frozen=True)
class Annulus(_Outline):
    """All between `inner` and `outer` away from ``(x, z)``.

    Parameters
    ----------
    x, z
        Centre [m].
    inner, outer
        Radii [m], 0 < inner < outer.

    Raises
    ------
    ConfigError
        For numbers that are not finite or radii in the wrong order.
    """

    x: float
    z: float
    inner: float
    outer: float

    def __post_init__(self) -> None:
        _check_lengths({"x": self.x, "z": self.z, "inner": self.inner, "outer": self.outer})
        _check_order("inner", 0.0, self.inner)
        _check_order("outer", self.inner, self.outer)

    @property
    def bounds(self) -> Bounds:
        """``(left, right, top, bottom)`` [m]."""
        return self.x - self.outer, self.x + self.outer, self.z - self.outer, self.z + self.outer

    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the nearer border (n_z, n_x) [m], negative inside."""
        distance = _from_point(grid, self.x, self.z)
        return np.maximum(self.inner - distance, distance - self.outer)


@dataclass(frozen=True)
class Rectangle(_Outline):
    """An upright rectangle.

    Parameters
    ----------
    x
        ``(left, right)`` [m].
    z
        ``(top, bottom)`` [m].

    Raises
    ------
    ConfigError
        For limits that are not finite or not rising.
    """

    x: tuple[float, float]
    z: tuple[float, float]

    def __post_init__(self) -> None:
        for name, (first, last) in (("x", self.x), ("z", self.z)):
            _check_lengths({name: first})
            _check_lengths({name: last})
            _check_order(name, first, last)

    @property
    def bounds(self) -> Bounds:
        """``(left, right, top, bottom)`` [m]."""
        return *self.x, *self.z

    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the border (n_z, n_x) [m], negative inside."""
        across, down = (
            np.maximum(limits[0] - axis, axis - limits[1]) for axis, limits in ((grid.x, self.x), (grid.z, self.z))
        )
        beside = np.hypot(np.maximum(across, 0.0), np.maximum(down, 0.0)[:, np.newaxis])
        return beside + np.minimum(np.maximum(across, down[:, np.newaxis]), 0.0)


@dataclass(frozen=True)
class Polygon(_Outline):
    """A closed polygon; the last point is joined to the first.

    A point is inside if a ray from it crosses the sides an odd number of times (the even-odd rule), so that a polygon
    that crosses itself has a defined inside too.

    Parameters
    ----------
    points
        Corners ``((x, z), ...)`` [m], 3 to `MAX_POINTS`, not all on one line.

    Raises
    ------
    ConfigError
        For too few or too many points, points on one line, numbers that are not finite.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not (3 <= len(self.points) <= MAX_POINTS and all(len(point) == 2 for point in self.points)):
            raise ConfigError(
                "not the corners of a polygon",
                location="points",
                expected=f"3 to {MAX_POINTS} pairs (x, z)",
                found=f"{len(self.points)} points",
            )
        points = tuple((float(x), float(z)) for x, z in self.points)
        object.__setattr__(self, "points", points)
        for x, z in points:
            _check_lengths({"points x": x, "points z": z})
        corners = np.array(points)
        if np.linalg.matrix_rank(corners - corners.mean(axis=0), tol=BORDER) < 2:
            raise ConfigError("the corners lie on one line", location="points")

    @property
    def bounds(self) -> Bounds:
        """``(left, right, top, bottom)`` [m]."""
        x, z = zip(*self.points, strict=True)
        return min(x), max(x), min(z), max(z)

    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the nearest side (n_z, n_x) [m], negative inside."""
        x, z = grid.x, grid.z[:, np.newaxis]
        nearest, odd = np.full(grid.shape, np.inf), np.zeros(grid.shape, bool)
        for (x1, z1), (x2, z2) in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            across, down = x2 - x1, z2 - z1
            if (square := across**2 + down**2) == 0:
                continue  # a corner given twice
            along = np.clip(((x - x1) * across + (z - z1) * down) / square, 0.0, 1.0)
            np.minimum(nearest, np.hypot(x - x1 - along * across, z - z1 - along * down), out=nearest)
            if down:
                odd ^= ((z1 > z) != (z2 > z)) & (x < x1 + (z - z1) * (across / down))
        return np.where(odd, -nearest, nearest)


Shape: TypeAlias = Circle | Annulus | Rectangle | Polygon | Mask


@dataclass(frozen=True)
class RegionPair:
    """What is compared with what.

    Parameters
    ----------
    name
        For people: ``cyst``.
    inside
        The structure.
    outside
        The background, best at the same depth.
    """

    name: str
    inside: Shape
    outside: Shape

    @property
    def region_names(self) -> tuple[str, str]:
        """What the two are called in figures and errors: ``cyst.inside``, ``cyst.outside``."""
        return f"{self.name}.inside", f"{self.name}.outside"


def _from_point(grid: Grid, x: float, z: float) -> Floats:
    return np.hypot(grid.x - x, (grid.z - z)[:, np.newaxis])


def _check_lengths(lengths: Mapping[str, float]) -> None:
    for name, length in lengths.items():
        if not (np.isfinite(length) and abs(length) <= FARTHEST):
            raise ConfigError("not a length that a region can have", location=name, expected="metres", found=length)


def _check_order(name: str, smaller: float, larger: float) -> None:
    if not smaller < larger:
        raise ConfigError("too small", location=name, expected=f"> {smaller:g} m", found=f"{larger:g} m")
