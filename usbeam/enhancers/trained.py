"""Trained networks as enhancers: a run folder, a file of weights, or the name of weights that come with usbeam.

The network sees the image as it saw those that it was trained on: compressed to the same dynamic range, in the same
domain (`usbeam.train.data.fed`), and resampled, where its speckle has another number of pixels
(`usbeam.enhancers.scale`). It sees it twice, the second time flipped left to right, and both results are averaged. What
it makes lies on the image's own pixels and levels, so that 0 dB is the maximum of what was given.

``mode=quality`` takes besides the image four oblique looks at the same frame, each of which has speckle of its own, and
gives half of what it makes of the image plus half the mean of what it makes of the looks. The levels of each are taken
re the median of that look. That needs channel data (`usbeam.enhance_recording`).

``gate=true`` puts points back that a network takes for speckle: with f the image and y the result, in dB and
shifted so that the median of f - y is 0, it adds ``s((f - y - 9.5 dB) / 0.8 dB) (f - y)`` with the logistic function s.
A few bright grains of speckle come back with them.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from usbeam import weights
from usbeam.enhancers.controls import refuse_smaller
from usbeam.enhancers.registry import Choice, Enhancer, Task, Values, enhancer
from usbeam.enhancers.scale import Scale, measured, through
from usbeam.errors import ConfigError, FileAccessError
from usbeam.image import Image
from usbeam.units import format_quantity

if TYPE_CHECKING:
    from usbeam.train.inference import Trained
    from usbeam.train.run import Run

RUNTIMES = ("torch", "onnx", "openvino")
GATE_DB, GATE_WIDTH_DB = 9.5, 0.8
"""How far a pixel stands out of the result where half of it comes back, and how sharply that sets in."""
SPACING_TOLERANCE = 0.05
"""Share by which pixels may differ from those of the training without a word."""
CELL_TOLERANCE = 1.6
"""Factor by which the pixels of a speckle may, where they can be counted."""
_log = logging.getLogger("usbeam")


@dataclass(frozen=True)
class TrainedEnhancer(Enhancer):
    """An enhancer that was trained.

    Parameters
    ----------
    network
        With its weights and what it was trained on.
    """

    network: Trained


@enhancer(
    title="A trained network",
    domain="display",
    reference="Li, Lu and Monkam, Zero-Shot Learning for Real-Time Ultrasound Image Enhancement; own work for looks",
    on_gpu=True,
)
def trained(
    task: Task,
    network: Any,  # a Trained, whose module needs torch
    *,
    mode: Annotated[str, Choice(("fast", "quality")), "the image alone, or with looks, from channel data"] = "fast",
    gate: Annotated[bool, "bright points come back"] = False,
    runtime: Annotated[str, Choice(RUNTIMES), "what runs the network"] = "torch",
) -> Values:
    """What a network makes of an image; see the module.

    Raises
    ------
    ConfigError
        If the image is too small, looks are missing or not asked for, or the runtime is not there.
    DeviceUnavailable, DeviceOutOfMemory
        If the GPU is asked for and the runtime cannot use it, or the image is too large for it.
    MeasurementError
        If the network makes values that are no numbers.
    """
    from usbeam.train import gpu, runtimes

    known: Trained = network
    runtimes.refuse_missing(runtime)
    device = gpu.resolve(task.device, runtime)
    refuse_smaller(task, known.smallest, known.model)
    if mode == "quality" and not task.looks:
        raise ConfigError(
            "quality needs channel data, of which an image holds none any more",
            location="mode",
            expected="fast, or a recording",
            found=mode,
            hint="ub.enhance_recording(recording, run), or usbeam enhance RECORDING.h5 --mode quality",
        )
    if mode == "fast" and task.looks:
        raise ConfigError("fast takes the image alone", location="looks", found=f"{len(task.looks)} looks")
    images = [_level_db(values, task) for values in (task.values, *task.looks)]
    scales = _scales(task, known, images)
    warnings = list(_differences(task, known, scales[0]))
    for text in warnings:
        _log.warning("%s: %s", known.model, text)
    made: list[npt.NDArray[np.float64]] = []
    for number, (image, scale) in enumerate(zip(images, scales, strict=True)):
        made.append(through(scale, image, lambda level: known.enhanced(level, runtime, device), known.smallest))
        task.progress((number + 1) / len(images))
    found = made[0] if mode == "fast" else (made[0] + np.mean(made[1:], axis=0)) / 2
    full = images[0] - np.median(images[0])
    if gate:
        found = _gated(found, full)
    task.notes.update(
        model=known.model,
        device=device,
        weights={"file": known.path.name, "sha256": known.sha256},
        trained_on={"dynamic_range_db": known.dynamic_range_db, "spacing": known.spacing},
        flipped_too=True,
        resampled=[None if each is None else each.factor for each in scales],
        n_looks=len(task.looks),
        warnings=warnings,
    )
    return 1 + (found + np.median(images[0])) / task.dynamic_range


def find(source: str | os.PathLike[str] | Run) -> TrainedEnhancer:
    """The enhancer that a training made.

    Parameters
    ----------
    source
        What `usbeam.train.fit` gave, its folder, a file of weights, or the name of weights that come with usbeam.

    Raises
    ------
    ConfigError
        Without torch or safetensors, or if it is neither a file nor a folder nor a name.
    FileAccessError
        If there are no weights in the folder, or they cannot be read.
    CheckpointError
        If they are damaged, or no weights at all.
    """
    path = _existing(source)
    try:
        from usbeam.train.run import WEIGHTS
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise ConfigError(
            f"a trained network needs {error.name}, which is not installed",
            location="method",
            hint="pip install 'usbeam[train]'",
        ) from error
    if path.is_dir():
        path = path / WEIGHTS
    if not path.is_file():
        raise FileAccessError(
            "no weights in this folder", path=path, hint="name a folder in which `usbeam train` has ended an epoch"
        )
    state = path.stat()
    network = _loaded(path, state.st_mtime_ns, state.st_size)
    facts: dict[str, Any] = {each.name: getattr(trained, each.name) for each in fields(Enhancer)}
    facts |= {"name": network.model, "function": functools.partial(trained.function, network=network)}
    return TrainedEnhancer(**facts, network=network)


def _existing(source: str | os.PathLike[str] | Run) -> Path:
    """A file or folder; weights that come with usbeam where there is none of the name."""
    path = source if isinstance(source, str | os.PathLike) else source.weights
    if os.path.exists(path):
        return Path(path).absolute()
    if path in weights.names():
        return weights.path(str(path))
    raise ConfigError("neither a file nor a folder, nor weights that come with usbeam", location="method", found=path)


def _level_db(values: Values, task: Task) -> npt.NDArray[np.float64]:
    """Re the image's maximum."""
    return (values.astype(np.float64) - 1) * task.dynamic_range


