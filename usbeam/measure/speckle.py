"""The speckle of images: how large it is, and how alike it is in two images of one frame.

The envelopes of two images of the same tissue correlate twice: the tissue is the same, and the speckle may be. What a
network can learn from a pair of them depends on the speckle alone. In tissue that nobody knows it is found by its
statistics: each envelope is divided by its local mean, over five cells of speckle in either direction, and only places
count where the local mean over the local deviation is about that of fully developed speckle, 1.91, in both images.
Borders, points and gradients have another ratio; noise has the same, and counts.

References
----------
C. B. Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrason. 25(1), 1978 (the ratio); R. F.
Wagner, S. W. Smith, J. M. Sandrik and H. Lopez, "Statistics of speckle in ultrasound B-scans", IEEE Trans. Sonics
Ultrason. 30(3), 1983 (size as the width of the correlation).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.image import Image

WINDOW = 5.0
"""Width at half of the Gaussian of local means, in cells: far more than a speckle, less than most structures."""
RATIO = (1.55, 2.4)
"""Local mean over local deviation of what counts as speckle."""
LEAST_SHARE = 0.2
"""Of the pixels; with less there is no speckle to be measured."""
_TO_DEVIATION = 1 / np.sqrt(8 * np.log(2))
_GUESS, _ROUNDS = 3.0, 3
"""Pixels of a speckle that the search for its size begins with, and how often it is bettered."""


def cell(image: Image) -> tuple[float, float]:
    """Size of a speckle in depth and across [m]: width at half of the correlation of intensities.

    For speckle that is the squared correlation of the complex image with itself, shifted along one axis. Pixels count
    with the root of their magnitude, so that neither a few bright points nor noise decide.

    Without phases it is the correlation of the envelope over its local mean, where that is speckle, which is nearly as
    wide.

    Parameters
    ----------
    image
        At least two pixels along either axis.

    Raises
    ------
    ConfigError
        For fewer pixels.
    MeasurementError
        If the image is zero, or has no phases and hardly any speckle.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(201, 101))
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.standard_normal(grid.shape) + 1j * rng.standard_normal(grid.shape)
    >>> smooth = ndimage.gaussian_filter(noise, (6 / np.sqrt(8 * np.log(2)), 0))  # 6 pixels of 50 um wide at half
    >>> bool(0.27e-3 < cell(Image(smooth.astype(np.complex64), grid))[0] < 0.33e-3)
    True
    """
    if image.state == "complex":
        found = _cell(image)
    else:
        _refuse_few_pixels(image)
        values = 10 ** (image.data / 20) if image.state == "db" else image.data
        found = _cell_of_envelope(values.astype(np.float32))
    return tuple(count * step for count, step in zip(found, image.grid.spacing, strict=True))  # type: ignore[return-value]


def correlation(one: Image, other: Image) -> float:
    """How alike the speckle of two images is: 1 the same, 0 independent.

    Pearson correlation of the envelopes over their local means, where both are speckle. Where that is less than
    `LEAST_SHARE` of the pixels, as in images of points in water, it is what the speckle of such images would have: the
    squared correlation of the complex images.

    Parameters
    ----------
    one, other
        State complex, on one grid.

    Raises
    ------
    ConfigError
        For other states, or two grids.
    MeasurementError
        If an image is zero.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(201, 101))
    >>> rng = np.random.default_rng(0)
    >>> noise = (rng.standard_normal((2, *grid.shape, 2)).view(complex)[..., 0] for _ in range(2))
    >>> tissue = np.where(grid.x < 0, 1, 4)  # the envelopes correlate, the speckle does not
    >>> one, other = (Image((ndimage.gaussian_filter(n[0], 2) * tissue).astype(np.complex64), grid) for n in noise)
    >>> bool(np.corrcoef(np.abs(one.data).ravel(), np.abs(other.data).ravel())[0, 1] > 0.4)
    True
    >>> bool(abs(correlation(one, other)) < 0.1)
    True
    """
    if one.grid != other.grid:
        raise ConfigError("images of different grids", location="speckle", hint="beamform both on one grid")
    deviation = WINDOW * _TO_DEVIATION * np.maximum(_cell(one), _cell(other))
    # A window that is as wide as the image has no neighbourhood left.
    deviation = np.minimum(deviation, np.array(one.grid.shape) / 4)
    first, here = _levelled(one.envelope().data, deviation)
    second, there = _levelled(other.envelope().data, deviation)
    speckle = here & there
    if np.mean(speckle) < LEAST_SHARE:
        return _squared(one.data, other.data)
    return float(np.atleast_2d(np.corrcoef(first[speckle], second[speckle]))[0, 1])


def _squared(one: npt.NDArray[np.complex64], other: npt.NDArray[np.complex64]) -> float:
    """Squared magnitude of the complex correlation."""
    powers = np.vdot(one, one).real * np.vdot(other, other).real
    return float(np.abs(np.vdot(one, other)) ** 2 / powers)


def _levelled(envelope: npt.NDArray[np.float32], deviation: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """An envelope over its local mean, and where its statistics are those of speckle."""
    wide = envelope.astype(np.float64) / (float(envelope.max()) or 1.0)
    mean: Floats = ndimage.gaussian_filter(wide, deviation)
    variance: Floats = ndimage.gaussian_filter(wide**2, deviation) - mean**2
    there = mean > 0
    level: Floats = np.divide(wide, mean, out=np.zeros_like(wide), where=there)
    low, high = (mean / ratio for ratio in RATIO[::-1])
    return level, there & (low**2 < variance) & (variance < high**2)


def _cell(image: Image) -> Floats:
    """Size of a speckle in pixels, in depth and across."""
    if image.state != "complex":
        raise ConfigError("phases tell how alike speckle is", location="speckle", expected="complex", found=image.state)
    _refuse_few_pixels(image)
    magnitude = np.abs(image.data)
    if not magnitude.any():
        raise _zero()
    even = np.divide(image.data, np.sqrt(magnitude), out=np.zeros_like(image.data), where=magnitude > 0)
    return np.array([_width(np.moveaxis(even, axis, 0)) for axis in (0, 1)])


def _cell_of_envelope(envelope: npt.NDArray[np.float32]) -> Floats:
    """The same without phases."""
    if not envelope.any():
        raise _zero()
    cell: Floats = np.full(2, _GUESS)
    for _ in range(_ROUNDS):  # what is speckle depends on the size of a speckle
        deviation = np.minimum(WINDOW * _TO_DEVIATION * cell, np.array(envelope.shape) / 4)
        level, speckle = _levelled(envelope, deviation)
        if np.mean(speckle) < LEAST_SHARE:
            raise MeasurementError("hardly any speckle to be measured", location="speckle")
        away = np.where(speckle, level - level[speckle].mean(), 0)
        sides = ((np.moveaxis(each, axis, 0) for each in (away, speckle.astype(np.float64))) for axis in (0, 1))
        cell = np.array([_width_where(*each) for each in sides])
    return cell


def _width(values: npt.NDArray[np.complex64]) -> float:
    """At half of the squared correlation along the first axis, in samples; at most the axis."""
    power = np.vdot(values, values).real / len(values)
    return _at_half(
        float(np.abs(np.vdot(values[:-lag], values[lag:])) / (len(values) - lag) / power) ** 2
        for lag in range(1, len(values))
    )


def _width_where(values: Floats, there: Floats) -> float:
    """At half of the correlation along the first axis, of values without a mean that are 0 where they do not count."""
    power = np.vdot(values, values) / np.vdot(there, there)
    return _at_half(
        float(np.vdot(values[:-lag], values[lag:]) / max(np.vdot(there[:-lag], there[lag:]), 1) / power)
        for lag in range(1, len(values))
    )


def _at_half(correlation: Iterable[float]) -> float:
    """Full width at half of a correlation that is given from lag 1 on; at most as many lags as there are."""
    lag, before = 0, 1.0
    for lag, found in enumerate(correlation, start=1):
        if found < 0.5:
            return 2 * (lag - 1 + (before - 0.5) / (before - found))
        before = found
    return lag + 1.0


def _refuse_few_pixels(image: Image) -> None:
    if min(image.grid.shape) < 2:
        shape = " x ".join(map(str, image.grid.shape))
        raise ConfigError("speckle is measured in 2 x 2 pixels or more", location="speckle", found=shape)


def _zero() -> MeasurementError:
    return MeasurementError("the image is zero everywhere", location="speckle", hint="is the grid in the record?")
