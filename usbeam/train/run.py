"""The folder of a training: what is in it, reading it, and making room for a new one."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbeam.errors import CheckpointError, FileAccessError, OutputExists, UsbeamError
from usbeam.io.atomic import atomic_write
from usbeam.io.safe import access_error
from usbeam.train import weights
from usbeam.train.config import Config, from_table
from usbeam.train.networks import Network

CONFIG = "config.json"
FACTS = "facts.json"
WEIGHTS = "weights.safetensors"
STATE = "last.safetensors"
CURVES = "curves.csv"
PICTURE = "curves.png"
SAMPLES = "samples"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Parameters
    ----------
    epoch, step
        How many there have been.
    train_loss, validation_loss
        Mean absolute difference in the network's domain: over the crops of the epoch, while it learnt; over the whole
        images, or the part of the field, that are held out, after it.
    learning_rate
        Of its last step.
    seconds
        That its steps and the validation took.
    step_seconds
        The mean of a step.
    waiting
        Share of a step that was spent on waiting for crops.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    step_seconds: float
    waiting: float


@dataclass(frozen=True, eq=False)
class Run:
    """A training on disk.

    Parameters
    ----------
    folder
        ``config.json``, ``facts.json``, ``weights.safetensors`` (of the least validation loss), ``last.safetensors``
        (the state to go on from), ``curves.csv``, ``curves.png``, ``samples/``, ``tensorboard/``.
    config
        What was asked for, resolved.
    facts
        What there was: the network's domain and size, the pairs and their split, dynamic range, spacing, versions.
    history
        What each epoch came to.
    """

    folder: Path
    config: Config
    facts: Mapping[str, Any]
    history: tuple[Epoch, ...]

    @property
    def weights(self) -> Path:
        """The file of the best weights."""
        return self.folder / WEIGHTS

    @property
    def best(self) -> Epoch | None:
        """The first epoch of the least validation loss."""
        return min(self.history, key=lambda epoch: epoch.validation_loss, default=None)

    def network(self) -> Network:
        """The network with its best weights, on the CPU.

        Raises
        ------
        CheckpointError
            If they are damaged.
        FileAccessError
            If there are none.
        """
        return weights.load(self.weights)[0]


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder.

    Raises
    ------
    FileAccessError
        If it, or a file in it, cannot be read.
    CheckpointError
        If a file in it is damaged.
    """
    path = Path(folder)
    config = from_table(read_json(path / CONFIG), path / CONFIG)
    return Run(path, config, read_json(path / FACTS), _read_curves(path / CURVES))


def make_room(folder: Path, *, overwrite: bool) -> None:
    """Make a folder for a new run.

    Parameters
    ----------
    folder
        Absent, empty, or a run that may be replaced; nothing else in it is touched.
    overwrite
        Whether a run that is there may be replaced.

    Raises
    ------
    OutputExists
        If something is in it that may not be replaced.
    FileAccessError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            return
        if not overwrite or not (folder / CONFIG).is_file():
            hint = "give --resume to go on with it, --overwrite to replace it, or choose another name"
            is_run = (folder / CONFIG).is_file()
            raise OutputExists(
                "a run is there" if is_run else "the folder is not empty, and no run",
                path=folder,
                hint=hint if is_run else "choose another name",
            )
        for pattern in (CONFIG, FACTS, WEIGHTS, STATE, CURVES, PICTURE, f"{SAMPLES}/epoch_*.png", f"{TENSORBOARD}/ev*"):
            for path in folder.glob(pattern):
                path.unlink()
        for name in (SAMPLES, TENSORBOARD):
            with suppress(OSError):  # not there, or something else is in it
                (folder / name).rmdir()
    except OSError as error:
        raise error if isinstance(error, UsbeamError) else access_error(error, folder) from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a table, whole or not at all."""
    _write_text(path, json.dumps(data, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a table.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    CheckpointError
        If it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileAccessError("no such file", path=path, hint="name the folder that `usbeam train` made") from error
    except OSError as error:
        raise access_error(error, path) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"not JSON: {error}", path=path, hint="train anew in another folder") from error
    if not isinstance(found, dict):
        raise CheckpointError("not a table of JSON", path=path, hint="train anew in another folder")
    return found


def write_curves(path: Path, history: Sequence[Epoch]) -> None:
    """Write a line for each epoch."""
    names = [field.name for field in dataclasses.fields(Epoch)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    table.writerows(dataclasses.astuple(epoch) for epoch in history)
    _write_text(path, text.getvalue())


def _read_curves(path: Path) -> tuple[Epoch, ...]:
    if not path.is_file():
        return ()  # no epoch has ended yet
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return tuple(
            Epoch(int(row.pop("epoch")), int(row.pop("step")), **{name: float(value) for name, value in row.items()})
            for row in rows
        )
    except OSError as error:
        raise access_error(error, path) from error
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise CheckpointError(f"not the curves of a run: {error}", path=path, hint="train anew") from error


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
