"""From lateral wavenumbers to columns of an image on the GPU, by cuBLAS: the twin of `usbeam.kernels.lateral_cpu`."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

from usbeam.kernels.cuda import Variant

VARIANTS: tuple[Variant, ...] = ()
N_COLUMNS = 1
"""A product takes any number."""


def columns(phase, rows, out):
    """As `usbeam.kernels.lateral_cpu.columns`, arrays of CuPy; any number of cells."""
    import cupy

    cupy.matmul(phase.T, rows, out=out)
