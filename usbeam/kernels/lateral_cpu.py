"""From lateral wavenumbers to columns of an image: a complex matrix product on Numba's threads.

A BLAS would do it, but its threads keep spinning for a while after a product and take the processors from the kernels
of the next image: a quarter of its time with two threads.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit, prange

from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lanes import N_LANES, broadcast, load, store

N_COLUMNS = 4
"""Columns that are summed together: their sums stay in registers."""
N_CELLS = N_LANES // 2
"""Complex cells in a vector."""


@njit(parallel=True, **NUMBA_OPTIONS)
def columns(phase, rows, out):
    """``out[x, i] = sum_n phase[n, x] rows[n, i]``.

    Parameters
    ----------
    phase : (n_n, n_x) complex64
        Contiguous; n_x a multiple of `N_COLUMNS`.
    rows : (n_n, n_cells) complex64
        Contiguous; n_cells a multiple of `N_CELLS`.
    out : (n_x, n_cells) complex64
        Filled.
    """
    n_n, n_cells = rows.shape
    n_x = phase.shape[1]
    phases, values = phase.view(np.float32).reshape(-1), rows.view(np.float32).reshape(-1)
    for group in prange(n_cells // N_CELLS):
        first = np.int64(group) * N_CELLS
        # Together in memory: all columns visit them.
        local = np.empty(n_n * N_LANES, np.float32)
        for n in range(n_n):
            store(local, n * N_LANES, load(values, 2 * (n * n_cells + first)))
        sums = np.empty(2 * N_COLUMNS * N_LANES, np.float32)
        for x in range(0, n_x, N_COLUMNS):
            zero = broadcast(phases, 0) - broadcast(phases, 0)
            # Real parts of the phases times the values, and imaginary parts, of four columns.
            r0, r1, r2, r3, s0, s1, s2, s3 = zero, zero, zero, zero, zero, zero, zero, zero
            for n in range(n_n):
                v = load(local, n * N_LANES)
                p = 2 * (n * n_x + x)
                r0, s0 = r0 + v * broadcast(phases, p), s0 + v * broadcast(phases, p + 1)
                r1, s1 = r1 + v * broadcast(phases, p + 2), s1 + v * broadcast(phases, p + 3)
                r2, s2 = r2 + v * broadcast(phases, p + 4), s2 + v * broadcast(phases, p + 5)
                r3, s3 = r3 + v * broadcast(phases, p + 6), s3 + v * broadcast(phases, p + 7)
            store(sums, 0, r0)
            store(sums, N_LANES, s0)
            store(sums, 2 * N_LANES, r1)
            store(sums, 3 * N_LANES, s1)
            store(sums, 4 * N_LANES, r2)
            store(sums, 5 * N_LANES, s2)
            store(sums, 6 * N_LANES, r3)
            store(sums, 7 * N_LANES, s3)
            for column in range(N_COLUMNS):
                for i in range(N_CELLS):
                    r = 2 * column * N_LANES + 2 * i
                    s = r + N_LANES
                    out[x + column, first + i] = complex(sums[r] - sums[s + 1], sums[r + 1] + sums[s])
