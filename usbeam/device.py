"""Which device does the work, and why not the other one."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from importlib.util import find_spec

from usbeam.errors import ConfigError, DeviceUnavailable

_PACKAGES = ("numpy", "scipy", "numba", "h5py", "matplotlib", "pillow")


def gpu_obstacle() -> str | None:
    """Why no GPU can be used, or None if one can."""
    if find_spec("cupy") is None:
        return "this release beamforms on the CPU only, and CuPy is not installed"
    return "this release beamforms on the CPU only"


def resolve(device: str) -> str:
    """The device that will do the work.

    Parameters
    ----------
    device
        ``auto``, ``cpu`` or ``gpu``; only ``auto`` may choose.

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
    if device not in ("auto", "cpu", "gpu"):
        raise ConfigError("unknown device", location="device", expected="auto, cpu or gpu", found=device)
    obstacle = gpu_obstacle()
    if device == "gpu" and obstacle:
        raise DeviceUnavailable(
            f"no GPU can be used: {obstacle}", location="device", hint="use device auto or cpu; usbeam doctor says more"
        )
    return "cpu" if device == "cpu" or obstacle else "gpu"


def report() -> dict[str, str]:
    """What this machine offers, line by line: for ``usbeam doctor`` and for bug reports."""
    import numba
    import psutil

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "missing"

    memory = psutil.virtual_memory()
    return {
        "usbeam": version("usbeam"),
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: version(package) for package in _PACKAGES},
        "cpu cores": f"{os.cpu_count()}, of which Numba uses {numba.get_num_threads()}",
        "memory": f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
        "kernel cache": os.environ.get("USBEAM_NUMBA_CACHE")
        or "off (USBEAM_NUMBA_CACHE=1 keeps compiled kernels on disk)",
        "gpu": gpu_obstacle() or "usable",
    }
