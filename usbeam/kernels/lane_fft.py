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

import numpy as np
from numba import njit

from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lanes import butterfly

RADICES = (5, 4, 3, 2)


def fast_length(least: int) -> int:
    """The smallest length of at least `least` that has no other prime factors than 2, 3 and 5."""
    length = max(1, least)
    while _radices(length) is None:
        length += 1
    return length


def _radices(length: int) -> list[int] | None:
    found: list[int] = []
    for radix in RADICES:
        while length % radix == 0:
            length //= radix
            found.append(radix)
    return found if length == 1 else None


def stages(length: int) -> tuple[np.ndarray, np.ndarray]:
    """What `transform` needs for a length: its radices and the twiddle factors of all stages in turn.

    Raises
    ------
    ValueError
        If the length has other prime factors than 2, 3 and 5.
    """
    radices = _radices(length)
    if radices is None:
        raise ValueError(f"{length} has a prime factor above 5; take fast_length({length})")
    twiddles = [np.ones(0, np.complex128)]
    remaining = length
    for radix in radices:
        p, k = np.mgrid[: remaining // radix, 1:radix]
        twiddles.append(np.exp(-2j * np.pi * p * k / remaining).ravel())
        remaining //= radix
    return np.array(radices, np.int64), np.concatenate(twiddles).astype(np.complex64)


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
    remaining, stride, first = data.size // 32, 1, 0
    for radix in radices:
        block = remaining // radix
        step = stride * block
        for p in range(block):
            for q in range(stride):
                i, o = q + stride * p, q + stride * radix * p
                if block == 1:
                    if radix == 5:
                        butterfly(data, i, step, work, o, stride, None, first, 5)
                    elif radix == 4:
                        butterfly(data, i, step, work, o, stride, None, first, 4)
                    elif radix == 3:
                        butterfly(data, i, step, work, o, stride, None, first, 3)
                    else:
                        butterfly(data, i, step, work, o, stride, None, first, 2)
                elif radix == 5:
                    butterfly(data, i, step, work, o, stride, twiddles, first, 5)
                elif radix == 4:
                    butterfly(data, i, step, work, o, stride, twiddles, first, 4)
                elif radix == 3:
                    butterfly(data, i, step, work, o, stride, twiddles, first, 3)
                else:
                    butterfly(data, i, step, work, o, stride, twiddles, first, 2)
            first += radix - 1
        data, work = work, data
        remaining = block
        stride *= radix
    return data
