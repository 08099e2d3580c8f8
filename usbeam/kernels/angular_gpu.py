"""Delay-and-sum into angular components on the GPU: twins of `usbeam.kernels.angular_cpu` (CuPy)."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import math
from typing import Any

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

_VARIANTS = {
    (n_taps, in_shared): Variant("angular.cu", (("N_TAPS", n_taps), ("IN_SHARED", int(in_shared))))
    for n_taps in (1, 2, 4)
    for in_shared in (False, True)
}
VARIANTS = tuple(_VARIANTS.values())
_BLOCKS = (128, 64, 32)
"""Threads of a block, down to those of a warp: as many as have room for their components."""
_SHARED_BYTES = 48 << 10
"""That every GPU gives a block."""


def reach(position: Any, normal: Any, margin: float, x: Any, z: Any, max_sine: float) -> Any:
    """As `usbeam.kernels.angular_cpu.reach`, arrays of CuPy."""
    import cupy

    out = cupy.empty((x.size, z.size, 2))
    array = (position, normal, np.int32(len(position)), np.float64(margin))
    _over_points("reach", (z.size, x.size), *array, *_points(x, z), np.float64(max_sine), out)
    return out


def bins(
    position: Any, normal: Any, x: Any, z: Any, reached: Any, max_sine: float, n_bins: int, taper: float
) -> tuple[Any, Any, Any]:
    """As `usbeam.kernels.angular_cpu.bins`, arrays of CuPy."""
    import cupy

    shape = (len(position), x.size, z.size)
    index, weight = cupy.empty(shape, np.int8), cupy.empty(shape, np.float32)
    active = cupy.zeros((*shape[:2], 2), np.int32)
    active[..., 0] = z.size
    cut = (reached, np.float64(max_sine), np.int32(n_bins), np.float64(taper))
    _over_points("bins", shape[::-1], position, normal, *_points(x, z), *cut, index, weight, active)
    return index, weight, active


def wave_bins(shape: Any, position: Any, axis: Any, x: Any, z: Any, reached: Any, n_bins: int) -> Any:
    """As `usbeam.kernels.angular_cpu.wave_bins`, arrays of CuPy."""
    import cupy

    index = cupy.empty((len(shape), x.size, z.size), np.int8)
    waves = (shape, position, axis, np.int32(len(shape)))
    _over_points("wave_bins", (z.size, x.size), *waves, *_points(x, z), reached, np.int32(n_bins), index)
    return index


def _points(x: Any, z: Any) -> tuple[Any, ...]:
    return x, z, np.int32(x.size), np.int32(z.size)


def _over_points(name: str, threads: tuple[int, ...], *arguments: Any) -> None:
    """One thread per image point, and per element where a third axis counts them. These have no taps."""
    launch(kernel(VARIANTS[0], name), threads, (128, 1, 1)[: len(threads)], *arguments)


def angular(
    traces: Any,
    receive: Any,
    first: Any,
    transmit: Any,
    transmit_delay: Any,
    receive_delay: Any,
    transmit_active: Any,
    receive_active: Any,
    transmit_weight: Any,
    receive_weight: Any,
    transmit_bin: Any,
    receive_bin: Any,
    table: Any,
    column: int,
    out: Any,
) -> None:
    """As `usbeam.kernels.angular_cpu.angular`, arrays of CuPy; components are added up on the chip where they fit."""
    *frames, n_components, n_z, row = out.shape
    n_pairs, n_samples = traces.shape[-2:]
    n_x, point_bytes = receive_delay.shape[1], 8 * n_components
    fitting = [threads for threads in _BLOCKS if threads * point_bytes <= _SHARED_BYTES]
    threads = fitting[0] if fitting else _BLOCKS[0]
    sizes = (n_samples, n_x, n_z, n_components, column, row)
    launch(
        kernel(_VARIANTS[table.shape[1], bool(fitting)], "angular"),
        (n_z, n_x, math.prod(frames)),
        (threads, 1, 1),
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
        np.int32(transmit.size),
        np.int64(n_pairs),
        *(np.int32(size) for size in sizes),
        out,
        shared_bytes=threads * point_bytes if fitting else 0,
    )
