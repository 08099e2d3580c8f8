"""Blockwise non-local means with Pearson distances (Numba).

The blocks' loop and the search's loop are exchanged: for one offset after the other, the distances of all blocks to
their neighbours at that offset share one image of squared differences, of which each distance is a box sum. Likewise
a pixel's estimate is a sum over offsets of the pixel found there, times the weights of all blocks that cover it. Bands
of image rows go to the threads; a band computes the weights of every block that reaches into it and alone fills its
pixels, so that the number of threads changes nothing.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from usbeam.kernels.box import box_rows
from usbeam.kernels.conventions import NUMBA_OPTIONS

BAND = 64
"""Image rows that are done together: more need more memory, fewer compute more of their neighbours' weights again."""


@njit(**NUMBA_OPTIONS)
def _squares(padded, inverse, top, dy, dx, reach, out):
    """Squared differences of the pixels from row `top` on to those at an offset, times the inverse there."""
    width = out.shape[1]
    for y in range(out.shape[0]):
        here = padded[top + y, reach : reach + width]
        there = padded[top + y + dy, reach + dx : reach + dx + width]
        scale = inverse[top + y + dy, reach + dx : reach + dx + width]
        target = out[y]
        for x in range(width):
            difference = here[x] - there[x]
            target[x] = difference * difference * scale[x]


@njit(**NUMBA_OPTIONS)
def _distances(padded, inverse, mean, variance, rows, columns, half, reach, ratios, found, least):
    """Fill the patch distances of the blocks of a band to every neighbour; infinite where there is none."""
    n_z, n_x = mean.shape
    side = 2 * half + 1
    squares = np.empty((rows[-1] - rows[0] + side, n_x + 2 * half), np.float32)
    line, sums = np.empty(squares.shape[1], np.float32), np.empty(n_x, np.float32)
    share = np.float32(1 / side**2)
    least[:] = np.inf
    n = 0
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy == 0 and dx == 0:
                continue
            _squares(padded, inverse, reach + rows[0], dy, dx, reach, squares)
            for i in range(rows.size):
                y = rows[i]
                if not 0 <= y + dy < n_z:
                    found[n, i] = np.inf
                    continue
                box_rows(squares, y - rows[0], side, line, sums)
                for j in range(columns.size):
                    x = columns[j]
                    distance = np.float32(np.inf)
                    if 0 <= x + dx < n_x:
                        m, other = mean[y, x], mean[y + dy, x + dx]
                        v, spread = variance[y, x], variance[y + dy, x + dx]
                        if min(m, other) >= ratios[0] * max(m, other) and min(v, spread) >= ratios[1] * max(v, spread):
                            distance = share * sums[x]
                    found[n, i, j] = distance
                    least[i, j] = min(least[i, j], distance)
            n += 1


@njit(**NUMBA_OPTIONS)
def _weights(found, least, decay):
    """Turn distances into weights that sum to one with the centre's, which is that of the nearest; return the latter.

    Weights are taken relative to the largest: so none is lost to rounding where all neighbours are far.
    """
    total = np.ones(least.shape, np.float32)
    for n in range(found.shape[0]):
        for i in range(least.shape[0]):
            for j in range(least.shape[1]):
                distance = found[n, i, j]
                weight = np.float32(0)
                if distance < np.inf:
                    weight = math.exp((least[i, j] - distance) * decay)
                found[n, i, j] = weight
                total[i, j] += weight
    for i in range(least.shape[0]):
        for j in range(least.shape[1]):
            total[i, j] = 1 / total[i, j]
    for n in range(found.shape[0]):
        for i in range(least.shape[0]):
            for j in range(least.shape[1]):
                found[n, i, j] *= total[i, j]
    return total


@njit(**NUMBA_OPTIONS)
def _add(weight, padded, dy, dx, reach, rows, columns, half, top, out):
    """Add the pixels at an offset, each times the weights of all blocks that cover the place where it goes."""
    n_x = out.shape[1]
    line, spread = np.empty(columns.size, np.float32), np.zeros(n_x + 2 * half, np.float32)
    covering = np.empty(n_x, np.float32)
    for k in range(out.shape[0]):
        y = top + k
        line[:] = 0
        for i in range(rows.size):
            if abs(rows[i] - y) <= half:
                row = weight[i]
                for j in range(line.size):
                    line[j] += row[j]
        for j in range(line.size):
            spread[half + columns[j]] = line[j]
        covering[:] = 0
        for q in range(2 * half + 1):
            shifted = spread[q : q + n_x]
            for x in range(n_x):
                covering[x] += shifted[x]
        first = reach + half + dx
        there = padded[reach + half + y + dy, first : first + n_x]
        target = out[k]
        for x in range(n_x):
            target[x] += covering[x] * there[x]


@njit(**NUMBA_OPTIONS)
def _covering(centres, place, half):
    """How many blocks cover a place."""
    count = np.float32(0)
    for centre in centres:
        if abs(centre - place) <= half:
            count += np.float32(1)
    return count


@njit(**NUMBA_OPTIONS)
def _band(padded, inverse, mean, variance, rows, columns, half, reach, decay, ratios, top, out):
    """Fill the rows of a band, from `top` on."""
    n_x = mean.shape[1]
    part = out[top : top + BAND]
    across = np.empty(n_x, np.float32)
    for x in range(n_x):
        across[x] = _covering(columns, x, half)
    near = rows[np.searchsorted(rows, top - half) : np.searchsorted(rows, top + part.shape[0] + half)]
    found = np.empty(((2 * reach + 1) ** 2 - 1, near.size, columns.size), np.float32)
    least = np.empty((near.size, columns.size), np.float32)
    _distances(padded, inverse, mean, variance, near, columns, half, reach, ratios, found, least)
    centre = _weights(found, least, decay)
    n = 0
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy == 0 and dx == 0:
                _add(centre, padded, dy, dx, reach, near, columns, half, top, part)
            else:
                _add(found[n], padded, dy, dx, reach, near, columns, half, top, part)
                n += 1
    for k in range(part.shape[0]):
        down = _covering(near, top + k, half)
        for x in range(n_x):
            part[k, x] /= down * across[x]


@njit(parallel=True, **NUMBA_OPTIONS)
def blockwise_means(padded, inverse, mean, variance, rows, columns, half, reach, decay, ratios):
    """Mean over all blocks that cover a pixel of their weighted means over the patches around them.

    Parameters
    ----------
    padded : (n_z + 2 (half + reach), n_x + 2 (half + reach)) float32
        Pixels with a margin, mirrored.
    inverse : like padded
        What a squared difference to a pixel is multiplied with.
    mean, variance : (n_z, n_x) float32
        Of the patch around a pixel, not negative.
    rows, columns : (n,) int64
        Centres of blocks, ascending; together the blocks cover every pixel.
    half : int
        A patch has 2 half + 1 pixels a side.
    reach : int
        Patches are compared up to so many pixels away, if their centre lies in the image.
    decay : float32
        The weight is exp(-decay d), d the mean of the patch's scaled squared differences.
    ratios : (2,) float32
        The smaller mean and variance of two patches that are compared are at least so much of the larger.

    Returns
    -------
    (n_z, n_x) float32
    """
    out = np.zeros(mean.shape, np.float32)
    for band in prange((mean.shape[0] + BAND - 1) // BAND):
        _band(padded, inverse, mean, variance, rows, columns, half, reach, decay, ratios, band * BAND, out)
    return out
