"""What the networks cost: one image, a whole frame from raw samples on, and training. Prints Markdown.

    python benchmarks/networks.py --repeats 11 --steps 10        # ten minutes on two cores; 15, 50 if not given
    python benchmarks/networks.py --parts inference --repeats 50       # --networks, --threads, --steps
    python benchmarks/networks.py --device gpu                         # inference of the paper's networks on a GPU
    python benchmarks/networks.py --quick                              # tiny sizes: does it run?

The networks are untrained, which takes the same time. Everything runs in processes of their own that have so many
threads from their start on; calls are timed after three that are not counted, and medians printed. Nothing else should
run meanwhile: the load average at the start is printed first.

*Inference*: a forward pass of one image, and `ub.enhance` as a whole, from the complex image to the enhanced one in dB;
by every runtime that is installed, in a process for each runtime and number of threads. *Chain*: the stages from the
raw samples of a frame, every element firing alone, to a PNG. *Training*: the second of two epochs, with the network's
defaults but for the epoch's length; all from the same pairs of looks, as what is in them costs nothing; a process for
each row.

On a GPU: *kernels* are those of one replay of the CUDA graph, between two events of the GPU's own clock; *a pass* also
takes an image there and what was made of it back, by the host's clock. Where no GPU can be used the reason is printed,
and the exit code is 4.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import usbeam as ub
from usbeam.beamforming.oblique import DIAGONALS
from usbeam.enhancers import trained
from usbeam.errors import DeviceUnavailable
from usbeam.pairs import DYNAMIC_RANGE, LOOKS_DYNAMIC_RANGE
from usbeam.train import Config, export, fit, gpu, inference, weights
from usbeam.train.networks import MODELS, build
from usbeam.train.replay import Replayed
from usbeam.train.runtimes import OTHERS, RUNTIMES, runner

WARM_UP = 3
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ON_GPU = ("unet", "unet-light")
"""What is timed there, if nothing is said."""
INSTALLED = ["torch", *(name for name, package in OTHERS.items() if importlib.util.find_spec(package))]
PACKAGES = ("usbeam", "torch", "onnxruntime", "openvino", "lightning", "numba", "numpy")


@dataclass(frozen=True)
class Work:
    """What is timed, and how often."""

    networks: Sequence[str] = tuple(MODELS)
    n_z: int = 620
    n_x: int = 256
    n_elements: int = 64
    n_pairs: int = 8
    """To train on, and as many to validate on."""
    repeats: int = 15
    steps: int = 50
    """Of an epoch."""

    @property
    def grid(self) -> ub.Grid:
        """As wide as the probe."""
        half, depth = self.n_elements * 0.3125e-3, (5e-3, 5e-3 + 0.06e-3 * (self.n_z - 1))
        return ub.Grid.linear(x=(-half, half), z=depth, shape=(self.n_z, self.n_x))

    def recording(self, seed: int) -> ub.Acquisition:
        """Sparse speckle, which takes the same time as dense, and noise."""
        probe = ub.Probe.linear(self.n_elements, 0.625e-3, 7.5e6, bandwidth=0.65)
        x, z = ((float(axis[0]), float(axis[-1])) for axis in (self.grid.x, self.grid.z))
        phantom = ub.simulate.phantoms.speckle(probe, x=x, z=z, density=0.1, seed=seed)
        shots = ub.Transmits.elements(probe)
        return ub.simulate.record(phantom, probe, shots, sampling_frequency=31.25e6, depth=z, noise_db=-20, seed=seed)


QUICK = Work(n_z=96, n_x=64, n_elements=16, n_pairs=2, repeats=2, steps=2)


def save_networks(folder: Path, work: Work) -> None:
    """As files, for all runtimes."""
    spacing = [float(axis[1] - axis[0]) for axis in (work.grid.z, work.grid.x)]
    for name in work.networks:
        file, domain = folder / f"{name}.safetensors", Config(model=name).domain
        level = DYNAMIC_RANGE if domain == "display" else LOOKS_DYNAMIC_RANGE
        weights.save(build(name, seed=0), file, {"domain": domain, "dynamic_range_db": level, "spacing": spacing})
        if len(INSTALLED) > 1:
            export.export(inference.load(file), file.with_suffix(".onnx"))


def prepare(folder: Path, work: Work) -> None:
    """Networks, a recording, and pairs of two."""
    save_networks(folder, work)
    recordings = [work.recording(seed) for seed in (0, 1)]
    recordings[0].save(folder / "recording.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # looks at such sparse speckle are alike
        ub.make_pairs(recordings, work.grid, out=folder / "pairs.h5", n_pairs=work.n_pairs)


def time_inference(folder: Path, work: Work, runtime: str) -> dict[str, tuple[float, float]]:
    """Of each network a pass and `ub.enhance`."""
    values, other = np.random.default_rng(0).standard_normal((2, work.n_z, work.n_x), np.float32)
    image, found = ub.Image(values + 1j * other, work.grid), dict[str, tuple[float, float]]()
    for name in work.networks:
        file = folder / f"{name}.safetensors"
        model = None if runtime == "torch" else file.with_suffix(".onnx").read_bytes()
        run = runner(trained.find(file).network.network, runtime, model)
        found[name] = median(work, run, values), median(work, ub.enhance, image, file, runtime=runtime)
    return found


@dataclass(frozen=True)
class OnGpu:
    """Milliseconds of a network on a GPU, and the largest difference of a pass from one on the CPU."""

    kernels: float | None
    one_pass: float
    enhance: float
    difference: float


def time_on_gpu(folder: Path, work: Work, name: str, runtime: str) -> OnGpu:
    """Only torch's kernels are timed by themselves."""
    values, other = np.random.default_rng(0).random((2, work.n_z, work.n_x), np.float32)
    image, file = ub.Image(values + 1j * other, work.grid), folder / f"{name}.safetensors"
    network = trained.find(file).network.network
    model = None if runtime == "torch" else file.with_suffix(".onnx").read_bytes()
    run = runner(network, runtime, model, "gpu")
    return OnGpu(
        kernels_alone(work, Replayed(copy.deepcopy(network).to("cuda"), values.shape)) if model is None else None,
        median(work, run, values),
        median(work, ub.enhance, image, file, runtime=runtime, device="gpu"),
        float(np.abs(run(values) - runner(network)(values)).max()),
    )


