"""Where an image has its peaks: pixels that no neighbour outshines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter

from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.grid import Grid
from usbeam.image import Image

Pixel = tuple[int, int]
"""Row and column."""


def find(image: Image, *, above_db: float = -20.0, apart: float = 2e-3) -> list[tuple[float, float]]:
    """Bright spots of an image: local maxima, brightest first, each farther than `apart` from all brighter ones.

    Side lobes and speckle are local maxima too: raise the level, or name the places, where they are not wanted.

    Parameters
    ----------
    image
        Complex or envelope.
    above_db
        Lowest level over the image's maximum [dB], below 0.
    apart
        Least distance between two spots [m].

    Returns
    -------
    list of (x, z)
        Pixel centres [m], by depth, then from left to right. None on the image's border.

    Raises
    ------
    ConfigError
        For a dB image, a level that is not below 0 dB, or a distance that is not positive.
    MeasurementError
        If the image is empty.

    Examples
    --------
    >>> grid = Grid.linear(x=(-3e-3, 3e-3), z=(7e-3, 13e-3), shape=(61, 61))
    >>> data = np.zeros(grid.shape, np.float32)
    >>> data[20, 10], data[40, 50] = 1.0, 0.5
    >>> [(round(1e3 * x, 1), round(1e3 * z, 1)) for x, z in find(Image(data, grid, "envelope"))]
    [(-2.0, 9.0), (2.0, 11.0)]
    """
    if not (np.isfinite(above_db) and above_db < 0):
        raise ConfigError("not a level below the maximum", location="above_db", expected="dB < 0", found=above_db)
    if not (np.isfinite(apart) and apart > 0):
        raise ConfigError("not a positive length", location="apart", expected="metres > 0", found=apart)
    envelope = envelope_of(image)
    candidates = local_maxima(envelope) & (envelope > envelope.max() * 10 ** (above_db / 20)) & ~_border(image.grid)
    rows, columns = np.nonzero(candidates)
    order = np.argsort(-envelope[rows, columns], kind="stable")
    places = np.stack([image.grid.x[columns], image.grid.z[rows]], axis=1)[order]
    kept = np.empty((0, 2))
    for place in places:
        if np.all(np.linalg.norm(kept - place, axis=1) > apart):
            kept = np.vstack([kept, place])
    return sorted(((float(x), float(z)) for x, z in kept), key=lambda place: (place[1], place[0]))


def brightest(image: Image, near: tuple[float, float] | None, within: float) -> Pixel:
    """Pixel of the brightest local maximum within a distance of a place (x, z) [m]; of the image if there is no place.

    Raises
    ------
    MeasurementError
        If the place lies outside the image, there is no local maximum, or the brightest lies on the image's border.
    """
    envelope, grid = envelope_of(image), image.grid
    allowed = np.ones(grid.shape, bool) if near is None else _disk(grid, near, within)
    if not np.any(allowed & local_maxima(envelope)):
        raise MeasurementError(
            "no peak there: the image rises towards something farther off",
            location=_place(near),
            expected=f"a local maximum within {1e3 * within:.3g} mm",
            hint="look at the image, and give a place nearer to the spot",
        )
    level = np.where(allowed & local_maxima(envelope), envelope, -1.0)
    row, column = (int(i) for i in np.unravel_index(np.argmax(level), level.shape))
    if _border(grid)[row, column]:
        raise MeasurementError(
            f"the peak, at {_place((grid.x[column], grid.z[row]))}, lies on the image's border",
            location=_place(near),
            hint="beamform a larger grid, or give a place (near, --near) away from the border",
        )
    return row, column


def envelope_of(image: Image) -> Floats:
    """Envelope (n_z, n_x) of an image that shows something.

    Raises
    ------
    MeasurementError
        If it is zero everywhere, or not finite somewhere.
    """
    envelope = image.envelope().data.astype(np.float64)
    if not (np.isfinite(envelope.max()) and envelope.max() > 0):
        raise MeasurementError(
            "the image is empty" if envelope.max() == 0 else "the image has pixels that are no number",
            location="image.data",
            expected="a finite maximum above 0",
            found=f"{envelope.max():g}",
        )
    return envelope


def local_maxima(envelope: Floats) -> npt.NDArray[np.bool_]:
    """Pixels above 0 that none of their eight neighbours outshines."""
    return (envelope > 0) & (envelope >= maximum_filter(envelope, size=3, mode="nearest"))


def _border(grid: Grid) -> npt.NDArray[np.bool_]:
    border = np.ones(grid.shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _disk(grid: Grid, center: tuple[float, float], radius: float) -> npt.NDArray[np.bool_]:
    """Pixels within a distance of a place; at least the nearest one."""
    x, z = center
    if not (grid.x[0] <= x <= grid.x[-1] and grid.z[0] <= z <= grid.z[-1]):
        left, right, top, bottom = (1e3 * edge for edge in (grid.x[0], grid.x[-1], grid.z[0], grid.z[-1]))
        raise MeasurementError(
            "the place lies outside the image",
            location=_place(center),
            expected=f"x from {left:.4g} to {right:.4g} mm, z from {top:.4g} to {bottom:.4g} mm",
            hint="lengths in Python are metres",
        )
    distance = np.hypot(grid.x - x, (grid.z - z)[:, None])
    return distance <= max(radius, distance.min())


def _place(place: tuple[float, float] | None) -> str:
    return "the image" if place is None else f"({1e3 * place[0]:.4g}, {1e3 * place[1]:.4g}) mm"
