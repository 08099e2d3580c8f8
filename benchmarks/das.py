"""Speed, accuracy and memory of delay-and-sum on this machine: ``usbeam bench das``.

The standard work: 64 x 64 full matrix, 2048 samples at 31.25 MHz, 7.5 MHz pulses, 256 x 620 image points, every pair:
0.65 G delay-interpolate-accumulates. All times are medians of one run, from the raw samples of a frame to its complex
image; what depends on geometry alone (`Plan`) is measured apart. The yardstick is the kernel one writes first: a
parallel loop over pixels, float64, delays by square root, linear interpolation. It is run on the analytic signal, which
gives the same complex image (the transform is not in its time), and on the RF samples, which gives the real part only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.signal
from numba import get_num_threads, njit, prange

import usbeam as ub

SPEED = 1540.0
SAMPLES = 2048
RATE = 31.25e6
DEPTHS = 2e-3 + np.arange(620) * (40e-3 / 620)
PLAIN, PLAIN_REAL = "plain prange kernel", "plain prange kernel, real part only"


def recording(n_tx: int = 64, n_rx: int = 64, seed: int = 0) -> ub.Acquisition:
    """Five points and noise 40 dB below their largest echo; fewer transmits or receives are taken from the middle."""
    probe = ub.Probe.linear(64, 0.625e-3, 7.5e6, bandwidth=0.65)
    places = np.array([(0.0, 0, 20e-3), (-10e-3, 0, 15e-3), (11e-3, 0, 30e-3), (5e-3, 0, 10e-3), (-15e-3, 0, 36e-3)])
    phantom = ub.simulate.Phantom(
        positions=places, amplitudes=np.ones(5), truth=ub.Truth(points=places), title="five points"
    )
    full = ub.simulate.record(
        phantom,
        probe,
        ub.Transmits.elements(probe),
        sampling_frequency=RATE,
        depth=(2e-3, 42e-3),
        start_time=0.0,
        noise_db=-40,
        seed=seed,
    )
    samples = np.zeros((1, 64, 64, SAMPLES), np.float32)
    kept = min(SAMPLES, full.n_samples)
    samples[..., :kept] = np.asarray(full.samples)[..., :kept]
    tx, rx = (np.arange(64)[(64 - n) // 2 :][:n] for n in (n_tx, n_rx))
    return full.replace(
        samples=np.ascontiguousarray(samples[:, tx][:, :, rx]),
        transmits=ub.Transmits.elements(probe, tx),
        start_time=0.0,
        receive_elements=rx,
    )


def grid(n_z: int = 620, n_x: int = 256) -> ub.Grid:
    return ub.Grid.linear(x=(-20e-3, 20e-3), z=(DEPTHS[0], DEPTHS[-1]), shape=(n_z, n_x))


@njit(parallel=True)
def plain_kernel(samples, elements, x, z, speed, rate, image):
    """The yardstick: one pixel after the other, everything in float64."""
    for i in prange(x.size):
        for k in range(z.size):
            total = 0.0
            for t in range(elements.size):
                out = np.sqrt((x[i] - elements[t]) ** 2 + z[k] ** 2)
                for r in range(elements.size):
                    back = np.sqrt((x[i] - elements[r]) ** 2 + z[k] ** 2)
                    delay = (out + back) / speed * rate
                    n = int(delay)
                    if 0 <= n < samples.shape[2] - 1:
                        f = delay - n
                        total += (1 - f) * samples[t, r, n] + f * samples[t, r, n + 1]
            image[k, i] = total


def run_seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Times of one call after the other, the first not counted: it compiles, and fills what is kept."""
    work()
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def error_db(image: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.abs(image - reference) ** 2) / np.sum(np.abs(reference) ** 2)))


def settings_rows(repeats: int) -> list[dict[str, Any]]:
    """The standard work by the plain kernel and by usbeam's settings, errors against eightfold upsampling."""
    data, points = recording(), grid()
    frame = data.frame(0)
    elements = np.ascontiguousarray(data.probe.element_positions[:, 0])
    real = frame.astype(np.float64)
    analytic = scipy.signal.hilbert(real, axis=-1)
    (fine,) = ub.Plan(data, points, interpolation="cubic", upsampling=8)(frame)
    choices: dict[str, dict[str, Any]] = {
        "default": {},
        "linear x1, no fold": {"interpolation": "linear", "upsampling": 1, "fold": False},
    }
    for factor in (1, 2, 3):
        for name in ("nearest", "linear", "cubic"):
            choices[f"{name} x{factor}"] = {"interpolation": name, "upsampling": factor}

    def plain(samples: np.ndarray) -> list[float]:
        image = np.empty(points.shape, samples.dtype)
        return run_seconds(lambda: plain_kernel(samples, elements, points.x, points.z, SPEED, RATE, image), 2)

    # The yardsticks before and after the others: a machine that changes its speed meanwhile shows.
    before = plain(analytic), plain(real)
    rows: list[dict[str, Any]] = []
    for name, options in choices.items():
        plan = ub.Plan(data, points, **options)
        seconds = float(np.median(run_seconds(lambda plan=plan: plan(frame), repeats)))
        chosen = plan.settings
        label = f"{name} ({chosen['interpolation']} x{chosen['upsampling']})" if name.startswith("default") else name
        rows.append({"setting": label, "seconds": seconds, "error_db": error_db(plan(frame)[0].data, fine.data)})
    after = plain(analytic), plain(real)
    rows[:0] = [
        {"setting": name, "seconds": float(np.median(first + last)), "error_db": None}
        for name, first, last in zip((PLAIN, PLAIN_REAL), before, after, strict=True)
    ]
    for row in rows:
        row["times_plain"] = rows[0]["seconds"] / row["seconds"]
    return rows


