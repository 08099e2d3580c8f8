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

from usbeam.errors import ConfigError

MODULES = ("das", "angular", "fourier", "spectra", "lateral", "srad", "obnlm")
"""Kernels that both devices have."""


DEFAULT_BUDGET = 1e9
"""Bytes for the work on one frame on the CPU; more gained no speed on the machines measured."""


_HOST = (1, 3)
_CUDA = (2, 13)
"""DLPack's types of devices: the CPU and memory pinned for CUDA; a GPU of CUDA and memory managed for it."""


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
        """An array on this device; one that lies there already is not copied, be it NumPy's, CuPy's or torch's.

        Parameters
        ----------
        array
            Anything that NumPy takes, or that offers its memory as DLPack or ``__cuda_array_interface__``.

        Raises
        ------
        ConfigError
            If it lies on a GPU that is not this device, or cannot be taken as an array.
        """
        kind, number = _place(array)
        if kind in _HOST:
            on_host = _on_host(array)
            return on_host if self.device == "cpu" else self.xp.asarray(on_host)
        if self.device == "cpu":
            raise ConfigError(
                "the samples lie on a GPU, and the work is done on the CPU",
                found=_name(array),
                hint="device='gpu' takes them where they are; .get() of CuPy or .cpu() of torch copies them",
            )
        current = self.xp.cuda.runtime.getDevice()
        if kind not in _CUDA or number not in (None, current):
            raise ConfigError(
                "the samples lie on another device than the work is done on",
                expected=f"the CPU, or CUDA's GPU {current}",
                found=f"DLPack's device {kind}:{number}",
                hint="copy them first, .cpu() of torch; with cupy.cuda.Device(n): makes the work use GPU n",
            )
        if isinstance(array, self.xp.ndarray):
            return array
        # DLPack waits for what the exporting library still computes; the older interface may not.
        return self.xp.from_dlpack(array) if hasattr(array, "__dlpack__") else self.xp.asarray(array)

    def numpy(self, array: Any) -> np.ndarray:
        """An array of this device, in host memory."""
        return array if self.device == "cpu" else array.get()


def _place(array: Any) -> tuple[int, int | None]:
    """DLPack's type and number of the device where an array lies."""
    if hasattr(array, "__dlpack_device__"):
        kind, number = array.__dlpack_device__()
        return int(kind), int(number)
    return (_CUDA[0], None) if hasattr(array, "__cuda_array_interface__") else (_HOST[0], None)


def _on_host(array: Any) -> np.ndarray:
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # torch, of tensors that need gradients, for one
        raise ConfigError(f"cannot be taken as an array: {error}", found=_name(array)) from error


def _name(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__name__}"


CPU = Backend("cpu")
"""What drivers work with unless told otherwise."""


@functools.cache
def backend(device: str) -> Backend:
    """The backend of a device: one for all who ask."""
    return CPU if device == "cpu" else Backend(device)
