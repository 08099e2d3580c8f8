"""usbeam beside its peers: ``python benchmarks/peers.py [--quick] [--json]`` prints one table.

Installs fast-das, ultraspy, vbeam and ustb from PyPI into an environment of their own, gives each the same recording
and the same grid (`peers/work.py`) in its fastest setting for the same image (`peers/drivers.py`), each in a process
of its own on the same processors, and compares every image with a float64 reference. Run it with the Python that has
usbeam. A peer that cannot be installed or run is a row with the reason. Finished peers are kept in
``benchmarks/results/peers`` and measured again only with ``--fresh`` or after a change of the benchmark; usbeam is
measured every time.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peers import work
from peers.drivers import OURS, PEERS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers"
# The versions whose interface the drivers speak. One environment does: all four agree on a numpy and a numba.
REQUIREMENTS = {
    "fast-das": ["fast-das==1.2.0", "scipy", "setuptools<81"],  # it imports scipy and pkg_resources, undeclared
    "ultraspy": ["ultraspy==1.2.7"],
    "vbeam": ["vbeam==1.0.10", "jax"],
    "ustb": ["ustb==0.2.0"],
}
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TIMEOUT = 1800  # seconds for one row

Row = dict[str, Any]


class RowFailed(Exception):
    """A row cannot be measured; the message is the reason shown."""


@dataclass(frozen=True)
class Column:
    title: str
    key: str
    form: str = "{}"
    scale: float = 1

    def text(self, row: Row) -> str:
        value = row.get(self.key)
        if value is None:
            return "-"
        return self.form.format(value * self.scale if self.scale != 1 else value)


COLUMNS = (
    Column("package", "name"),
    Column("version", "version"),
    Column("plan s", "plan_s", "{:.2f}"),
    Column("first s", "first_call_s", "{:.2f}"),
    Column("median s", "median_s", "{:.3f}"),
    Column("min s", "min_s", "{:.3f}"),
    Column("runs", "repetitions"),
    Column("x fastest peer", "speed_up", "{:.2f}"),
    Column("by min", "speed_up_min", "{:.2f}"),
    Column("cpu s", "cpu_median_s", "{:.3f}"),
    Column("cores", "cores_busy", "{:.1f}"),
    Column("peak MB", "peak_memory_bytes", "{:.0f}", 1e-6),
    Column("position px", "position_error_pixels"),
    Column("lateral %", "lateral_fwhm_error", "{:.1f}", 100),
    Column("axial %", "axial_fwhm_error", "{:.1f}", 100),
    Column("envelope dB", "envelope_error_db", "{:.1f}"),
    Column("in the time", "remark"),
)
LEGEND = """\
plan: set-up before the first image, for usbeam the Plan. first: the first image, compilation included. median, min: an
image after that. x fastest peer: median of the fastest of the four peers over this median; by min: the same of the
minima. cpu: processor time of an image, all threads. cores: processor time over wall time. Where it is far below the
number of threads for a peer, something else was running and the ratios are void: measure again with --fresh. peak: the
whole process, recording and set-up included. position, lateral, axial: worst error of the five targets' peak and FWHM;
envelope: RMS error around the targets after one gain; all against float64 delay-and-sum of the 8-fold upsampled
recording."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def limit_threads(count: int) -> None:
    """Hold this process and all it starts to `count` processors; the variables are for where that is impossible."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def run(command: list[str]) -> str:
    """Stdout of a command; `RowFailed` with its last words if it fails."""
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise RowFailed(f"not done after {TIMEOUT} s") from None
    except OSError as error:
        raise RowFailed(str(error)) from error
    if done.returncode < 0:
        raise RowFailed(f"killed by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        words = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in words if line.startswith("ERROR")]  # pip says more after its error
        raise RowFailed((errors or words or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def python_with(name: str, venv: Path) -> str:
    """The interpreter for a row: this one for usbeam, else the peers', with that peer installed."""
    if name in OURS:
        return sys.executable
    python = venv / "bin" / "python"
    if not python.exists():
        say(f"making {venv}")
        run([sys.executable, "-m", "venv", str(venv)])
    say(f"installing {', '.join(REQUIREMENTS[name])}")
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[name]])
    return str(python)


