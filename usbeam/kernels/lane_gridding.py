"""Spatial spectra and their gridding along kz, sixteen frequencies at a time: what `fourier_cpu` compiles (Numba).

Parameters and words as there.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import functools

import numpy as np
from numba import njit, prange

from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lane_fft import transform
from usbeam.kernels.lanes import ELEMENT, N_LANES, load, store, store_interleaved
from usbeam.kernels.simd import spread_taps


@njit(**NUMBA_OPTIONS)
def _multiply(first, i, second, j):
    """Product of two complex lane elements, real and imaginary part."""
    ar, ai = load(first, i * ELEMENT), load(first, i * ELEMENT + N_LANES)
    br, bi = load(second, j * ELEMENT), load(second, j * ELEMENT + N_LANES)
    return ar * br - ai * bi, ar * bi + ai * br


@njit(**NUMBA_OPTIONS)
def _add_products(values, i, cr, ci, j, dr, di):
    """``c values[i] + d values[j]``, complex lane elements."""
    xr, xi = load(values, i * ELEMENT), load(values, i * ELEMENT + N_LANES)
    yr, yi = load(values, j * ELEMENT), load(values, j * ELEMENT + N_LANES)
    return xr * cr - xi * ci + yr * dr - yi * di, xr * ci + xi * cr + yr * di + yi * dr


@njit(**NUMBA_OPTIONS)
def _add_element(target, i, source, j):
    """Add complex lane element j of one array to element i of another."""
    for at in (0, N_LANES):
        store(target, i * ELEMENT + at, load(target, i * ELEMENT + at) + load(source, j * ELEMENT + at))


@njit(**NUMBA_OPTIONS)
def _copy_element(target, i, source, j):
    """Copy complex lane element j of one array to element i of another."""
    for at in (0, N_LANES):
        store(target, i * ELEMENT + at, load(source, j * ELEMENT + at))


@functools.cache
def _make_spread(n_values, n_taps):
    """Spreading is compiled for its numbers of values and taps: they are the width of its vectors."""

    @njit(**NUMBA_OPTIONS)
    def spread(position, values, table, cells, first_cell):
        """Add sixteen frequencies' values to the cells around their positions."""
        n_rows = np.float32(table.size // n_taps)
        # Neighbours share cells and would wait for each other: every fourth in turn.
        for start in range(4):
            for w in range(start, N_LANES, 4):
                cell = np.int64(position[w])
                row = np.int64((position[w] - np.float32(cell)) * n_rows) * n_taps
                spread_taps(cells, first_cell + cell, values, n_values * w, table, row, n_values, n_taps)

    return spread


@njit(**NUMBA_OPTIONS)
def double_spectrum(spectrum, offset, first, receive_slot, transmit_slot, reach, stages, period, rooms):
    """Transform one block over receivers, then over transmits.

    Element ``(kt + kr) * period + kt``, both modulo the period, is Q(kt, kr): gridding walks along kt + kr = constant.
    """
    data, work, across, double = rooms
    n_tx = transmit_slot.size
    radices, twiddles = stages
    for i in range(n_tx):
        data[:] = 0
        for p in range(first[i], first[i + 1]):
            _add_element(data, receive_slot[p] % period, spectrum, offset + p)
        result = transform(data, work, radices, twiddles)
        for kr in range(period):
            _copy_element(across, kr * n_tx + i, result, kr)
    # Beyond the reach nothing is wanted.
    for m in range(-reach, min(reach, period - 1 - reach) + 1):
        kr = m % period
        data[:] = 0
        for i in range(n_tx):
            _add_element(data, transmit_slot[i] % period, across, kr * n_tx + i)
        result = transform(data, work, radices, twiddles)
        for kt in range(period):
            _copy_element(double, (kt + kr) % period * period + kt, result, kt)


@functools.cache
def make_full_matrix(n_taps):
    """The kernel for a number of taps, with stages of the lateral transform and cells for each further worker."""
    spread = _make_spread(4, n_taps)

    @njit(**NUMBA_OPTIONS)
    def grid_row(n, reach, double, period, transmit_leg, receive_leg, height, at, table, values, cells, first_cell):
        """All pairs with kt + kr = n dk, and their mirror images with -n dk."""
        most, least = max(reach[0], reach[1]), min(reach[0], reach[1])
        position = values[4 * N_LANES :]
        begin = max(-most, n - most)
        plus, minus = n % period * period, -n % period * period
        # Columns of kt = a, kt = b, kt = -a, kt = -b, kept within the period as a grows and b = n - a falls.
        column_a, column_b = begin % period, (n - begin) % period
        mirror_a, mirror_b = -begin % period, (begin - n) % period
        for a in range(begin, n // 2 + 1):
            p, q = abs(a), abs(n - a)
            if min(p, q) <= least:
                p, q = at + p, at + q
                half = np.float32(0.5 if a == n - a else 1.0)
                cr, ci = _multiply(transmit_leg, p, receive_leg, q)
                dr, di = _multiply(transmit_leg, q, receive_leg, p)
                cr, ci, dr, di = half * cr, half * ci, half * dr, half * di
                pr, pi = _add_products(double, plus + column_a, cr, ci, plus + column_b, dr, di)
                mr, mi = _add_products(double, minus + mirror_a, cr, ci, minus + mirror_b, dr, di)
                store_interleaved(values, 0, (pr, pi, mr, mi))
                store(position, 0, load(height, p * N_LANES) + load(height, q * N_LANES))
                spread(position, values, table, cells, first_cell)
            column_a = column_a + 1 if column_a + 1 < period else 0
            mirror_b = mirror_b + 1 if mirror_b + 1 < period else 0
            column_b = column_b - 1 if column_b > 0 else period - 1
            mirror_a = mirror_a - 1 if mirror_a > 0 else period - 1

    @njit(parallel=True, **NUMBA_OPTIONS)
    def grid_full_matrix(
        spectrum,
        first,
        receive_slot,
        transmit_slot,
        reach,
        transmit_leg,
        receive_leg,
        height,
        lowest,
        period,
        stages,
        table,
        further,
        out,
    ):
        n_blocks, n_pairs, _ = spectrum.shape
        n_m, n_cells = height.shape[1], out.shape[1] // 4
        samples, heights = spectrum.reshape(-1), height.reshape(-1)
        transmit_legs, receive_legs = transmit_leg.reshape(-1), receive_leg.reshape(-1)
        n_workers = 1 + further.shape[0]
        for worker in prange(n_workers):
            cells = further[worker - 1].reshape(-1) if worker else out.reshape(-1)
            values = np.empty(5 * N_LANES, np.float32)
            data = np.empty(period * ELEMENT, np.float32)
            work = np.empty(period * ELEMENT, np.float32)
            across = np.empty(period * transmit_slot.size * ELEMENT, np.float32)
            double = np.empty(period * period * ELEMENT, np.float32)
            rooms = (data, work, across, double)
            for block in range(worker, n_blocks, n_workers):
                both, most = reach[block], max(reach[block, 0], reach[block, 1])
                double_spectrum(
                    samples, block * n_pairs, first, receive_slot, transmit_slot, most, stages, period, rooms
                )
                for n in range(both[0] + both[1] + 1):
                    grid_row(
                        n,
                        both,
                        double,
                        period,
                        transmit_legs,
                        receive_legs,
                        heights,
                        block * n_m,
                        table,
                        values,
                        cells,
                        n * n_cells + lowest[block],
                    )

    return grid_full_matrix


@functools.cache
def make_plane_waves(n_taps):
    """The kernel for a number of taps, with stages of the lateral transform and cells for each further worker."""
    spread = _make_spread(2, n_taps)

    @njit(parallel=True, **NUMBA_OPTIONS)
    def grid_plane_waves(
        spectrum, first, receive_slot, transmit, turn, rows, leg, height, lowest, period, stages, table, further, out
    ):
        radices, twiddles = stages
        n_blocks, n_pairs, _ = spectrum.shape
        _, n_waves, n_n, _ = leg.shape
        n_cells, n_slots = out.shape[1] // 2, 1
        for slot in receive_slot:
            n_slots = max(n_slots, slot + 1)
        samples, legs, heights, turns = spectrum.reshape(-1), leg.reshape(-1), height.reshape(-1), turn.reshape(-1)
        n_workers = 1 + further.shape[0]
        for worker in prange(n_workers):
            cells = further[worker - 1].reshape(-1) if worker else out.reshape(-1)
            values = np.empty(3 * N_LANES, np.float32)
            position = values[2 * N_LANES :]
            data = np.empty(period * ELEMENT, np.float32)
            work = np.empty(period * ELEMENT, np.float32)
            powers = np.zeros(n_slots * ELEMENT, np.float32)
            for block in range(worker, n_blocks, n_workers):
                for i in range(transmit.size):
                    wave = block * n_waves + transmit[i]
                    powers[:N_LANES], powers[N_LANES:ELEMENT] = 1, 0
                    for slot in range(1, n_slots):
                        r, s = _multiply(powers, slot - 1, turns, wave)
                        store(powers, slot * ELEMENT, r)
                        store(powers, slot * ELEMENT + N_LANES, s)
                    data[:] = 0
                    for p in range(first[i], first[i + 1]):
                        slot = receive_slot[p]
                        at = slot % period * ELEMENT
                        r, s = _multiply(samples, block * n_pairs + p, powers, slot)
                        store(data, at, load(data, at) + r)
                        store(data, at + N_LANES, load(data, at + N_LANES) + s)
                    result = transform(data, work, radices, twiddles)
                    for row in range(rows[block, transmit[i], 0], rows[block, transmit[i], 1]):
                        at = wave * n_n + row
                        r, s = _multiply(result, (row - n_n // 2) % period, legs, at)
                        store_interleaved(values, 0, (r, s))
                        store(position, 0, load(heights, at * N_LANES))
                        spread(position, values, table, cells, row * n_cells + lowest[block])

    return grid_plane_waves
