"""CUDA on the host: CuPy's surface over NumPy, with kernels compiled from the very ``.cu`` files by a C++ compiler.

What usbeam does with CuPy runs here on any machine: arrays that refuse to mix with NumPy's, as CuPy's do; kernels
that refuse arguments of other types than they declare; and every thread of every block, one after the other. It is
made for tests: it is slow, and says nothing about speed.

`install` puts it in the place of ``cupy``. Names that CuPy lacks do not exist here either, where CuPy is installed to
ask.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft

HEADER = Path(__file__).with_name("host_cuda.h")
COMPILER = shutil.which("g++") or shutil.which("clang++")
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-w", "-x", "c++", "-include", str(HEADER))
SANITIZED = ("-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g1")
"""With USBEAM_SANITIZE=1 every read and write of a kernel is checked, as compute-sanitizer does on a GPU."""
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class Memory:
    """How much the arrays of the pretended device take; what would be more than `total` bytes is refused."""

    def __init__(self) -> None:
        self.total = 8 << 30
        self.used = 0
        self._known: set[int] = set()

    def hold(self, array: np.ndarray) -> None:
        """Count an array until nobody holds it."""
        if id(array) in self._known:
            return
        if self.used + array.nbytes > self.total:
            raise OutOfMemoryError(array.nbytes, self.used)
        self._known.add(id(array))
        self.used += array.nbytes
        weakref.finalize(array, self._let_go, id(array), array.nbytes)

    def _let_go(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.used -= size

    def info(self) -> tuple[int, int]:
        """Free and total bytes."""
        return self.total - self.used, self.total


MEMORY = Memory()


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801
    """An array of the pretended device; `array` is what it wraps."""

    def __init__(self, array: np.ndarray) -> None:
        if array.base is None:
            MEMORY.hold(array)
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)  # CUDA, the first GPU

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        if out is None:
            return self.array.copy()
        out[...] = self.array
        return out

    def set(self, array: np.ndarray, stream: Any = None) -> None:
        assert self.array.shape == array.shape
        assert self.array.dtype == array.dtype
        self.array[...] = array

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _wrapped(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
        return _wrapped(function)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (REAL is not None and not hasattr(REAL.ndarray, name)):
            raise AttributeError(f"cupy.ndarray has no {name}")
        found = getattr(self.array, name)
        return _wrapped(found) if callable(found) else _on_device(found)

    def __getitem__(self, index: Any) -> Any:
        return _on_device(self.array[_bare(index)], scalars=True)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.array[_bare(index)] = _bare(value)

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)


def _bare(value: Any) -> Any:
    """What a value wraps, also within sequences; an array of the host is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value.array
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}: an array of the host among arrays of the device")
    if isinstance(value, (list, tuple)):
        return type(value)(_bare(each) for each in value)
    return value


def _on_device(value: Any, *, scalars: bool = False) -> Any:
    """Arrays become the device's; so do results without axes, which CuPy leaves there."""
    if isinstance(value, np.ndarray) or (scalars and isinstance(value, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(each, np.ndarray) for each in value):
        return type(value)(_on_device(each) for each in value)
    return value


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        found = function(*map(_bare, args), **{name: _bare(value) for name, value in kwargs.items()})
        return _on_device(found, scalars=True)

    return run


class RawModule:
    """The kernels of a source, compiled for the host."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        names = _KERNEL.findall(code)
        # Only a kernel with memory of its block has barriers.
        bodies = dict(zip(names, _KERNEL.split(code)[2::2], strict=True))
        exports = "".join(
            f"HOST_KERNEL({name}, {int('SHARED' in bodies[name] or '__shared__' in bodies[name])})\n" for name in names
        )
        self._library = _library(code + "\n" + exports, tuple(each for each in options if not each.startswith("-std")))

    def compile(self, log_stream: Any = None) -> None:
        """Done already."""

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self._library, name)


class RawKernel:
    """A kernel, launched with arguments that are checked against what it declares."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        kinds = getattr(library, f"{name}_kinds")
        kinds.restype = ctypes.c_char_p
        self._kinds: list[str] = kinds().decode().split()
        self._launch = getattr(library, f"{name}_launch")
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        assert len(args) == len(self._kinds), f"{self.name} takes {len(self._kinds)} arguments, not {len(args)}"
        assert 0 < int(np.prod(block)) <= 1024, f"{self.name}: a block of {block}"
        assert all(n > 0 for n in grid), f"{self.name}: an empty grid {grid}"
        assert all(n < 65536 for n in grid[1:]), f"{self.name}: a grid of {grid}"
        assert shared_mem <= self.max_dynamic_shared_size_bytes, f"{self.name}: {shared_mem} bytes of shared memory"
        values = [_argument(self.name, i, *pair) for i, pair in enumerate(zip(args, self._kinds, strict=True))]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = ((ctypes.c_uint * 3)(*each, *[1] * (3 - len(each))) for each in (grid, block))
        self._launch(*sizes, pointers)


def _argument(kernel: str, number: int, value: Any, kind: str) -> Any:
    """A value as C holds it."""
    place = f"{kernel}, argument {number}"
    if isinstance(value, ndarray):
        assert kind == "p8", f"{place}: an array for {kind}"
        assert value.array.flags.c_contiguous, f"{place}: not contiguous"
        return ctypes.c_void_p(value.array.ctypes.data)
    assert isinstance(value, np.generic), f"{place}: {type(value).__name__} has no size that a kernel could rely on"
    letter = "f" if value.dtype.kind == "f" else "i"
    if kind == "p8":
        assert value.dtype == np.uint64, f"{place}: {value.dtype} for a pointer"
        assert not value, f"{place}: a number for a pointer"
    else:
        assert kind == f"{letter}{value.dtype.itemsize}", f"{place}: {value.dtype} for {kind}"
    return (ctypes.c_char * value.dtype.itemsize).from_buffer_copy(value.tobytes())


@functools.cache
def _folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="usbeam-cuda-on-host-"))


