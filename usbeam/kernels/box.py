"""Sums over squares of an image's rows (Numba)."""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

from numba import njit

from usbeam.kernels.conventions import NUMBA_OPTIONS


@njit(**NUMBA_OPTIONS)
def box_rows(differences, first, side, line, sums):
    """Sums over squares: `side` rows from `first` on, and from each column on as many columns.

    Parameters
    ----------
    differences : (n_rows, n_columns) float32
    first, side : int
    line : (n_columns,) float32
        Work space.
    sums : (n_columns - side + 1,) float32
        Filled.
    """
    line[:] = differences[first]
    for p in range(1, side):
        row = differences[first + p]
        for x in range(line.size):
            line[x] += row[x]
    sums[:] = 0
    for q in range(side):
        shifted = line[q : q + sums.size]
        for x in range(sums.size):
            sums[x] += shifted[x]
