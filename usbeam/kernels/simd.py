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

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import extending
from numba.np import arrayobj

_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_CONTRACT = ("contract",)
intrinsic: Any = extending.intrinsic  # callers do not pass the first parameter, which type checkers cannot know


def _lanes(context, builder, array_type, array, index, n_lanes):
    """Pointer to `n_lanes` floats that start at complex element `index`; no bounds check."""
    data = arrayobj.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_FLOAT, n_lanes).as_pointer())


def _load(builder, pointer):
    vector = builder.load(pointer)
    vector.align = 4
    return vector


def _shuffle(builder, vector, order):
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


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
    if not isinstance(n_taps, types.IntegerLiteral):
        return None
    n_lanes = 2 * n_taps.literal_value

    def generate(context, builder, signature, arguments):
        array, at = signature.args, arguments
        pointer = _lanes(context, builder, array[0], at[0], at[1], n_lanes)
        samples = _load(builder, _lanes(context, builder, array[2], at[2], at[3], n_lanes))
        weights = _load(builder, _lanes(context, builder, array[4], at[4], at[5], n_lanes))
        vector = ir.VectorType(_FLOAT, n_lanes)
        pairs = range(0, n_lanes, 2)
        real = _shuffle(builder, weights, [k for k in pairs for _ in (0, 1)])
        imaginary = _shuffle(builder, weights, [k + 1 for k in pairs for _ in (0, 1)])
        swapped = _shuffle(builder, samples, [k + other for k in pairs for other in (1, 0)])
        straight = builder.fmul(real, samples, flags=_CONTRACT)
        cross = builder.fmul(imaginary, swapped, flags=_CONTRACT)
        # Even lanes (real parts) take the difference, odd lanes the sum: one fused add-subtract instruction.
        difference = builder.fsub(straight, cross, flags=_CONTRACT)
        total = builder.fadd(straight, cross, flags=_CONTRACT)
        value = builder.shuffle_vector(
            difference,
            total,
            ir.Constant(
                ir.VectorType(ir.IntType(32), n_lanes), [k if k % 2 == 0 else n_lanes + k for k in range(n_lanes)]
            ),
        )
        factor = _shuffle(
            builder,
            builder.insert_element(ir.Constant(vector, ir.Undefined), at[6], ir.Constant(ir.IntType(32), 0)),
            [0] * n_lanes,
        )
        value = builder.fmul(factor, value, flags=_CONTRACT)
        builder.store(builder.fadd(_load(builder, pointer), value, flags=_CONTRACT), pointer).align = 4
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
    if not (isinstance(n_values, types.IntegerLiteral) and isinstance(n_taps, types.IntegerLiteral)):
        return None
    width = n_values.literal_value

    def generate(context, builder, signature, arguments):
        array, at = signature.args, arguments

        def plus(index, constant):
            return builder.add(index, ir.Constant(index.type, constant))

        spread = _load(builder, _lanes(context, builder, array[2], at[2], at[3], width))
        # One store per cell: a wider one across several cells would stall the next load of any of them.
        for k in range(n_taps.literal_value):
            first = builder.mul(plus(at[1], k), ir.Constant(at[1].type, width))
            pointer = _lanes(context, builder, array[0], at[0], first, width)
            tap = _load(builder, _lanes(context, builder, array[4], at[4], plus(at[5], k), 1))
            product = builder.fmul(spread, _shuffle(builder, tap, [0] * width), flags=_CONTRACT)
            builder.store(builder.fadd(_load(builder, pointer), product, flags=_CONTRACT), pointer).align = 4
        return context.get_dummy_value()

    index = types.int64
    return types.void(cells, index, values, index, table, index, n_values, n_taps), generate
