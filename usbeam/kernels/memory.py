"""A GPU whose memory is full: one more try in smaller pieces, then an error for people."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from usbeam.errors import DeviceOutOfMemory

T = TypeVar("T")

_WORDS = (
    "cudaErrorMemoryAllocation",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUFFT_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "Failed to allocate memory for requested buffer",
)
"""How CUDA's libraries, torch and ONNX Runtime say it; their errors have no type of their own for it."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that the GPU's memory is full; a host whose memory is full is another matter."""
    # CuPy and torch name the type alike: none of them need be imported to ask.
    return type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in _WORDS)


def free_and_total() -> str | None:
    """What is free of the memory of CuPy's GPU, for people; None where CuPy is not in use or cannot tell."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is None:
        return None
    try:
        free, total = cupy.cuda.runtime.memGetInfo()
    except RuntimeError:  # no memory even to start with
        return None
    return f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"


def release() -> None:
    """Give back what CuPy keeps for later: the work space of its transforms' plans, and its pools."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is not None:
        cupy.fft.config.get_plan_cache().clear()
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


@contextlib.contextmanager
def typed_errors() -> Iterator[None]:
    """Within it, a GPU whose memory is full raises `usbeam.errors.DeviceOutOfMemory`.

    Raises
    ------
    DeviceOutOfMemory
        With what was asked for, where that is known, and what was free.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        asked = re.search(r"allocat\w+ (\d[\d.,]* \w+)", str(error))  # "allocating 1,024 bytes", "allocate 2.00 GiB"
        raise DeviceOutOfMemory(
            "the GPU's memory is full",
            location="device",
            expected=asked and asked[1],
            found=free_and_total(),
            hint="nvidia-smi lists other programs on the GPU; or fewer frames at once, a smaller grid, device cpu",
        ) from error


def retry_smaller(work: Callable[[float], T], budget: float) -> T:
    """Work that may be done in smaller pieces, once more if the GPU's memory is too small.

    Parameters
    ----------
    work
        Takes a memory budget [bytes]. What it returns may depend on it in no other way than by rounding.
    budget
        Of the first try; the second gets a quarter.

    Raises
    ------
    DeviceOutOfMemory
        If the second try fails too.
    """
    try:
        return work(budget)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
    # Not within `except`: the error holds the arrays of the failed try.
    release()
    with typed_errors():
        return work(budget / 4)
