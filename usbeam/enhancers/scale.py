"""An image at the scale of a network: resampled so that a speckle has as many pixels as in the training, and back.

A network sees pixels and no metres. What it has learnt of speckle it has learnt of speckle so many pixels wide; finer
speckle it smooths over edges, coarser speckle it takes for tissue. The power of the image is resampled, by cubic
splines: of envelope, power and decibels it is the one that is band-limited, to twice the band of the echoes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usbeam.checks import Floats
from usbeam.errors import MeasurementError
from usbeam.image import Image
from usbeam.measure import speckle

TOLERANCE = 0.1
"""Share by which the pixels of a speckle may differ from the training's before an image is resampled."""
MOST = 4.0
"""Factor by which an image is resampled at most, either way."""


@dataclass(frozen=True)
class Scale:
    """How an image comes to the scale of a network.

    Parameters
    ----------
    own, trained : (z, x)
        Pixels of a speckle, in the image and in the training.
    """

    own: tuple[float, float]
    trained: tuple[float, float]

    @property
    def factor(self) -> tuple[float, float]:
        """Pixels in the network's image for one of the image's own, ``(z, x)``."""
        z, x = (float(np.clip(to / of, 1 / MOST, MOST)) for of, to in zip(self.own, self.trained, strict=True))
        near = all(abs(each - 1) <= TOLERANCE for each in (z, x))
        return (1.0, 1.0) if near else (z, x)


def measured(image: Image, trained: tuple[float, float]) -> Scale | None:
    """The scale of an image by its own speckle; None if it shows too little of it.

    Parameters
    ----------
    image
        In any state.
    trained : (z, x)
        Pixels of a speckle in the training.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(200, 100))
    >>> noise = np.random.default_rng(0).standard_normal((2, *grid.shape))
    >>> wide = ndimage.gaussian_filter(noise[0] + 1j * noise[1], 2)  # speckle 4.7 pixels wide
    >>> found = measured(Image(wide.astype(np.complex64), grid), (3.0, 3.0))
    >>> bool(np.allclose(found.factor, 3 / 4.7, rtol=0.15))
    True
    """
    try:
        cell = speckle.cell(image)
    except MeasurementError:
        return None
    z, x = (size / step for size, step in zip(cell, image.grid.spacing, strict=True))
    return Scale((z, x), trained)


def through(
    scale: Scale | None,
    level_db: npt.NDArray[np.floating],
    make: Callable[[npt.NDArray[np.floating]], Floats],
    smallest: int,
) -> Floats:
    """What a function makes of an image at another scale, on the image's own pixels.

    Parameters
    ----------
    scale
        None leaves the pixels as they are.
    level_db : (n_z, n_x)
        The image.
    make
        Takes and gives levels in dB.
    smallest
        Side [pixels] of the smallest image that it takes.
    """
    factor = (1.0, 1.0) if scale is None else scale.factor
    if factor == (1.0, 1.0):
        return make(level_db)
    n_z, n_x = (max(smallest, round((size - 1) * by) + 1) for size, by in zip(level_db.shape, factor, strict=True))
    power = _resampled(10 ** (level_db.astype(np.float64) / 10), (n_z, n_x))
    floor = 10 ** (float(level_db.min()) / 10)  # a spline may swing below
    made = make(10 * np.log10(np.clip(power, floor, None)))
    return _resampled(made, level_db.shape)


def _resampled(values: Floats, shape: tuple[int, ...]) -> Floats:
    """The same field in another number of pixels, corner on corner."""
    steps = [(old - 1) / (new - 1) for old, new in zip(values.shape, shape, strict=True)]
    return ndimage.affine_transform(values, steps, output_shape=shape, order=3, mode="nearest")
