"""Between the pixels: the band-limited surface of which an image is the samples.

A complex image is band-limited around a carrier: in depth about two cycles per wavelength, across whatever the
direction from the array makes it. The carrier is taken off, the rest is interpolated with a Kaiser-windowed sinc, and
the magnitude of that is the envelope. So an image whose pixels are a quarter of a wavelength apart, half a cycle of its
carrier, still says where its envelope is half of its peak. An envelope image has no carrier left, and the envelope is
not band-limited itself: its square is, with twice the band of the image, and so needs pixels twice as dense.

The carrier is the phase of the lag-one autocorrelation around the place looked at (C. Kasai et al., "Real-time
two-dimensional blood flow imaging using an autocorrelation technique", IEEE Trans. Sonics Ultrason. 32(3), 1985, use it
so over time); the kernel is Kaiser's (A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal Processing", chapter 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import i0

from usbeam.checks import Floats
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image

HALF_WIDTH = 16
"""Of the kernel, in pixels."""
_BETA = 10.0
"""Of the Kaiser window: with this width, exact to 1e-5 up to four fifths of the band that the pixels can hold."""
_EDGE = 0.4
"""Cycles per pixel: the kernel's four fifths of half a cycle."""
UNEVEN = 1e-2
"""Fraction of a pixel by which an axis may stray from equal steps."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Envelope of an image at any place within its grid.

    Parameters
    ----------
    grid
        Of the image.
    samples : (n_z + 2 HALF_WIDTH, n_x + 2 HALF_WIDTH)
        What is interpolated, continued beyond the border.
    magnitude
        Makes the envelope of it.
    edge_energy : (z, x)
        Fraction of the energy around the place in the outer fifth of the band that the pixels can hold.
    """

    grid: Grid
    samples: npt.NDArray[Any]
    magnitude: Callable[[npt.NDArray[Any]], Floats]
    edge_energy: tuple[float, float]

    @classmethod
    def around(cls, image: Image, pixel: tuple[int, int]) -> Surface:
        """Surface of a complex or envelope image, with the carrier that it has around a pixel (row, column).

        Raises
        ------
        ConfigError
            For a dB image, and for a grid whose steps are not equal.
        """
        check_even(image.grid)
        if image.state == "complex":
            samples, magnitude = image.data.astype(np.complex128), np.abs
            here = _neighbourhood(samples, pixel)
            z, x = np.angle(np.vdot(here[:-1], here[1:])), np.angle(np.vdot(here[:, :-1], here[:, 1:]))
            samples *= np.exp(-1j * z * np.arange(len(samples)))[:, None]
            samples *= np.exp(-1j * x * np.arange(samples.shape[1]))
        else:
            samples, magnitude = image.envelope().data.astype(np.float64) ** 2, _root
        return cls(image.grid, _continued(samples), magnitude, _edge_energy(_neighbourhood(samples, pixel)))

    def at(self, x: Floats, z: Floats) -> Floats:
        """Envelope at the places (x[i], z[i]), within the grid."""
        rows = _weights(z, self.grid.z) @ self.samples
        return self.magnitude(_weights(x, self.grid.x).multiply(rows).sum(axis=1))

    def on(self, grid: Grid) -> Floats:
        """Envelope on another grid, within this one."""
        return self.magnitude(_weights(grid.z, self.grid.z) @ self.samples @ _weights(grid.x, self.grid.x).T)

    def summit(self, pixel: tuple[int, int]) -> tuple[float, float, float]:
        """Place and height (x, z, envelope) of the peak within a pixel of a local maximum."""
        z, x = (float(axis[i]) for axis, i in zip((self.grid.z, self.grid.x), pixel, strict=True))
        height, (reach_z, reach_x) = 0.0, self.grid.spacing
        for _ in range(10):
            near = Grid(_around(x, reach_x, self.grid.x), _around(z, reach_z, self.grid.z))
            level = self.on(near)
            i, k = np.unravel_index(np.argmax(level), level.shape)
            x, z, height = float(near.x[k]), float(near.z[i]), float(level[i, k])
            reach_x, reach_z = reach_x / 3, reach_z / 3
        return x, z, height


def check_even(grid: Grid) -> None:
    """Refuse axes with unequal steps.

    Raises
    ------
    ConfigError
        If a position strays by more than `UNEVEN` of a step.
    """
    for name, axis in (("x", grid.x), ("z", grid.z)):
        even = np.linspace(axis[0], axis[-1], len(axis))
        if len(axis) > 2 and np.abs(axis - even).max() > UNEVEN * (even[1] - even[0]):
            steps = np.diff(axis)
            raise ConfigError(
                "what lies between pixels is known only where they are equally spaced",
                location=f"grid.{name}",
                found=f"steps of {steps.min():.6g} to {steps.max():.6g} m",
                hint="beamform on a uniform grid, Grid.linear or Grid.spaced",
            )


def _neighbourhood(samples: npt.NDArray[Any], pixel: tuple[int, int]) -> npt.NDArray[Any]:
    """As many pixels as the kernel reaches around a place."""
    z, x = (slice(max(0, i - HALF_WIDTH), i + HALF_WIDTH + 1) for i in pixel)
    return samples[z, x]


def _root(power: Floats) -> Floats:
    return np.sqrt(np.maximum(power, 0))


def _continued(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """With a rim in which values and slopes run on, so that the border itself is no edge."""
    return np.pad(samples, HALF_WIDTH, mode="reflect", reflect_type="odd")


def _around(center: float, reach: float, axis: Floats) -> Floats:
    """Nine positions around a center, within an axis."""
    positions = np.clip(center + reach * np.linspace(-1, 1, 9), axis[0], axis[-1])
    return np.unique(positions)


def _edge_energy(here: npt.NDArray[Any]) -> tuple[float, float]:
    """See `Surface`; a Hann window keeps the rim of the neighbourhood out of it."""
    tapers = [np.hanning(n + 2)[1:-1] for n in here.shape]
    power = np.abs(np.fft.fft2(here * np.outer(*tapers))) ** 2
    sums = [power.sum(axis=1), power.sum(axis=0)]
    z, x = (float(each[np.abs(np.fft.fftfreq(len(each))) > _EDGE].sum() / max(each.sum(), 1e-300)) for each in sums)
    return z, x


def _weights(positions: Floats, axis: Floats) -> csr_array:
    """(n_positions, n_axis + 2 HALF_WIDTH): each row weighs the pixels around one position; its sum is 1."""
    place = np.interp(positions, axis, np.arange(len(axis))) + HALF_WIDTH
    columns = np.floor(place).astype(np.int64)[:, None] + np.arange(1 - HALF_WIDTH, HALF_WIDTH + 1)
    offset = place[:, None] - columns
    window = i0(_BETA * np.sqrt(np.maximum(1 - (offset / HALF_WIDTH) ** 2, 0)))
    weights = np.sinc(offset) * window
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(len(positions) + 1) * 2 * HALF_WIDTH
    return csr_array((weights.ravel(), columns.ravel(), starts), shape=(len(positions), len(axis) + 2 * HALF_WIDTH))
