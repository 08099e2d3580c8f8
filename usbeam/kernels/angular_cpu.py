"""Delay-and-sum into angular components on the CPU: bins of the pixel-relative aperture, and the sum (Numba).

A trace adds to the component ``i + j`` of its transmit bin i and receive bin j at every image point. Tiles are small,
so that all components of a tile stay in the cache; the lanes of the taps are summed once, after all traces.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from usbeam.kernels.conventions import FRACTION_BITS, N_PHASES, NUMBA_OPTIONS, PHASE_BITS, PLANE
from usbeam.kernels.simd import accumulate_taps

COLUMNS, DEPTHS = 4, 128
"""Image points in a tile: 16 components of 2 taps take 128 KB."""


@njit(**NUMBA_OPTIONS)
def _sine(position, x, z, margin):
    """Sine of the angle at which a place that far beside an element is seen from an image point, + at larger x."""
    dx, dy, dz = position[0] + margin - x, position[1], position[2] - z
    return dx / math.sqrt(dx * dx + dy * dy + dz * dz)


@njit(**NUMBA_OPTIONS)
def _in_front(position, normal, x, z):
    """Whether an element looks toward an image point."""
    return (x - position[0]) * normal[0] - position[1] * normal[1] + (z - position[2]) * normal[2] > 0.0


@njit(parallel=True, **NUMBA_OPTIONS)
def reach(position, normal, margin, x, z, max_sine):
    """Lowest and highest sine within +-max_sine at which the array is seen from each image point.

    Parameters
    ----------
    position, normal : (n, 3)
        Elements in use [m], and where they look.
    margin : float
        How far an element's own part of the aperture goes beyond its centre, to either side [m].
    x : (n_x,), z : (n_z,)
        Image points [m] at elevation 0.
    max_sine : float
        Largest accepted.

    Returns
    -------
    (n_x, n_z, 2) float64
        Low and high; low is not below high where nothing is seen.
    """
    out = np.empty((x.size, z.size, 2))
    for c in prange(x.size):
        for k in range(z.size):
            low, high = max_sine, -max_sine
            for i in range(position.shape[0]):
                if _in_front(position[i], normal[i], x[c], z[k]):
                    low = min(low, _sine(position[i], x[c], z[k], -margin))
                    high = max(high, _sine(position[i], x[c], z[k], margin))
            out[c, k, 0] = max(low, -max_sine)
            out[c, k, 1] = min(high, max_sine)
    return out


@njit(parallel=True, **NUMBA_OPTIONS)
def bins(position, normal, x, z, reached, max_sine, n_bins, taper):
    """Which bin of the local aperture an element is in at every image point, and its weight.

    Parameters
    ----------
    position, normal : (n, 3)
        Elements of this leg [m], and where they look.
    x : (n_x,), z : (n_z,)
        Image points [m] at elevation 0.
    reached : (n_x, n_z, 2)
        By the array, from `reach`.
    max_sine : float
        Largest accepted.
    n_bins : int
        Of equal width in sine, within what is reached.
    taper : float
        Fraction of what is reached in which the weight rises as a raised cosine, on either side.

    Returns
    -------
    bin : (n, n_x, n_z) int8
    weight : (n, n_x, n_z) float32
    active : (n, n_x, 2) int32
        Depth indices ``start, stop`` outside which the weight is 0.
    """
    n, n_x, n_z = position.shape[0], x.size, z.size
    index = np.empty((n, n_x, n_z), np.int8)
    weight = np.empty((n, n_x, n_z), np.float32)
    active = np.empty((n, n_x, 2), np.int32)
    for i in prange(n):
        for c in range(n_x):
            start, stop = n_z, 0
            for k in range(n_z):
                sine = _sine(position[i], x[c], z[k], 0.0)
                low, high = reached[c, k]
                index[i, c, k] = 0
                weight[i, c, k] = 0.0
                if abs(sine) <= max_sine and low < high and _in_front(position[i], normal[i], x[c], z[k]):
                    u = (sine - low) / (high - low)
                    edge = min(u, 1.0 - u) / taper
                    if edge > 0.0:
                        index[i, c, k] = min(max(int(u * n_bins), 0), n_bins - 1)
                        weight[i, c, k] = 0.5 - 0.5 * math.cos(math.pi * edge) if edge < 1.0 else 1.0
                        start = min(start, k)
                        stop = k + 1
            active[i, c, 0] = start
            active[i, c, 1] = stop
    return index, weight, active


@njit(parallel=True, **NUMBA_OPTIONS)
def wave_bins(shape, position, axis, x, z, reached, n_bins):
    """Which bin each of several plane or diverging waves arrives from at every image point.

    Bins are as wide as those of `bins`, so that the two may be summed. The middle of the middle one is the mean of all
    waves: waves of one direction share it. The outermost bins take what lies beyond.

    Parameters
    ----------
    shape : (n,) int8
        `PLANE` or `SPHERICAL`.
    position : (n, 3)
        Virtual sources [m].
    axis : (n, 3)
        Directions of plane waves.
    x : (n_x,), z : (n_z,)
        Image points [m] at elevation 0.
    reached : (n_x, n_z, 2)
        By the array, from `reach`.
    n_bins : int
        Of the array's elements; waves have as many, or one more where that is even.

    Returns
    -------
    (n, n_x, n_z) int8
        0 where the array sees nothing.
    """
    n, half = shape.size, n_bins // 2
    index = np.zeros((n, x.size, z.size), np.int8)
    for c in prange(x.size):
        sine = np.empty(n)
        for k in range(z.size):
            low, high = reached[c, k]
            if low < high:
                for i in range(n):
                    sine[i] = -axis[i, 0] if shape[i] == PLANE else _sine(position[i], x[c], z[k], 0.0)
                mean = sine.mean()
                for i in range(n):
                    offset = math.floor((sine[i] - mean) / (high - low) * n_bins + 0.5)
                    index[i, c, k] = min(max(offset, -half), half) + half
    return index


@njit(**NUMBA_OPTIONS)
def _add_trace(
    trace,
    transmit_delay,
    receive_delay,
    transmit_weight,
    receive_weight,
    transmit_bin,
    receive_bin,
    table,
    n_taps,
    n_components,
    accumulator,
):
    """Add one trace, interpolated at the sum of two delays, to one column's components."""
    last = np.uint32(max(0, trace.size - n_taps + 1))
    for k in range(receive_delay.size):
        ticks = transmit_delay[k] + receive_delay[k]
        sample = ticks >> FRACTION_BITS
        # One unsigned comparison refuses both what is before the record and what is after it.
        if np.uint32(sample) < last:
            row = np.int64((ticks >> (FRACTION_BITS - PHASE_BITS)) & (N_PHASES - 1)) * n_taps
            gain = transmit_weight[k] * receive_weight[k]
            component = np.int64(transmit_bin[k]) + np.int64(receive_bin[k])
            target = (k * n_components + component) * n_taps
            accumulate_taps(accumulator, target, trace, np.int64(sample), table, row, gain, n_taps)  # pyright: ignore[reportCallIssue]