def kernels_alone(work: Work, network: Replayed) -> float:
    """Milliseconds of a replay, by the GPU's clock."""
    times: list[float] = []
    for _ in range(WARM_UP + work.repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        network.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return float(np.median(times[WARM_UP:]))


def time_chain(folder: Path, work: Work) -> dict[str, Any]:
    """The stages that all networks share; then of each network and runtime `ub.enhance`, fast and quality."""
    recording = ub.load(folder / "recording.h5")
    frame, angular = recording.frame(0), ub.Angular(recording, work.grid)
    made = angular(frame)
    image, looks = made.image(), made.looks(DIAGONALS)
    stages = {
        "tables, once for all frames": median(work, ub.Angular, recording, work.grid),
        "angular components": median(work, angular, frame),
        "image": median(work, made.image),
        "looks": median(work, made.looks, DIAGONALS),
        "log compression": median(work, image.db),
        "PNG": median(work, image.db().save, folder / "image.png", overwrite=True),
    }
    networks: list[tuple[str, str, float, float]] = []
    for name in work.networks:
        for runtime in INSTALLED:
            how = image, folder / f"{name}.safetensors"
            fast = median(work, ub.enhance, *how, runtime=runtime)
            quality = median(work, ub.enhance, *how, runtime=runtime, looks=looks, mode="quality")
            networks.append((name, runtime, fast, quality))
    return {"stages": stages, "networks": networks, "n_looks": len(looks)}


def time_training(folder: Path, work: Work, model: str, precision: str) -> dict[str, float]:
    """Peak memory is that of the process, with all that it has imported."""
    config = Config(model=model, precision=precision, epochs=2, steps_per_epoch=work.steps)
    last = fit(folder / "pairs.h5", config, out=folder / f"{model} {precision}", device="cpu").history[-1]
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # ru_maxrss would count the parent's memory, too
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return {"step": last.step_seconds, "waiting": last.waiting, "epoch": last.seconds, "peak": peak}


def median(work: Work, function: Callable[..., object], *given: Any, **named: Any) -> float:
    """Milliseconds of a call."""
    times: list[float] = []
    for _ in range(WARM_UP + work.repeats):
        start = time.perf_counter()
        function(*given, **named)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[WARM_UP:]))