def measure(name: str, venv: Path, repetitions: int, expected: np.ndarray) -> Row:
    """Measure and score one row in a process of its own."""
    image = RESULTS / f"{name.replace(',', '').replace(' ', '-')}.npy"
    python = python_with(name, venv)
    say(f"measuring {name}")
    command = [python, "-m", "peers.measure", name, str(RESULTS / "samples.npy"), str(image), str(repetitions)]
    report = json.loads(run(command).splitlines()[-1])
    seconds = report["seconds"]
    return {
        "name": name,
        "remark": report.pop("timed"),
        **report,
        "repetitions": len(seconds),
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "cpu_median_s": statistics.median(report["cpu_seconds"]),
        "cores_busy": sum(report["cpu_seconds"]) / sum(seconds),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **work.score(np.load(image), expected),
    }


def fingerprint(name: str, threads: int) -> str:
    """Changes with anything that a kept result depends on."""
    sources = [path.read_bytes() for path in sorted((HERE / "peers").glob("*.py"))]
    settings = repr((REQUIREMENTS[name], threads, sys.version, platform.node())).encode()
    return hashlib.sha256(b"".join([*sources, settings])).hexdigest()


def kept(name: str, mark: str, repetitions: int) -> Row | None:
    """The result of an earlier run of the same measurement with at least as many repetitions."""
    try:
        stored = json.loads((RESULTS / f"{name}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    row = stored["row"]
    return row if stored["fingerprint"] == mark and row["repetitions"] >= repetitions else None


def measure_all(options: argparse.Namespace) -> list[Row]:
    RESULTS.mkdir(parents=True, exist_ok=True)
    rf = work.synthesise()
    np.save(RESULTS / "samples.npy", rf)
    expected = work.reference(rf)
    rows = []
    for name in [*PEERS, *OURS]:
        mark = fingerprint(name, options.threads) if name in PEERS else ""
        row = None if options.fresh or name in OURS else kept(name, mark, options.repetitions)
        if row is None:
            try:
                row = measure(name, options.venv, options.repetitions, expected)
            except RowFailed as failure:
                rows.append({"name": name, "remark": f"failed: {failure}"})
                continue
            if name in PEERS:
                (RESULTS / f"{name}.json").write_text(json.dumps({"fingerprint": mark, "row": row}))
        else:
            say(f"keeping {name}, measured {row['measured']}")
        rows.append(row)
    for ratio, seconds in (("speed_up", "median_s"), ("speed_up_min", "min_s")):
        measured = [row for row in rows if seconds in row]
        peers = [row[seconds] for row in measured if row["name"] in PEERS]
        for row in measured if peers else ():
            row[ratio] = min(peers) / row[seconds]
    return rows


def table(rows: list[Row]) -> str:
    cells = [[column.title for column in COLUMNS], *([column.text(row) for column in COLUMNS] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(COLUMNS))]
    left = (0, 1, len(COLUMNS) - 1)
    lines = [
        "  ".join(
            text.ljust(width) if index in left else text.rjust(width)
            for index, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def processor() -> str:
    """Model of the processor, as Linux names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="as few images as give a time; the same work")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--fresh", action="store_true", help="measure every peer again")
    parser.add_argument("--threads", type=int, default=2, help="processors for every package (2)")
    parser.add_argument("--repetitions", type=int, default=5, help="timed images for every package, at least (5)")
    parser.add_argument("--venv", type=Path, default=HERE.parent / ".venv-peers", help="the peers' environment")
    options = parser.parse_args()
    if min(options.threads, options.repetitions) < 1:
        parser.error("--threads and --repetitions must be at least 1")
    if options.quick:
        options.repetitions = 1
    options.venv = options.venv.resolve()
    return options


def main() -> int:
    options = parse()
    limit_threads(options.threads)
    rows = measure_all(options)
    shape = f"{work.N_ELEMENTS} x {work.N_ELEMENTS} full matrix, {len(work.X)} x {len(work.Z)} pixels, linear"
    if options.json:
        machine = {"processor": processor(), "threads": options.threads, "python": platform.python_version()}
        print(json.dumps({"work": shape, "pixel_pairs": work.N_PAIR_PIXELS, "machine": machine, "rows": rows}))
    else:
        print(f"{shape}; {options.threads} threads of {processor()}\n\n{table(rows)}\n\n{LEGEND}")
    return 0 if all("median_s" in row for row in rows if row["name"] in OURS) else 1


if __name__ == "__main__":
    sys.exit(main())
