"""Which device does the work, why not the other one, and what mends that."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import re
import sys
import textwrap
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from usbeam.errors import ConfigError, DeviceUnavailable
from usbeam.kernels import memory

_log = logging.getLogger("usbeam")

_PACKAGES = ("numpy", "scipy", "numba", "h5py", "matplotlib", "pillow")
_WHEELS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")
"""Packages of CuPy; all of them install into the same folder."""
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_LIBRARIES = {
    "nvrtc": "NVRTC, which compiles the kernels",
    "cufft": "cuFFT, which does the transforms",
    "cublas": "cuBLAS, which does the products",
}


class Obstacle(NamedTuple):
    """Why no GPU can be used.

    Parameters
    ----------
    reason
        What is in the way.
    remedy
        What removes it: the very commands, where commands do.
    """

    reason: str
    remedy: str

    def __str__(self) -> str:
        return self.reason


@functools.cache
def gpu_obstacle() -> Obstacle | None:
    """Why no GPU can be used, or None if one can; found out once per process."""
    checks = (_no_driver, _no_package, _no_import, _old_driver, _no_gpu, _no_work)  # each relies on those before it
    return next((obstacle for check in checks if (obstacle := check()) is not None), None)


def forget() -> None:
    """Look again when next asked: packages or the GPU have changed."""
    gpu_obstacle.cache_clear()
    _auto.cache_clear()


def resolve(device: str) -> str:
    """The device that will do the work.

    Parameters
    ----------
    device
        ``auto``, ``cpu`` or ``gpu``; only ``auto`` may choose. The environment variable ``USBEAM_DEVICE`` says what
        ``auto`` means.

    Returns
    -------
    ``cpu`` or ``gpu``

    Raises
    ------
    DeviceUnavailable
        If ``gpu`` was asked for and cannot be had; there is no silent fall-back.
    ConfigError
        For any other word.
    """
    wanted, location = asked(device)
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto":
        return _auto()
    if (obstacle := gpu_obstacle()) is not None:
        raise unavailable(obstacle, location)
    return "gpu"


def asked(device: str) -> tuple[str, str]:
    """What was asked for, ``auto``, ``cpu`` or ``gpu``, and where that was said: ``USBEAM_DEVICE`` stands for ``auto``.

    Raises
    ------
    ConfigError
        For any other word.
    """
    location = "device"
    if device == "auto" and (told := os.environ.get("USBEAM_DEVICE")):
        device, location = told, "USBEAM_DEVICE"
    if device not in ("auto", "cpu", "gpu"):
        numbered = re.fullmatch(r"(?:gpu|cuda):(\d+)", device)
        raise ConfigError(
            "unknown device",
            location=location,
            expected="auto, cpu or gpu",
            found=device,
            hint=numbered and f"CUDA_VISIBLE_DEVICES={numbered[1]}, set before Python starts, chooses that GPU",
        )
    return device, location


def unavailable(obstacle: Obstacle, location: str) -> DeviceUnavailable:
    """The error for a GPU that was asked for there and has something in its way."""
    return DeviceUnavailable(
        f"no GPU can be used: {obstacle}",
        location=location,
        hint=f"{obstacle.remedy}; usbeam doctor says more, and device cpu needs no GPU",
    )


@functools.cache
def _auto() -> str:
    """What ``auto`` takes, and once per process a line that says so."""
    obstacle = gpu_obstacle()
    if obstacle is None:
        _log.info("device auto takes the GPU: %s", _properties()["name"].decode())
        return "gpu"
    _log.info("device auto takes the CPU: no GPU can be used: %s", obstacle)
    return "cpu"


def _no_driver() -> Obstacle | None:
    if _driver():
        return None
    if sys.platform == "darwin":
        return Obstacle("CUDA does not exist on macOS", "use a machine with a GPU by NVIDIA")
    return Obstacle(
        f"no NVIDIA driver is installed ({_DRIVER} cannot be loaded)",
        "install the driver from https://www.nvidia.com/drivers; a container sees it if started with --gpus all",
    )


def _no_package() -> Obstacle | None:
    wheels = _wheels()
    if len(wheels) > 1:
        return Obstacle(
            f"several packages of CuPy are installed, one over the other: {', '.join(wheels)}",
            f"pip uninstall -y {' '.join(wheels)}, then {_install()}",
        )
    return None if find_spec("cupy") else Obstacle("CuPy is not installed", _install())


def _no_import() -> Obstacle | None:
    try:
        import cupy  # noqa: F401
    except Exception as error:  # noqa: BLE001 - whatever it is, it is in the way
        wheel = " ".join(_wheels()) or "cupy"
        return Obstacle(f"CuPy cannot be imported: {_line(error)}", f"pip install --force-reinstall {wheel}")
    return None


def _old_driver() -> Obstacle | None:
    import cupy

    needed, served = cupy.cuda.runtime.runtimeGetVersion(), _driver()
    if served // 1000 >= needed // 1000:
        return None
    wheel = " ".join(_wheels()) or "cupy"
    return Obstacle(
        f"the driver is too old: it serves CUDA up to {_version(served)}, and {wheel} needs {needed // 1000}.0",
        f"pip uninstall -y {wheel}, then {_install()}; or update the driver from https://www.nvidia.com/drivers",
    )


def _no_gpu() -> Obstacle | None:
    import cupy

    try:
        found = "none was counted" if cupy.cuda.runtime.getDeviceCount() == 0 else None
    except RuntimeError as error:
        found = _line(error)
    if found is None:
        return None
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return Obstacle(
            f"CUDA_VISIBLE_DEVICES={shown!r} hides every GPU ({found})",
            "unset CUDA_VISIBLE_DEVICES, or give it a number that nvidia-smi -L lists",
        )
    return Obstacle(
        f"the driver offers no GPU ({found})",
        "nvidia-smi -L should list one; restart after an update of the driver, start a container with --gpus all",
    )


def _no_work() -> Obstacle | None:
    import cupy

    try:
        _work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is in the way
        if memory.ran_out(error):
            free = memory.free_and_total()
            return Obstacle(
                f"the GPU's memory is full{f': {free}' if free else ''}",
                "nvidia-smi lists the programs that hold it: end one, or choose another GPU by CUDA_VISIBLE_DEVICES",
            )
        words, said, major = str(error.__cause__ or error), _line(error), cupy.cuda.runtime.runtimeGetVersion() // 1000
        toolkit = (
            f"install CUDA Toolkit {major}, https://developer.nvidia.com/cuda-downloads"
            if _wheels() in ([], ["cupy"])
            else f"pip install 'cupy-cuda{major}x[ctk]>=14'"
        )
        if missing := re.search(r"(nvrtc|cufft|cublas)(?:\.so|64)", words):
            return Obstacle(f"CuPy cannot load {_LIBRARIES[missing[1]]}: {said}", toolkit)
        if "open source file" in words:
            return Obstacle(f"NVRTC finds no headers of CUDA: {said}", toolkit)
        return Obstacle(f"a first kernel fails: {said}", f"{toolkit}; update the driver")
    return None


def _work() -> None:
    """A little of all that beamforming does on a GPU: compile and run a kernel, a transform, a product."""
    import cupy
    import cupyx.scipy.fft

    ones = cupy.ones((2, 2), "complex64")
    (cupyx.scipy.fft.fft(ones + ones) @ ones).get()


def _driver() -> int:
    """Newest CUDA that the driver serves, as CUDA counts (12090 is 12.9); 0 without a driver."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is not None:  # it has loaded the driver already
        return cupy.cuda.runtime.driverGetVersion()
    try:
        library = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    version = ctypes.c_int()
    return 0 if library.cuDriverGetVersion(ctypes.byref(version)) else version.value


