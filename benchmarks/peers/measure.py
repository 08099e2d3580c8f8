"""Time one driver in this process: ``python -m peers.measure NAME SAMPLES.npy IMAGE.npy REPETITIONS``.

Prints one JSON object as the last line of stdout and writes the image. `benchmarks/peers.py` starts it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from . import drivers

AT_LEAST = 3.0
"""Seconds of clocked images for every row: many of a quick one, so that a passing disturbance does not decide."""


def peak_memory() -> int:
    """Largest resident size of this program so far [bytes].

    Linux counts it by program in VmHWM; ru_maxrss there also remembers the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def measure(name: str, samples: Path, image: Path, repetitions: int) -> dict[str, object]:
    """Set up, make a first image, which compiles, then at least `repetitions` more; the last one goes to `image`."""
    rf = np.load(samples)
    begin = time.perf_counter()
    driver = drivers.DRIVERS[name](rf)
    plan = time.perf_counter() - begin
    driver.call()
    first = time.perf_counter() - begin - plan
    wall, cpu = [], []
    while len(wall) < repetitions or sum(wall) < AT_LEAST:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        result = driver.call()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    memory = peak_memory()
    np.save(image, result)
    return {
        "version": driver.version,
        "timed": driver.timed,
        "plan_s": plan,
        "first_call_s": first,
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_memory_bytes": memory,
    }


if __name__ == "__main__":
    name, samples, image, repetitions = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):  # some packages report progress on stdout
        report = measure(name, Path(samples), Path(image), int(repetitions))
    print(json.dumps(report))
