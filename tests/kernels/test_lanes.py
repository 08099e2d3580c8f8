"""Vector lanes against NumPy: moving them, their arithmetic, small Fourier transforms."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numba import njit

from usbeam.kernels.lanes import butterfly, load, store, store_interleaved, transpose

from .conftest import complex_noise, from_lanes, to_lanes

RNG = np.random.default_rng(0)
GUARD = np.float32(-77)


def noise(size: int) -> np.ndarray:
    return RNG.standard_normal(size).astype(np.float32)


# Moving


@njit
def move(source, at, target, to):
    store(target, to, load(source, at))


@pytest.mark.parametrize(("at", "to"), [(0, 0), (1, 3), (7, 16), (24, 9)])
def test_load_and_store_at_any_place(at: int, to: int) -> None:
    source, target = noise(40), np.full(40, GUARD)
    move(source, at, target, to)
    wanted = np.full(40, GUARD)
    wanted[to : to + 16] = source[at : at + 16]
    np.testing.assert_array_equal(target, wanted)


@njit
def interleave(two, four, source):
    a, b, c, d = load(source, 0), load(source, 16), load(source, 32), load(source, 48)
    store_interleaved(two, 3, (a, b))
    store_interleaved(four, 5, (a, b, c, d))


def test_interleaved_stores() -> None:
    source, two, four = noise(64), np.full(40, GUARD), np.full(80, GUARD)
    interleave(two, four, source)
    rows = source.reshape(4, 16)
    np.testing.assert_array_equal(two[3:35], rows[:2].T.ravel())
    np.testing.assert_array_equal(four[5:69], rows.T.ravel())
    assert all(np.all(outside == GUARD) for outside in (two[:3], two[35:], four[:5], four[69:]))


@njit
def transposed(source, start, step, target, out_start, out_step):
    transpose(source, start, step, target, out_start, out_step)


@pytest.mark.parametrize(
    ("start", "step", "out_start", "out_step"), [(0, 16, 0, 16), (3, 19, 1, 32), (40, 5, 2, 17), (7, 0, 0, 16)]
)
def test_transposes_with_steps(start: int, step: int, out_start: int, out_step: int) -> None:
    source, target = noise(400), np.full(600, GUARD)
    transposed(source, start, step, target, out_start, out_step)
    wanted = np.full(600, GUARD)
    for i in range(16):
        for j in range(16):
            wanted[out_start + j * out_step + i] = source[start + i * step + j]
    np.testing.assert_array_equal(target, wanted)


# Arithmetic


@njit
def arithmetic(source, scalar, out):
    a, b = load(source, 0), load(source, 16)
    values = (a + b, a - b, a * b, a + scalar, scalar + a, a - scalar, scalar - a, a * scalar, scalar * a)
    for i in range(9):
        store(out, 16 * i, values[i])


def test_arithmetic_with_lanes_and_with_a_number() -> None:
    source, s, out = noise(32), np.float32(1.7), np.empty(9 * 16, np.float32)
    arithmetic(source, s, out)
    a, b = source.reshape(2, 16)
    wanted = [a + b, a - b, a * b, a + s, s + a, a - s, s - a, a * s, s * a]
    np.testing.assert_array_equal(out.reshape(9, 16), wanted)


@njit
def polynomial(coefficients, source, out):
    total = load(coefficients, 0)
    for i in range(1, coefficients.size // 16):
        total = total * load(source, 0) + load(coefficients, 16 * i)
    store(out, 0, total)


def test_lanes_live_through_a_loop() -> None:
    coefficients, x, out = noise(5 * 16), noise(16), np.empty(16, np.float32)
    polynomial(coefficients, x, out)
    wanted = np.zeros(16)
    for row in coefficients.reshape(5, 16).astype(np.float64):
        wanted = wanted * x + row
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)


# Butterflies


@functools.cache
def both_butterflies(radix: int):
    @njit
    def kernel(source, start, step, plain, turned, out_start, out_step, twiddles, first):
        butterfly(source, start, step, plain, out_start, out_step, None, first, radix)
        butterfly(source, start, step, turned, out_start, out_step, twiddles, first, radix)

    return kernel


@pytest.mark.parametrize("radix", [2, 3, 4, 5, 7])
def test_butterflies_are_fourier_transforms(radix: int) -> None:
    x, twiddles = complex_noise(RNG, 30, 16), complex_noise(RNG, 20).astype(np.complex64)
    plain, turned = np.full((30, 32), GUARD), np.full((30, 32), GUARD)
    start, step, out_start, out_step, first = 2, 3, 1, 4, 5
    both_butterflies(radix)(
        to_lanes(x).ravel(), start, step, plain.ravel(), turned.ravel(), out_start, out_step, twiddles, first
    )
    j = np.arange(radix)
    wanted = np.exp(-2j * np.pi * np.outer(j, j) / radix) @ x[start + step * j]
    written = out_start + out_step * j
    np.testing.assert_allclose(from_lanes(plain[written]), wanted, atol=5e-6)
    factors = np.concatenate([[1], twiddles[first : first + radix - 1]])
    np.testing.assert_allclose(from_lanes(turned[written]), factors[:, None] * wanted, atol=2e-5)
    assert np.all(np.delete(plain, written, axis=0) == GUARD)
    assert np.all(np.delete(turned, written, axis=0) == GUARD)
