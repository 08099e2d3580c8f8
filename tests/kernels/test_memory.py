"""A GPU whose memory is full: one more try with a quarter of the budget, then an error for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.cuda import host
from usbeam.errors import DeviceOutOfMemory
from usbeam.kernels.memory import ran_out, release, retry_smaller, typed_errors


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pretended GPU with room for 1,000,000 bytes more."""
    cupy = host.install(monkeypatch)
    monkeypatch.setattr(host.MEMORY, "total", host.MEMORY.used + 1_000_000)
    yield cupy
    monkeypatch.undo()
    host.forget()


def tiles(cupy: Any, budgets: list[float]) -> Callable[[float], float]:
    """Work that takes as much memory as it may, and keeps it in a local variable."""

    def work(budget: float) -> float:
        budgets.append(budget)
        kept = [cupy.empty(int(budget) // 2, np.uint8) for _ in range(2)]
        return float(sum(each.size for each in kept))

    return work


def test_what_fits_is_done_once(small: Any) -> None:
    budgets: list[float] = []
    assert retry_smaller(tiles(small, budgets), 900_000.0) == 900_000
    assert budgets == [900_000.0]


def test_what_does_not_fit_is_done_in_smaller_pieces(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first try still held most of the memory when it failed, and pools hold more."""
    pools = []
    monkeypatch.setattr(
        small, "get_default_memory_pool", lambda: type("Pool", (), {"free_all_blocks": lambda _: pools.append(1)})()
    )
    budgets: list[float] = []
    assert retry_smaller(tiles(small, budgets), 1_600_000.0) == 400_000
    assert budgets == [1_600_000.0, 400_000.0]
    assert pools == [1]


def test_what_does_not_fit_in_smaller_pieces_either_says_how_much_there_was(small: Any) -> None:
    budgets: list[float] = []
    with pytest.raises(DeviceOutOfMemory) as caught:
        retry_smaller(tiles(small, budgets), 1e7)
    assert budgets == [1e7, 2.5e6]
    assert isinstance(caught.value.__cause__, host.OutOfMemoryError)
    assert caught.value.expected == "1,250,000 bytes"
    assert caught.value.found is not None
    assert "GB free" in caught.value.found
    assert "nvidia-smi" in (caught.value.hint or "")
    assert caught.value.exit_code == 4


def test_the_failed_try_is_let_go_before_the_next(small: Any) -> None:
    used = []

    def work(budget: float) -> None:
        used.append(host.MEMORY.used)
        kept = small.empty(600_000, np.uint8)
        small.empty(int(budget), np.uint8)
        assert kept.size

    retry_smaller(work, 1_000_000.0)
    assert used[0] == used[1]


@pytest.mark.parametrize(
    "words",
    [
        "cudaErrorMemoryAllocation: out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "CUFFT_ALLOC_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
    ],
)
def test_every_library_of_cuda_may_say_it(small: Any, words: str) -> None:
    error = RuntimeError(words)
    assert ran_out(error)
    with pytest.raises(DeviceOutOfMemory, match="the GPU's memory is full") as caught, typed_errors():
        raise error
    assert caught.value.expected is None
    assert caught.value.__cause__ is error


def test_the_errors_of_cupy_and_torch_are_known() -> None:
    torch = pytest.importorskip("torch")
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    real = host.REAL
    if real is None:
        pytest.skip("CuPy is not installed")
    assert ran_out(real.cuda.memory.OutOfMemoryError(1024, 2048, 0))
    assert ran_out(real.cuda.runtime.CUDARuntimeError(2))
    assert not ran_out(real.cuda.runtime.CUDARuntimeError(100))


@pytest.mark.parametrize("error", [MemoryError("the host's"), RuntimeError("another"), ValueError("shape"), KeyError()])
def test_other_errors_are_left_alone(small: Any, error: Exception) -> None:
    tried = []

    def work(budget: float) -> None:
        tried.append(budget)
        raise error

    with pytest.raises(type(error)) as caught:
        retry_smaller(work, 1.0)
    assert caught.value is error
    assert tried == [1.0]
    with pytest.raises(type(error)) as caught, typed_errors():
        raise error
    assert caught.value is error


def test_typed_errors_stay_what_they_are(small: Any) -> None:
    typed = DeviceOutOfMemory("typed")
    with pytest.raises(DeviceOutOfMemory) as caught, typed_errors():
        raise typed
    assert caught.value is typed


def test_a_gpu_that_cannot_even_say_what_is_free(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(small.cuda.runtime, "memGetInfo", fail)
    with pytest.raises(DeviceOutOfMemory) as caught, typed_errors():
        fail()
    assert caught.value.found is None


def test_names_that_it_uses_are_those_of_cupy() -> None:
    if host.REAL is None:
        pytest.skip("CuPy is not installed")
    assert callable(host.REAL.fft.config.get_plan_cache)
    assert callable(host.REAL.get_default_memory_pool().free_all_blocks)
    assert callable(host.REAL.get_default_pinned_memory_pool().free_all_blocks)


def test_releasing_without_cupy_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    release()
    assert "cupy" not in sys.modules