def plan_seconds() -> float:
    """What comes on top of the first image: geometry and delay tables, kernels compiled."""
    data, points = recording(), grid()
    start = time.perf_counter()
    plan = ub.Plan(data, points)
    plan(data.frame(0))
    first = time.perf_counter()
    plan(data.frame(0))
    return (first - start) - (time.perf_counter() - first)


def growth_rows(repeats: int) -> list[dict[str, Any]]:
    """Time per image against pixels, transmits and receives, no fold: it should grow as their product."""
    sizes = [(64, 64, n_x) for n_x in (64, 128, 256)]
    sizes += [(n_tx, 64, 256) for n_tx in (16, 32)]
    sizes += [(64, n_rx, 256) for n_rx in (16, 32)]
    rows: list[dict[str, Any]] = []
    for n_tx, n_rx, n_x in sizes:
        data = recording(n_tx, n_rx)
        plan = ub.Plan(data, grid(n_x=n_x), fold=False, interpolation="linear", upsampling=1)
        seconds = float(np.median(run_seconds(lambda plan=plan: plan(plan.acquisition.frame(0)), repeats)))
        sizes_row = {"transmits": n_tx, "receives": n_rx, "pixels": n_x * 620}
        rows.append({**sizes_row, "seconds": seconds, "sums": plan.cost})
    return rows


def peak_memory() -> float:
    """Peak memory [bytes] of a process of its own that reads the recording and images it, compiler included."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "standard.h5")
        recording().save(path)
        run = subprocess.run([sys.executable, "-c", MEMORY_JOB, path], capture_output=True, text=True, check=True)
    return float(run.stdout) * 1024


MEMORY_JOB = """
import sys
import usbeam as ub
recording = ub.load(sys.argv[1])
ub.beamform(recording, ub.Grid.linear(x=(-20e-3, 20e-3), z=(2e-3, 42e-3), shape=(620, 256)))
# Not getrusage: its peak counts what the process that started this one had.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def run(repeats: int = 7) -> dict[str, Any]:
    """Everything; the numbers of `report`."""
    rows = settings_rows(repeats)
    by_name = {row["setting"]: row["seconds"] for row in rows}
    return {
        "threads": get_num_threads(),
        "settings": rows,
        "fold_gain": by_name["linear x1, no fold"] / by_name["linear x1"],
        "plan_seconds": plan_seconds(),
        "growth": growth_rows(repeats),
        "peak_memory": peak_memory(),
    }


def report(found: dict[str, Any]) -> list[str]:
    """The tables of `run` as text."""
    lines = [f"standard work: 64 x 64 x 2048 samples, 256 x 620 points, {found['threads']} threads", ""]
    lines.append(f"{'setting (fold unless said)':<38} {'s/image':>8} {'x plain':>8} {'error dB':>9}")
    for row in found["settings"]:
        error = "" if row["error_db"] is None else f"{row['error_db']:.1f}"
        lines.append(f"{row['setting']:<38} {row['seconds']:>8.3f} {row['times_plain']:>8.1f} {error:>9}")
    lines += ["", f"fold: {found['fold_gain']:.2f} times faster (linear x1)"]
    lines += [f"plan: {found['plan_seconds']:.3f} s once, before the first image", ""]
    lines.append(f"{'transmits':>9} {'receives':>9} {'pixels':>9} {'s/image':>9} {'ns/sum':>8}")
    for row in found["growth"]:
        cost = row["seconds"] / row["sums"] * 1e9
        lines.append(
            f"{row['transmits']:>9} {row['receives']:>9} {row['pixels']:>9} {row['seconds']:>9.3f} {cost:>8.3f}"
        )
    lines += ["", f"peak memory of a process that does the standard work: {found['peak_memory'] / 1e6:.0f} MB"]
    return lines


if __name__ == "__main__":
    print("\n".join(report(run())))