def _gated(found: npt.NDArray[np.float64], full: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What stands out of the result comes back, at its own level."""
    from scipy.special import expit

    level = found + np.median(full - found)
    return level + expit((full - level - GATE_DB) / GATE_WIDTH_DB) * (full - level)


def _scales(task: Task, network: Trained, images: Sequence[npt.NDArray[np.float64]]) -> list[Scale | None]:
    """Of the image and of each look; looks at one frame have one scale."""
    if network.cell is None:
        return [None] * len(images)
    given = task.source or _shown(images[0], task)
    found = [measured(given, network.cell)]
    if len(images) > 1:
        seen = [each for look in images[1:] if (each := measured(_shown(look, task), network.cell)) is not None]
        own = np.mean([each.own for each in seen], axis=0) if seen else None
        of_looks = None if own is None else Scale((float(own[0]), float(own[1])), network.cell)
        found += [of_looks] * (len(images) - 1)
    return found


def _shown(level_db: npt.NDArray[np.float64], task: Task) -> Image:
    return Image(level_db.astype(np.float32), task.grid, "db", dynamic_range_db=task.dynamic_range)


def _differences(task: Task, network: Trained, scale: Scale | None) -> Iterator[str]:
    """Where the image is not as those of the training were."""
    if task.dynamic_range < network.dynamic_range_db:
        yield (
            f"the image shows {task.dynamic_range:g} dB, the network was trained on {network.dynamic_range_db:g} dB; "
            "take an image from before log compression"
        )
    if scale is not None:
        # What counts is how many pixels a speckle has.
        pairs = list(zip(scale.own, scale.trained, strict=True))
        if any(not 1 / CELL_TOLERANCE < own / other < CELL_TOLERANCE for own, other in pairs):
            own, other = (" x ".join(f"{each:.1f}" for each in side) for side in zip(*pairs, strict=True))
            yield (
                f"a speckle of {own} pixels (depth x across), the network was trained on {other}; the image is "
                "resampled for it"
            )
    elif network.spacing is not None:
        pairs = list(zip(task.spacing, network.spacing, strict=True))
        if any(abs(mine - theirs) > SPACING_TOLERANCE * theirs for mine, theirs in pairs):
            mine, theirs = (
                " x ".join(format_quantity(each, "m") for each in side) for side in zip(*pairs, strict=True)
            )
            yield f"pixels of {mine} (depth x across), the network was trained on {theirs}"


@functools.lru_cache(maxsize=8)
def _loaded(path: Path, changed: int, size: int) -> Trained:
    """Read once for many images; a file that has changed is read again."""
    from usbeam.train import inference

    return inference.load(path)
