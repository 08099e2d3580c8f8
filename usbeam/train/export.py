"""Networks as ONNX: for runtimes other than PyTorch, any image size, and measured against PyTorch."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from usbeam.errors import UsbeamError
from usbeam.io.atomic import atomic_write, check_output
from usbeam.train.inference import Trained
from usbeam.train.networks import Network
from usbeam.train.runtimes import OTHERS, SHA256, refuse_missing, runner

TOLERANCE = 1e-4
"""Largest difference from PyTorch, of the larger of 1 and the largest value of the result."""
_SIDES = ((0, 3), (40, 11), (23, 71))
"""What is checked beyond the smallest image, in depth and across: even and odd, no two alike."""


@dataclass(frozen=True)
class Exported:
    """A model that was written.

    Parameters
    ----------
    path
        The file.
    difference
        Runtime -> largest difference from PyTorch over the images that were checked; runtimes that are not installed
        are not in it.
    sizes
        Of these images.
    """

    path: Path
    difference: dict[str, float]
    sizes: tuple[tuple[int, int], ...]


def export(trained: Trained, out: str | os.PathLike[str], *, overwrite: bool = False) -> Exported:
    """Write a network as an ONNX model, after every runtime that is there has given what PyTorch gives.

    The model takes ``image`` (n, 1, n_z, n_x), float32 of any size from the smallest on, as `usbeam.train.data.fed`
    feeds it, and gives ``enhanced`` of the same shape. Its metadata have the facts that this takes.

    Parameters
    ----------
    trained
        The network.
    out
        The file.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    ConfigError
        Without onnx, onnxscript or onnxruntime.
    OutputExists, FileAccessError
        If the file is there or cannot be written.
    UsbeamError
        If a runtime gives something else than PyTorch. Nothing is written.
    """
    refuse_missing("onnx")
    import onnx

    check_output(out, overwrite=overwrite)
    content = model(trained.network)
    sizes = tuple((trained.smallest + z, trained.smallest + x) for z, x in _SIDES)
    difference = {name: _difference(trained, name, content, sizes) for name in OTHERS if _is_there(name)}
    for name, found in difference.items():
        if not found <= TOLERANCE:
            raise UsbeamError(
                f"{name} gives something else than torch", location=trained.model, expected=TOLERANCE, found=found
            )
    proto = onnx.load_from_string(content)
    facts = {
        SHA256: trained.sha256,
        "model": trained.model,
        "domain": trained.domain,
        "dynamic_range_db": json.dumps(trained.dynamic_range_db),
        "spacing": json.dumps(trained.spacing),
    }
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value)
    with atomic_write(out, overwrite=overwrite) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return Exported(Path(out), difference, sizes)


def model(network: Network) -> bytes:
    """A network as an ONNX model of any batch and size.

    Parameters
    ----------
    network
        On the CPU.

    Raises
    ------
    UsbeamError
        If torch makes none.
    """
    side, free = network.architecture.block + 24, torch.export.Dim.DYNAMIC
    with _quietly():
        # A batch of 1 would be taken for a constant.
        program = torch.onnx.export(
            network.eval(),
            (torch.rand(2, 1, side, side + 18),),
            dynamo=True,
            dynamic_shapes=({0: free, 2: free, 3: free},),
            input_names=["image"],
            output_names=["enhanced"],
            verbose=False,
        )
    if program is None:  # only the older exporter gives none
        raise UsbeamError("torch has made no model", location=network.architecture.name)
    return program.model_proto.SerializeToString()


def _difference(trained: Trained, runtime: str, content: bytes, sizes: tuple[tuple[int, int], ...]) -> float:
    """Largest over images of random numbers, as large as what the network is fed."""
    ours, other = runner(trained.network), runner(trained.network, runtime, content)
    rng, found = np.random.default_rng(0), 0.0
    for size in sizes:
        image = rng.random(size, np.float32)
        wanted = ours(image)
        found = max(found, float(np.abs(other(image) - wanted).max() / max(1.0, np.abs(wanted).max())))
    return found


def _is_there(package: str) -> bool:
    return importlib.util.find_spec(OTHERS[package]) is not None


@contextlib.contextmanager
def _quietly() -> Generator[None]:
    """Torch warns about itself, and about packages that this does not need."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
