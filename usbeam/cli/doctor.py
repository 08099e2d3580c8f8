"""``usbeam doctor`` and ``usbeam warmup``: what this machine offers, and compiling ahead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from usbeam.cli.common import Json, result, say


def doctor(as_json: Json = False) -> None:
    """Say what this machine offers, and why the GPU is or is not used."""
    from usbeam import device

    found = device.report()
    width = max(map(len, found))
    result(found, as_json, [f"{name:<{width}}  {value}" for name, value in found.items()])


def warmup(as_json: Json = False) -> None:
    """Compile every kernel now, also those of a GPU that is usable.

    CuPy keeps a GPU's kernels on disk; those of the CPU are kept with USBEAM_NUMBA_CACHE=1.
    """
    from usbeam.device import gpu_obstacle
    from usbeam.kernels.conventions import CACHE

    seconds = _timed(lambda: _use("cpu"))
    if not CACHE:
        say("compiled for this process only; set USBEAM_NUMBA_CACHE=1 to keep compiled kernels on disk")
    found: dict[str, Any] = {"seconds": seconds, "kept": CACHE}
    lines = [f"compiled in {seconds:.1f} s"]
    if gpu_obstacle() is None:
        found["gpu_seconds"] = _timed(_compile_for_gpu)
        lines.append(f"compiled for the GPU in {found['gpu_seconds']:.1f} s")
    result(found, as_json, lines)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _compile_for_gpu() -> None:
    """Every variant of every kernel, and what CuPy makes for the work around them."""
    from usbeam.kernels.backend import MODULES, backend
    from usbeam.kernels.cuda import module

    gpu = backend("gpu")
    for name in MODULES:
        for variant in getattr(gpu, name).VARIANTS:
            module(variant).compile()
    _use("gpu")


def _use(device: str) -> None:
    """Do a little of everything on a device."""
    import usbeam as ub
    from usbeam.enhancers import find

    probe = ub.Probe.linear(4, 0.3e-3, 5e6, bandwidth=0.6)
    point = ub.simulate.phantoms.points(x=(-1e-3, 1e-3), z=(2e-3, 6e-3), spacing=4e-3)
    fired = ub.Transmits.elements(probe)
    recording = ub.simulate.record(point, probe, fired, sampling_frequency=20e6, depth=(2e-3, 6e-3))
    grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(2e-3, 6e-3), shape=(8, 4))
    for interpolation in ("nearest", "linear", "cubic"):
        for window in ("boxcar", "hann"):
            for transmit_window in ("boxcar", "hann"):
                ub.Plan(
                    recording,
                    grid,
                    interpolation=interpolation,
                    f_number=1.0,
                    window=window,
                    transmit_f_number=1.0,
                    transmit_window=transmit_window,
                    device=device,
                )(recording.frame(0))
    plane = ub.simulate.record(
        point, probe, ub.Transmits.plane(probe, [0.0], 1540.0), sampling_frequency=20e6, depth=(2e-3, 6e-3)
    )
    for each in (recording, plane):
        ub.Plan(each, grid, method="fourier", device=device)(each.frame(0))
        for interpolation in ("nearest", "linear", "cubic"):
            ub.Angular(each, grid, interpolation=interpolation, device=device)(each.frame(0))
    larger = ub.Grid.linear(x=(-1e-3, 1e-3), z=(2e-3, 6e-3), shape=(32, 32))
    image = ub.beamform(recording, larger, device=device)
    for method in ("srad", "obnlm", "nllr"):
        if device == "cpu" or find(method).on_gpu:
            ub.enhance(image, method, device=device)
