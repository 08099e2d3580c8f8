"""NVIDIA's compiler from its wheel (``nvidia-cuda-nvrtc-cu12``), which needs neither a driver nor a GPU."""

from __future__ import annotations

import ctypes
import functools
from importlib import metadata
from pathlib import Path

WHEELS = ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc-cu13", "nvidia-cuda-nvrtc")


@functools.cache
def library() -> ctypes.CDLL | None:
    """NVRTC, or None where no wheel of it is installed."""
    for wheel in WHEELS:
        try:
            files = metadata.files(wheel) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith("libnvrtc.so") and Path(str(file.locate())).exists():
                return ctypes.CDLL(str(file.locate()))
    return None


def compile_source(code: str, options: tuple[str, ...], architecture: str) -> tuple[bytes, str]:
    """Machine code for an architecture (``sm_80``), and what the compiler said.

    Raises
    ------
    AssertionError
        With the compiler's words, if it refused.
    """
    nvrtc = library()
    assert nvrtc is not None
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"usbeam.cu", 0, None, None) == 0
    given = [option.encode() for option in (*options, f"-arch={architecture}")]
    failed = nvrtc.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    said = log.value.decode()
    assert not failed, f"{architecture} {options}: {said}"
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    machine_code = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, machine_code)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return machine_code.raw, said