def alone(threads: int, what: Callable[..., Any], folder: Path, work: Work, *rest: str) -> Any:
    """What a function of this module gives in a process of its own, which has so many threads from its start on."""
    request = json.dumps([threads, what.__name__, str(folder), asdict(work), *rest])
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    done = subprocess.run([sys.executable, __file__, "--alone", request], env=environment, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"{what.__name__} {' '.join(rest)}: failed, for the reason above")
    return json.loads(done.stdout.splitlines()[-1])


def answer(request: str) -> str:
    """The other side of `alone`."""
    threads, name, folder, work, *rest = json.loads(request)
    torch.set_num_threads(threads)  # ONNX Runtime and OpenVINO are given as many as torch has
    return json.dumps(globals()[name](Path(folder), Work(**work), *rest))


def inference_report(folder: Path, work: Work, threads: Sequence[int]) -> Iterator[str]:
    yield f"### Inference: one image of {work.n_x} x {work.n_z}, median ms of {work.repeats}"
    head = [f"{what}, threads: {n}" for n in threads for what in ("pass", "`ub.enhance`")]
    rows: list[list[str]] = []
    for runtime in RUNTIMES:
        if runtime not in INSTALLED:
            rows.append(["all", runtime, *["not installed"] * len(head)])
            continue
        found = [alone(n, time_inference, folder, work, runtime) for n in threads]
        rows += [[name, runtime, *(f"{ms:.1f}" for each in found for ms in each[name])] for name in work.networks]
    yield table(["network", "runtime", *head], rows)
    yield "A pass is a single one; `ub.enhance` makes two, as the image goes in flipped as well. All in float32."


def gpu_report(folder: Path, work: Work) -> Iterator[str]:
    built = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    yield f"Measured on {torch.cuda.get_device_name()}, {built}."
    yield f"### Inference on a GPU: one image of {work.n_x} x {work.n_z}, median ms of {work.repeats}"
    rows: list[list[str]] = []
    for runtime in INSTALLED:
        if (obstacle := gpu.obstacle(runtime)) is not None:
            rows.append(["all", runtime, str(obstacle), "", "", ""])
            continue
        for name in work.networks:
            found = time_on_gpu(folder, work, name, runtime)
            kernels = "" if found.kernels is None else f"{found.kernels:.3f}"
            times = f"{found.one_pass:.3f}", f"{found.enhance:.1f}"
            rows.append([name, runtime, kernels, *times, f"{found.difference:.1e}"])
    yield table(["network", "runtime", "kernels", "pass", "`ub.enhance`", "difference"], rows)
    yield (
        "In float32 without TF32. A pass with transfers; `ub.enhance` makes two, and does the rest on the CPU. "
        "Difference: the largest from a pass on the CPU, of values from 0 to 1."
    )


def chain_report(folder: Path, work: Work, threads: Sequence[int]) -> Iterator[str]:
    traces, points = f"{work.n_elements} x {work.n_elements} traces", f"{work.n_x} x {work.n_z} points"
    yield f"### From raw samples to a picture: {traces}, {points}, threads: {max(threads)}, median ms of {work.repeats}"
    found = alone(max(threads), time_chain, folder, work)
    stages = found["stages"]
    yield table(["stage", "ms"], [[name, f"{ms:.1f}"] for name, ms in stages.items()])
    shared = stages["angular components"] + stages["image"] + stages["PNG"]
    rows: list[list[str]] = []
    for name, runtime, fast, quality in found["networks"]:
        frames = shared + fast, shared + stages["looks"] + quality
        rows.append([name, runtime, *(f"{ms:.1f}" for ms in (fast, quality, *frames))])
    yield table(["network", "runtime", "fast", "quality", "frame, fast", "frame, quality"], rows)
    passes = 2 * (1 + found["n_looks"])
    yield (
        f"fast, quality: `ub.enhance` of the image alone (2 passes), and of it with {found['n_looks']} looks ({passes} "
        "passes); both with log compression. A frame is the sum of its stages: components, image, looks for quality, "
        "network, PNG."
    )


