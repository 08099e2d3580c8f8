"""The part of a spot above half of its peak: how wide, which way, and whether it is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_propagation

from usbeam.checks import Floats
from usbeam.errors import MeasurementError
from usbeam.grid import Grid
from usbeam.measure.bandlimited import Surface
from usbeam.measure.peaks import local_maxima
from usbeam.measure.width import Sides, half_widths

Place = tuple[float, float]
"""(x, z) [m]."""
STEPS = 8
"""Of the walk to half of the peak, per pixel."""
FINENESS = 32
"""Samples across a width, for its moments."""
MOST = 512
"""Samples of a finer grid on either side of the peak."""


@dataclass(frozen=True)
class MainLobe:
    """What is above half of a peak.

    Parameters
    ----------
    lateral, axial
        Distances from the peak to where the profiles along x and along z fall to half [m].
    along, across
        Full widths along the long axis, and perpendicular to it, through the peak [m].
    angle
        From +x toward +z to the long axis, above -pi/2 and up to pi/2 [rad].
    n_peaks
        Local maxima in it.
    """

    lateral: Sides
    axial: Sides
    along: float
    across: float
    angle: float
    n_peaks: int

    @classmethod
    def around(cls, surface: Surface, center: Place) -> MainLobe:
        """Main lobe of the peak at a place.

        Raises
        ------
        MeasurementError
            If a profile does not fall to half before the image's border.
        """
        lateral, axial = _crossings(surface, center, 0.0), _crossings(surface, center, np.pi / 2)
        widths = sum(lateral), sum(axial)
        angle, n_peaks = _long_axis(surface, center, widths, max(widths))
        along, across = (sum(_crossings(surface, center, direction)) for direction in (angle, angle + np.pi / 2))
        if across > along:
            angle, along, across = angle - np.pi / 2, across, along
        return cls(lateral, axial, along, across, angle if angle <= np.pi / 2 else angle - np.pi, n_peaks)


def finer(grid: Grid, center: Place, reach: float, steps: tuple[float, float]) -> Grid:
    """A finer grid within another, out to a distance from a place, which is one of its points; steps along x and z."""
    x, z = (
        _positions(axis, middle, reach, max(step, reach / MOST))
        for axis, middle, step in zip((grid.x, grid.z), center, steps, strict=True)
    )
    return Grid(x, z)


def _positions(axis: Floats, center: float, reach: float, step: float) -> Floats:
    before, after = (int(min(reach, abs(end - center)) / step) for end in (axis[0], axis[-1]))
    return np.asarray(center + step * np.arange(-before, after + 1), np.float64)


def _crossings(surface: Surface, center: Place, angle: float) -> Sides:
    """Distances from the peak to half of it, against a direction and along it."""
    x, z = center
    # Rounded, so that a line along one axis is not thought to reach the other's border.
    along_x, along_z = (float(round(part, 12)) for part in (np.cos(angle), np.sin(angle)))
    step_z, step_x = surface.grid.spacing
    before, after = (
        min(_room(surface.grid.x, x, side * along_x), _room(surface.grid.z, z, side * along_z)) for side in (-1, 1)
    )
    sides = half_widths(
        lambda s: surface.at(x + s * along_x, z + s * along_z),
        step=1 / max(abs(along_x) / step_x, abs(along_z) / step_z) / STEPS,
        limits=(before, after),
    )
    if sides is None:
        raise MeasurementError(
            "the spot does not fall to half of its peak before the image's border",
            location=f"({1e3 * x:.4g}, {1e3 * z:.4g}) mm",
            hint="beamform a larger grid",
        )
    return sides


def _room(axis: Floats, start: float, direction: float) -> float:
    """Distance along a direction to an axis' end."""
    if direction == 0:
        return np.inf
    return float((axis[-1] if direction > 0 else axis[0]) - start) / direction


def _long_axis(surface: Surface, center: Place, widths: tuple[float, float], reach: float) -> tuple[float, int]:
    """Angle of the largest second moment, in [0, pi), and the number of peaks."""
    near = finer(surface.grid, center, reach, (widths[0] / FINENESS, widths[1] / FINENESS))
    level = surface.on(near)
    seed = (near.z == center[1])[:, None] & (near.x == center[0])
    above = level - level[seed] / 2
    lobe = np.asarray(binary_propagation(seed, mask=above > 0), np.bool_)
    cut = any(np.any(side) for side in (lobe[0], lobe[-1], lobe[:, 0], lobe[:, -1]))
    if cut and reach < np.ptp(surface.grid.x) + np.ptp(surface.grid.z):
        return _long_axis(surface, center, widths, 2 * reach)
    rows, columns = np.argwhere(lobe).T
    moments = np.cov(near.x[columns], near.z[rows], aweights=above[lobe])
    along_x, along_z = np.linalg.eigh(moments)[1][:, -1]
    return float(np.arctan2(along_z, along_x) % np.pi), int(np.count_nonzero(lobe & local_maxima(level)))
