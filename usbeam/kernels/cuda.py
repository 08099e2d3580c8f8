"""CUDA sources beside this file: compiled for the GPU at hand when a kernel is first wanted, and launched.

A kernel comes in variants, which differ in what the compiler must know: the macros of a *variant* are its ``-D``
options. Every module of kernels lists its variants as `VARIANTS`, so that all of them can be compiled ahead, and be
checked on machines without a GPU.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from usbeam.kernels import conventions

FOLDER = Path(__file__).parent
_SHARED = ("SPHERICAL", "PLANE", "FOCUSED", "FRACTION_BITS", "PHASE_BITS")
"""Numbers that the sources take from `usbeam.kernels.conventions`."""


class Variant(NamedTuple):
    """One way of compiling a source.

    Parameters
    ----------
    source
        Name of the ``.cu`` file.
    macros
        Names and values.
    """

    source: str
    macros: tuple[tuple[str, int | str], ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What the compiler is told."""
        shared = [(name, getattr(conventions, name)) for name in _SHARED]
        return ("-std=c++17", f"-I{FOLDER}", *(f"-D{name}={value}" for name, value in (*shared, *self.macros)))


@functools.cache
def module(variant: Variant) -> Any:
    """A variant as CuPy holds it, compiled when a kernel of it is first wanted or by its method ``compile``."""
    import cupy

    code = (FOLDER / variant.source).read_text(encoding="utf-8")
    return cupy.RawModule(code=code, options=variant.options)


@functools.cache
def kernel(variant: Variant, name: str) -> Any:
    """A kernel of a variant, as CuPy launches it."""
    return module(variant).get_function(name)


def launch(
    function: Callable[..., None],
    threads: tuple[int, ...],
    block: tuple[int, ...],
    *arguments: Any,
    shared_bytes: int = 0,
) -> None:
    """Run a kernel for at least so many threads along each axis, in whole blocks.

    Parameters
    ----------
    function
        From `kernel`.
    threads, block
        Threads wanted, and threads of a block, along x, y, z.
    *arguments
        Contiguous CuPy arrays, None for a null pointer, and NumPy scalars of the very types that the kernel declares.
    shared_bytes
        Of dynamic shared memory.
    """
    grid = tuple(-(-wanted // size) for wanted, size in zip(threads, block, strict=True))
    if 0 in grid:
        return
    # CuPy passes 0 as a 64-bit integer, which a pointer is.
    passed = tuple(np.uint64(0) if argument is None else argument for argument in arguments)
    function(grid, block, passed, shared_mem=shared_bytes)
