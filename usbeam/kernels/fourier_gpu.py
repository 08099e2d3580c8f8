"""The wavenumber algorithm on the GPU: the twin of `usbeam.kernels.fourier_cpu`, its transforms by cuFFT.

All blocks of frequencies are at work at the same time, or as many as memory holds; gridding has two forms, which are
described in ``fourier.cu``.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

_LANES = 16
VARIANTS = tuple(Variant("fourier.cu", (("N_TAPS", n_taps),)) for n_taps in (2, 4, 6))
"""For the numbers of taps that are known to be useful; others compile like them."""

_GROUP, _PARTS = 8, 16
"""Blocks of frequencies for which a block of threads works, and threads that share the waves of a frequency."""
_ROOM = 24 << 10
"""Bytes of the cells that a block of threads shares, where a row has so many: two blocks fit on the smallest GPUs."""


def most_at_once():
    """As `usbeam.kernels.fourier_cpu.most_at_once`: as many as memory holds."""
    return 1 << 30


def full_matrix_bytes(n_tx, period, cell_bytes):
    """As `usbeam.kernels.fourier_cpu.full_matrix_bytes`: spectra, and as much for the transform itself."""
    return 2 * 8 * _LANES * period**2


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
    """As `usbeam.kernels.fourier_cpu.full_matrix`, arrays of CuPy; a period of any length."""
    pairs, legs = (first, receive_slot, transmit_slot), (reach, transmit_leg, receive_leg, height, lowest)
    _full_matrix("rows", spectrum, pairs, legs, period, table, at_once, out)


def _full_matrix(form, spectrum, pairs, legs, period, table, at_once, out):
    """As `full_matrix`, in one of the forms."""
    import cupy

    variant, (n_n, n_cells, _), n_m = _variant(table), out.shape, legs[-2].shape[1]
    for blocks in _chunks(len(spectrum), at_once):
        some = spectrum[blocks]
        n_blocks, n_pairs, _ = some.shape
        lines = cupy.zeros((period, period, n_blocks, _LANES), np.complex64)
        sizes = (n_blocks, n_pairs, len(pairs[-1]), period)
        launch(
            kernel(variant, "place_full_matrix"),
            (n_pairs * _LANES, n_blocks),
            (128, 1),
            some,
            *pairs,
            *map(np.int32, sizes),
            lines,
        )
        facts = (_transformed(lines), *(each[blocks] for each in legs), *map(np.int32, (n_blocks, n_m, period)))
        _grid(variant, f"full_matrix_{form}", facts, n_blocks, n_m, n_n, n_cells, table, out)


def plane_waves_bytes(n_tx, n_slots, period, cell_bytes):
    """As `usbeam.kernels.fourier_cpu.plane_waves_bytes`: spectra, and as much for the transform itself."""
    return 2 * 8 * _LANES * period * n_tx


def plane_waves(spectrum, first, receive_slot, transmit, turn, rows, leg, height, lowest, period, table, at_once, out):
    """As `usbeam.kernels.fourier_cpu.plane_waves`, arrays of CuPy; a period of any length."""
    _plane_waves(
        "rows",
        spectrum,
        (first, receive_slot, transmit),
        (turn, rows, leg, height, lowest),
        period,
        table,
        at_once,
        out,
    )


def _plane_waves(form, spectrum, pairs, waves, period, table, at_once, out):
    """As `plane_waves`, in one of the forms."""
    import cupy

    variant, (n_n, n_cells), transmit = _variant(table), out.shape, pairs[-1]
    n_tx, n_waves = len(transmit), waves[0].shape[1]
    for blocks in _chunks(len(spectrum), at_once):
        some = spectrum[blocks]
        n_blocks, n_pairs, _ = some.shape
        turn, *tables = (each[blocks] for each in waves)
        # As an image one column wide: cuFFT takes that as it lies; CuPy would transpose a line before and after.
        lines = cupy.zeros((period, 1, n_blocks, n_tx, _LANES), np.complex64)
        launch(
            kernel(variant, "place_plane_waves"),
            (n_pairs * _LANES, n_blocks),
            (128, 1),
            some,
            *pairs,
            turn,
            *map(np.int32, (n_blocks, n_pairs, n_tx, n_waves, period)),
            lines,
        )
        sizes = (n_blocks, n_tx, n_waves, n_n, period)
        facts = (_transformed(lines), transmit, *tables, *map(np.int32, sizes))
        _grid(variant, f"plane_waves_{form}", facts, n_blocks, n_tx, n_n, n_cells, table, out)


def _variant(table):
    return Variant("fourier.cu", (("N_TAPS", table.shape[1]),))


def _chunks(n_blocks, at_once):
    return [slice(start, min(start + at_once, n_blocks)) for start in range(0, n_blocks, at_once)]


def _transformed(lines):
    """Over the first two axes."""
    from cupyx.scipy import fft

    return fft.fft2(lines, axes=(0, 1), overwrite_x=True)


def _grid(variant, name, facts, n_blocks, n_across, n_n, n_cells, table, out):
    """Launch a form of gridding; `n_across` is the number of waves of a frequency that a row may have."""
    if name.endswith("values"):
        threads, block, share, shared_bytes = (n_across * _LANES, n_n, n_blocks), (128, 1, 1), (), 0
    else:
        cell_bytes = out.nbytes // (n_n * n_cells)
        room = min(n_cells, _ROOM // cell_bytes)
        threads, block = (n_n * _LANES, -(-n_blocks // _GROUP) * _PARTS), (_LANES, _PARTS)
        share, shared_bytes = (_GROUP, room), room * cell_bytes
    sizes = map(np.int32, (len(table), n_cells, *share))
    launch(kernel(variant, name), threads, block, *facts, table, *sizes, out, shared_bytes=shared_bytes)
