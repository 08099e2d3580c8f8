"""Images of points that are known in closed form."""

from __future__ import annotations

import numpy as np

import usbeam as ub

MM = 1e-3
WAVELENGTH = 0.3 * MM


def grid(step: float = WAVELENGTH / 8, *, x: float = 3 * MM, z: tuple[float, float] = (17 * MM, 23 * MM)) -> ub.Grid:
    return ub.Grid.spaced(x=(-x, x), z=z, spacing=step)


def image(where: ub.Grid, baseband: np.ndarray) -> ub.Image:
    """An analytic image: two cycles per wavelength in depth, and a carrier across as of a spot off the axis."""
    phase = 2 * np.pi / WAVELENGTH * (2 * where.z[:, None] + 0.4 * where.x)
    return ub.Image((baseband * np.exp(1j * phase)).astype(np.complex64), where)


def gaussian(
    where: ub.Grid, widths: tuple[float, float], *, at: tuple[float, float] = (0.0, 20 * MM), angle: float = 0.0
) -> np.ndarray:
    """FWHM along a direction and across it."""
    x, z = where.x - at[0], where.z[:, None] - at[1]
    along, across = x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
    return np.exp(-4 * np.log(2) * ((along / widths[0]) ** 2 + (across / widths[1]) ** 2))


def aperture(where: ub.Grid, zeros: tuple[float, float], power: int) -> np.ndarray:
    """Of an unapodised aperture on one way (power 1) or both (2): first zeros so far from the peak along x and z."""
    return (np.sinc(where.x / zeros[0]) * np.sinc((where.z[:, None] - 20 * MM) / zeros[1])) ** power
