"""Speckle-reducing anisotropic diffusion on the CPU: one step, and the variation of a region (Numba).

With the differences d of its four neighbours to a pixel of value I, the instantaneous coefficient of variation is

    q^2 = (G / 2 I^2 - (S / 4 I)^2) / (1 + S / 4 I)^2 = (G / 2 - S^2 / 16) / m^2,   G = sum d^2,   S = sum d,

where m = I + S / 4 is the mean of the neighbours. So nothing need be divided by I, and the diffusion coefficient

    c = 1 / (1 + (q^2 - q0^2) / (q0^2 (1 + q0^2))) = q0^2 (1 + q0^2) m^2 / (q0^4 m^2 + G / 2 - S^2 / 16)

costs one division. It is never negative, since S^2 <= 4 G.

One thread: a step of a usual image takes less time than threads take to meet.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit

from usbeam.kernels.conventions import NUMBA_OPTIONS

TINY = np.float32(1e-30)
"""Keeps 0 / 0 away: where a pixel and its neighbours are all below 1e-15, nothing flows."""


def bordered(values: np.ndarray) -> np.ndarray:
    """A float32 copy as `step` takes it: the first and the last column stand twice.

    Parameters
    ----------
    values : (n_z, n_x)
    """
    return np.pad(values.astype(np.float32), ((0, 0), (1, 1)), mode="edge")


@njit(inline="always", **NUMBA_OPTIONS)
def _coefficients(above, row, below, low, high, out):
    """Diffusion coefficients of one row of pixels; low = q0^4, high = q0^2 (1 + q0^2)."""
    left, middle, right = row[:-2], row[1:-1], row[2:]
    north, south = above[1:-1], below[1:-1]
    for j in range(middle.size):
        value = middle[j]
        n, s, w, e = north[j] - value, south[j] - value, left[j] - value, right[j] - value
        quarter = np.float32(0.25) * (n + s + w + e)
        mean = value + quarter
        variance = np.float32(0.5) * (n * n + s * s + w * w + e * e) - quarter * quarter
        out[j] = min(high * mean * mean / (low * mean * mean + variance + TINY), np.float32(1))


@njit(**NUMBA_OPTIONS)
def step(image, out, q0_squared, rate):
    """One explicit step: ``out = image + rate (c d_north + c_south d_south + c d_west + c_east d_east)``.

    Nothing flows over the border, so that the sum of all pixels stays.

    Parameters
    ----------
    image : (n_z, n_x + 2) float32
        Not negative, from `bordered`; its largest value should be about 1.
    out : (n_z, n_x + 2) float32
        Filled, `bordered` likewise.
    q0_squared : (1,) float64
        Square of the speckle's coefficient of variation.
    rate : float
        A quarter of the time step; stable up to 1 / 4.
    """
    n_z, width = image.shape
    low, high = np.float32(q0_squared[0] * q0_squared[0]), np.float32(q0_squared[0] * (1 + q0_squared[0]))
    rate = np.float32(rate)
    # Two rows of coefficients. Right of the last pixel lies its copy: what the coefficient there is does not matter.
    work = np.zeros((2, width - 1), np.float32)
    _coefficients(image[0], image[0], image[min(1, n_z - 1)], low, high, work[0])
    for i in range(n_z):
        last, below = i % 2, min(i + 1, n_z - 1)
        # Below the last row lies its copy: the difference is 0, whatever the coefficient.
        _coefficients(image[i], image[below], image[min(i + 2, n_z - 1)], low, high, work[1 - last])
        left, middle, right = image[i, :-2], image[i, 1:-1], image[i, 2:]
        north, south = image[max(i - 1, 0), 1:-1], image[below, 1:-1]
        c, c_south, c_east, target = work[last], work[1 - last], work[last, 1:], out[i, 1:-1]
        for j in range(middle.size):
            value = middle[j]
            flow = c[j] * ((north[j] - value) + (left[j] - value))
            flow += c_south[j] * (south[j] - value) + c_east[j] * (right[j] - value)
            target[j] = value + rate * flow
        out[i, 0], out[i, -1] = target[0], target[-1]


@njit(**NUMBA_OPTIONS)
def squared_variation(image, top, bottom, left, right, out):
    """Variance over squared mean of the pixels ``[top:bottom, left:right]``.

    Parameters
    ----------
    image : (n_z, n_x + 2) float32
        From `bordered`.
    top, bottom, left, right : int
        The region, counted without the border, is not empty, and its mean is above 0.
    out : (1,) float64
        Filled.
    """
    total = squares = 0.0
    for i in range(top, bottom):
        row = image[i, left + 1 : right + 1]
        for j in range(row.size):
            value = np.float64(row[j])
            total += value
            squares += value * value
    size = (bottom - top) * (right - left)
    mean = total / size
    out[0] = max(0.0, squares / size - mean * mean) / (mean * mean)
