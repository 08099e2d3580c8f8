"""Speckle-reducing anisotropic diffusion on the GPU: twins of `usbeam.kernels.srad_cpu` (CuPy).

A step and the variation that the next one needs stay on the device: the host launches and waits for nothing.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

_THREADS = 256
VARIANTS = (Variant("srad.cu", (("THREADS", _THREADS),)),)


def bordered(values: Any) -> Any:
    """As `usbeam.kernels.srad_cpu.bordered`, arrays of CuPy."""
    import cupy

    return cupy.pad(values.astype(np.float32), ((0, 0), (1, 1)), mode="edge")


def step(image: Any, out: Any, q0_squared: Any, rate: float) -> None:
    """As `usbeam.kernels.srad_cpu.step`, arrays of CuPy."""
    n_z, n_x = image.shape[0], image.shape[1] - 2
    sizes = (np.int32(n_z), np.int32(n_x))
    launch(kernel(VARIANTS[0], "step"), (n_x, n_z), (32, 8), image, out, *sizes, q0_squared, np.float32(rate))


def squared_variation(image: Any, top: int, bottom: int, left: int, right: int, out: Any) -> None:
    """As `usbeam.kernels.srad_cpu.squared_variation`, arrays of CuPy."""
    places = (np.int32(place) for place in (image.shape[1] - 2, top, bottom, left, right))
    launch(kernel(VARIANTS[0], "squared_variation"), (_THREADS,), (_THREADS,), image, *places, out)
