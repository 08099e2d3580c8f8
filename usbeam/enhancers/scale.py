"""The scale of a network: how many pixels a speckle has, and an image on the grid where it has those of the training.

A network knows speckle, and what is no speckle, by size in pixels. Another probe, depth or grid has speckle of another
size, and to the network that is another thing. So the image is resampled before, and what the network makes of it
afterwards, by cubic splines of the level in dB: that is what the network is fed, it has no sign that could turn, and
what the network makes of it is smooth. No filter stands before a coarser grid: there a speckle has as many pixels as in
the training, which is to be two or more.

The size is measured in the displayed image, which may be all there is: the envelope over its local mean, where that
varies as speckle does; half the width of its autocovariance, twice. `usbeam.measure.speckle.cell` finds nearly the same
in complex images: the covariance of the envelope of speckle is, nearly, the squared correlation of the complex image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.1
"""Share by which the size may differ without a word: about what its measurement is good for."""
LARGEST = 4.0
"""Ratio beyond which an image is left alone."""
_WINDOW = 5.0
"""Side of the box of local means, in speckles."""
_FIRST = 8.0
"""Of the first, when a speckle's size is not known: the image's side over this."""
_VARIATION = (1 / 2.4, 1 / 1.55)
"""Local deviation over local mean of what counts as speckle; that of speckle is 0.52."""
_LEAST_SHARE = 0.2
"""Of the pixels; with less there is no speckle to be measured."""
_ROUNDS = 3


def cell(level_db: npt.NDArray[np.floating]) -> tuple[float, float] | None:
    """Size of a speckle in depth and across [pixels].

    Parameters
    ----------
    level_db : (n_z, n_x)
        Re anything.

    Returns
    -------
    tuple or None
        None where less than a fifth of the image is speckle.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = ndimage.gaussian_filter(rng.standard_normal((2, 200, 100)), (0, 2.0, 1.5))
    >>> size = cell(20 * np.log10(np.hypot(*noise)))  # 2.0 and 1.5 times the root of 8 log 2
    >>> bool(4.2 < size[0] < 5.2), bool(3.1 < size[1] < 3.9)
    (True, True)
    """
    amplitude = 10 ** ((level_db.astype(np.float64) - level_db.max()) / 20)
    window = np.array(level_db.shape) / _FIRST
    found = np.zeros(2)
    for _ in range(_ROUNDS):
        box: Any = [max(3, round(side)) for side in window]  # SciPy's types know one number only
        mean = ndimage.uniform_filter(amplitude, box)
        deviation = np.sqrt(np.maximum(ndimage.uniform_filter(amplitude**2, box) - mean**2, 0))
        speckle = (_VARIATION[0] * mean < deviation) & (deviation < _VARIATION[1] * mean)
        if np.mean(speckle) < _LEAST_SHARE:
            return None
        level = np.divide(amplitude, mean, out=np.zeros_like(amplitude), where=speckle)
        even = np.where(speckle, level - level[speckle].mean(), 0.0)
        found = np.array([_width(even, speckle), _width(even.T, speckle.T)])
        window = np.minimum(_WINDOW * found, np.array(level_db.shape) / 4)
    return float(found[0]), float(found[1])


def ratios(cell: tuple[float, float], trained: tuple[float, float]) -> tuple[float, float] | None:
    """By how much an image is to be stretched, in depth and across, for its speckle to be that of the training.

    Parameters
    ----------
    cell, trained
        Sizes of a speckle [pixels].

    Returns
    -------
    tuple or None
        None where both sizes agree within `TOLERANCE`. 1 along an axis where they do.

    Examples
    --------
    >>> ratios((8.0, 3.1), (4.0, 3.0))
    (0.5, 1.0)
    """
    wanted = [theirs / mine for mine, theirs in zip(cell, trained, strict=True)]
    found = [each if abs(1 / each - 1) > TOLERANCE else 1.0 for each in wanted]
    return None if found == [1.0, 1.0] else (found[0], found[1])


def resampled(values: npt.NDArray[np.floating], shape: tuple[int, int]) -> Floats:
    """The same field of view in other pixels, by cubic splines; corners stay corners.

    Parameters
    ----------
    values : (n_z, n_x)
    shape
        Of what is returned.
    """
    places = [
        np.linspace(0, n - 1, wanted) if wanted > 1 else np.zeros(1)
        for n, wanted in zip(values.shape, shape, strict=True)
    ]
    return ndimage.map_coordinates(
        values.astype(np.float64), np.meshgrid(*places, indexing="ij"), order=3, mode="mirror"
    )


def _width(values: Floats, there: npt.NDArray[np.bool_]) -> float:
    """Of the autocovariance along the first axis, at half, in samples; at most the axis."""
    power, before = float(np.sum(values**2) / there.sum()), 1.0
    for lag in range(1, len(values)):
        both = np.count_nonzero(there[:-lag] & there[lag:])
        found = float(np.sum(values[:-lag] * values[lag:]) / both / power) if both else 0.0
        if found < 0.5:
            return 2 * (lag - 1 + (before - 0.5) / (before - found))
        before = found
    return float(len(values))
