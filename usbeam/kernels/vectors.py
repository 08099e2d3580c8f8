"""LLVM vectors: the pieces that Numba intrinsics of this package are written with."""

# Numba's extension interface and llvmlite carry no types.
# pyright: basic

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import extending
from numba.np import arrayobj

FLOAT = ir.FloatType()
CONTRACT = ("contract",)
"""A product and a sum may be fused."""
intrinsic: Any = extending.intrinsic
"""Typed as anything: callers do not pass the first parameter of what it decorates, which type checkers cannot know."""


def contiguous(*arrays: types.Type, kind: Any = types.float32) -> bool:
    """Whether these are contiguous arrays of one type of number: nothing else may be read as vectors."""
    return all(isinstance(array, types.Array) and array.dtype == kind and array.layout == "C" for array in arrays)


def pointer(context, builder, array_type, array, index, n_lanes):
    """To `n_lanes` floats that start at an element of an array; no bound is checked."""
    data = arrayobj.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(FLOAT, n_lanes).as_pointer())


def load_vector(builder, at):
    """From an address that need not be aligned."""
    vector = builder.load(at)
    vector.align = 4
    return vector


def store_vector(builder, vector, at):
    """To an address that need not be aligned."""
    builder.store(vector, at).align = 4


def shuffle(builder, first, second, order):
    """Lanes of two vectors, counted through, in a given order."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(first, second, mask)


def permute(builder, vector, order):
    """Lanes of one vector in a given order."""
    return shuffle(builder, vector, ir.Constant(vector.type, ir.Undefined), order)


def splat(builder, scalar, n_lanes):
    """A scalar in every lane."""
    vector = ir.Constant(ir.VectorType(scalar.type, n_lanes), ir.Undefined)
    return permute(builder, builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), 0)), [0] * n_lanes)
