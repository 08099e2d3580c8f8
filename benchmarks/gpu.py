"""What a GPU does with the standard work, and whether it does it right. Prints Markdown.

    python benchmarks/gpu.py                       # checks, then the tables; ten minutes, mostly the CPU's
    python benchmarks/gpu.py --only "DAS 64" --repeats 50 --no-checks
    python benchmarks/gpu.py --quick               # tiny sizes: does it run?

*Checks*: the tests of every GPU kernel against naive float64 sums and against its twin on the CPU, here on the GPU
itself. *Beamforming*: ``kernel`` is the one kernel that sums along delays (or grids along kz), ``resident`` the whole
way from samples on the GPU to images on the GPU, both by the GPU's own clock; ``with transfers`` is from samples in
host memory to images in host memory, by the host's. All are medians for one frame. ``difference`` is the largest one
between GPU and CPU, over the peak of the image. *Ceilings* are measured first: a large copy (bytes read and written),
and a large product of float32 matrices. ``memory`` is the share of the first that a frame would take if samples were
read and images written once, ``arithmetic`` the share of the second that the products with samples take (8 operations
for each tap); neither counts delays or what is read again. Where they are installed, mach and ultraspy image the same
plane wave, samples and images on the GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import usbeam as ub
from usbeam import device
from usbeam.errors import DeviceUnavailable

SPEED, CENTER, RATE = 1540.0, 7.5e6, 31.25e6
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Work:
    """One row.

    Parameters
    ----------
    name
        In the table.
    method
        Of beamforming.
    n_elements
        Of the array of 40 mm, which all fire one after the other, or together as a plane wave.
    plane
        Whether it is a plane wave.
    n_frames
        Beamformed together.
    shape
        Of the image.
    n_samples
        Of a trace.
    precision
        Of the traces that delay-and-sum reads on the GPU.
    """

    name: str
    method: str
    n_elements: int
    plane: bool = False
    n_frames: int = 1
    shape: tuple[int, int] = (620, 256)
    n_samples: int = 2048
    precision: str = "single"

    def acquisition(self) -> ub.Acquisition:
        """Noise, which takes the same time as echoes, and hides no error in the dark."""
        probe = ub.Probe.linear(self.n_elements, 40e-3 / self.n_elements, CENTER, bandwidth=0.65)
        fired = ub.Transmits.plane(probe, [0.0], SPEED) if self.plane else ub.Transmits.elements(probe)
        size = (self.n_frames, 1 if self.plane else self.n_elements, self.n_elements, self.n_samples)
        samples = np.random.default_rng(0).standard_normal(size, np.float32)
        kind = "rf"
        if self.plane:  # as mach's case has it: baseband, complex
            samples, kind = (samples + 1j * samples[..., ::-1]).astype(np.complex64), "iq"
        return ub.Acquisition(
            samples=samples,
            kind=kind,
            sampling_frequency=RATE,
            demodulation_frequency=CENTER if self.plane else 0.0,
            start_time=0.0,
            sound_speed=SPEED,
            probe=probe,
            transmits=fired,
        )

    def grid(self) -> ub.Grid:
        return ub.Grid.linear(x=(-12.5e-3, 12.5e-3), z=(10e-3, 35e-3), shape=self.shape)

    def plan(self, acquisition: ub.Acquisition, where: str) -> ub.Plan:
        """Sine 0.5 is accepted by Fourier, everything by delay-and-sum: their defaults in speed tables."""
        options: dict[str, Any] = {} if where == "cpu" else {"precision": self.precision}
        if self.method == "fourier":
            options |= {"f_number": 0.87, "window": "tukey:0.3"}
            if not self.plane:
                options |= {"transmit_f_number": 0.87, "transmit_window": "tukey:0.3"}
        return ub.Plan(acquisition, self.grid(), method=self.method, device=where, **options)


CASES = (
    Work("DAS 64 x 64", "das", 64),
    Work("DAS 64 x 64, half precision", "das", 64, precision="half"),
    Work("DAS 128 x 128", "das", 128),
    Work("DAS plane wave, 128 elements, 251 x 251, 32 frames", "das", 128, plane=True, n_frames=32, shape=(251, 251)),
    Work("Fourier 32 x 32", "fourier", 32),
    Work("Fourier 64 x 64", "fourier", 64),
    Work("Fourier 128 x 128", "fourier", 128),
)
QUICK = (
    Work("DAS 4 x 4", "das", 4, shape=(24, 12), n_samples=1800),
    Work("DAS plane wave, 4 elements, 3 frames", "das", 4, plane=True, n_frames=3, shape=(24, 12), n_samples=1800),
    Work("Fourier 16 x 16", "fourier", 16, shape=(24, 12), n_samples=1800),
)


def kernels(plan: ub.Plan) -> tuple[tuple[Any, str], ...]:
    """What sums: along delays, from tables or without, or along kz."""
    das, fourier = plan.backend.das, plan.backend.fourier
    if plan.settings["method"] == "das":
        return (das, "das"), (das.Direct, "__call__")
    return (fourier, "full_matrix"), (fourier, "plane_waves")


@dataclass(frozen=True)
class Row:
    """What was found; seconds are of one frame."""

    name: str
    kernel: float
    resident: float
    transfers: float
    cpu: float
    sums_per_second: float
    memory: float
    arithmetic: float
    difference: float


def event_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call by the GPU's clock, after two that are not counted."""
    import cupy

    seconds: list[float] = []
    for _ in range(repeats + 2):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        seconds.append(1e-3 * float(cupy.cuda.get_elapsed_time(start, end)))
    return float(np.median(seconds[2:]))