def training_report(folder: Path, work: Work, threads: Sequence[int]) -> Iterator[str]:
    yield f"### Training: epochs of {work.steps} steps, threads: {max(threads)}"
    precisions = dict.fromkeys(("float32", Config(precision="auto").resolved(torch.device("cpu")).precision))
    rows: list[list[str]] = []
    for name in work.networks:
        config = Config(model=name)
        for precision in precisions:
            found = alone(max(threads), time_training, folder, work, name, precision)
            cost = (
                f"{found['step']:.3f}",
                f"{found['waiting']:.2%}",
                f"{found['epoch']:.1f}",
                f"{found['peak'] / 1e6:.0f}",
            )
            rows.append([name, f"{config.batch} of {config.crop[1]} x {config.crop[0]}", precision, *cost])
    yield table(["network", "crops of a step", "precision", "s a step", "waiting", "s an epoch", "peak MB"], rows)
    yield (
        "Waiting: share of a step spent on waiting for crops, which are no larger than the images. "
        f"An epoch: its steps and the validation on {work.n_pairs} whole images, without the pictures and files that "
        "follow. Peak: memory of the process. bfloat16 where the processor has it."
    )


PARTS = {"inference": inference_report, "chain": chain_report, "training": training_report}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(line)} |" for line in (head, *rows))
    return "\n".join([next(lines), "|---" * len(head) + "|", *lines])


def machine() -> Iterator[str]:
    """What a reader must know to judge the rest."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    yield f"Measured on {next(models, platform.machine())}, processors: {os.cpu_count()}."
    known = {each.name: each.version for each in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {known.get(name, 'not installed')}" for name in PACKAGES)
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    yield f"Load average at the start: {load}. Python {platform.python_version()}, {versions}."


def report(work: Work, parts: Sequence[str], threads: Sequence[int]) -> Iterator[str]:
    """Blocks of Markdown, each as soon as it is measured."""
    yield from machine()
    with tempfile.TemporaryDirectory() as folder:
        alone(max(threads), prepare, Path(folder), work)
        for part in parts:
            yield from PARTS[part](Path(folder), work, threads)


def report_on_gpu(work: Work) -> Iterator[str]:
    yield from machine()
    with tempfile.TemporaryDirectory() as folder:
        save_networks(Path(folder), work)
        yield from gpu_report(Path(folder), work)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the networks cost; the file's first lines say how.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="gpu: inference alone")
    parser.add_argument("--networks", nargs="+", choices=MODELS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of inference; the most for the rest")
    parser.add_argument("--repeats", type=int, help="calls of which the median is taken (15)")
    parser.add_argument("--steps", type=int, help="of an epoch (50)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        print("\n" + answer(chosen.alone))
        return
    given = {name: getattr(chosen, name) for name in ("networks", "repeats", "steps") if getattr(chosen, name)}
    work = replace(QUICK if chosen.quick else Work(), **given)
    if chosen.device == "cpu":
        blocks = report(work, chosen.parts, chosen.threads)
    else:
        try:
            gpu.resolve("gpu")
        except DeviceUnavailable as error:
            print(f"not measured: {error}\nhint: {error.hint}", file=sys.stderr)
            raise SystemExit(error.exit_code) from error
        blocks = report_on_gpu(work if chosen.networks else replace(work, networks=ON_GPU))
    for block in blocks:
        print(block + "\n", flush=True)


if __name__ == "__main__":
    main()
