"""Keeping a fit on disk: tensors by safetensors, the rest as JSON in the same file. Nothing in it is ever run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from usbeam.errors import CheckpointError, FileAccessError
from usbeam.io.atomic import atomic_write

_KEY = "usbeam"
_ERRNO = re.compile(r"os error (\d+)")
"""How safetensors says what the system said."""


def save(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all; one that is there is replaced.

    Raises
    ------
    FileAccessError
        If it cannot be written.
    """
    with atomic_write(path, overwrite=True) as temporary:
        whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        try:
            save_file(whole, temporary, metadata={_KEY: json.dumps(facts)})
        except safetensors.SafetensorError as error:
            number = _ERRNO.search(str(error))
            raise OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error)) from error


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint.

    Returns
    -------
    tensors, facts
        As they were given to `save`.

    Raises
    ------
    CheckpointError
        If it is none of ours, or damaged.
    FileAccessError
        If it cannot be read.
    """
    if not Path(path).is_file():
        raise FileAccessError("is not a file", path=path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except OSError as error:
        raise FileAccessError(f"cannot be read: {error.strerror or error}", path=path) from error
    except (safetensors.SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "not a checkpoint of usbeam, or damaged", path=path, hint="remove it to start anew"
        ) from error
    if not isinstance(facts, dict):
        raise CheckpointError("not a checkpoint of usbeam, or damaged", path=path, hint="remove it to start anew")
    return tensors, facts
