"""ONNX Runtime's sessions: on the CPU, or on a GPU by TensorRT or CUDA.

ONNX Runtime itself goes on without a provider that it cannot load, down to the CPU, and says so only in its log. Here
what was loaded is checked.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

import torch

from usbeam.device import Obstacle, unavailable
from usbeam.errors import DeviceUnavailable

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
CACHE = "USBEAM_TENSORRT_CACHE"
"""Environment variable that names a folder for TensorRT's engines, which it builds for each size of image."""
_INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
_UNLOADED = Obstacle(
    "onnxruntime cannot load its provider for CUDA", f"its log names the library that is missing; {_INSTALL} brings it"
)
_log = logging.getLogger("usbeam")


def session(model: bytes, device: str = "cpu") -> Any:
    """A session that runs a model in float32, without TF32.

    Parameters
    ----------
    model
        In ONNX's format.
    device
        ``cpu`` or ``gpu``: the provider of TensorRT where the package ``tensorrt`` is installed, else that of CUDA.

    Raises
    ------
    DeviceUnavailable
        If it was to be the GPU, and ONNX Runtime cannot load its provider for it.
    """
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    if device == "cpu":
        return onnxruntime.InferenceSession(model, options, providers=[CPU])
    wanted = _providers(onnxruntime.get_available_providers())
    with redirect_stdout(sys.stderr):  # it prints what it cannot load
        onnxruntime.preload_dlls()
        made: Any = onnxruntime.InferenceSession(model, options, providers=wanted)
    made.disable_fallback()  # to the CPU, where a run fails
    loaded = made.get_providers()
    if CUDA not in loaded:
        raise unavailable(_UNLOADED, "device")
    if wanted[0][0] not in loaded:
        _log.warning("onnxruntime cannot load its provider for TensorRT and takes that for CUDA; its log says why")
    return made


def obstacle() -> Obstacle | None:
    """Why ONNX Runtime can use no GPU, or None if it can: its provider must be there, and must load."""
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        return Obstacle(
            f"onnxruntime {onnxruntime.__version__} is a build for the CPU",
            f"pip uninstall onnxruntime, then {_INSTALL}",
        )
    try:
        session(_identity(), "gpu")
    except DeviceUnavailable:
        return _UNLOADED
    return None


def _identity() -> bytes:
    """The smallest model."""
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("given", "made")]
    graph = helper.make_graph([helper.make_node("Identity", ["given"], ["made"])], "identity", ends[:1], ends[1:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return model.SerializeToString()


def _providers(available: list[str]) -> list[tuple[str, dict[str, str]]]:
    """With their options, the best first; what one cannot run the next one takes."""
    cuda = [(CUDA, {"use_tf32": "0"}), (CPU, dict[str, str]())]
    if TENSORRT not in available or find_spec("tensorrt") is None:
        return cuda
    importlib.import_module("tensorrt")  # loads the libraries that the provider looks for
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # TensorRT has no other switch that ONNX Runtime hands on
    folder = os.environ.get(CACHE)
    cached = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder} if folder else {}
    return [(TENSORRT, cached), *cuda]
