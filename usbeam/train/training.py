"""`fit`: a pairs file becomes a trained network in a run folder."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.tensorboard import TensorBoardLogger

from usbeam import __version__
from usbeam.errors import CheckpointError, ConfigError, FileAccessError
from usbeam.io.pairs_file import Pairs, load_pairs
from usbeam.io.safe import access_error
from usbeam.train import gpu, pictures, run, weights
from usbeam.train.config import Config, from_table
from usbeam.train.data import Examples, Split, split
from usbeam.train.loop import Loop
from usbeam.train.networks import Network, build, n_parameters
from usbeam.train.run import Epoch, Run, load_run

SAVE_EVERY = 30.0
"""Seconds between states within an epoch."""


def fit(
    pairs: str | os.PathLike[str],
    config: Config | Mapping[str, Any] | None = None,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    start: str | os.PathLike[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run:
    """Train a network on pairs.

    Whatever ends it, the folder holds the best weights and a state that is whole, from which ``resume`` goes on to the
    same result: on a CPU with as many threads to the same bits. Several processes, started by ``torchrun``, share
    each batch.

    Parameters
    ----------
    pairs
        A ``usbeam-pairs`` file.
    config
        How to train. A table may hold some of its values; the others are those of the run that is gone on with, or of
        the network.
    out
        The run folder; see `Run`.
    resume
        Go on with the run that is there.
    start
        Weights to start from, a file or a run folder, of the same network.
    device
        ``cpu``, ``gpu`` or ``auto``: the GPU where torch can use one. A run may go on on another device than it began.
    overwrite
        Whether a run that is there may be replaced.
    progress
        Called with the fraction done.
    on_epoch
        Called with what each epoch came to.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError
        For settings that make no sense, images too small, fewer than two pairs.
    FileAccessError, FileFormatError
        If the pairs cannot be read, or the folder not be written.
    CheckpointError
        If the state is of another training, or it or the weights are damaged.
    TrainingDiverged
        If a loss is no number. The last good state stays.
    DeviceUnavailable
        If the GPU is asked for and torch cannot use it.
    DeviceOutOfMemory
        If a step or a whole image is too large for the GPU. The last good state stays.

    Examples
    --------
    >>> run = fit("pairs.h5", Config(model="unet", epochs=20, seed=0), out="runs/a")  # doctest: +SKIP
    >>> run.best.validation_loss  # doctest: +SKIP
    0.043
    """
    folder = Path(out)
    fabric_device = torch.device("cuda" if gpu.resolve(device) == "gpu" else "cpu")
    network, origin = (None, None) if start is None else _start(Path(start))
    if not isinstance(config, Config):
        config = from_table({**_base(folder, network, resume), **(config or {})})
    precision = config.resolved(fabric_device).precision
    if network is None:
        network = build(config.model, config.seed)
    if network.architecture.name != config.model:
        raise CheckpointError(
            "the weights are of another network", path=start, expected=config.model, found=network.architecture.name
        )
    fabric = _fabric(config.batch, precision, fabric_device)
    loaded = load_pairs(pairs)
    parts = split(loaded.recording, loaded.source.file, loaded.grid.shape[1], config.held_out, config.seed)
    checksum = _sha256(pairs)
    loop = Loop(
        config,
        Examples(loaded, config.domain),
        parts,
        network,
        fabric,
        {"pairs": checksum, "start": origin and origin["sha256"]},
    )
    if resume:
        loop.resume(_state(folder))
    facts = {
        **_facts(config, loaded, parts, network, fabric),
        "precision": precision,
        "pairs": {"file": Path(pairs).name, "sha256": checksum, "strategy": loaded.strategy},
        "start": origin,
    }
    if origin is not None and origin["dynamic_range_db"] not in (None, loaded.dynamic_range_db):
        warnings.warn(
            f"the weights were trained on {origin['dynamic_range_db']:g} dB, the pairs have "
            f"{loaded.dynamic_range_db:g} dB",
            stacklevel=2,
        )
    if fabric.is_global_zero and not resume:
        run.make_room(folder, overwrite=overwrite)
        run.write_json(folder / run.CONFIG, config.table())
        run.write_json(folder / run.FACTS, facts)
        loop.save(folder / run.STATE)
    fabric.barrier()
    with gpu.exact():
        _go_on(loop, folder, facts, progress, on_epoch)
    fabric.barrier()
    return load_run(folder)


def _go_on(
    loop: Loop,
    folder: Path,
    facts: Mapping[str, Any],
    progress: Callable[[float], None] | None,
    on_epoch: Callable[[Epoch], None] | None,
) -> None:
    """Steps and epochs until all are done, the state kept beside them."""
    is_first = loop.fabric.is_global_zero
    board = _board(folder) if is_first else None
    saved = time.monotonic()
    while not loop.is_finished:
        loop.advance()
        if is_first and progress is not None:
            progress(loop.step / loop.n_steps)
        if loop.step % loop.steps_per_epoch == 0:
            epoch = loop.end_epoch()
            if is_first:
                _keep(loop, folder, facts, board)
            if is_first and on_epoch is not None:
                on_epoch(epoch)
        elif time.monotonic() - saved < SAVE_EVERY:
            continue
        # The state comes last: what it goes on from is written, and would be written again alike.
        loop.save(folder / run.STATE)
        saved = time.monotonic()
    if board is not None:
        board.finalize("success")


def _keep(loop: Loop, folder: Path, facts: Mapping[str, Any], board: TensorBoardLogger | None) -> None:
    """What an epoch leaves in the folder, beside the state."""
    epoch = loop.history[-1]
    if epoch == loop.best:
        found = {**facts, "best": {"epoch": epoch.epoch, "step": epoch.step, "validation_loss": epoch.validation_loss}}
        weights.save(loop.network, folder / run.WEIGHTS, found)
        run.write_json(folder / run.FACTS, found)
    run.write_curves(folder / run.CURVES, loop.history)
    pictures.curves(loop.history, folder / run.PICTURE)
    try:
        (folder / run.SAMPLES).mkdir(exist_ok=True)
    except OSError as error:
        raise access_error(error, folder / run.SAMPLES) from error
    lq, hq = loop.examples[loop.validation.pairs[0]]
    from_lq, from_hq = (loop.predict(torch.from_numpy(image)[None, None])[0, 0].cpu().numpy() for image in (lq, hq))
    images = {"lq": lq, "network of lq": from_lq, "hq": hq, "network of hq": from_hq}
    name = folder / run.SAMPLES / f"epoch_{epoch.epoch:03d}.png"
    pictures.sample(images, loop.examples.pairs.grid, loop.config.domain, name)
    if board is not None:
        figures = {"train_loss": epoch.train_loss, "validation_loss": epoch.validation_loss}
        board.log_metrics({**figures, "learning_rate": epoch.learning_rate}, epoch.step)


def _base(folder: Path, network: Network | None, resume: bool) -> dict[str, Any]:
    """What holds where nothing is said: the settings of the run that is there, or the network of the weights."""
    if resume:
        _state(folder)  # refused here, where there is none
        return run.read_json(folder / run.CONFIG)
    return {} if network is None else {"model": network.architecture.name}


def _start(path: Path) -> tuple[Network, dict[str, Any]]:
    """Weights to start from, and what is to be known of them."""
    file = path / run.WEIGHTS if path.is_dir() else path
    network, facts = weights.load(file)
    known = {name: facts.get(name) for name in ("dynamic_range_db", "spacing", "speckle_cell")}
    return network, {"file": file.name, "sha256": _sha256(file), **known}


def _state(folder: Path) -> Path:
    state = folder / run.STATE
    if not state.is_file():
        raise FileAccessError("no run to go on with", path=state, hint="leave out --resume to begin one")
    return state


def _fabric(batch: int, precision: str, device: torch.device) -> Fabric:
    """Lightning's: one process, or as many as torchrun has started."""
    local, world = (int(os.environ.get(name, 1)) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if batch % world:
        raise ConfigError(
            "the processes cannot share a batch evenly",
            location="batch",
            expected=f"a multiple of {world}",
            found=batch,
        )
    sums = "bf16-mixed" if precision == "bfloat16" else "32-true"
    with _without_greetings():
        fabric = Fabric(accelerator=device.type, devices=local, num_nodes=world // local, precision=sums)
        fabric.launch()
    return fabric


@contextmanager
def _without_greetings() -> Generator[None]:
    """Lightning tells every process, twice, what it has found."""
    loggers = [logging.getLogger(f"lightning.{each}") for each in ("fabric", "pytorch")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _board(folder: Path) -> TensorBoardLogger | None:
    """Where tensorboard is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    return TensorBoardLogger(root_dir=folder, name=run.TENSORBOARD, version="")


def _facts(config: Config, pairs: Pairs, parts: Split, network: Network, fabric: Fabric) -> dict[str, Any]:
    """What there was; spacing and speckle cell are in depth and across."""
    steps = [float(np.mean(np.diff(axis))) for axis in (pairs.grid.z, pairs.grid.x)]
    cell = np.median(pairs.source.speckle_cell, axis=0)
    return {
        "model": config.model,
        "domain": config.domain,
        "dynamic_range_db": pairs.dynamic_range_db,
        "normalisation": pairs.normalisation,
        "spacing": steps,
        "speckle_cell": cell.tolist() if np.isfinite(cell).all() else None,
        "n_parameters": n_parameters(network),
        "seed": config.seed,
        "n_pairs": {"training": len(parts.training.pairs), "validation": len(parts.validation.pairs)},
        "split": parts.rule,
        "device": "cpu" if fabric.device.type == "cpu" else torch.cuda.get_device_name(fabric.device),
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
        "versions": {
            "usbeam": __version__,
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _sha256(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise access_error(error, path) from error
