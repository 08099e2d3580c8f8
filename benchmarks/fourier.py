"""Fourier beamforming beside delay-and-sum, on the same recording: ``usbeam bench fourier``.

Full matrices of arrays of 40 mm, 2800 samples at 40 MHz, 7.5 MHz pulses, 256 x 620 points over 40 x 40 mm; random
scatterers and noise 40 dB below their largest echo. Both methods accept the same angles, by a window that tapers over
the outer 30 %, on both legs. Each is at its best: its defaults, the fold, and as much memory as helps; beside that, the
time of Fourier with the memory that is taken by default. All times are medians of one run, from the raw samples of a
frame to its complex image.

Errors are RMS against delay-and-sum of eightfold upsampled samples, all three on samples filtered to the pass-band that
the Fourier beamformer keeps. They are taken in the acceptance cone, where no window tapers any trace. With all elements
of 40 mm no point lies there; so for the errors only traces among the elements of the middle quarter are not zero, and
points below it are compared. Outside the cone the methods mean different windows, over the angle of a ray and over the
angle of a wave, which agree only as far as a wave has a place. How much that makes is in the column ``windows``: the
difference between the methods' whole images from all traces.

Arrays of few elements have the same 40 mm: the image and its accepted angles stay as they are, and only the number of
traces differs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numba import get_num_threads

import usbeam as ub
from usbeam.beamforming.plan import METHODS
from usbeam.beamforming.spectra import pass_band
from usbeam.beamforming.traces import pair

SPEED, RATE, CENTER = 1540.0, 40e6, 7.5e6
WIDTH, TOP, BOTTOM = 40e-3, 2e-3, 42e-3
BUDGET = 4e9
"""Bytes of memory; neither method gains by more."""
MIDDLE = WIDTH / 8
"""Half the width of the aperture that errors are taken from."""
TAPER = 0.3
COLORS = {"das": "tab:blue", "fourier": "tab:orange"}


@dataclass(frozen=True)
class Work:
    """What is measured.

    Parameters
    ----------
    elements, few_elements
        Arrays whose errors are measured, and further ones that are only timed.
    sines
        Accepted angles.
    n_samples, n_z, n_x
        Size of records and image.
    angles
        Of plane waves [degrees], sent by the second of `elements`.
    transmitters
        Numbers of active transmitters of the first of `elements`.
    n_scatterers
        In the whole image.
    """

    elements: tuple[int, ...] = (64, 128, 192)
    few_elements: tuple[int, ...] = (8, 16, 24, 32, 48, 96)
    sines: tuple[float, ...] = (0.35, 0.5)
    n_samples: int = 2800
    n_z: int = 620
    n_x: int = 256
    angles: tuple[float, ...] = tuple(np.linspace(-16, 16, 75))
    transmitters: tuple[int, ...] = (1, 2, 8, 64)
    n_scatterers: int = 3000

    def grid(self, fine_z: float = 1, fine_x: float = 1) -> ub.Grid:
        """The image, with so many times the points."""
        shape = (int(fine_z * self.n_z), int(fine_x * self.n_x))
        return ub.Grid.linear(x=(-WIDTH / 2, WIDTH / 2), z=(TOP, BOTTOM), shape=shape)

    def recording(
        self, n_elements: int, bandwidth: float = 0.65, angles: Sequence[float] | None = None
    ) -> ub.Acquisition:
        """Scatterers and noise, filtered to the pass-band of the Fourier beamformer."""
        random = np.random.default_rng(0)
        probe = ub.Probe.linear(n_elements, WIDTH / n_elements, CENTER, bandwidth=bandwidth)
        places = random.uniform((-WIDTH / 2, 0, TOP), (WIDTH / 2, 0, BOTTOM), (self.n_scatterers, 3))
        phantom = ub.simulate.Phantom(
            positions=places,
            amplitudes=random.standard_normal(self.n_scatterers),
            truth=ub.Truth(points=places),
            title="random scatterers",
        )
        recording = ub.simulate.record(
            phantom,
            probe,
            ub.Transmits.elements(probe) if angles is None else ub.Transmits.plane(probe, np.deg2rad(angles), SPEED),
            sampling_frequency=RATE,
            depth=(TOP, BOTTOM),
            start_time=0.0,
            noise_db=-40,
        )
        raw = recording.frame(0)
        samples = np.zeros((1, *raw.shape[:2], self.n_samples), np.float32)
        n_fft = scipy.fft.next_fast_len(2 * raw.shape[-1], real=True)
        low, high = pass_band(recording, None)
        frequency = np.fft.rfftfreq(n_fft, 1 / RATE)
        kept = ((low <= frequency) & (frequency <= high)).astype(np.float32)
        for filtered, traces in zip(samples[0], raw, strict=True):
            result = scipy.fft.irfft(scipy.fft.rfft(traces, n_fft) * kept, n_fft)[:, : self.n_samples]
            filtered[:, : result.shape[-1]] = result
        return recording.replace(samples=samples)


STANDARD = Work()


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The first call is not counted: it compiles, and fills what is kept."""
    work()
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def error_db(image: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.abs(image - reference) ** 2) / np.sum(np.abs(reference) ** 2)))


