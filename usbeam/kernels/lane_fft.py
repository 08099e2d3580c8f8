"""Fourier transforms of sixteen signals at a time, the signals side by side in vector lanes.

A transform along a short axis of a large array is limited by how it visits memory. Here the sixteen signals of a lane
element move as one vector, the whole transform stays in the first or second cache, and no element is ever rearranged:
Stockham's autosorting form with radices 5, 4, 3 and 2.

References
----------
Van Loan 1992, Computational Frameworks for the Fast Fourier Transform, SIAM, section 1.7.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import functools

import numpy as np
from numba import njit

from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lanes import butterfly

RADICES = (5, 4, 3, 2)


@functools.cache
def stages(length: int) -> tuple[np.ndarray, np.ndarray]:
    """What `transform` needs for a length: its radices and the twiddle factors of all stages in turn.

    Raises
    ------
    ValueError
        If the length is not a product of 2, 3 and 5.
    """
    radices: list[int] = []
    remaining = length
    for radix in RADICES:
        while remaining > 1 and remaining % radix == 0:
            remaining //= radix
            radices.append(radix)
    if remaining != 1:
        raise ValueError(f"{length} is no product of 2, 3 and 5; scipy.fft.next_fast_len(n, real=True) gives one")
    twiddles = [np.ones(0, np.complex128)]
    remaining = length
    for radix in radices:
        p, k = np.mgrid[: remaining // radix, 1:radix]
        twiddles.append(np.exp(-2j * np.pi * p * k / remaining).ravel())
        remaining //= radix
    return np.array(radices, np.int64), np.concatenate(twiddles).astype(np.complex64)


def _make_stage(radix):
    """One stage, compiled for its radix: the butterfly keeps all its inputs in registers."""

    @njit(**NUMBA_OPTIONS)
    def stage(data, out, stride, block, twiddles, first):
        step = stride * block
        for p in range(block):
            for q in range(stride):
                i, o = q + stride * p, q + stride * radix * p
                if block == 1:
                    butterfly(data, i, step, out, o, stride, None, first, radix)
                else:
                    butterfly(data, i, step, out, o, stride, twiddles, first, radix)
            first += radix - 1
        return first

    return stage


_five, _four, _three, _two = (_make_stage(radix) for radix in RADICES)


@njit(**NUMBA_OPTIONS)
def transform(data, work, radices, twiddles):
    """Forward transform of sixteen complex signals; returns whichever of the two buffers holds it.

    Parameters
    ----------
    data, work : (n * 32,) float32
        n complex lane elements, and as much room. Both are overwritten.
    radices, twiddles
        From `stages(n)`.
    """
    stride, block, first = 1, data.size // 32, 0
    for radix in radices:
        block //= radix
        if radix == 5:
            first = _five(data, work, stride, block, twiddles, first)
        elif radix == 4:
            first = _four(data, work, stride, block, twiddles, first)
        elif radix == 3:
            first = _three(data, work, stride, block, twiddles, first)
        else:
            first = _two(data, work, stride, block, twiddles, first)
        data, work = work, data
        stride *= radix
    return data
