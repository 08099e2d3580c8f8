"""Where the image is computed: a rectilinear grid in the x-z plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usbeam.errors import GeometryError

MAX_AXIS = 10_000_000
"""Longest axis that is made; a mistyped spacing asks for more."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Image points: every combination of `x` (lateral) and `z` (depth), at elevation 0.

    Parameters
    ----------
    x : (n_x,)
        Lateral positions [m], strictly rising.
    z : (n_z,)
        Depths [m], strictly rising, above 0.

    Raises
    ------
    GeometryError
        For empty, non-finite or not rising axes and depths that are not in front of the array.

    Examples
    --------
    >>> Grid.linear(x=(-20e-3, 20e-3), z=(5e-3, 45e-3), shape=(620, 256)).shape
    (620, 256)
    """

    x: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("x", "z"):
            axis = np.array(getattr(self, name), np.float64)
            if axis.ndim != 1 or not axis.size:
                raise GeometryError(
                    "an image axis is a list of at least one position",
                    location=f"grid.{name}",
                    found=axis.shape,
                )
            if not np.all(np.isfinite(axis)):
                raise GeometryError("a position is not finite", location=f"grid.{name}")
            if np.any(np.diff(axis) <= 0):
                raise GeometryError(
                    "positions must rise", location=f"grid.{name}", hint="give limits as START below STOP"
                )
            axis.flags.writeable = False
            object.__setattr__(self, name, axis)
        if self.z[0] <= 0:
            raise GeometryError(
                "the image must lie in front of the array",
                location="grid.z",
                expected="z > 0",
                found=f"{self.z[0]:.6g} m",
            )

    @classmethod
    def linear(cls, *, x: tuple[float, float], z: tuple[float, float], shape: tuple[int, int]) -> Grid:
        """Uniform axes with both limits included.

        Parameters
        ----------
        x, z
            ``(first, last)`` [m].
        shape
            ``(n_z, n_x)``.
        """
        if min(shape) < 1:
            raise GeometryError("the grid has no points", location="grid.shape", expected="counts >= 1", found=shape)
        if max(shape) > MAX_AXIS:
            raise GeometryError(
                f"too many points: the positions alone need {8 * max(shape) / 1e9:.3g} GB",
                location="grid.shape",
                expected=f"counts <= {MAX_AXIS}",
                found=shape,
            )
        for name, limits, count in (("x", x, shape[1]), ("z", z, shape[0])):
            _check_limits(name, limits, single=count == 1)
        return cls(np.linspace(*x, shape[1]), np.linspace(*z, shape[0]))

    @classmethod
    def spaced(cls, *, x: tuple[float, float], z: tuple[float, float], spacing: float | tuple[float, float]) -> Grid:
        """Uniform axes with a given step; the last point lies at or just inside the limit.

        Parameters
        ----------
        x, z
            ``(first, last)`` [m].
        spacing
            Step [m], one for both axes or ``(z, x)``.
        """
        steps = np.broadcast_to(np.asarray(spacing, np.float64), (2,))
        if not np.all(np.isfinite(steps) & (steps > 0)):
            raise GeometryError("spacing must be positive", location="grid.spacing", found=spacing)
        for name, limits in (("x", x), ("z", z)):
            _check_limits(name, limits, single=True)
        # Clipped, because a step near 0 asks for more points than an integer holds; `linear` refuses them.
        most = [
            np.clip((last - first) / max(step, 1e-100), 0, 1e18)
            for (first, last), step in zip((z, x), steps, strict=True)
        ]
        counts = [int(np.floor(count + 1e-9)) + 1 for count in most]
        ends = [first + (count - 1) * step for (first, _), step, count in zip((z, x), steps, counts, strict=True)]
        return cls.linear(x=(x[0], ends[1]), z=(z[0], ends[0]), shape=(counts[0], counts[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_z, n_x)``."""
        return len(self.z), len(self.x)

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.z) * len(self.x)

    @property
    def spacing(self) -> tuple[float, float]:
        """Mean step ``(z, x)`` [m]; nan along an axis of one point."""
        return tuple(
            float(np.ptp(axis) / (len(axis) - 1)) if len(axis) > 1 else float("nan") for axis in (self.z, self.x)
        )  # type: ignore[return-value]

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """``(left, right, bottom, top)`` of the pixels' outer edges [mm], as matplotlib's imshow takes it."""
        # A single row or column is drawn as wide as the other axis' step.
        pixel = min((step for step in self.spacing if not np.isnan(step)), default=1e-3)
        half_z, half_x = (pixel / 2 if np.isnan(step) else step / 2 for step in self.spacing)
        edges = (self.x[0] - half_x, self.x[-1] + half_x, self.z[-1] + half_z, self.z[0] - half_z)
        left, right, bottom, top = (float(edge * 1e3) for edge in edges)
        return left, right, bottom, top

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and np.array_equal(self.x, other.x) and np.array_equal(self.z, other.z)

    __hash__ = None  # type: ignore[assignment]


def _check_limits(name: str, limits: tuple[float, float], *, single: bool) -> None:
    """Refuse limits that are not finite or not rising; they may coincide where there is a single point."""
    first, last = limits
    if not (np.isfinite(first) and np.isfinite(last)):
        raise GeometryError("a limit is not finite", location=f"grid.{name}", found=limits)
    if first > last or (first == last and not single):
        raise GeometryError(
            "limits are inverted or empty", location=f"grid.{name}", expected="first < last", found=limits
        )