def _make_angular(n_taps):
    """The kernel for a number of taps, which must be a compile-time constant for the vector width."""

    @njit(parallel=True, **NUMBA_OPTIONS)
    def angular(
        traces,
        receive,
        first,
        transmit,
        transmit_delay,
        receive_delay,
        transmit_active,
        receive_active,
        transmit_weight,
        receive_weight,
        transmit_bin,
        receive_bin,
        table,
        column,
        out,
    ):
        n_components = out.shape[0]
        _, n_x, n_z = receive_delay.shape
        n_across = (n_x + COLUMNS - 1) // COLUMNS
        n_down = (n_z + DEPTHS - 1) // DEPTHS
        for tile in prange(n_across * n_down):
            c0, z0 = tile // n_down * COLUMNS, tile % n_down * DEPTHS
            c1, z1 = min(n_x, c0 + COLUMNS), min(n_z, z0 + DEPTHS)
            width = n_components * n_taps
            accumulator = np.zeros((c1 - c0, (z1 - z0) * width), np.complex64)
            for event in range(transmit.size):
                t = transmit[event]
                for p in range(first[event], first[event + 1]):
                    r = receive[p]
                    for c in range(c0, c1):
                        k0 = max(z0, transmit_active[t, c, 0], receive_active[r, c, 0])
                        k1 = min(z1, transmit_active[t, c, 1], receive_active[r, c, 1])
                        if k0 < k1:
                            _add_trace(
                                traces[p],
                                transmit_delay[t, c, k0:k1],
                                receive_delay[r, c, k0:k1],
                                transmit_weight[t, c, k0:k1],
                                receive_weight[r, c, k0:k1],
                                transmit_bin[t, c, k0:k1],
                                receive_bin[r, c, k0:k1],
                                table,
                                n_taps,
                                n_components,
                                accumulator[c - c0, (k0 - z0) * width :],
                            )
            for m in range(n_components):
                for k in range(z0, z1):
                    for c in range(c0, c1):
                        value = np.complex64(0)
                        at = (k - z0) * width + m * n_taps
                        for tap in range(at, at + n_taps):
                            value += accumulator[c - c0, tap]
                        out[m, k, column + c] += value

    return angular


_ANGULAR = {n_taps: _make_angular(n_taps) for n_taps in (1, 2, 4)}


def angular(
    traces,
    receive,
    first,
    transmit,
    transmit_delay,
    receive_delay,
    transmit_active,
    receive_active,
    transmit_weight,
    receive_weight,
    transmit_bin,
    receive_bin,
    table,
    column,
    out,
):
    """Sum traces along delays, each into the component of its bins.

    ``out[i[t, x, z] + j[r_p, x, z], z, column + x] += wt[t, x, z] wr[r_p, x, z] trace_p(dt[t, x, z] + dr[r_p, x, z])``

    Parameters
    ----------
    traces : (..., n_pairs, n_samples) complex64
        Analytic signals of one frame or several, which share all tables.
    receive, first, transmit, transmit_delay, receive_delay, table, column
        As `usbeam.kernels.das_cpu.das` takes them.
    transmit_active, receive_active : (n_legs, n_x, 2) int32
        Depth range of each leg in each column; outside it the weights count as 0.
    transmit_weight, receive_weight : float32 like the delays
        Weights.
    transmit_bin, receive_bin : int8 like the delays
        Bins i and j.
    out : (..., n_components, n_z, at least column + n_x) complex64
        Added to; it has room for every sum of two bins.
    """
    for frame in np.ndindex(traces.shape[:-2]):
        _ANGULAR[table.shape[1]](
            traces[frame],
            receive,
            first,
            transmit,
            transmit_delay,
            receive_delay,
            transmit_active,
            receive_active,
            transmit_weight,
            receive_weight,
            transmit_bin,
            receive_bin,
            table.reshape(-1),
            column,
            out[frame],
        )
