"""Delay-and-sum on the GPU: the twin of `usbeam.kernels.das_cpu`, and `Direct`, from which only a GPU gains.

The sum has several forms in ``das.cu``, which add the same terms. ``das`` is the reference: one thread for each point
and frame. ``das_shared`` is for few frames: blocks of neighbouring points keep the interpolation table in their own
memory. ``das_frames`` is for many: the taps of a point and a trace are worked out once for all frames.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

_PREPARE = Variant("das_prepare.cu")
_SUMS = {
    (n_taps, half): Variant("das.cu", (("N_TAPS", n_taps), ("HALF", half))) for n_taps in (1, 2, 4) for half in (0, 1)
}
VARIANTS = (_PREPARE, *_SUMS.values())

_MANY_FRAMES = {1: 8, 2: 8, 4: 4}
"""From so many frames on, by taps, ``das_frames`` is taken: the frames of a sample then fill the 32 bytes of a read
twice, and taps are estimated to take as long to work out as two frames to add. Four taps are the dearest to work out,
as their rows of the table compete with the traces for the L1 cache."""

# As in das.cu.
_DOWN, _ACROSS, _POINTS = 8, 16, 2
_ENTRIES, _COLUMNS = 1024, {1: 8, 2: 8, 4: 4}


def leg_tables(shape, first, position, time, axis, edges, x, z, sound_speed, units, max_sine, taper, pedestal, weights):
    """As `usbeam.kernels.das_cpu.leg_tables`, in float64 too: a tick may differ by 1 where a delay is half-way."""
    import cupy

    n, n_x, n_z = len(shape), len(x), len(z)
    delay = cupy.empty((n, n_x, n_z), np.int32)
    active = cupy.empty((n, n_x, 2), np.int32)
    active[..., 0] = n_z
    active[..., 1] = 0
    launch(
        kernel(_PREPARE, "leg_tables"),
        (delay.size,),
        (128,),
        *_leg(shape, first, position, time, axis, edges, sound_speed, units, max_sine, taper, pedestal),
        x,
        z,
        *map(np.int32, (n, n_x, n_z)),
        delay,
        active,
        weights if weights.size else None,
    )
    return delay, active


def _leg(shape, first, position, time, axis, edges, sound_speed, units, max_sine, taper, pedestal):
    """A leg's geometry as the kernels take it."""
    numbers = (1 / sound_speed, units, max_sine, taper, pedestal)
    return (shape, first, position, time, axis, edges, *map(np.float64, numbers))


def weighted_sums(rows, source, weight, out):
    """As `usbeam.kernels.das_cpu.weighted_sums`."""
    import cupy

    n, n_samples = out.shape[-2:]
    n_frames = int(np.prod(out.shape[:-2]))
    launch(
        kernel(_PREPARE, f"weighted_sums_{rows.dtype}"),
        # What is more than a grid holds is done by the same threads.
        (n_samples, min(n, 65535), min(n_frames, 65535)),
        (128, 1, 1),
        cupy.ascontiguousarray(rows),
        source,
        weight,
        *map(np.int32, (rows.shape[-2], n, n_samples, n_frames)),
        out,
    )


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
    """As `usbeam.kernels.das_cpu.das`, all frames in one launch.

    Many frames are read as ``(n_pairs, n_samples, n_frames)``: traces that lie so in memory, with the last axis moved
    to the front, are not copied.
    """
    traces = _one_frame_axis(traces)
    tables = (transmit_delay, transmit_active, transmit_window, receive_delay, receive_active, receive_window)
    form = "das_frames" if len(traces) >= _MANY_FRAMES[table.shape[1]] else "das_shared"
    _sum(form, traces, receive, first, transmit, image, table, transmit_delay.shape[1:], column, out, tables)


class Direct:
    """Delay-and-sum of few frames without tables: delays and windows are worked out where they are used.

    In float64, so that the sum is that of `das`. It spares memory and its reading (4 bytes for each point and pair),
    and costs a square root instead. Which is faster depends on the GPU: measure.

    Parameters
    ----------
    transmit_leg, receive_leg
        Arguments of `leg_tables`, all but ``weights``. A depth counts where the window is not 0.
    """

    def __init__(self, transmit_leg, receive_leg):
        *_, self._x, self._z = transmit_leg[:8]
        self._legs = [_leg(*leg[:6], *leg[8:]) for leg in (transmit_leg, receive_leg)]

    def __call__(self, traces, receive, first, transmit, image, table, column, out):
        """As `das`."""
        shape = (len(self._x), len(self._z))
        legs = (*self._legs[0], *self._legs[1], self._x, self._z)
        traces = _one_frame_axis(traces)
        _sum("das_direct", traces, receive, first, transmit, image, table, shape, column, out, legs)


def _one_frame_axis(traces):
    """Traces ``(n_frames, n_pairs, n_samples)``; of halves with one more axis."""
    own = 3 if traces.dtype == np.float16 else 2
    return traces.reshape(-1, *traces.shape[-own:]) if traces.ndim != own + 1 else traces


def _sum(form, traces, receive, first, transmit, image, table, shape, column, out, legs):
    """Launch one form of the sum; `shape` is of the points, `legs` what the form's kernel takes at its end."""
    import cupy

    n_frames, n_pairs, n_samples = traces.shape[:3]
    (n_x, n_z), n_taps = shape, table.shape[1]
    shared_bytes = 0
    if form == "das":
        threads, block = (n_x * n_z, 1, n_frames), (128, 1, 1)
    elif form == "das_frames":
        # Two frames at once, where they are aligned and leave a row of threads enough to do.
        each = 2 if n_frames % 2 == 0 and n_frames >= 16 else 1
        form = "das_frames" if each == 1 else "das_even_frames"
        # Threads for the frames, at most a warp; what the block has left, for depths.
        lanes = min(32, max(4, 1 << (n_frames // each - 1).bit_length()))
        rows = 256 // lanes
        tiles = -(-n_z // rows) * -(-n_x // _COLUMNS[n_taps])
        threads, block = (tiles * lanes, rows, -(-n_frames // (lanes * each))), (lanes, rows, 1)
        shared_bytes = _ENTRIES * (8 * n_taps + 4)
    else:
        tiles = -(-n_z // (_DOWN * _POINTS)) * -(-n_x // _ACROSS)
        threads, block = (tiles * _DOWN, _ACROSS, n_frames), (_DOWN, _ACROSS, 1)
        shared_bytes = table.nbytes if n_taps <= 2 else 0
    launch(
        kernel(_SUMS[n_taps, int(traces.dtype == np.float16)], form),
        threads,
        block,
        cupy.ascontiguousarray(cupy.moveaxis(traces, 0, 2) if "frames" in form else traces),
        receive,
        first,
        transmit,
        image,
        table,
        *map(np.int32, (len(transmit), n_pairs, n_samples, n_frames, n_x, n_z, *out.shape[-3::2], column)),
        out,
        *legs,
        shared_bytes=shared_bytes,
    )
