"""A recording ten times larger than the memory budget is imaged frame by frame, within the budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub

BUDGET = 30_000_000
FRAME = (32, 32, 2048)
N_FRAMES = 72

IMAGE_ALL_FRAMES = """
import sys
import usbeam as ub

def memory(field):
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(field)))

recording = ub.load(sys.argv[1])
budget = float(sys.argv[2])
grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(5e-3, 25e-3), shape=(400, 160))
plan = ub.Plan(recording, grid, memory_budget=budget)
small = recording.replace(samples=recording.samples[:1])
ub.Plan(small, ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(4, 4)))(small.frame(0))  # compiles
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
total = 0.0
for (image,) in plan.frames():
    total += abs(image.data).sum()
print(memory("VmHWM") - before, total)
"""


class Film:
    """Frames made when asked for: the recording never exists in memory."""

    shape = (N_FRAMES, *FRAME)
    dtype = np.dtype(np.int16)

    def __getitem__(self, key: int) -> np.ndarray:
        return np.random.default_rng(key).integers(-30, 30, FRAME, dtype=np.int16)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through Linux's /proc")
def test_a_long_int16_recording_stays_within_the_budget(tmp_path):
    probe = ub.Probe.linear(32, 0.3e-3, 5e6, bandwidth=0.65)
    film = ub.Acquisition(
        samples=Film(),
        kind="rf",
        scale=1e-3,
        sampling_frequency=25e6,
        start_time=0.0,
        sound_speed=1540.0,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )
    assert np.prod(film.samples.shape) * 2 >= 10 * BUDGET
    path = tmp_path / "film.h5"
    film.save(path)
    command = [sys.executable, "-c", IMAGE_ALL_FRAMES, str(path), str(BUDGET)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, total = (float(word) for word in run.stdout.split())
    assert growth < BUDGET
    assert total > 0
