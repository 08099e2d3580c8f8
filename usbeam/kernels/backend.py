"""One surface over two sets of kernels: Numba and NumPy on the CPU, CUDA and CuPy on the GPU.

Twins have the same names, parameters and array layouts: ``backend.das.das(...)`` is `usbeam.kernels.das_cpu.das` or
`usbeam.kernels.das_gpu.das`. What a driver does between kernels it does with ``backend.xp`` and ``backend.fft``.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

MODULES = ("das", "angular", "fourier", "spectra", "lateral", "srad", "obnlm")
"""Kernels that both devices have."""


DEFAULT_BUDGET = 1e9
"""Bytes for the work on one frame on the CPU; more gained no speed on the machines measured."""


class Backend:
    """Arrays and kernels of a device; the modules load when they are first used.

    Parameters
    ----------
    device
        ``cpu`` or ``gpu``, as `usbeam.device.resolve` says it.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def __getattr__(self, name: str) -> Any:
        if name not in MODULES:
            raise AttributeError(name)
        module = importlib.import_module(f"usbeam.kernels.{name}_{self.device}")
        setattr(self, name, module)
        return module

    @functools.cached_property
    def xp(self) -> Any:
        """NumPy or CuPy."""
        return np if self.device == "cpu" else importlib.import_module("cupy")

    @functools.cached_property
    def fft(self) -> Any:
        """``scipy.fft`` or ``cupyx.scipy.fft``."""
        return importlib.import_module("scipy.fft" if self.device == "cpu" else "cupyx.scipy.fft")

    @property
    def fft_options(self) -> dict[str, int]:
        """What the transforms take beside what both libraries take."""
        if self.device == "gpu":
            return {}
        from numba import get_num_threads

        return {"workers": get_num_threads()}

    def memory_budget(self) -> float:
        """Bytes for the work on one frame, if the user names none: on a GPU half of what is free now."""
        if self.device == "cpu":
            return DEFAULT_BUDGET
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return free / 2

    def asarray(self, array: Any) -> Any:
        """An array on this device; one that lies there already is not copied."""
        return self.xp.asarray(array)

    def numpy(self, array: Any) -> np.ndarray:
        """An array of this device, in host memory."""
        return array if self.device == "cpu" else array.get()


CPU = Backend("cpu")
"""What drivers work with unless told otherwise."""


@functools.cache
def backend(device: str) -> Backend:
    """The backend of a device: one for all who ask."""
    return CPU if device == "cpu" else Backend(device)
