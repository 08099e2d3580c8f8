"""A trained network for one recording: a brief training on looks of that recording, stopped by a part of its field.

A network that was trained on other machines and tissues has seen speckle like this, and not this. Oblique looks of the
recording itself make pairs without any truth (`usbeam.pairs`), and some hundred steps on them teach what is new. Some
thousand teach the speckle itself, by heart. So a part of the field is kept out of the training, and the training goes
in rounds: each has a learning rate that rises, and falls to 0 as a cosine, and begins with the best weights so far; the
first round that does not better the loss on what is kept out, by `GAIN` at least, is the last and is thrown away. What
is left does not depend on how many rounds more were allowed. A network that knows such recordings is left as it is: one
round more would teach it their speckle.

A network knows speckle of the size, in pixels, that it was trained on. The looks are made on a grid where the speckle
of the recording has that size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import l1_loss

from usbeam import __version__
from usbeam.acquisition import Acquisition
from usbeam.enhancers import trained
from usbeam.errors import ConfigError, FileAccessError
from usbeam.grid import Grid
from usbeam.io.pairs_file import load_pairs
from usbeam.io.safe import access_error
from usbeam.pairs import make_pairs, samples_sha256
from usbeam.recordings import looks_grid
from usbeam.train import run, weights
from usbeam.train.config import Config, from_table
from usbeam.train.data import Examples, split
from usbeam.train.inference import Trained
from usbeam.train.networks import Network
from usbeam.train.run import Run
from usbeam.train.training import fit

ROUND: Mapping[str, Any] = {
    "epochs": 4,
    "steps_per_epoch": 100,
    "crop": (128, 128),
    "learning_rate": 3e-4,
    "warm_up": 50,
    "schedule": "cosine",
    "clip": 1.0,
    "precision": "auto",
}
"""Settings of a round, where they differ from those of `usbeam.train.config.Config`."""
N_PAIRS = 32
"""Looks at both sides of 16 lines, both ways."""
MAX_ROUNDS = 3
GAIN = 0.01
"""Share by which a round must better the loss on what is kept out."""
ENDING = ".usbeam-adapted"
"""Of the folder beside a recording."""
_PAIRS_SHARE = 0.1
"""Of the time, roughly, that the looks take."""
_NO_PHYSICS = {"samples", "truth", "provenance", "title", "license", "path"}


def adapt(
    recording: Acquisition,
    network: str | os.PathLike[str] | Run,
    grid: Grid | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    frames: Sequence[int] = (0,),
    max_rounds: int = MAX_ROUNDS,
    gain: float = GAIN,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """Train a network a little further, on looks of one recording; see the module.

    Where no folder is named, the result is kept beside the recording, in ``FILE.usbeam-adapted/HASH`` with a hash of
    all that it depends on, and the same call takes it from there. A folder either holds all of it or is not used.

    Parameters
    ----------
    recording
        The channel data.
    network
        Where to start: what `usbeam.train.fit` gave, its folder, a file of weights, or the name of weights that come
        with usbeam.
    grid
        Of the looks; where the recording reaches, with as many pixels to a speckle as in the training, if not given.
    out
        The run folder.
    frames
        Those that looks are made of.
    max_rounds
        How many there may be.
    gain
        Share by which a round must better the loss on what is kept out; below 0 it may worsen it by so much.
    config
        Settings of a round that differ from `ROUND`; see `usbeam.train.config.Config`.
    seed
        Of the looks' angles and the crops.
    device
        ``cpu``, ``gpu`` or ``auto``.
    overwrite
        Whether a run in the folder may be replaced; also of one that is kept beside the recording.
    progress
        Called with the fraction done, at most.

    Returns
    -------
    Run
        That of the best round. Its facts have in ``adapted`` what it started from, the recording, and the losses. Where
        not even the first round bettered the loss, the weights are those that it started from.

    Raises
    ------
    ConfigError, GeometryError
        For what `usbeam.make_pairs` and `usbeam.train.fit` refuse, a field too narrow to keep a part of it out, and no
        folder named where the recording is not from a file.
    OutputExists, FileAccessError
        If the folder is there already, or cannot be written.
    CheckpointError
        If the weights are damaged.

    Examples
    --------
    >>> recording = usbeam.load("recording.h5")  # doctest: +SKIP
    >>> run = adapt(recording, "looks")  # doctest: +SKIP
    >>> usbeam.enhance_recording(recording, run).save("better.h5")  # doctest: +SKIP
    """
    start = trained.find(network).network
    if type(max_rounds) is not int or max_rounds < 1:
        raise ConfigError("not a number of rounds", location="max_rounds", expected="at least 1", found=max_rounds)
    if not -1 <= gain < 1:
        raise ConfigError("not a share", location="gain", expected="-1 or more, below 1", found=gain)
    settings = from_table({**ROUND, "model": start.model, "seed": seed, **(config or {})})
    if out is None:
        axes = None if grid is None else [grid.x, grid.z]
        recipe = (__version__, settings.table(), N_PAIRS, gain, max_rounds)
        folder = _beside(recording, [_physics(recording), start.sha256, axes, list(frames), recipe])
        if (folder / run.WEIGHTS).is_file() and not overwrite:
            return run.load_run(folder)
    else:
        folder = Path(out)
        if not (overwrite and (folder / run.CONFIG).is_file()):  # a run that is there stays until there is a new one
            run.make_room(folder, overwrite=overwrite)
    with _workplace(folder) as workplace:
        pairs = workplace / "pairs.h5"
        made = make_pairs(
            [recording],
            grid or looks_grid(recording, network, frames[0] if frames else 0, device=device),
            out=pairs,
            n_pairs=N_PAIRS,
            seed=settings.seed,
            dynamic_range=start.dynamic_range_db,
            frames=frames,
            device=device,
            progress=lambda share: progress(_PAIRS_SHARE * share) if progress else None,
        )
        facts = {
            "from": {"file": start.path.name, "sha256": start.sha256},
            "recording": {"file": made.source.file[0], "sha256": made.source.sha256[0], "frames": list(frames)},
        }
        best = _rounds(workplace, start, settings, max_rounds, gain, device, facts, progress)
        _move(best, folder, overwrite=overwrite or out is None)
    return run.load_run(folder)


def _rounds(
    workplace: Path,
    start: Trained,
    config: Config,
    max_rounds: int,
    gain: float,
    device: str,
    facts: Mapping[str, Any],
    progress: Callable[[float], None] | None,
) -> Path:
    """Rounds until one gains too little; the folder of the best, with what came of all of them in its facts."""
    before = _held_out_loss(workplace / "pairs.h5", start.network, config)
    best, least, losses = start.path, before, list[float]()
    for number in range(max_rounds):

        def advance(share: float, done: int = number) -> None:
            if progress is not None:
                progress(_PAIRS_SHARE + (1 - _PAIRS_SHARE) * (done + share) / max_rounds)

        found = fit(
            workplace / "pairs.h5",
            dataclasses.replace(config, seed=config.seed + number),
            out=workplace / f"round {number}",
            start=best,
            device=device,
            progress=advance,
        )
        losses.append(min(epoch.validation_loss for epoch in found.history))
        if losses[-1] > (1 - gain) * least:
            break
        best, least = found.folder, losses[-1]
    if progress is not None:
        progress(1.0)
    gained = best != start.path
    folder = best if gained else workplace / "round 0"
    known = {**run.read_json(folder / run.FACTS), "adapted": {**facts, "loss": {"before": before, "rounds": losses}}}
    if not gained:
        known["best"] = {"epoch": 0, "step": 0, "validation_loss": before}
    weights.save(weights.load(best / run.WEIGHTS)[0] if gained else start.network, folder / run.WEIGHTS, known)
    run.write_json(folder / run.FACTS, known)
    return folder


def _held_out_loss(pairs: Path, network: Network, config: Config) -> float:
    """Mean absolute difference over the part of the field that is kept out, as `fit` takes it after each epoch."""
    loaded = load_pairs(pairs)
    part = split(loaded.recording, loaded.source.file, loaded.grid.shape[1], config.held_out, config.seed).validation
    examples, total = Examples(loaded, config.domain), 0.0
    with torch.no_grad():
        for index in part.pairs:
            lq, hq = (torch.from_numpy(image[:, part.columns].copy())[None, None] for image in examples[index])
            total += float(l1_loss(network(lq), hq))
    return total / len(part.pairs)


def _physics(recording: Acquisition) -> dict[str, Any]:
    """What an image of a recording depends on."""
    names = [each.name for each in dataclasses.fields(recording) if each.name not in _NO_PHYSICS]
    return {"samples": samples_sha256(recording), **{name: getattr(recording, name) for name in names}}


def _beside(recording: Acquisition, depends_on: object) -> Path:
    """Where a result is kept."""
    if recording.path is None:
        raise ConfigError("the recording is from no file, beside which the result could be kept", location="out")

    def plain(value: Any) -> Any:
        return dataclasses.asdict(value) if dataclasses.is_dataclass(type(value)) else np.asarray(value).tolist()

    text = json.dumps(depends_on, sort_keys=True, default=plain)
    file = Path(recording.path)
    return file.with_name(file.name + ENDING) / hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _workplace(folder: Path) -> Generator[Path]:
    """A folder that is gone afterwards, on the same disk as the one given."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent)
    except OSError as error:
        raise FileAccessError(
            f"no folder can be made here: {error.strerror}",
            path=folder.parent,
            hint="choose another one: usbeam train --from WEIGHTS RECORDING.h5 -o RUN, then usbeam enhance --with RUN",
        ) from error
    with place as name:
        yield Path(name)


def _move(made: Path, folder: Path, *, overwrite: bool) -> None:
    """A run into its place: first what makes it a run, which may be replaced; last the weights, which make it whole."""
    run.make_room(folder, overwrite=overwrite)
    try:
        shutil.copy(made / run.CONFIG, folder)
        shutil.copytree(made, folder, ignore=shutil.ignore_patterns(run.WEIGHTS), dirs_exist_ok=True)
        os.replace(made / run.WEIGHTS, folder / run.WEIGHTS)
    except OSError as error:
        raise access_error(error, folder) from error
