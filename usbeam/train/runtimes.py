"""What runs a network: PyTorch, ONNX Runtime or OpenVINO, all in float32; on a CPU as many threads as torch has."""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from usbeam.errors import ConfigError
from usbeam.train import gpu, onnx_session
from usbeam.train.networks import Network

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], Array]
"""From one image ``(n_z, n_x)``, as the network is fed, to what it makes of it."""
OTHERS = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Runtimes beside torch, which take an ONNX model, and their packages."""
RUNTIMES = ("torch", *OTHERS)
SHA256 = "sha256"
"""Where a model keeps the checksum of the weights that it was made of."""
_KEPT = 4
"""Sizes of images for which a GPU keeps what it needs."""


def runner(network: Network, runtime: str = "torch", model: bytes | None = None, device: str = "cpu") -> Runner:
    """Make a network ready to run.

    Parameters
    ----------
    network
        See `usbeam.train.networks`.
    runtime
        One of `RUNTIMES`.
    model
        The network as `usbeam.train.export.model` makes it, which is done here if none is given.
    device
        ``cpu`` or ``gpu``, as `usbeam.train.gpu.resolve` says it for the runtime.

    Raises
    ------
    ConfigError
        For an unknown runtime, or one that is not installed.
    DeviceUnavailable
        If ONNX Runtime cannot load what it needs on the GPU.
    """
    if runtime not in RUNTIMES:
        raise ConfigError("unknown runtime", location="runtime", expected=", ".join(RUNTIMES), found=runtime)
    if runtime == "torch":
        return _torch(network) if device == "cpu" else _within_memory(_replayed(network))
    refuse_missing(runtime)
    if model is None:
        from usbeam.train import export

        model = export.model(network)
    if runtime == "openvino":
        return _openvino(model)
    return _onnx(model, "cpu") if device == "cpu" else _within_memory(_onnx(model, "gpu"))


def refuse_missing(runtime: str) -> None:
    """A runtime that is not installed.

    Raises
    ------
    ConfigError
        With the line that installs it.
    """
    for package in (OTHERS[runtime], "onnx", "onnxscript") if runtime in OTHERS else ():
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"the runtime needs {package}, which is not installed",
                location="runtime",
                found=runtime,
                hint="pip install 'usbeam[train,export]'",
            )


def _torch(network: Network) -> Runner:
    def run(image: Array) -> Array:
        with torch.inference_mode():
            return network(torch.from_numpy(image)[None, None])[0, 0].numpy()

    return run


def _replayed(network: Network) -> Runner:
    """On the GPU, by a CUDA graph for each of the last sizes."""
    from usbeam.train.replay import Replayed

    there = copy.deepcopy(network).to("cuda")
    of_size = functools.lru_cache(_KEPT)(functools.partial(Replayed, there))
    return lambda image: of_size(image.shape)(torch.from_numpy(image)).numpy()


def _within_memory(run: Runner) -> Runner:
    """The same, with a clear error where an image is too large for the GPU."""

    def careful(image: Array) -> Array:
        with gpu.within_memory(
            "a network",
            location="image",
            found=" x ".join(map(str, image.shape)),
            hint="take a coarser grid, or device cpu",
        ):
            return run(image)

    return careful


def _onnx(model: bytes, device: str) -> Runner:
    session = onnx_session.session(model, device)
    return lambda image: session.run(None, {"image": image[None, None]})[0][0, 0]


def _openvino(model: bytes) -> Runner:
    import openvino  # pyright: ignore[reportMissingImports]  # 180 MB: not among what developers need

    core: Any = openvino.Core()
    # On processors that have bfloat16 that is what it takes if nothing is said.
    wanted = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled: Any = core.compile_model(core.read_model(model), "CPU", wanted)
    return lambda image: np.array(compiled([image[None, None]])[0][0, 0])