@functools.cache
def _library(code: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """A source as a library of the host."""
    assert COMPILER is not None
    name = hashlib.sha256(repr((code, options)).encode()).hexdigest()[:16]
    source, library = _folder() / f"{name}.cu", _folder() / f"{name}.so"
    source.write_text(code)
    done = subprocess.run(
        [
            COMPILER,
            *FLAGS,
            *(SANITIZED if os.environ.get("USBEAM_SANITIZE") else ()),
            *options,
            str(source),
            "-o",
            str(library),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


class _Module(types.ModuleType):
    """CuPy's names: those defined here, else NumPy's where CuPy has them too."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np, name) or (REAL is not None and not hasattr(REAL, name)):
            raise AttributeError(f"cupy has no {name}")
        found = getattr(np, name)
        if not callable(found) or isinstance(found, type):
            return found
        return _as_cupy_takes_it(_wrapped(found), getattr(REAL, name, None))


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


REAL = importlib.import_module("cupy") if importlib.util.find_spec("cupy") else None


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


def _asarray(array: Any, dtype: Any = None, **_: Any) -> ndarray:
    """On the device; what lies there already is not copied."""
    if isinstance(array, ndarray):
        return array if dtype in (None, array.dtype) else ndarray(array.array.astype(dtype))
    if hasattr(array, "__cuda_array_interface__"):
        seen = types.SimpleNamespace(__array_interface__=array.__cuda_array_interface__)
        return ndarray(np.asarray(seen, dtype))
    return ndarray(np.array(array, dtype))  # a copy: what the host does to its own array changes nothing


class _Exported:
    """The same bytes, said to lie on the host, so that NumPy takes them."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **_: Any) -> Any:
        return self._array.__dlpack__(stream=None)


def _from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    assert array.__dlpack_device__()[0] == 2, "not an array of a GPU"
    return ndarray(np.from_dlpack(_Exported(array)))


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
        asarray=_asarray,
        from_dlpack=_from_dlpack,
        array=lambda array, dtype=None, **_: ndarray(np.array(_bare(array), dtype)),
        asnumpy=lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array),
        ascontiguousarray=lambda array: ndarray(np.ascontiguousarray(_asarray(array).array)),
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
        empty=_created("empty"),
        zeros=_created("zeros"),
        ones=_created("ones"),
        full=_created("full"),
        eye=_created("eye"),
        arange=_created("arange"),
        linspace=_created("linspace"),
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
    transforms = {name: _wrapped(getattr(scipy.fft, name)) for name in names}
    fft.__dict__.update({name: _as_cupy_takes_it(each, getattr(real, name, None)) for name, each in transforms.items()})
    cupyx.__dict__.update(scipy=cupyx_scipy, empty_pinned=np.empty)
    cupyx_scipy.__dict__.update(fft=fft)
    made = (cupy, cuda, runtime, memory, driver, cupyx, cupyx_scipy, fft)
    for module in made:
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    return {module.__name__: module for module in made}


def _created(name: str) -> Callable[..., ndarray]:
    """One of the functions that make arrays. What is not initialised is poison."""

    def create(*args: Any, **kwargs: Any) -> ndarray:
        array = getattr(np, name)(*map(_bare, args), **kwargs)
        if name == "empty":
            array.view(np.uint8 if array.flags.c_contiguous else array.dtype).fill(0xFF)
        return ndarray(array)

    return create


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
