"""A long recording is imaged frame by frame, the work on each within the memory budget, beside frame and images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub

BUDGET = 25_000_000
FRAME = (32, 32, 2048)
FRAME_BYTES = 2 * 32 * 32 * 2048
IMAGE_BYTES = 8 * 400 * 160
N_FRAMES = 60

IMAGE_FRAMES = """
import sys
import usbeam as ub

def memory(field):
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(field)))

recording = ub.load(sys.argv[1])
budget, n_subsets, n_frames = (int(word) for word in sys.argv[2:])
grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(5e-3, 25e-3), shape=(400, 160))
subsets = [ub.subsets.random(recording, 16, seed) for seed in range(n_subsets)]
plan = ub.Plan(recording, grid, transmits=subsets, memory_budget=budget)
small = recording.replace(samples=recording.samples[:1])
ub.Plan(small, ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(4, 4)))(small.frame(0))  # compiles
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
total = 0.0
for images in plan.frames(range(n_frames)):
    total += abs(images[0].data).sum()
print(memory("VmHWM") - before, total, plan.settings["compounded"])
"""


class Film:
    """Frames made when asked for: the recording never exists in memory."""

    shape = (N_FRAMES, *FRAME)
    dtype = np.dtype(np.int16)

    def __getitem__(self, key: int) -> np.ndarray:
        return np.random.default_rng(key).integers(-30, 30, FRAME, dtype=np.int16)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through Linux's /proc")
@pytest.mark.parametrize(("n_subsets", "n_frames", "compounded"), [(1, N_FRAMES, False), (12, 3, True)])
def test_a_long_int16_recording_stays_within_the_budget(tmp_path, n_subsets, n_frames, compounded):
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
    command = [sys.executable, "-c", IMAGE_FRAMES, str(path), *map(str, (BUDGET, n_subsets, n_frames))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, total, way = run.stdout.split()
    # An image is summed, returned, and still held while the next frame's is made.
    assert float(growth) < BUDGET + FRAME_BYTES + 3 * n_subsets * IMAGE_BYTES
    assert float(total) > 0
    assert way == str(compounded)
