"""``usbeam doctor`` and ``usbeam warmup``: what this machine offers, and compiling ahead."""

from __future__ import annotations

from usbeam.cli.common import Json, result, say


def doctor(as_json: Json = False) -> None:
    """Say what this machine offers, and why the GPU is or is not used."""
    from usbeam import device

    found = device.report()
    width = max(map(len, found))
    result(found, as_json, [f"{name:<{width}}  {value}" for name, value in found.items()])


def warmup(as_json: Json = False) -> None:
    """Compile every kernel now; with USBEAM_NUMBA_CACHE=1 the result is kept on disk."""
    import time

    import usbeam as ub
    from usbeam.kernels.conventions import CACHE

    start = time.perf_counter()
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
                )(recording.frame(0))
    plane = ub.simulate.record(
        point, probe, ub.Transmits.plane(probe, [0.0], 1540.0), sampling_frequency=20e6, depth=(2e-3, 6e-3)
    )
    for each in (recording, plane):
        ub.Plan(each, grid, method="fourier")(each.frame(0))
        for interpolation in ("nearest", "linear", "cubic"):
            ub.Angular(each, grid, interpolation=interpolation)(each.frame(0))
    image = ub.beamform(recording, ub.Grid.linear(x=(-1e-3, 1e-3), z=(2e-3, 6e-3), shape=(32, 32)))
    for method in ("srad", "obnlm", "nllr"):
        ub.enhance(image, method)
    seconds = time.perf_counter() - start
    if not CACHE:
        say("compiled for this process only; set USBEAM_NUMBA_CACHE=1 to keep compiled kernels on disk")
    result({"seconds": seconds, "kept": CACHE}, as_json, [f"compiled in {seconds:.1f} s"])
