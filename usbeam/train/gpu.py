"""Which device networks run on, why not the GPU, and what is done on one alone.

PyTorch and ONNX Runtime each bring CUDA of their own, so each is asked for itself: what CuPy can do says nothing here.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch.backends import cudnn

from usbeam.device import Obstacle, asked, unavailable
from usbeam.errors import DeviceOutOfMemory
from usbeam.kernels import memory

_INSTALL = (
    "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126 (with a driver for CUDA 13 "
    "cu130)"
)
_log = logging.getLogger("usbeam")


@functools.cache
def obstacle(runtime: str = "torch") -> Obstacle | None:
    """Why one of `usbeam.train.runtimes.RUNTIMES` can use no GPU, or None if it can; found out once per process."""
    if runtime == "openvino":
        return Obstacle("OpenVINO runs networks on the CPU only here", "take the runtime torch or onnx")
    if runtime == "onnx":
        from usbeam.train import onnx_session

        return onnx_session.obstacle()
    return _of_torch()


def resolve(device: str, runtime: str = "torch") -> str:
    """The device that will do the work.

    Parameters
    ----------
    device
        ``auto``, ``cpu`` or ``gpu``, as for `usbeam.device.resolve`; ``auto`` tells the log what it took.
    runtime
        One of `usbeam.train.runtimes.RUNTIMES`, which is installed.

    Returns
    -------
    ``cpu`` or ``gpu``

    Raises
    ------
    DeviceUnavailable
        If ``gpu`` was asked for and cannot be had.
    ConfigError
        For any other word.
    """
    wanted, location = asked(device)
    found = None if wanted == "cpu" else obstacle(runtime)
    if wanted == "gpu" and found is not None:
        raise unavailable(found, location)
    taken = "cpu" if wanted == "cpu" or found is not None else "gpu"
    if wanted == "auto":
        _log.info("%s: device auto takes the %s%s", runtime, taken.upper(), f": {found}" if found else "")
    return taken


def exact() -> AbstractContextManager[None]:
    """float32 in full, as on a CPU, and by algorithms that give the same each time.

    Unless told, cuDNN rounds factors to TF32, of which 10 bits count.
    """
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False)


@contextmanager
def within_memory(what: str, *, location: str, found: str, hint: str) -> Generator[None]:
    """A GPU whose memory is full becomes an error that says what did not fit.

    Parameters
    ----------
    what, location, found, hint
        What does not fit, where, how large it is, and what to do; see `usbeam.errors.UsbeamError`.

    Raises
    ------
    DeviceOutOfMemory
        For what torch, the libraries below it and ONNX Runtime raise then.
    """
    try:
        yield
    except Exception as error:
        if not memory.ran_out(error):
            raise
        raise DeviceOutOfMemory(
            f"{what} does not fit into the GPU's memory{_free_memory()}", location=location, found=found, hint=hint
        ) from error


def _free_memory() -> str:
    """Of the GPU, where torch works on one."""
    if not torch.cuda.is_initialized():
        return ""
    free, total = (size / 1e9 for size in torch.cuda.mem_get_info())
    return f", of whose {total:.1f} GB {free:.1f} GB are free"


def _of_torch() -> Obstacle | None:
    if not torch.backends.cuda.is_built():
        return Obstacle(f"torch {torch.__version__} is a build for the CPU", _INSTALL)
    try:
        # Of the processes that torchrun starts each has a GPU of its own.
        torch.ones(1, device=f"cuda:{os.environ.get('LOCAL_RANK', 0)}").add_(1).cpu()
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        return Obstacle(f"torch says: {said}", "nvidia-smi -L should list a GPU; if not, install or update its driver")
    return None
