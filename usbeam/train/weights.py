"""Trained networks on disk: weights by safetensors, the network's name and facts as JSON in the same file."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from usbeam.errors import CheckpointError, ConfigError
from usbeam.train import checkpoint
from usbeam.train.networks import MODELS, Network, build

_KIND = "network 1"
_HINT = "take a file that usbeam.train.weights.save wrote"
_DTYPES = torch.float32, torch.float16, torch.bfloat16


def save(
    network: Network,
    path: str | os.PathLike[str],
    facts: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a network, whole or not at all; a file that is there is replaced.

    Parameters
    ----------
    network
        One of `usbeam.train.networks.MODELS`.
    path
        The file.
    facts
        What goes with the weights: dynamic range, spacing, version. Anything that JSON holds.
    dtype
        Of the weights in the file: ``torch.float32``, ``torch.float16`` or ``torch.bfloat16``.

    Raises
    ------
    ConfigError
        If the network is none of the named ones, or facts or dtype are not of these kinds.
    CheckpointError
        If a weight is not finite, or too large for the dtype. Nothing is written.
    FileAccessError
        If the file cannot be written.
    """
    name = network.architecture.name
    if MODELS.get(name) != network.architecture:
        raise ConfigError("not a network that load could build", expected=f"one of {', '.join(MODELS)}", found=name)
    if dtype not in _DTYPES:
        raise ConfigError("not a dtype of weights", expected=_one_of_the_dtypes(), found=dtype)
    try:
        json.dumps(dict(facts), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError("not facts that JSON holds", found=error) from error
    tensors = {key: value.detach().cpu().to(dtype) for key, value in network.state_dict().items()}
    _check_finite(tensors, path)
    checkpoint.save(path, tensors, {"kind": _KIND, "model": name, "facts": dict(facts)})


def load(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """Read a network.

    Returns
    -------
    network : Network
        In float32, whatever the file holds, on the CPU.
    facts : dict
        As they were given to `save`.

    Raises
    ------
    CheckpointError
        If it is no file of `save`, or damaged, or of a network that this usbeam does not have, or its weights do not
        fit the network or are not finite.
    FileAccessError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "light.safetensors")
    >>> save(build("unet-light"), path, {"dynamic_range_db": 60.0})
    >>> network, facts = load(path)
    >>> network.architecture.name, facts
    ('unet-light', {'dynamic_range_db': 60.0})
    """
    try:
        tensors, header = checkpoint.load(path)
    except CheckpointError as error:
        raise CheckpointError(
            "not the weights of a network, or damaged",
            path=path,
            expected="safetensors, with the network's name",
            found=error.__cause__ and f"{type(error.__cause__).__name__} {error.__cause__}",
            hint=_HINT,
        ) from error
    _check_header(header, path)
    network = build(header["model"], seed=0)
    _check_layout(tensors, network, path)
    _check_finite(tensors, path)
    network.load_state_dict(tensors)  # which converts to float32
    return network.eval(), header["facts"]


def _check_header(header: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """What is written there is data of unknown type and length."""
    if header.get("kind") != _KIND:
        raise CheckpointError(
            "not the weights of a network",
            path=path,
            location="kind",
            expected=_KIND,
            found=reprlib.repr(header.get("kind")),
            hint=_HINT,
        )
    if not isinstance(header.get("model"), str) or header["model"] not in MODELS:
        raise CheckpointError(
            "the weights of a network that is not known",
            path=path,
            location="model",
            expected=f"one of {', '.join(MODELS)}",
            found=reprlib.repr(header.get("model")),
            hint="a newer usbeam may know it",
        )
    if not isinstance(header.get("facts"), dict):
        raise CheckpointError(
            "the facts are missing",
            path=path,
            location="facts",
            expected="a table",
            found=reprlib.repr(header.get("facts")),
            hint=_HINT,
        )


def _check_layout(tensors: Mapping[str, Tensor], network: Network, path: str | os.PathLike[str]) -> None:
    """The first tensor that is missing, unknown, of another shape or of another dtype."""
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        mine, found = wanted.get(name), tensors.get(name)
        if mine is None or found is None or mine.shape != found.shape or found.dtype not in _DTYPES:
            raise CheckpointError(
                f"the weights do not fit the network {network.architecture.name}",
                path=path,
                location=name,
                expected="nothing" if mine is None else f"{tuple(mine.shape)} of {_one_of_the_dtypes()}",
                found="nothing" if found is None else f"{tuple(found.shape)} of {found.dtype}",
                hint=_HINT,
            )


def _check_finite(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    for name, tensor in tensors.items():
        n_bad = int((~torch.isfinite(tensor)).sum())
        if n_bad:
            raise CheckpointError(
                "the weights are not finite",
                path=path,
                location=name,
                expected=f"finite numbers in {tensor.dtype}",
                found=f"{n_bad} of {tensor.numel()} that are not",
                hint="take the weights of an earlier state",
            )


def _one_of_the_dtypes() -> str:
    return ", ".join(str(dtype) for dtype in _DTYPES)
