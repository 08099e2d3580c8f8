"""Groups of patches that look alike, and what low rank leaves of them (Numba)."""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from usbeam.kernels.box import box_rows
from usbeam.kernels.conventions import NUMBA_OPTIONS

TOGETHER = 16
"""Rows of patches whose distances to all others are in memory together."""


@njit(**NUMBA_OPTIONS)
def _row_distances(padded, y, columns, side, reach, out):
    """Fill the distances of a row of patches to all within reach; infinite where the image ends."""
    n_z, n_x, width = padded.shape[0], padded.shape[1] - 2 * reach, 2 * reach + 1
    out[:] = np.float32(np.inf)
    squares, line = np.empty((side, n_x), np.float32), np.empty(n_x, np.float32)
    sums = np.empty(n_x - side + 1, np.float32)
    for dy in range(max(-reach, -y), min(reach, n_z - side - y) + 1):
        for dx in range(-reach, reach + 1):
            for p in range(side):
                here = padded[y + p, reach : reach + n_x]
                there = padded[y + dy + p, reach + dx : reach + dx + n_x]
                target = squares[p]
                for x in range(n_x):
                    difference = here[x] - there[x]
                    target[x] = difference * difference
            box_rows(squares, 0, side, line, sums)
            n = (dy + reach) * width + dx + reach
            for c in range(columns.size):
                if 0 <= columns[c] + dx < sums.size:
                    out[c, n] = sums[columns[c]]
    out[:, reach * width + reach] = -1.0  # itself always


@njit(parallel=True, **NUMBA_OPTIONS)
def _distances(padded, rows, columns, side, reach, out):
    for r in prange(rows.size):
        _row_distances(padded, rows[r], columns, side, reach, out[r])


def match(guidance, rows, columns, side, reach, similar):
    """The nearest patches of each patch, by squared differences of the guidance.

    Parameters
    ----------
    guidance : (n_z, n_x) float32
    rows, columns : (n,) int64
        First pixels of the patches.
    side : int
        Pixels of a patch, each way.
    reach : int
        Patches are sought up to so many pixels away, within the image.
    similar : int
        How many to find, the patch itself among them; at least as many must lie within reach of a corner.

    Returns
    -------
    (n_rows, n_columns, similar) int32
        First pixels of the patches found, as indices of the flat image.
    """
    padded, width = np.pad(guidance, ((0, 0), (reach, reach))), 2 * reach + 1
    places = np.empty((rows.size, columns.size, similar), np.int32)
    for first in range(0, rows.size, TOGETHER):
        some = rows[first : first + TOGETHER]
        distances = np.empty((some.size, columns.size, width**2), np.float32)
        _distances(padded, some, columns, side, reach, distances)
        dy, dx = np.divmod(np.argpartition(distances, similar - 1)[..., :similar], width)
        y, x = some[:, None, None] + dy - reach, columns[:, None] + dx - reach
        places[first : first + TOGETHER] = y * guidance.shape[1] + x
    return places


@njit(**NUMBA_OPTIONS)
def _gather(image, places, side, group):
    """Fill the rows of `group` with the patches at `places`."""
    n_x = image.shape[1]
    for j in range(places.size):
        y, x = places[j] // n_x, places[j] % n_x
        for p in range(side):
            for q in range(side):
                group[j, p * side + q] = image[y + p, x + q]


@njit(**NUMBA_OPTIONS)
def _gram(group):
    """The products of the columns of `group`."""
    n = group.shape[1]
    gram = np.zeros((n, n))
    for j in range(group.shape[0]):
        row = group[j]
        for a in range(n):
            target, factor = gram[a], row[a]
            for b in range(n):
                target[b] += factor * row[b]
    return gram


@njit(**NUMBA_OPTIONS)
def _spectrum(image, places, side, out):
    """Fill the singular values of one group."""
    group = np.empty((places.size, side * side))
    _gather(image, places, side, group)
    values = np.linalg.eigvalsh(_gram(group))
    for i in range(out.size):
        out[i] = math.sqrt(max(values[out.size - 1 - i], 0.0))


