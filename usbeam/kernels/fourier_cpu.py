"""The wavenumber algorithm on the CPU: spatial spectra, and gridding along kz (Numba).

Frequencies come in blocks of sixteen, side by side in vector lanes (`usbeam.kernels.lanes`). Each worker makes the
spatial spectrum of a block and grids it before it begins the next, so that what it works on stays in its cache and no
worker waits for another. Workers but the first add to cells of their own, which are summed at the end.

Vocabulary: *slot*, an element's place on the line, counted in pitches; *period*, the length L of the lateral transform
in pitches; *cell*, a step of the kz grid; *height*, kz of a leg in cells; *reach*, the largest |m| of a leg's
wavenumbers m dk in a block.
"""

# Numba carries no types.
# pyright: basic

from __future__ import annotations

import numpy as np
from numba import get_num_threads

from usbeam.kernels.lane_fft import stages
from usbeam.kernels.lane_gridding import make_full_matrix, make_plane_waves
from usbeam.kernels.lanes import ELEMENT


def _cells(out, n_workers):
    """The rows of `out` as plain numbers, for the first worker, and as many zeros for each further one."""
    cells = out.view(np.float32).reshape(len(out), -1)
    return cells, np.zeros((n_workers - 1, *cells.shape), np.float32)


def most_at_once():
    """Blocks of frequencies that can be at work at the same time."""
    return get_num_threads()


def full_matrix_bytes(n_tx, period, cell_bytes):
    """What `full_matrix` takes for each block at work.

    Parameters
    ----------
    n_tx, period : int
        Transmits, and length of the lateral transforms.
    cell_bytes : int
        Of `out`.
    """
    return 4 * ELEMENT * period * (period + n_tx + 2) + cell_bytes


def full_matrix(
    spectrum,
    first,
    receive_slot,
    transmit_slot,
    reach,
    transmit_leg,
    receive_leg,
    height,
    lowest,
    period,
    table,
    at_once,
    out,
):
    """Grid all pairs of a transmit's and a receiver's lateral wavenumber.

    For every n >= 0 the pairs (kt, kr) with kt + kr = n dk and those with -n dk, which have the same weights and
    heights; (kt, kr) and (kr, kt) have the same height.

    Parameters
    ----------
    spectrum : (n_blocks, n_pairs, 32) float32
        Complex lane elements, from `spectra_cpu.spectra`.
    first : (n_tx + 1,) int64
        Transmit i has the pairs ``first[i]:first[i + 1]``.
    receive_slot, transmit_slot : (n_pairs,), (n_tx,) int64
        Places on the line.
    reach : (n_blocks, 2) int64
        Of the transmit and the receive leg.
    transmit_leg, receive_leg : (n_blocks, n_m, 32) float32
        Complex lane elements: weight and phase of a leg with wavenumber +-m dk; 0 beyond the leg's own reach.
    height : (n_blocks, n_m, 16) float32
        kz of a leg, in cells above half of the block's lowest cell.
    lowest : (n_blocks,) int64
        Cell of `out` where a block begins.
    period : int
        Length of the lateral transforms.
    table : (n_rows, n_taps) float32
        Tap weights for each fraction of a cell; n_rows is a power of two.
    at_once : int
        Blocks that may be at work at the same time, at most `most_at_once()`; each takes `full_matrix_bytes`.
    out : (n_n, n_cells, 2) complex64
        Added to: the value for n, then that for -n (for n = 0 the same again).
    """
    cells, further = _cells(out, min(at_once, len(spectrum)))
    make_full_matrix(table.shape[1])(
        spectrum,
        first,
        receive_slot,
        transmit_slot,
        reach,
        transmit_leg,
        receive_leg,
        height,
        lowest,
        period,
        stages(period),
        table.reshape(-1),
        further,
        cells,
    )
    for each in further:
        cells += each


def plane_waves_bytes(n_tx, n_slots, period, cell_bytes):
    """What `plane_waves` takes for each block at work.

    Parameters
    ----------
    n_tx, n_slots, period : int
        Transmits, places of the line, and length of the lateral transforms.
    cell_bytes : int
        Of `out`.
    """
    return 4 * ELEMENT * (2 * period + n_slots) + cell_bytes


def plane_waves(spectrum, first, receive_slot, transmit, turn, rows, leg, height, lowest, period, table, at_once, out):
    """Grid the receivers' lateral wavenumbers of every plane wave.

    A plane wave has one lateral wavenumber kt, not on the grid of m dk. The traces are turned by exp(i kt x) before
    their transform, whose wavenumbers then are kr = n dk - kt for whole n.

    Parameters
    ----------
    spectrum, first, receive_slot, lowest, period, table, at_once
        As for `full_matrix`; a block takes `plane_waves_bytes`.
    transmit : (n_tx,) int64
        Rows of the tables that follow.
    turn : (n_blocks, n_waves, 32) float32
        Complex lane elements: exp(i kt pitch).
    rows : (n_blocks, n_waves, 2) int64
        Rows ``start:stop`` of `out` in which a transmit counts.
    leg : (n_blocks, n_waves, n_n, 32) float32
        Complex lane elements: weight and phase of the receive leg with kr = n dk - kt, transmit phase included.
    height : (n_blocks, n_waves, n_n, 16) float32
        kz of both legs together, in cells above the block's lowest.
    out : (n_n, n_cells) complex64
        Added to; the middle row is n = 0.
    """
    cells, further = _cells(out, min(at_once, len(spectrum)))
    make_plane_waves(table.shape[1])(
        spectrum,
        first,
        receive_slot,
        transmit,
        turn,
        rows,
        leg,
        height,
        lowest,
        period,
        stages(period),
        table.reshape(-1),
        further,
        cells,
    )
    for each in further:
        cells += each
