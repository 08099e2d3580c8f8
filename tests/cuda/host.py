"""CUDA on the host: CuPy's surface over NumPy, with kernels compiled from the very ``.cu`` files by a C++ compiler.

What usbeam does with CuPy runs here on any machine: arrays that refuse to mix with NumPy's, as CuPy's do; kernels
that refuse arguments of other types than they declare; and every thread of every block, one after the other. It is
made for tests: it is slow, and says nothing about speed.

`install` puts it in the place of ``cupy``. Names that CuPy lacks do not exist here either, where CuPy is installed to
ask.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft

from tests.cuda.arrays import MEMORY, REAL, OutOfMemoryError, asarray, bare, created, from_dlpack, ndarray, wrapped
from tests.cuda.launches import COMPILER, RawKernel, RawModule


class _Module(types.ModuleType):
    """CuPy's names: those defined here, else NumPy's where CuPy has them too."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np, name) or (REAL is not None and not hasattr(REAL, name)):
            raise AttributeError(f"cupy has no {name}")
        found = getattr(np, name)
        if not callable(found) or isinstance(found, type):
            return found
        return _as_cupy_takes_it(wrapped(found), getattr(REAL, name, None))


def _as_cupy_takes_it(function: Callable[..., Any], real: Any) -> Callable[..., Any]:
    """A function that refuses arguments which CuPy's own would not take, where CuPy is there to ask."""
    if not isinstance(real, types.FunctionType):
        return function
    surface = inspect.signature(real)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        surface.bind(*args, **kwargs)
        return function(*args, **kwargs)

    return run


class Stream:
    """Work happens when it is asked for: a stream has nothing to wait for."""

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.entered = 0

    def __enter__(self) -> Stream:
        self.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def synchronize(self) -> None:
        return None

    def wait_event(self, event: Event) -> None:
        assert event.recorded, "waits for an event that nobody recorded"

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.recorded = True
        return event


class Event:
    """A point in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.recorded = False
        self.time = 0.0

    def record(self, stream: Stream | None = None) -> None:
        import time

        self.recorded, self.time = True, time.perf_counter()

    def synchronize(self) -> None:
        assert self.recorded


def _pinned(size: int) -> Any:
    return memoryview(bytearray(size))


def modules() -> dict[str, types.ModuleType]:
    """What takes the place of CuPy's modules."""
    cupy, cuda, runtime = _Module("cupy"), types.ModuleType("cupy.cuda"), types.ModuleType("cupy.cuda.runtime")
    memory, driver = types.ModuleType("cupy.cuda.memory"), types.ModuleType("cupy.cuda.driver")
    cupyx, cupyx_scipy = types.ModuleType("cupyx"), types.ModuleType("cupyx.scipy")
    fft = types.ModuleType("cupyx.scipy.fft")
    cupy.__dict__.update(
        __version__="0 (on the host)",
        ndarray=ndarray,
        asarray=asarray,
        from_dlpack=from_dlpack,
        array=lambda array, dtype=None, **_: ndarray(np.array(bare(array), dtype)),
        asnumpy=lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array),
        ascontiguousarray=lambda array: ndarray(np.ascontiguousarray(asarray(array).array)),
        get_array_module=lambda *arrays: cupy if any(isinstance(each, ndarray) for each in arrays) else np,
        RawModule=RawModule,
        RawKernel=RawKernel,
        cuda=cuda,
        fft=types.SimpleNamespace(
            config=types.SimpleNamespace(get_plan_cache=lambda: types.SimpleNamespace(clear=lambda: None))
        ),
        get_default_memory_pool=lambda: types.SimpleNamespace(
            free_all_blocks=lambda: None, used_bytes=lambda: MEMORY.used, total_bytes=lambda: MEMORY.used
        ),
        get_default_pinned_memory_pool=lambda: types.SimpleNamespace(free_all_blocks=lambda: None),
        empty=created("empty"),
        zeros=created("zeros"),
        ones=created("ones"),
        full=created("full"),
        eye=created("eye"),
        arange=created("arange"),
        linspace=created("linspace"),
    )
    runtime.__dict__.update(
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        runtimeGetVersion=lambda: 12090,
        driverGetVersion=lambda: 12090,
        deviceSynchronize=lambda: None,
        memGetInfo=MEMORY.info,
        getDeviceProperties=lambda index: {
            "name": b"the host",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": MEMORY.total,
            "multiProcessorCount": 1,
            "sharedMemPerBlockOptin": 232448,
        },
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}),
    )
    memory.__dict__.update(OutOfMemoryError=OutOfMemoryError)
    cuda.__dict__.update(
        runtime=runtime,
        memory=memory,
        driver=driver,
        nvrtc=types.SimpleNamespace(getVersion=lambda: (12, 9)),
        Stream=Stream,
        Event=Event,
        get_elapsed_time=lambda start, end: 1e3 * (end.time - start.time),
        get_current_stream=lambda: Stream(),
        alloc_pinned_memory=_pinned,
        is_available=lambda: True,
        Device=lambda index=0: types.SimpleNamespace(
            id=index, synchronize=lambda: None, mem_info=MEMORY.info(), compute_capability="90"
        ),
    )
    names = ("fft", "ifft", "rfft", "irfft", "fft2", "ifft2", "next_fast_len")
    real = importlib.import_module("cupyx.scipy.fft") if REAL is not None else None
    transforms = {name: wrapped(getattr(scipy.fft, name)) for name in names}
    fft.__dict__.update({name: _as_cupy_takes_it(each, getattr(real, name, None)) for name, each in transforms.items()})
    cupyx.__dict__.update(scipy=cupyx_scipy, empty_pinned=np.empty)
    cupyx_scipy.__dict__.update(fft=fft)
    made = (cupy, cuda, runtime, memory, driver, cupyx, cupyx_scipy, fft)
    for module in made:
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    return {module.__name__: module for module in made}


def install(patch: pytest.MonkeyPatch) -> Any:
    """Put CUDA on the host in the place of CuPy, and forget what was compiled with another one."""
    if COMPILER is None:
        pytest.skip("no C++ compiler: CUDA sources cannot be run on the host")
    found = modules()
    for name in [name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")]:
        patch.delitem(sys.modules, name)
    for name, module in found.items():
        patch.setitem(sys.modules, name, module)
    forget()
    return found["cupy"]


def forget() -> None:
    """Drop kernels and backends of the CuPy that was there before, and what was found out about its GPU."""
    from usbeam import device
    from usbeam.kernels import cuda
    from usbeam.kernels.backend import backend

    cuda.module.cache_clear()
    cuda.kernel.cache_clear()
    backend.cache_clear()
    device.forget()