def _wheels() -> list[str]:
    """Packages of CuPy that are installed."""
    return [wheel for wheel in _WHEELS if _installed(wheel) != "missing"]


def _install() -> str:
    """What installs the CuPy that fits the driver."""
    major = _driver() // 1000
    update = "" if major >= 12 else "update the driver to one for CUDA 12 or newer, then "
    return f"{update}pip install 'usbeam[{'gpu13' if major >= 13 else 'gpu'}]'"


def _line(error: BaseException) -> str:
    """What an error says, on one line; CuPy wraps its own in a letter of many."""
    cause = error.__cause__ or error
    return textwrap.shorten(f"{type(cause).__name__}: {cause}", 240)


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def report() -> dict[str, str]:
    """What this machine offers, line by line: for ``usbeam doctor`` and for bug reports."""
    import numba
    import psutil

    host = psutil.virtual_memory()
    return {
        "usbeam": _installed("usbeam"),
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: _installed(package) for package in _PACKAGES},
        "cpu cores": f"{os.cpu_count()}, of which Numba uses {numba.get_num_threads()}",
        "memory": f"{host.available / 1e9:.1f} of {host.total / 1e9:.1f} GB free",
        "kernel cache": os.environ.get("USBEAM_NUMBA_CACHE")
        or "off (USBEAM_NUMBA_CACHE=1 keeps compiled kernels on disk)",
        "torch": _torch(),
        "cupy": ", ".join(f"{_installed(wheel)} ({wheel})" for wheel in _wheels()) or "missing",
        "nvidia driver": f"for CUDA up to {_version(number)}" if (number := _driver()) else "missing",
        **_gpu(),
    }


def _gpu() -> dict[str, str]:
    """The GPU's lines of the report, or what is in its way and what mends that."""
    obstacle = gpu_obstacle()
    if obstacle is not None:
        return {"gpu": obstacle.reason, "gpu remedy": obstacle.remedy}
    import cupy

    properties = _properties()
    return {
        "cuda runtime": _version(cupy.cuda.runtime.runtimeGetVersion()),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "gpu": "usable",
        "gpu name": properties["name"].decode(),
        "gpu compute capability": f"{properties['major']}.{properties['minor']}",
        "gpu memory": memory.free_and_total() or "unknown",
    }


def _properties() -> dict[str, Any]:
    import cupy

    return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())


def _torch() -> str:
    """Version of torch and the CUDA it was built for, without the seconds that importing it takes."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return "missing"
    built = re.search(r"^cuda\b.*= '([\d.]+)'", Path(spec.origin).with_name("version.py").read_text(), re.MULTILINE)
    return f"{_installed('torch')} (built for {f'CUDA {built[1]}' if built else 'the CPU'})"