def is_matrix(data: ub.Acquisition) -> bool:
    """Every element fires alone."""
    return set(data.transmits.kind) == {"element"}


def accepted(data: ub.Acquisition, sine: float) -> dict[str, Any]:
    """The same window for each leg that has one."""
    f_number, window = 0.5 * float(np.sqrt(1 / sine**2 - 1)), f"tukey:{TAPER}"
    receive = {"f_number": f_number, "window": window}
    return {**receive, "transmit_f_number": f_number, "transmit_window": window} if is_matrix(data) else receive


def plans(data: ub.Acquisition, grid: ub.Grid, sine: float) -> dict[str, ub.Plan]:
    """Both methods at their best."""
    options = {"memory_budget": BUDGET, **accepted(data, sine)}
    return {method: ub.Plan(data, grid, method=method, **options) for method in METHODS}


def times(data: ub.Acquisition, grid: ub.Grid, sine: float, repeats: int) -> dict[str, Any]:
    """Seconds of both methods, and how many times faster Fourier is."""
    frame = data.frame(0)
    das, fourier = (median_seconds(lambda plan=plan: plan(frame), repeats) for plan in plans(data, grid, sine).values())
    return {
        "elements": data.n_rx,
        "transmits": data.n_tx,
        "sine": sine,
        "das_seconds": das,
        "fourier_seconds": fourier,
        "ratio": das / fourier,
    }


def default_seconds(data: ub.Acquisition, grid: ub.Grid, sine: float, repeats: int) -> dict[str, float]:
    """Fourier with the memory that a plan takes where nothing is said."""
    plan, frame = ub.Plan(data, grid, method="fourier", **accepted(data, sine)), data.frame(0)
    return {"fourier_default_seconds": median_seconds(lambda: plan(frame), min(repeats, 3))}


def errors(data: ub.Acquisition, grid: ub.Grid, sine: float) -> dict[str, Any]:
    """Errors of both methods in the acceptance cone, and how much their windows differ elsewhere."""
    both, frame = plans(data, grid, sine), data.frame(0)
    whole = {name: plan(frame)[0].data for name, plan in both.items()}
    middle = np.abs(data.probe.element_positions[:, 0]) < MIDDLE
    active = middle if is_matrix(data) else np.ones(data.n_tx, bool)
    frame = frame * (active[:, None] & middle)[..., None].astype(np.float32)
    flat = (1 - TAPER) * sine
    below = np.abs(grid.x) + MIDDLE <= grid.z[:, None] * flat / np.sqrt(1 - flat**2)
    columns = below.any(axis=0)
    below = below[:, columns]
    (reference,) = ub.Plan(
        data,
        ub.Grid(grid.x[columns], grid.z),
        transmits=active.astype(np.float32),
        interpolation="cubic",
        upsampling=8,
        memory_budget=1e9,
        **accepted(data, sine),
    )(frame)
    found = {name: plan(frame)[0].data[:, columns] for name, plan in both.items()}
    return {
        **{f"{name}_error_db": error_db(image[below], reference.data[below]) for name, image in found.items()},
        "windows_db": error_db(whole["fourier"], whole["das"]),
    }


def compared(data: ub.Acquisition, grid: ub.Grid, work: Work, repeats: int) -> list[dict[str, Any]]:
    """Times and errors of one recording."""
    parts = [
        (times(data, grid, sine, repeats), default_seconds(data, grid, sine, repeats), errors(data, grid, sine))
        for sine in work.sines
    ]
    return [{**seconds, **default, **error} for seconds, default, error in parts]


