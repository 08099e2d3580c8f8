"""CUDA on the host is as strict as CUDA: what would go wrong on a GPU goes wrong here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cuda import host

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(host.COMPILER is None, reason="no C++ compiler")
SCALE = """
extern "C" __global__ void scale(const float* in, float gain, int n, float* out) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = gain * in[i];
}
"""
REVERSE = """
extern "C" __global__ void reverse(const int* in, int n, int* out) {
    __shared__ int tile[64];
    tile[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = tile[n - 1 - threadIdx.x];
}
"""
OVERRUN = """
import numpy, pytest
from tests.cuda import host
cupy = host.install(pytest.MonkeyPatch())
kernel = cupy.RawModule(code='extern "C" __global__ void put(float* out, int i) { out[i] = 1; }').get_function("put")
array = cupy.zeros(5000, numpy.float32)
for place in (4999, 5000):
    kernel((1,), (1,), (array, numpy.int32(place)))
    print("wrote", place, flush=True)
"""


@pytest.fixture
def cupy() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield host.install(patch)
    host.forget()


def test_every_thread_runs(cupy: Any) -> None:
    given, out = cupy.arange(10, dtype=np.float32), cupy.empty(10, np.float32)
    cupy.RawModule(code=SCALE).get_function("scale")((3,), (4,), (given, np.float32(2), np.int32(10), out))
    np.testing.assert_array_equal(out.get(), 2 * np.arange(10))


def test_threads_of_a_block_meet_at_a_barrier(cupy: Any) -> None:
    given, out = cupy.arange(48, dtype=np.int32), cupy.zeros(48, np.int32)
    cupy.RawModule(code=REVERSE).get_function("reverse")((1,), (48,), (given, np.int32(48), out))
    np.testing.assert_array_equal(out.get(), np.arange(48)[::-1])


@pytest.mark.parametrize(
    ("number", "value", "message"),
    [
        (1, np.float64(2), "float64 for f4"),
        (1, 2.0, "float has no size"),
        (2, np.int64(10), "int64 for i4"),
        (3, np.zeros(10, np.float32), "ndarray has no size"),
        (3, np.int32(0), "int32 for a pointer"),
    ],
)
def test_arguments_of_another_type_are_refused(cupy: Any, number: int, value: Any, message: str) -> None:
    arguments = [cupy.zeros(10, np.float32), np.float32(2), np.int32(10), cupy.zeros(10, np.float32)]
    arguments[number] = value
    with pytest.raises(AssertionError, match=message):
        cupy.RawModule(code=SCALE).get_function("scale")((3,), (4,), tuple(arguments))


def test_a_view_that_is_not_contiguous_is_refused(cupy: Any) -> None:
    given = cupy.zeros((10, 2), np.float32)[:, 0]
    with pytest.raises(AssertionError, match="not contiguous"):
        cupy.RawModule(code=SCALE).get_function("scale")((3,), (4,), (given, np.float32(2), np.int32(10), given))


def test_arrays_of_host_and_device_do_not_mix(cupy: Any) -> None:
    there, here = cupy.ones(3), np.ones(3)
    for mix in (lambda: there + here, lambda: here * there, lambda: np.concatenate([there, here])):
        with pytest.raises(TypeError, match=r"Unsupported type|array of the host"):
            mix()
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(there)


def test_new_memory_is_poisoned(cupy: Any) -> None:
    assert np.all(np.isnan(cupy.empty(5, np.float32).get()))


@pytest.mark.skipif(host.REAL is None, reason="CuPy is not installed to compare with")
def test_names_are_those_of_cupy(cupy: Any) -> None:
    import cupyx

    for name in vars(cupy):
        assert name.startswith("__") or hasattr(host.REAL, name), name
    for name in vars(cupy.cuda):
        assert name.startswith("__") or hasattr(host.REAL.cuda, name), name
    assert not hasattr(cupy, "float128")
    assert not hasattr(cupy.ones(3), "setflags")
    with pytest.raises(TypeError, match="unexpected keyword argument 'workers'"):
        cupyx.scipy.fft.fft(cupy.ones(3), workers=2)
    assert all(name.startswith("__") or name in ("scipy", "empty_pinned") for name in vars(cupyx))


@pytest.mark.skipif(shutil.which("g++") is None, reason="AddressSanitizer is found through g++")
def test_a_write_beyond_an_array_is_caught_where_it_is_looked_for() -> None:
    library = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("g++ came without AddressSanitizer")
    sanitized = {"USBEAM_SANITIZE": "1", "ASAN_OPTIONS": "detect_leaks=0", "LD_PRELOAD": library}
    done = subprocess.run(
        [sys.executable, "-c", OVERRUN],
        cwd=ROOT,
        env={**os.environ, **sanitized},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["wrote 4999", ""]
    assert "heap-buffer-overflow" in done.stderr
