"""Delay-and-sum on the CPU: fixed-point delay tables, the fold, and the sum over traces (Numba).

The sum visits tiles of image columns in parallel; within a tile every (transmit, receive) pair reads its trace once
for all columns, depth innermost. A delay is the integer sum of two table entries: its high bits are the sample, its
low bits choose a row of complex interpolation weights. Samples outside the record add nothing.
"""

# Kernel bodies are typed by Numba when they compile.
# pyright: basic

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads, njit, prange

from usbeam.kernels.conventions import (
    FOCUSED,
    FRACTION_BITS,
    N_PHASES,
    NUMBA_OPTIONS,
    PHASE_BITS,
    PLANE,
    SPHERICAL,
)
from usbeam.kernels.simd import accumulate_taps

MOST_COLUMNS, DEPTHS = 32, 640
"""Image points in a tile: a trace is read once for so many columns, and the tile's tables stay in the cache."""


@njit(parallel=True, **NUMBA_OPTIONS)
def leg_tables(shape, first, position, time, axis, edges, x, z, sound_speed, units, max_sine, taper, pedestal, weights):
    """Delay of one leg (transmit or receive) at every image point, in fixed point, and its window.

    Parameters
    ----------
    shape : (n,) int8
        `SPHERICAL`, `PLANE` or `FOCUSED`.
    first : (n + 1,) int64
        Leg i has the sources ``first[i]:first[i + 1]`` (one, or several for SPHERICAL).
    position : (n_sources, 3), time : (n_sources,)
        Where [m] and when [s] a source starts, relative to sample 0.
    axis : (n, 3)
        Unit vector: direction of a plane wave, of the beam through a focus, an element's normal.
    edges : (2,) int64
        Lowest and highest table value; a delay beyond is clipped and so falls outside every record.
    x : (n_x,), z : (n_z,)
        Image points [m] at elevation 0.
    sound_speed, units : float
        [m/s]; table units per second.
    max_sine, taper, pedestal : float
        The window: 1 up to sin(angle) = (1 - taper) max_sine, then a raised cosine down to the pedestal at max_sine,
        0 beyond. Above 1 there is no window.
    weights : (n, n_x, n_z) float32, or (0, 0, 0)
        Filled with the window's values where it has the full shape.

    Returns
    -------
    delay : (n, n_x, n_z) int32
    active : (n, n_x, 2) int32
        Depth indices ``start, stop`` outside which the window is 0.
    """
    n, n_x, n_z = shape.size, x.size, z.size
    delay = np.empty((n, n_x, n_z), np.int32)
    active = np.empty((n, n_x, 2), np.int32)
    for i in prange(n):
        ax, ay, az = axis[i, 0], axis[i, 1], axis[i, 2]
        for c in range(n_x):
            start, stop = n_z, 0
            for k in range(n_z):
                arrival = np.inf
                sine = 0.0
                for s in range(first[i], first[i + 1]):
                    dx = x[c] - position[s, 0]
                    dy = -position[s, 1]
                    dz = z[k] - position[s, 2]
                    along = dx * ax + dy * ay + dz * az
                    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
                    if shape[i] == PLANE:
                        path = along
                    elif shape[i] == FOCUSED:
                        path = math.copysign(distance, along)
                    else:
                        path = distance
                    arrival = min(arrival, time[s] + path / sound_speed)
                    if max_sine <= 1.0:
                        if shape[i] == SPHERICAL and along <= 0.0:
                            sine = 2.0  # behind the element
                        else:
                            sine = math.sqrt(max(0.0, 1.0 - (along / max(distance, 1e-12)) ** 2))
                ticks = math.floor(arrival * units + 0.5)
                delay[i, c, k] = np.int32(min(max(ticks, edges[0]), edges[1]))
                weight = 1.0
                if max_sine <= 1.0:
                    if sine > max_sine:
                        weight = 0.0
                    elif sine > (1.0 - taper) * max_sine:
                        phase = (sine / max_sine - (1.0 - taper)) / taper
                        weight = pedestal + (1.0 - pedestal) * (0.5 + 0.5 * math.cos(math.pi * phase))
                if weight > 0.0:
                    start = min(start, k)
                    stop = k + 1
                if weights.size:
                    weights[i, c, k] = weight
            active[i, c, 0] = start
            active[i, c, 1] = stop
    return delay, active


# Not parallel: Numba's waiting threads would take the processors from the Fourier transforms that come next.
@njit(**NUMBA_OPTIONS)
def _weighted_sums(rows, source, weight, out):
    for frame in range(rows.shape[0]):
        for i in range(source.shape[0]):
            first, second = source[i]
            if second < 0:
                for k in range(rows.shape[2]):
                    out[frame, i, k] = weight[i, 0] * rows[frame, first, k]
            else:
                for k in range(rows.shape[2]):
                    out[frame, i, k] = weight[i, 0] * rows[frame, first, k] + weight[i, 1] * rows[frame, second, k]


def weighted_sums(rows, source, weight, out):
    """Add one or two weighted rows: ``out[i] = weight[i, 0] rows[source[i, 0]] + weight[i, 1] rows[source[i, 1]]``.

    Parameters
    ----------
    rows : (..., n_rows, n_samples) float32, int16 or complex64
        Traces as recorded, of one frame or several.
    source : (n, 2) int64
        Rows to add; a second one below 0 is none.
    weight : (n, 2) float32
        Their weights.
    out : (..., n, n_samples) float32 or complex64
        Filled.
    """
    _weighted_sums(_frames(rows), source, weight, _frames(out))


