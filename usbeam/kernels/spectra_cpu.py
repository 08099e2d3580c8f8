"""Spectra of traces on the CPU, sixteen or thirty-two traces at a time, and only the bins in the pass-band (Numba)."""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lane_fft import stages, transform
from usbeam.kernels.lanes import ELEMENT, N_LANES, load, store, transpose


def spectra(rows, source, weight, owner, first_sample, factor, first_bin, n_fft, work_bytes, out):
    """Spectra of weighted sums of traces, in blocks of sixteen frequencies.

    Parameters
    ----------
    rows : (n_rows, n_samples) float32, int16 or complex64
        Traces as recorded.
    source, weight : (n_pairs, 2) int64, float32
        Rows to add, and their weights; a second row below 0 is none.
    owner : (n_pairs,) int64
        Transmit of each pair, for the two parameters that follow.
    first_sample : (n_tx,) int64
        Sample that comes first in the transform, may be negative; what lies outside the record is 0.
    factor : (n_tx, n_blocks, 32) float32
        Complex lane elements that multiply each spectrum: time shift, scale, 0 outside the pass-band.
    first_bin : int
        Bin of the first frequency; negative ones count from the end.
    n_fft : int
        Length of the transform, a product of 2, 3 and 5.
    work_bytes : int
        Room for traces that are being transformed; as many at a time as fit, but a few at least.
    out : (n_blocks, n_pairs, 32) float32
        Complex lane elements, filled.
    """
    per_worker = 8 * ELEMENT * (n_fft + N_LANES)
    n_workers = max(1, min(get_num_threads(), work_bytes // per_worker))
    _spectra(rows, source, weight, owner, first_sample, factor, first_bin, n_fft, stages(n_fft), n_workers, out)


@njit(parallel=True, **NUMBA_OPTIONS)
def _spectra(rows, source, weight, owner, first_sample, factor, first_bin, n_fft, stages, n_workers, out):
    """As `spectra`, by so many workers side by side."""
    radices, twiddles = stages
    is_complex = np.iscomplexobj(rows)
    n_pairs = source.shape[0]
    # Two real traces share one complex transform.
    per_group = N_LANES if is_complex else 2 * N_LANES
    n_groups = (n_pairs + per_group - 1) // per_group
    length = (n_fft + N_LANES - 1) // N_LANES * N_LANES
    for worker in prange(n_workers):
        data = np.empty(length * ELEMENT, np.float32)
        work = np.empty(length * ELEMENT, np.float32)
        tile = np.empty(N_LANES * 2 * ELEMENT, np.float32)
        for group in range(worker, n_groups, n_workers):
            begin = group * per_group
            count = min(per_group, n_pairs - begin)
            work[:] = 0
            for lane in range(count):
                p = begin + lane
                _sum_traces(rows, source[p], weight[p], first_sample[owner[p]], n_fft, work, lane * length, length)
            for part in (0, N_LANES):
                for k in range(0, length, N_LANES):
                    transpose(work, part * length + k, length, data, k * ELEMENT + part, ELEMENT)
            result = transform(data[: n_fft * ELEMENT], work[: n_fft * ELEMENT], radices, twiddles)
            for block in range(out.shape[0]):
                _split(result, n_fft, first_bin + block * N_LANES, is_complex, tile)
                for lane in range(count):
                    p = begin + lane
                    at = lane * N_LANES
                    xr, xi = load(tile, at), load(tile, at + N_LANES * ELEMENT)
                    f = factor[owner[p], block]
                    fr, fi = load(f, 0), load(f, N_LANES)
                    store(out[block, p], 0, xr * fr - xi * fi)
                    store(out[block, p], N_LANES, xr * fi + xi * fr)


@njit(**NUMBA_OPTIONS)
def _sum_traces(rows, source, weight, start, n_fft, out, at, length):
    """Add one or two weighted traces: real parts from ``out[at]`` on, imaginary parts sixteen rows further."""
    low, high = max(0, -start), min(n_fft, rows.shape[1] - start)
    for which in range(2):
        if low < high and source[which] >= 0:
            gain, row = weight[which], rows[source[which], start + low : start + high]
            real = out[at + low : at + high]
            for k in range(real.size):
                real[k] += gain * row[k].real
            if np.iscomplexobj(rows):
                imaginary = out[at + N_LANES * length + low : at + N_LANES * length + high]
                for k in range(imaginary.size):
                    imaginary[k] += gain * row[k].imag


@njit(**NUMBA_OPTIONS)
def _split(result, n_fft, first_bin, is_complex, tile):
    """Sixteen bins of each trace: ``tile[part, trace, bin]``, 32 traces with room for 16 complex ones.

    Where two real traces were transformed as one complex signal, its Hermitian part is the spectrum of the first, its
    anti-Hermitian part that of the second.
    """
    half = np.float32(0.5)
    rows = np.empty(4 * N_LANES * N_LANES, np.float32)
    step = N_LANES * N_LANES
    for w in range(N_LANES):
        bin_ = (first_bin + w) % n_fft
        at, to = bin_ * ELEMENT, w * N_LANES
        zr, zi = load(result, at), load(result, at + N_LANES)
        if is_complex:
            store(rows, to, zr)
            store(rows, to + step, zi)
        else:
            at = (n_fft - bin_) % n_fft * ELEMENT
            yr, yi = load(result, at), load(result, at + N_LANES)
            store(rows, to, half * (zr + yr))
            store(rows, to + step, half * (zi - yi))
            store(rows, to + 2 * step, half * (zi + yi))
            store(rows, to + 3 * step, half * (yr - zr))
    for trace, part in ((0, 0), (0, 1), (1, 0), (1, 1)):
        source = (2 * trace + part) * step
        transpose(rows, source, N_LANES, tile, (2 * part + trace) * step, N_LANES)