def host_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call by the host's clock, after one that is not counted."""
    seconds: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


class KernelTime:
    """Adds up, by the GPU's clock, what some functions take; each is an owner and a name."""

    def __init__(self, *functions: tuple[Any, str]) -> None:
        self._functions = [(owner, name, getattr(owner, name)) for owner, name in functions]
        self._events: list[tuple[Any, Any]] = []

    def __enter__(self) -> KernelTime:
        for owner, name, function in self._functions:
            setattr(owner, name, self._timed(function))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._functions:
            setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import cupy

        def timed(*given: Any, **named: Any) -> Any:
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            found = function(*given, **named)
            end.record()
            self._events.append((start, end))
            return found

        return timed

    def seconds(self) -> float:
        """Since the last time this was asked."""
        import cupy

        total = 0.0
        for start, end in self._events:
            end.synchronize()
            total += 1e-3 * float(cupy.cuda.get_elapsed_time(start, end))
        self._events.clear()
        return total


def ceilings(size: int) -> tuple[float, float]:
    """Bytes per second of a copy, and operations per second of a product of float32 matrices."""
    import cupy

    source = cupy.ones(size * size, np.float32)
    target = cupy.empty_like(source)
    bandwidth = 2 * source.nbytes / event_seconds(lambda: cupy.copyto(target, source), 20)
    matrix = source[: (size // 2) ** 2].reshape(size // 2, size // 2)
    operations = 2 * (size // 2) ** 3 / event_seconds(lambda: cupy.matmul(matrix, matrix), 20)
    return bandwidth, operations


def measure(work: Work, repeats: int, limits: tuple[float, float]) -> Row:
    """One row: GPU, then CPU."""
    import cupy

    acquisition = work.acquisition()
    plan, cpu = work.plan(acquisition, "gpu"), work.plan(acquisition, "cpu")
    resident = cupy.asarray(np.asarray(acquisition.samples))
    seconds = event_seconds(lambda: plan.arrays(resident), repeats) / work.n_frames
    sums: list[float] = []
    with KernelTime(*kernels(plan)) as kernel:
        for _ in range(repeats):
            plan.arrays(resident)
            sums.append(kernel.seconds())
    transfers = host_seconds(lambda: list(plan.frames()), max(1, repeats // 2)) / work.n_frames
    frame = acquisition.frame(0)
    (found,), (wanted,) = plan(frame), cpu(frame)
    peak = float(np.abs(wanted.data).max())
    taps = {"nearest": 1, "linear": 2, "cubic": 4}.get(plan.settings.get("interpolation", ""), 4)
    least_bytes = frame.nbytes + found.data.nbytes
    return Row(
        name=work.name,
        kernel=float(np.median(sums)) / work.n_frames,
        resident=seconds,
        transfers=transfers,
        cpu=host_seconds(lambda: cpu(frame), 3),
        sums_per_second=acquisition.n_tx * acquisition.n_rx * plan.grid.size / seconds,
        memory=least_bytes / limits[0] / seconds,
        arithmetic=8 * taps * plan.cost / limits[1] / seconds,
        difference=float(np.abs(found.data - wanted.data).max()) / peak,
    )


def checks() -> bool:
    """The tests of the GPU's kernels and drivers, on the GPU."""
    print("## Checks\n", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "gpu", "tests/kernels", "tests/beamforming"], cwd=ROOT, check=False
    )
    print(f"\n{'every check holds' if done.returncode == 0 else 'SOME CHECKS FAIL'}\n", flush=True)
    return done.returncode == 0


def report(rows: list[Row], limits: tuple[float, float]) -> list[str]:
    """The table."""
    lines = [
        "## Beamforming",
        "",
        f"copy {limits[0] / 1e9:.0f} GB/s, float32 product {limits[1] / 1e12:.1f} TFLOP/s",
        "",
        "| work, one frame | kernel [ms] | resident [ms] | with transfers [ms] | CPU [ms] | G sums/s | memory "
        "| arithmetic | difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(f"{1e3 * value:.3f}" for value in (row.kernel, row.resident, row.transfers, row.cpu))
        shares = f"{row.memory:.1%} | {row.arithmetic:.1%}"
        lines.append(f"| {row.name} | {times} | {row.sums_per_second / 1e9:.0f} | {shares} | {row.difference:.1e} |")
    return lines


def peers(repeats: int) -> list[str]:
    """mach and ultraspy on the plane wave, beside usbeam in the same run."""
    from peers import gpu

    work = next(case for case in CASES if case.plane)
    lines = ["", "## Peers on the plane wave", "", "| package | one frame [ms] | likeness |", "|---|---|---|"]
    for name, call in gpu.drivers(work.acquisition(), work.grid()).items():
        if isinstance(call, str):
            lines.append(f"| {name} | {call} | |")
            continue
        seconds, likeness = event_seconds(call.run, repeats) / call.n_frames, call.likeness()
        lines.append(f"| {name} | {1e3 * seconds:.4f} | {likeness:.4f} |")
    return lines


def run(cases: tuple[Work, ...], repeats: int, size: int) -> tuple[list[Row], tuple[float, float]]:
    """Ceilings and rows."""
    limits = ceilings(size)
    return [measure(work, repeats, limits) for work in cases], limits


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--only", default="", help="rows whose name contains this")
    options.add_argument("--no-checks", action="store_true")
    options.add_argument("--quick", action="store_true", help="tiny sizes")
    options.add_argument("--json", type=Path, help="write the rows there, too")
    given = options.parse_args()
    try:
        device.resolve("gpu")
    except DeviceUnavailable as error:
        print(f"not measured: {error}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    print("".join(f"- {name}: {value}\n" for name, value in device.report().items() if "gpu" in name or "cu" in name))
    right = given.no_checks or checks()
    cases = tuple(work for work in (QUICK if given.quick else CASES) if given.only in work.name)
    rows, limits = run(cases, given.repeats, 512 if given.quick else 16384)
    print("\n".join(report(rows, limits)))
    if not given.quick and not given.only:
        print("\n".join(peers(given.repeats)))
        networks = [sys.executable, "benchmarks/networks.py", "--device", "gpu", "--repeats", str(given.repeats)]
        # Where torch cannot use the GPU, that is said there, and nothing here is wrong.
        right &= subprocess.run(networks, cwd=ROOT, check=False).returncode in (0, DeviceUnavailable.exit_code)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
