"""Arrays of the pretended device: NumPy's underneath, as strict as CuPy's about what they mix with."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

REAL = importlib.import_module("cupy") if importlib.util.find_spec("cupy") else None


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
        return wrapped(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(function)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (REAL is not None and not hasattr(REAL.ndarray, name)):
            raise AttributeError(f"cupy.ndarray has no {name}")
        found = getattr(self.array, name)
        return wrapped(found) if callable(found) else on_device(found)

    def __getitem__(self, index: Any) -> Any:
        return on_device(self.array[bare(index)], scalars=True)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.array[bare(index)] = bare(value)

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)


def bare(value: Any) -> Any:
    """What a value wraps, also within sequences; an array of the host is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value.array
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}: an array of the host among arrays of the device")
    if isinstance(value, (list, tuple)):
        return type(value)(bare(each) for each in value)
    return value


def on_device(value: Any, *, scalars: bool = False) -> Any:
    """Arrays become the device's; so do results without axes, which CuPy leaves there."""
    if isinstance(value, np.ndarray) or (scalars and isinstance(value, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(each, np.ndarray) for each in value):
        return type(value)(on_device(each) for each in value)
    return value


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        found = function(*map(bare, args), **{name: bare(value) for name, value in kwargs.items()})
        return on_device(found, scalars=True)

    return run


def asarray(array: Any, dtype: Any = None, **_: Any) -> ndarray:
    """On the device; what lies there already is not copied."""
    if isinstance(array, ndarray):
        return array if dtype in (None, array.dtype) else ndarray(array.array.astype(dtype))
    if hasattr(array, "__cuda_array_interface__"):
        seen = types.SimpleNamespace(__array_interface__=array.__cuda_array_interface__)
        return ndarray(np.asarray(seen, dtype))
    return ndarray(np.array(array, dtype))  # a copy: what the host does to its own array changes nothing


def created(name: str) -> Callable[..., ndarray]:
    """One of the functions that make arrays. What is not initialised is poison."""

    def create(*args: Any, **kwargs: Any) -> ndarray:
        array = getattr(np, name)(*map(bare, args), **kwargs)
        if name == "empty":
            array.view(np.uint8 if array.flags.c_contiguous else array.dtype).fill(0xFF)
        return ndarray(array)

    return create


class _Exported:
    """The same bytes, said to lie on the host, so that NumPy takes them."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **_: Any) -> Any:
        return self._array.__dlpack__(stream=None)


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    assert array.__dlpack_device__()[0] == 2, "not an array of a GPU"
    return ndarray(np.from_dlpack(_Exported(array)))