def crossovers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each angle, the number of elements from which on Fourier is faster, on a straight line in logarithms.

    None where it is faster or slower throughout; where there are several, the last.
    """
    found: list[dict[str, Any]] = []
    for sine in sorted({row["sine"] for row in rows}):
        line = sorted(
            (row["elements"], row["das_seconds"], row["fourier_seconds"]) for row in rows if row["sine"] == sine
        )
        elements, das, fourier = np.log(np.array(line)).T
        ahead = das - fourier
        turns = np.flatnonzero((ahead[:-1] <= 0) & (ahead[1:] > 0))
        here: dict[str, Any] = {"sine": sine, "elements": None, "seconds": None}
        if len(turns):
            last = slice(turns[-1], turns[-1] + 2)
            at = np.interp(0, ahead[last], elements[last])
            seconds = np.interp(at, elements[last], das[last])
            here = {"sine": sine, "elements": float(np.exp(at)), "seconds": float(np.exp(seconds))}
        found.append(here)
    return found


def growth_rows(work: Work, repeats: int) -> list[dict[str, Any]]:
    """Against pixels in both directions and against bandwidth; the region and the elements stay."""
    n_elements, sine = work.elements[0], work.sines[-1]
    data = work.recording(n_elements)
    cases = [(data, 0.65, work.grid(*fine)) for fine in ((1, 1), (1, 0.5), (1, 2), (0.5, 1), (2, 1))]
    cases += [(work.recording(n_elements, bandwidth), bandwidth, work.grid()) for bandwidth in (0.3, 1.0)]
    return [
        {"n_x": grid.shape[1], "n_z": grid.shape[0], "bandwidth": bandwidth, **times(data, grid, sine, repeats)}
        for data, bandwidth, grid in cases
    ]


def spectra_seconds(plan: ub.Plan, repeats: int) -> float:
    """The part of a Fourier image that transforms its traces over time."""
    fourier, (weights,), frame = plan._beamformer, plan.weights, plan.acquisition.frame(0)
    pairs = pair(plan.acquisition, weights, np.flatnonzero(weights), fold=fourier._folds)
    sources, room = fourier._spectra.sources(pairs), fourier._work_bytes
    return median_seconds(lambda: [fourier._spectra(frame, sources, run, room) for run in fourier._runs], repeats)


def transmitter_rows(work: Work, repeats: int) -> list[dict[str, Any]]:
    """Fourier with some of the transmitters, with and without the fold."""
    data, grid, sine = work.recording(work.elements[0]), work.grid(), work.sines[-1]
    frame, rows = data.frame(0), []
    for fold in (False, True):
        for count in work.transmitters:
            options = {"transmits": ub.subsets.ends(data, count), "fold": fold, **accepted(data, sine)}
            plan = ub.Plan(data, grid, method="fourier", **options)
            seconds = median_seconds(lambda plan=plan: plan(frame), repeats)
            spectra = spectra_seconds(plan, repeats)
            row = {"fold": fold, "transmitters": count, "seconds": seconds, "spectra_seconds": spectra}
            rows.append({**row, "image_seconds": seconds - spectra})
    return rows


def peak_memory(work: Work) -> float:
    """Peak bytes of a process of its own that reads the largest recording and images it, compiler included.

    It accepts what is accepted where nothing is said, wider angles than those of the tables.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "matrix.h5")
        work.recording(work.elements[-1]).save(path)
        job = [sys.executable, "-c", MEMORY_JOB, path, str(work.n_z), str(work.n_x)]
        return 1024 * float(subprocess.run(job, capture_output=True, text=True, check=True).stdout)


