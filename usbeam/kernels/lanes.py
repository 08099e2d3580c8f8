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
from numba.core import extending
from numba.core.extending import models, overload, register_model
from numba.np import arrayobj

N_LANES = 16
ELEMENT = 2 * N_LANES
"""Floats of a complex lane element."""

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, N_LANES)
_CONTRACT = ("contract",)
intrinsic: Any = extending.intrinsic  # callers do not pass the first parameter, which type checkers cannot know


class LanesType(types.Type):
    """Numba's name for the vector."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: LanesType) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


def _pointer(context, builder, array_type, array, index, vector=_VECTOR):
    data = arrayobj.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(builder, pointer):
    value = builder.load(pointer)
    value.align = 4
    return value


def _store(builder, value, pointer):
    builder.store(value, pointer).align = 4


def _shuffle(builder, first, second, order):
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(first, second, mask)


def _splat(builder, scalar, n_lanes=N_LANES):
    vector = ir.VectorType(scalar.type, n_lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, first, undefined, [0] * n_lanes)


@intrinsic
def load(typing_context, array, index):
    """Sixteen floats from ``array[index]`` on; no bound is checked.

    Parameters
    ----------
    array : 1-D contiguous float32
    index : int64
    """

    def generate(context, builder, signature, arguments):
        return _load(builder, _pointer(context, builder, signature.args[0], *arguments))

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

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        _store(builder, arguments[2], pointer)
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

    def generate(context, builder, signature, arguments):
        merged = [builder.extract_value(arguments[2], i) for i in range(len(values))]
        width = N_LANES
        while len(merged) > 1:  # a with c and b with d, then both: perfect shuffles
            half = len(merged) // 2
            order = [k + other for k in range(width) for other in (0, width)]
            merged = [_shuffle(builder, merged[i], merged[i + half], order) for i in range(half)]
            width *= 2
        (value,) = merged
        array, at = arguments[:2]
        _store(builder, value, _pointer(context, builder, signature.args[0], array, at, value.type))
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

    def generate(context, builder, signature, arguments):
        kinds, at = signature.args, arguments

        def place(which, row):
            index = builder.add(at[which + 1], builder.mul(at[which + 2], ir.Constant(at[which + 2].type, row)))
            return _pointer(context, builder, kinds[which], at[which], index)

        rows = [_load(builder, place(0, i)) for i in range(N_LANES)]
        half = N_LANES // 2
        # Four perfect shuffles of the 256 floats.
        for _ in range(4):
            rows = [
                _shuffle(builder, rows[i], rows[i + half], [k + other for k in part for other in (0, N_LANES)])
                for i in range(half)
                for part in (range(half), range(half, N_LANES))
            ]
        for j, row in enumerate(rows):
            _store(builder, row, place(3, j))
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index), generate


def _arithmetic(instruction):
    @intrinsic
    def operation(typing_context, left, right):
        operands = tuple(LANES if argument == LANES else types.float32 for argument in (left, right))

        def generate(context, builder, signature, arguments):
            pairs = zip(signature.args, arguments, strict=True)
            a, b = (value if kind == LANES else _splat(builder, value) for kind, value in pairs)
            return getattr(builder, instruction)(a, b, flags=_CONTRACT)

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
    if not isinstance(radix, types.IntegerLiteral):
        return None
    n = radix.literal_value

    def generate(context, builder, signature, arguments):
        kinds, at = signature.args, arguments

        def constant(value):
            return ir.Constant(_VECTOR, [float(value)] * N_LANES)

        def add(a, b):
            return builder.fadd(a, b, flags=_CONTRACT)

        def sub(a, b):
            return builder.fsub(a, b, flags=_CONTRACT)

        def mul(a, b):
            return builder.fmul(a, b, flags=_CONTRACT)

        def place(which, begin, stride, j, part):
            element = builder.add(at[begin], builder.mul(at[stride], ir.Constant(at[stride].type, j)))
            offset = builder.add(
                builder.mul(element, ir.Constant(element.type, ELEMENT)),
                ir.Constant(element.type, N_LANES * part),
            )
            return _pointer(context, builder, kinds[which], at[which], offset)

        def factor(k):
            pointer = arrayobj.make_array(kinds[6])(context, builder, value=at[6]).data
            pointer = builder.gep(pointer, [builder.add(at[7], ir.Constant(at[7].type, k - 1))])
            pair = builder.bitcast(pointer, _FLOAT.as_pointer())
            parts = [builder.gep(pair, [ir.Constant(ir.IntType(64), part)]) for part in (0, 1)]
            return [_splat(builder, _load(builder, part)) for part in parts]

        def put(k, real, imaginary):
            if k and kinds[6] != types.none:
                c, s = factor(k)
                real, imaginary = sub(mul(real, c), mul(imaginary, s)), add(mul(real, s), mul(imaginary, c))
            for part, value in enumerate((real, imaginary)):
                _store(builder, value, place(3, 4, 5, k, part))

        x = [[_load(builder, place(0, 1, 2, j, part)) for part in (0, 1)] for j in range(n)]
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
        return (builder.fadd if gain == 1 else builder.fsub)(total, value, flags=_CONTRACT)
    product = builder.fmul(ir.Constant(_VECTOR, [gain] * N_LANES), value, flags=_CONTRACT)
    return builder.fadd(total, product, flags=_CONTRACT)
