"""Sixteen floats that travel together: an explicit vector type for Numba.

Where sixteen signals are treated alike (sixteen frequencies of one trace, sixteen traces at one time), a kernel written
in `Lanes` does the arithmetic of all in one instruction where the processor has 512-bit vectors, and in two or four
where it has narrower ones. LLVM finds that by itself only for the simplest loops.

In a kernel, ``+``, ``-`` and ``*`` work on lanes, and between lanes and a float32. A *complex lane element* is 32
neighbouring floats, 16 real parts and then 16 imaginary parts.
"""

# Numba's extension interface and llvmlite carry no types.
# pyright: basic

from __future__ import annotations

import math
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.extending import models, overload, register_model

from usbeam.kernels.vectors import (
    CONTRACT,
    FLOAT,
    contiguous,
    intrinsic,
    load_vector,
    permute,
    pointer,
    shuffle,
    splat,
    store_vector,
)

N_LANES = 16
ELEMENT = 2 * N_LANES
"""Floats of a complex lane element."""

_VECTOR = ir.VectorType(FLOAT, N_LANES)


class LanesType(types.Type):
    """Numba's name for the vector."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: LanesType) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


@intrinsic
def load(typing_context, array, index):
    """Sixteen floats from ``array[index]`` on; no bound is checked.

    Parameters
    ----------
    array : 1-D contiguous float32
    index : int64
    """
    if not contiguous(array):
        return None

    def generate(context, builder, signature, arguments):
        return load_vector(builder, pointer(context, builder, signature.args[0], arguments[0], arguments[1], N_LANES))

    return LANES(array, types.int64), generate


@intrinsic
def broadcast(typing_context, array, index):
    """``array[index]`` in all sixteen lanes; no bound is checked.

    Parameters
    ----------
    array : 1-D contiguous float32
    index : int64
    """
    if not contiguous(array):
        return None

    def generate(context, builder, signature, arguments):
        at = pointer(context, builder, signature.args[0], arguments[0], arguments[1], 1)
        return permute(builder, load_vector(builder, at), [0] * N_LANES)

    return LANES(array, types.int64), generate


@intrinsic
def store(typing_context, array, index, value):
    """Write lanes to ``array[index]`` and on; no bound is checked.

    Parameters
    ----------
    array : 1-D contiguous float32
    index : int64
    value : Lanes
    """
    if not contiguous(array):
        return None

    def generate(context, builder, signature, arguments):
        array, at, lanes = arguments
        store_vector(builder, lanes, pointer(context, builder, signature.args[0], array, at, N_LANES))
        return context.get_dummy_value()

    return types.void(array, types.int64, LANES), generate


@intrinsic
def store_interleaved(typing_context, array, index, values):
    """Write ``a[0] b[0] ... a[1] b[1] ...`` to ``array[index]`` and on; no bound is checked.

    Parameters
    ----------
    array : 1-D contiguous float32
    index : int64
    values : tuple of 2 or 4 Lanes
        a, b, ...
    """
    if not contiguous(array):
        return None

    def generate(context, builder, signature, arguments):
        merged = [builder.extract_value(arguments[2], i) for i in range(len(values))]
        width = N_LANES
        while len(merged) > 1:  # a with c and b with d, then both: perfect shuffles
            half = len(merged) // 2
            order = [k + other for k in range(width) for other in (0, width)]
            merged = [shuffle(builder, merged[i], merged[i + half], order) for i in range(half)]
            width *= 2
        (value,) = merged
        array, at = arguments[:2]
        store_vector(builder, value, pointer(context, builder, signature.args[0], array, at, width))
        return context.get_dummy_value()

    return types.void(array, types.int64, values), generate


@intrinsic
def transpose(typing_context, source, start, step, target, out_start, out_step):
    """``target[out_start + j out_step + i] = source[start + i step + j]`` for i, j in range(16); no bound is checked.

    Parameters
    ----------
    source, target : 1-D contiguous float32
    start, step, out_start, out_step : int64
    """
    if not contiguous(source, target):
        return None

    def generate(context, builder, signature, arguments):
        kinds, at = signature.args, arguments

        def place(which, row):
            index = builder.add(at[which + 1], builder.mul(at[which + 2], ir.Constant(at[which + 2].type, row)))
            return pointer(context, builder, kinds[which], at[which], index, N_LANES)

        rows = [load_vector(builder, place(0, i)) for i in range(N_LANES)]
        half = N_LANES // 2
        # Four perfect shuffles of the 256 floats.
        for _ in range(4):
            rows = [
                shuffle(builder, rows[i], rows[i + half], [k + other for k in part for other in (0, N_LANES)])
                for i in range(half)
                for part in (range(half), range(half, N_LANES))
            ]
        for j, row in enumerate(rows):
            store_vector(builder, row, place(3, j))
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index), generate


def _arithmetic(instruction):
    @intrinsic
    def operation(typing_context, left, right):
        operands = tuple(LANES if argument == LANES else types.float32 for argument in (left, right))

        def generate(context, builder, signature, arguments):
            pairs = zip(signature.args, arguments, strict=True)
            a, b = (value if kind == LANES else splat(builder, value, N_LANES) for kind, value in pairs)
            return getattr(builder, instruction)(a, b, flags=CONTRACT)

        return LANES(*operands), generate

    def choose(left, right):
        if LANES in (left, right):
            return lambda left, right: operation(left, right)
        return None

    return choose


for _operator, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    overload(_operator)(_arithmetic(_instruction))


@intrinsic
def butterfly(typing_context, source, start, step, target, out_start, out_step, twiddles, first, radix):
    """Discrete Fourier transform of `radix` complex lane elements, each output times a factor.

    ``target[out_start + k out_step] = twiddles[first + k - 1] sum_j source[start + j step] exp(-2 pi i j k / radix)``,
    in elements; the factor of k = 0 is 1.

    Parameters
    ----------
    source, target : 1-D contiguous float32
        Complex lane elements; they must not overlap. No bound is checked.
    start, step, out_start, out_step : int64
        In elements.
    twiddles : 1-D contiguous complex64, or None
        None for factors of 1.
    first : int64
        First factor to use.
    radix : literal int
        Any; 2 to 5 are meant.
    """
    if not (isinstance(radix, types.IntegerLiteral) and contiguous(source, target)):
        return None
    n = radix.literal_value

    def generate(context, builder, signature, arguments):
        kinds, at = signature.args, arguments

        def constant(value):
            return ir.Constant(_VECTOR, [float(value)] * N_LANES)

        def add(a, b):
            return builder.fadd(a, b, flags=CONTRACT)

        def sub(a, b):
            return builder.fsub(a, b, flags=CONTRACT)

        def mul(a, b):
            return builder.fmul(a, b, flags=CONTRACT)

        def place(which, begin, stride, j, part):
            element = builder.add(at[begin], builder.mul(at[stride], ir.Constant(at[stride].type, j)))
            offset = builder.add(
                builder.mul(element, ir.Constant(element.type, ELEMENT)),
                ir.Constant(element.type, N_LANES * part),
            )
            return pointer(context, builder, kinds[which], at[which], offset, N_LANES)

        def factor(k):
            index = builder.add(at[7], ir.Constant(at[7].type, k - 1))
            pair = load_vector(builder, pointer(context, builder, kinds[6], at[6], index, 2))
            parts = [builder.extract_element(pair, ir.Constant(ir.IntType(32), part)) for part in (0, 1)]
            return [splat(builder, part, N_LANES) for part in parts]

        def put(k, real, imaginary):
            if k and kinds[6] != types.none:
                c, s = factor(k)
                real, imaginary = sub(mul(real, c), mul(imaginary, s)), add(mul(real, s), mul(imaginary, c))
            for part, value in enumerate((real, imaginary)):
                store_vector(builder, value, place(3, 4, 5, k, part))

        x = [[load_vector(builder, place(0, 1, 2, j, part)) for part in (0, 1)] for j in range(n)]
        half = (n - 1) // 2
        # Inputs j and n - j meet outputs k and n - k with the same cosines and sines.
        plus = [[add(x[j][part], x[n - j][part]) for part in (0, 1)] for j in range(1, half + 1)]
        minus = [[sub(x[j][part], x[n - j][part]) for part in (0, 1)] for j in range(1, half + 1)]
        for k in range(n // 2 + 1):
            even, odd = list(x[0]), [constant(0), constant(0)]
            if n % 2 == 0:
                even = [(sub if k % 2 else add)(x[0][part], x[n // 2][part]) for part in (0, 1)]
            for j in range(1, half + 1):
                angle = 2 * math.pi * ((j * k) % n) / n
                c, s = round(math.cos(angle), 15), round(math.sin(angle), 15)
                for part in (0, 1):
                    even[part] = _accumulate(builder, even[part], c, plus[j - 1][part])
                    odd[part] = _accumulate(builder, odd[part], s, minus[j - 1][part])
            # exp(-i a) (p + m) + exp(i a) (p - m) = 2 (p cos a - i m sin a)
            put(k, add(even[0], odd[1]), sub(even[1], odd[0]))
            if 0 < k < n - k:
                put(n - k, sub(even[0], odd[1]), add(even[1], odd[0]))
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index, twiddles, index, radix), generate


def _accumulate(builder, total, gain, value):
    """``total + gain * value`` for a constant gain, without the work that a gain of 0 or +-1 does not need."""
    if gain == 0:
        return total
    if gain in (1, -1):
        return (builder.fadd if gain == 1 else builder.fsub)(total, value, flags=CONTRACT)
    product = builder.fmul(ir.Constant(_VECTOR, [gain] * N_LANES), value, flags=CONTRACT)
    return builder.fadd(total, product, flags=CONTRACT)