MEMORY_JOB = """
import sys
import usbeam as ub
recording, shape = ub.load(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3]))
ub.beamform(recording, ub.Grid.linear(x=(-20e-3, 20e-3), z=(2e-3, 42e-3), shape=shape), method="fourier")
# Not getrusage: its peak counts what the process that started this one had.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def run(repeats: int = 7, work: Work = STANDARD) -> dict[str, Any]:
    """Everything; the numbers of `report` and `draw`."""
    grid = work.grid()
    matrices = [row for n in work.elements for row in compared(work.recording(n), grid, work, repeats)]
    waves = work.recording(work.elements[1], angles=work.angles)
    arrays = [times(work.recording(n), grid, sine, repeats) for n in work.few_elements for sine in work.sines]
    arrays += [{name: row[name] for name in arrays[0]} for row in matrices]
    arrays.sort(key=lambda row: (row["sine"], row["elements"]))
    return {
        "threads": get_num_threads(),
        "samples": work.n_samples,
        "shape": grid.shape,
        "elements": matrices,
        "plane_waves": compared(waves, grid, work, repeats),
        "arrays": arrays,
        "crossover": crossovers(arrays),
        "growth": growth_rows(work, repeats),
        "transmitters": transmitter_rows(work, repeats),
        "peak_memory": peak_memory(work),
    }


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns as wide as they need; seconds with three decimals."""
    text = [names, *[[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    return ["", *["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in text]]


def report(found: dict[str, Any]) -> list[str]:
    """The tables of `run` as text."""
    n_z, n_x = found["shape"]
    lines = [f"{found['samples']} samples, {n_x} x {n_z} points, {found['threads']} threads"]
    names = ("das_seconds", "fourier_seconds", "fourier_default_seconds")
    lines += table(
        ["recording", "sine", "DAS s", "Fourier s", "default memory", "ratio", "DAS dB", "Fourier dB", "windows dB"],
        [
            [f"{row['transmits']} {kind} x {row['elements']}", f"{row['sine']:g}"]
            + [row[name] for name in names]
            + [f"{row['ratio']:.2f}"]
            + [f"{row[name]:.1f}" for name in ("das_error_db", "fourier_error_db", "windows_db")]
            for kind in ("elements", "plane waves")
            for row in found[kind.replace(" ", "_")]
        ],
    )
    lines += table(
        ["elements", "sine", "DAS s", "Fourier s", "ratio"],
        [
            [row["elements"], f"{row['sine']:g}", row["das_seconds"], row["fourier_seconds"], f"{row['ratio']:.2f}"]
            for row in found["arrays"]
        ],
    )
    for here in found["crossover"]:
        where = "nowhere in this range" if here["elements"] is None else f"{here['elements']:.0f} elements"
        lines.append(f"crossover at sine {here['sine']:g}: {where}")
    first = found["growth"][0]
    lines += table(
        ["pixels", "bandwidth", "DAS s", "times", "Fourier s", "times"],
        [
            [f"{row['n_x']} x {row['n_z']}", f"{row['bandwidth']:g}"]
            + [cell for name in names[:2] for cell in (row[name], f"{row[name] / first[name]:.2f}")]
            for row in found["growth"]
        ],
    )
    lines += table(
        ["transmitters", "fold", "Fourier s", "over time", "image"],
        [
            [row["transmitters"], "yes" if row["fold"] else "no"]
            + [row[name] for name in ("seconds", "spectra_seconds", "image_seconds")]
            for row in found["transmitters"]
        ],
    )
    for fold in (False, True):
        rows = [row for row in found["transmitters"] if row["fold"] is fold]
        both = [[row[name] for row in rows] for name in ("seconds", "image_seconds")]
        total, image = (max(seconds) / min(seconds) - 1 for seconds in both)
        lines.append(f"{'fold' if fold else 'no fold'}: spread {total:.0%}, of the image part {image:.0%}")
    largest, memory = found["elements"][-1]["elements"], found["peak_memory"]
    return [*lines, "", f"peak memory of a process that loads and images {largest} x {largest}: {memory / 1e6:.0f} MB"]


def draw(found: dict[str, Any]) -> Any:
    """Time against the number of elements with the crossovers, as matplotlib Axes."""
    from matplotlib.figure import Figure

    ax = Figure(figsize=(6.4, 4.4), layout="constrained").add_subplot()
    for here, style in zip(found["crossover"], ("o-", "s--", "^:", "d-."), strict=False):
        rows = [row for row in found["arrays"] if row["sine"] == here["sine"]]
        for method, label in (("das", "delay-and-sum"), ("fourier", "Fourier")):
            ax.plot(
                [row["elements"] for row in rows],
                [row[f"{method}_seconds"] for row in rows],
                style,
                color=COLORS[method],
                ms=4,
                label=f"{label}, sin {here['sine']}",
            )
        if here["elements"] is not None:
            ax.plot(here["elements"], here["seconds"], "o", ms=12, mfc="none", mec="black")
            ax.annotate(
                f"{here['elements']:.0f}",
                (here["elements"], here["seconds"]),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
            )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="elements of a 40 mm array, each fires and all receive",
        ylabel="one image [s]",
        title=f"{found['shape'][1]} x {found['shape'][0]} points, {found['threads']} threads",
    )
    ticks = sorted({row["elements"] for row in found["arrays"]})
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return ax


if __name__ == "__main__":
    print("\n".join(report(run())))
