"""Which way is faster on the GPU at hand: measured, because it depends on the GPU, the probe and the grid."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

from collections.abc import Callable

_RUNS = 3


def milliseconds(work: Callable[[], None]) -> float:
    """The shortest of a few runs on the GPU, after one that compiles and fills the caches."""
    import cupy

    work()
    times = []
    for _ in range(_RUNS):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return min(times)