@njit(**NUMBA_OPTIONS)
def _add_trace(trace, transmit_delay, receive_delay, window, table, n_taps, accumulator):
    """Add one trace, interpolated at the sum of two delays, to one column's accumulator."""
    last = np.uint32(max(0, trace.size - n_taps + 1))
    for k in range(transmit_delay.size):
        ticks = transmit_delay[k] + receive_delay[k]
        sample = ticks >> FRACTION_BITS
        # One unsigned comparison refuses both what is before the record and what is after it.
        if np.uint32(sample) < last:
            row = np.int64((ticks >> (FRACTION_BITS - PHASE_BITS)) & (N_PHASES - 1)) * n_taps
            gain = np.float32(1.0) if window is None else window[k]
            target = np.int64(k) * n_taps
            accumulate_taps(accumulator, target, trace, np.int64(sample), table, row, gain, n_taps)  # pyright: ignore[reportCallIssue]


def _make_das(n_taps):
    """The kernel for a number of taps, which must be a compile-time constant for the vector width."""

    @njit(parallel=True, **NUMBA_OPTIONS)
    def das(
        traces,
        receive,
        first,
        transmit,
        transmit_delay,
        receive_delay,
        transmit_active,
        receive_active,
        transmit_window,
        receive_window,
        image,
        table,
        columns,
        column,
        out,
    ):
        n_tx = first.size - 1
        _, n_x, n_z = transmit_delay.shape
        n_across = (n_x + columns - 1) // columns
        n_down = (n_z + DEPTHS - 1) // DEPTHS
        for tile in prange(n_across * n_down):
            c0, z0 = tile // n_down * columns, tile % n_down * DEPTHS
            c1, z1 = min(n_x, c0 + columns), min(n_z, z0 + DEPTHS)
            accumulator = np.zeros((c1 - c0, (z1 - z0) * n_taps), np.complex64)
            for event in range(n_tx):
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
                                None if receive_window is None else receive_window[r, c, k0:k1],
                                table,
                                n_taps,
                                accumulator[c - c0, (k0 - z0) * n_taps :],
                            )
                # Neighbouring transmits of one image share one reduction of the lanes.
                if transmit_window is None and event + 1 < n_tx and image[event] == image[event + 1]:
                    continue
                for c in range(c0, c1):
                    for k in range(z0, z1):
                        value = np.complex64(0)
                        for tap in range((k - z0) * n_taps, (k - z0 + 1) * n_taps):
                            value += accumulator[c - c0, tap]
                            accumulator[c - c0, tap] = 0
                        if transmit_window is not None:
                            value *= transmit_window[t, c, k]
                        out[image[event], k, column + c] += value

    return das


_DAS = {n_taps: _make_das(n_taps) for n_taps in (1, 2, 4)}


def das(
    traces,
    receive,
    first,
    transmit,
    transmit_delay,
    receive_delay,
    transmit_active,
    receive_active,
    transmit_window,
    receive_window,
    image,
    table,
    column,
    out,
):
    """Sum traces along delays, each transmit into its image; one frame or several.

    ``out[image_t, z, column + x] += wt[t, x, z] sum_(p in t) wr[r_p, x, z] trace_p(dt[t, x, z] + dr[r_p, x, z])``

    Parameters
    ----------
    traces : (..., n_pairs, n_samples) complex64, or (..., n_pairs, n_samples, 2) float16
        Analytic signals; in half precision as real and imaginary parts.
    receive : (n_pairs,) int32
        Receive leg of each pair.
    first : (n_tx + 1,) int64
        Transmit t has the pairs ``first[t]:first[t + 1]``.
    transmit : (n_tx,) int32
        Transmit leg of each transmit.
    transmit_delay, receive_delay : (n_legs, n_x, n_z) int32
        In ``2**-FRACTION_BITS`` samples, as `leg_tables` makes them.
    transmit_active, receive_active : (n_legs, n_x, 2) int32
        Depth range of each leg in each column.
    transmit_window, receive_window : float32 like the delays, or None
        Window weights; None is 1.
    image : (n_tx,) int64
        Which image each transmit adds to; it is cheapest where neighbours share one.
    table : (N_PHASES, n_taps) complex64
        Tap weights for each fraction of a sample; n_taps 1, 2 or 4.
    column : int
        Where the legs' n_x columns begin in the images.
    out : (..., n_images, n_z, at least column + n_x) complex64
        Added to.
    """
    if traces.dtype == np.float16:
        traces = traces.astype(np.float32).view(np.complex64)[..., 0]
    _, n_x, n_z = transmit_delay.shape
    n_down = -(-n_z // DEPTHS)
    # Narrower tiles where there are many threads, so that each has two at least.
    columns = min(MOST_COLUMNS, max(4, n_x * n_down // (2 * get_num_threads())))
    for frame, images in zip(_frames(traces), _frames(out, n_axes=3), strict=True):
        _DAS[table.shape[1]](
            np.ascontiguousarray(frame),
            receive,
            first,
            transmit,
            transmit_delay,
            receive_delay,
            transmit_active,
            receive_active,
            transmit_window,
            receive_window,
            image,
            table.reshape(-1),
            columns,
            column,
            images,
        )


def _frames(array, n_axes=2):
    """Parts of an array by all of its axes but the last ones."""
    return array.reshape(math.prod(array.shape[:-n_axes]), *array.shape[-n_axes:])
