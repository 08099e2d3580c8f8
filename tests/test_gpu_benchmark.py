"""benchmarks/gpu.py: it measures what it says, and without a GPU it says so and invents nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from usbeam import device

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    return gpu


def test_every_row_is_right_and_has_its_times(gpu: Any, benchmark: Any) -> None:
    rows, limits = benchmark.run(benchmark.QUICK, 1, 64)
    assert [row.name for row in rows] == [work.name for work in benchmark.QUICK]
    for row in rows:
        assert row.difference < 1e-4
        assert (
            min(row.kernel, row.resident, row.transfers, row.cpu, row.sums_per_second, row.memory, row.arithmetic) > 0
        )
    text = "\n".join(benchmark.report(rows, limits))
    assert all(f"| {row.name} |" in text for row in rows)


def test_kernels_are_as_they_were_afterwards(gpu: Any, benchmark: Any) -> None:
    from usbeam.kernels import das_gpu

    before = das_gpu.das
    with benchmark.KernelTime((das_gpu, "das")) as kernel:
        assert das_gpu.das is not before
    assert das_gpu.das is before
    assert kernel.seconds() == 0


@pytest.mark.skipif(device.gpu_obstacle() is None, reason="this machine has a usable GPU")
def test_without_a_gpu_nothing_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "not measured: " in done.stderr
    assert "hint: " in done.stderr
