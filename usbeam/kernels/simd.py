"""Two Numba intrinsics: read a signal between its samples, and its transpose, as a few vector instructions each.

LLVM turns a gather or scatter loop over single floats into scalar code on most processors. The taps of one
interpolation are neighbours in memory, though: a complex64 trace read at sample i gives ``re[i] im[i] re[i+1] im[i+1]
...`` in one load. `accumulate_taps` multiplies those lanes with a row of complex tap weights and adds them, lane by
lane, to an accumulator of the same width; the lanes of one pixel are summed only once, after the whole receive
aperture. `spread_taps` adds four values to neighbouring cells of a grid in the same way.
"""

# Numba's extension interface and llvmlite carry no types.
# pyright: basic

from __future__ import annotations

from llvmlite import ir
from numba import types

from usbeam.kernels.vectors import (
    CONTRACT,
    contiguous,
    intrinsic,
    load_vector,
    permute,
    pointer,
    shuffle,
    splat,
    store_vector,
)


@intrinsic
def accumulate_taps(typing_context, accumulator, target, trace, sample, table, row, gain, n_taps):
    """``accumulator[target + k] += gain * table[row + k] * trace[sample + k]`` for k in range(n_taps).

    Parameters
    ----------
    accumulator, trace, table : 1-D contiguous complex64
        Output lanes, samples and tap weights. No bound is checked here.
    target, sample, row : int64
        First element of each.
    gain : float32
        Common factor; a literal 1 costs nothing.
    n_taps : literal int
        1, 2 or 4.
    """
    arrays = (accumulator, trace, table)
    if not (isinstance(n_taps, types.IntegerLiteral) and contiguous(*arrays, kind=types.complex64)):
        return None
    n_lanes = 2 * n_taps.literal_value

    def generate(context, builder, signature, arguments):
        array, at = signature.args, arguments
        lanes = pointer(context, builder, array[0], at[0], at[1], n_lanes)
        samples = load_vector(builder, pointer(context, builder, array[2], at[2], at[3], n_lanes))
        weights = load_vector(builder, pointer(context, builder, array[4], at[4], at[5], n_lanes))
        pairs = range(0, n_lanes, 2)
        real = permute(builder, weights, [k for k in pairs for _ in (0, 1)])
        imaginary = permute(builder, weights, [k + 1 for k in pairs for _ in (0, 1)])
        swapped = permute(builder, samples, [k + other for k in pairs for other in (1, 0)])
        straight = builder.fmul(real, samples, flags=CONTRACT)
        cross = builder.fmul(imaginary, swapped, flags=CONTRACT)
        # Even lanes (real parts) take the difference, odd lanes the sum: one fused add-subtract instruction.
        difference = builder.fsub(straight, cross, flags=CONTRACT)
        total = builder.fadd(straight, cross, flags=CONTRACT)
        value = shuffle(builder, difference, total, [k if k % 2 == 0 else n_lanes + k for k in range(n_lanes)])
        value = builder.fmul(splat(builder, at[6], n_lanes), value, flags=CONTRACT)
        store_vector(builder, builder.fadd(load_vector(builder, lanes), value, flags=CONTRACT), lanes)
        return context.get_dummy_value()

    index = types.int64
    return types.void(accumulator, index, trace, index, table, index, types.float32, n_taps), generate


@intrinsic
def spread_taps(typing_context, cells, cell, values, value, table, row, n_values, n_taps):
    """``cells[n_values (cell + k) + j] += table[row + k] * values[value + j]``, k < n_taps, j < n_values.

    Parameters
    ----------
    cells, values, table : 1-D contiguous float32
        Grid cells of some numbers each, values to spread, tap weights. No bound is checked here.
    cell, value, row : int64
        First element of each (the first counts cells).
    n_values, n_taps : literal int
        2 or 4 values; any number of taps.
    """
    literal = isinstance(n_values, types.IntegerLiteral) and isinstance(n_taps, types.IntegerLiteral)
    if not (literal and contiguous(cells, values, table)):
        return None
    width = n_values.literal_value

    def generate(context, builder, signature, arguments):
        array, at = signature.args, arguments

        def plus(index, constant):
            return builder.add(index, ir.Constant(index.type, constant))

        spread = load_vector(builder, pointer(context, builder, array[2], at[2], at[3], width))
        # One store per cell: a wider one across several cells would stall the next load of any of them.
        for k in range(n_taps.literal_value):
            first = builder.mul(plus(at[1], k), ir.Constant(at[1].type, width))
            lanes = pointer(context, builder, array[0], at[0], first, width)
            tap = load_vector(builder, pointer(context, builder, array[4], at[4], plus(at[5], k), 1))
            product = builder.fmul(spread, permute(builder, tap, [0] * width), flags=CONTRACT)
            store_vector(builder, builder.fadd(load_vector(builder, lanes), product, flags=CONTRACT), lanes)
        return context.get_dummy_value()

    index = types.int64
    return types.void(cells, index, values, index, table, index, n_values, n_taps), generate
