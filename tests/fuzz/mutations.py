"""Ways to spoil a file, for Hypothesis to draw and to simplify: of its values, and of its bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from tests.fuzz.fields import Fields

OfFields = Callable[[Fields], None]
OfBytes = Callable[[bytes], bytes]
TYPES = ("f2", "f4", "f8", ">f8", "c8", "c16", "i1", "i2", "i4", ">i8", "u1", "u8", "?", "S7", "S1")
NUMBERS = (0.0, -1.0, 1e-300, 1e300, np.nan, np.inf, -np.inf, 2.0**53, 1.54)
number = st.integers(0, 10**4)
"""Which of a file's fields."""


@st.composite
def dropped(draw: st.DrawFn) -> OfFields:
    which = draw(number)
    return lambda fields: fields.drop(which)


@st.composite
def attribute_changed(draw: st.DrawFn) -> OfFields:
    which = draw(number)
    values = st.one_of(st.none(), st.text(max_size=5), st.floats(), st.binary(max_size=4), st.just(np.zeros((2, 2))))
    value = draw(values)
    return lambda fields: fields.set_attribute(which, value)


@st.composite
def retyped(draw: st.DrawFn) -> OfFields:
    which, dtype = draw(number), draw(st.sampled_from(TYPES))

    def change(value: np.ndarray) -> object:
        with contextlib.suppress(ValueError, TypeError), np.errstate(all="ignore"):
            return np.asarray(value).astype(dtype)
        return value

    return lambda fields: fields.replace(which, change)


SHAPES: dict[str, Callable[[np.ndarray], object]] = {
    "ravel": np.ravel,
    "extra": lambda value: value[None],
    "first": lambda value: np.ravel(value)[0] if value.size else value,
    "empty": lambda value: np.ravel(value)[:0],
    "twice": lambda value: np.concatenate([np.atleast_1d(value)] * 2),
    "half": lambda value: np.atleast_1d(value)[: max(1, len(np.atleast_1d(value)) // 2)],
}


@st.composite
def reshaped(draw: st.DrawFn) -> OfFields:
    which, how = draw(number), draw(st.sampled_from(sorted(SHAPES)))
    return lambda fields: fields.replace(which, lambda value: SHAPES[how](np.asarray(value)))


@st.composite
def axes_swapped(draw: st.DrawFn) -> OfFields:
    which, one, other = draw(number), draw(st.integers(0, 3)), draw(st.integers(0, 3))

    def change(value: np.ndarray) -> object:
        array = np.asarray(value)
        return np.swapaxes(array, one % array.ndim, other % array.ndim).copy() if array.ndim else array

    return lambda fields: fields.replace(which, change)


@st.composite
def number_changed(draw: st.DrawFn) -> OfFields:
    which, place = draw(number), draw(number)
    changed = draw(st.one_of(st.sampled_from(NUMBERS), st.floats(width=32)))

    def change(value: np.ndarray) -> object:
        array = np.array(value)
        if array.dtype.kind in "fciu" and array.size:
            with contextlib.suppress(ValueError, TypeError, OverflowError), np.errstate(all="ignore"):
                array.reshape(-1)[place % array.size] = changed
        return array

    return lambda fields: fields.replace(which, change)


@st.composite
def huge(draw: st.DrawFn) -> OfFields:
    which, length = draw(number), draw(st.sampled_from([2**20, 2**31, 2**40, 2**60]))
    chunked = draw(st.booleans())
    return lambda fields: fields.enlarge(which, length, chunked)


@st.composite
def truncated(draw: st.DrawFn) -> OfBytes:
    share = draw(st.floats(0, 1))
    return lambda content: content[: int(share * len(content))]


@st.composite
def flipped(draw: st.DrawFn) -> OfBytes:
    places = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
    near = draw(st.booleans())  # the head of a file is its index

    def mutate(content: bytes) -> bytes:
        spoilt = bytearray(content)
        for place, bits in places if spoilt else []:
            spoilt[int(place * min(len(spoilt), 2048 if near else len(spoilt)))] ^= bits
        return bytes(spoilt)

    return mutate


of_fields = st.lists(
    st.one_of(dropped(), attribute_changed(), retyped(), reshaped(), axes_swapped(), number_changed(), huge()),
    min_size=1,
    max_size=3,
)
of_bytes = st.lists(truncated() | flipped(), min_size=1, max_size=1)