@njit(parallel=True, **NUMBA_OPTIONS)
def spectra(image, places, side):
    """Singular values of groups of patches.

    Parameters
    ----------
    image : (n_z, n_x) float64
    places : (n, similar) int32
        As found by `match`.
    side : int

    Returns
    -------
    (n, side**2) float64
        Falling.
    """
    out = np.empty((places.shape[0], side * side))
    for g in prange(places.shape[0]):
        _spectrum(image, places[g], side, out[g])
    return out


@njit(**NUMBA_OPTIONS)
def _project(group, values, vectors, free, level, out):
    """Shrink the singular values of `group`, given the eigenvalues (rising) and vectors of its Gram matrix."""
    out[:] = 0
    n = values.size
    along = np.empty(n)
    for i in range(n):
        k = n - 1 - i
        gain = 1.0
        if i >= free:
            if values[k] <= level * level or values[k] <= 0.0:
                break
            gain = 0.5 + 0.5 * math.sqrt(1.0 - level * level / values[k])
        for a in range(n):
            along[a] = vectors[a, k]
        for j in range(group.shape[0]):
            row, target = group[j], out[j]
            amount = 0.0
            for a in range(n):
                amount += row[a] * along[a]
            amount *= gain
            for a in range(n):
                target[a] += amount * along[a]


@njit(**NUMBA_OPTIONS)
def recover(group, free, level, outlier, steps, out):
    """The low-rank part of a group of patches, some of which do not belong.

    Parameters
    ----------
    group : (n, side**2) float64
        A patch per row.
    free : int
        The largest singular values, so many, are kept as they are.
    level : float
        Others below this become zero; above it they shrink, large ones less.
    outlier : float
        A patch that is so many times as far from its low-rank part as the median patch does not belong: it no longer
        counts.
    steps : int
        How often outliers are sought.
    out : like group
        Filled.
    """
    values, vectors = np.linalg.eigh(_gram(group))
    _project(group, values, vectors, free, np.inf, out)
    kept, squares = group.copy(), np.empty(group.shape[0])
    for _ in range(steps):
        for j in range(group.shape[0]):
            squares[j] = 0.0
            for a in range(group.shape[1]):
                squares[j] += (group[j, a] - out[j, a]) ** 2
        most = outlier * outlier * np.median(squares)
        outliers = 0
        for j in range(group.shape[0]):
            if squares[j] > most:
                kept[j] = out[j]
                outliers += 1
            else:
                kept[j] = group[j]
        if outliers == 0:
            _project(group, values, vectors, free, level, out)
            return
        values, vectors = np.linalg.eigh(_gram(kept))
        _project(kept, values, vectors, free, level, out)


@njit(**NUMBA_OPTIONS)
def _row_estimates(image, places, top, side, free, level, outlier, steps, out):
    """Add what one row of patches has to say; `out` begins at image row `top`."""
    n_x = image.shape[1]
    group = np.empty((places.shape[1], side * side))
    low = np.empty_like(group)
    for c in range(places.shape[0]):
        _gather(image, places[c], side, group)
        recover(group, free, level, outlier, steps, low)
        for j in range(places.shape[1]):
            y, x = places[c, j] // n_x - top, places[c, j] % n_x
            for p in range(side):
                for q in range(side):
                    out[0, y + p, x + q] += low[j, p * side + q]
                    out[1, y + p, x + q] += 1.0


@njit(parallel=True, **NUMBA_OPTIONS)
def estimates(image, places, rows, side, reach, free, level, outlier, steps):
    """Low-rank parts of the groups of some rows of patches, put back where the patches are from.

    Parameters
    ----------
    image : (n_z, n_x) float64
    places : (n_rows, n_columns, similar) int32
        As found by `match`, for the rows `rows`.
    rows : (n_rows,) int64
    side, reach, free, level, outlier, steps
        As in `match` and `recover`.

    Returns
    -------
    (2, n_rows, side + 2 reach, n_x) float64
        Sums of estimates, and how many: for each row of patches apart, from image row ``rows[r] - reach`` on.
    """
    out = np.zeros((2, rows.size, side + 2 * reach, image.shape[1]))
    for r in prange(rows.size):
        _row_estimates(image, places[r], rows[r] - reach, side, free, level, outlier, steps, out[:, r])
    return out
