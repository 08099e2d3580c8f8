"""Kernels compiled from ``.cu`` files by a C++ compiler, and launched as CuPy launches them, a thread at a time."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from tests.cuda.arrays import ndarray

HEADER = Path(__file__).with_name("host_cuda.h")
COMPILER = shutil.which("g++") or shutil.which("clang++")
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-w", "-x", "c++", "-include", str(HEADER))
SANITIZED = ("-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g1")
"""With USBEAM_SANITIZE=1 every read and write of a kernel is checked, as compute-sanitizer does on a GPU."""
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")


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
