"""Self2Self: a network learns one image from itself."""

from __future__ import annotations

import os
import time
from typing import Annotated

from usbeam.enhancers.controls import refuse_smaller
from usbeam.enhancers.registry import Range, Task, Values, enhancer
from usbeam.errors import ConfigError

SMALLEST = 32
"""Side [pixels] of the smallest image, which the network halves five times."""


@enhancer(
    title="Self2Self: a network that learns one image from itself",
    domain="display",
    reference="Y. Quan, M. Chen, T. Pang and H. Ji, Self2Self With Dropout, CVPR 2020, pp. 1890-1898",
    licence="own code; the authors' is Apache-2.0",
)
def self2self(
    task: Task,
    *,
    n_steps: Annotated[int, Range(1), "steps of the fit; the authors: 150000"] = 4000,
    max_seconds: Annotated[float, Range(0, unit="s"), "the fit stops after this, whatever n_steps says"] = 600.0,
    n_predictions: Annotated[int, Range(1, 10_000), "guesses that are averaged; the authors: 100"] = 50,
    crop: Annotated[int, Range(SMALLEST, unit="pixels"), "side of the part of the image that one step sees"] = 64,
    block: Annotated[float, Range(0, 0.01, "m"), "side of the squares that are hidden; 0: single pixels"] = 0.0,
    learning_rate: Annotated[float, Range(1e-7, 1), "of Adam; the authors: 1e-4"] = 4e-4,
    width: Annotated[int, Range(6, 512), "channels of the encoder; the authors: 48"] = 48,
    seed: Annotated[int, Range(0, 2**32 - 1), "of everything random"] = 0,
    checkpoint: Annotated[str | None, "file that keeps the fit; one that is there is gone on from"] = None,
) -> Values:
    """Guess hidden pixels from the others: noise of independent pixels cannot be guessed, so that it goes.

    A U-Net of partial convolutions is shown 70 % of the pixels and learns the others; the result is the mean of many
    guesses from random parts, with dropout. Speckle is no independent noise: its grains are several pixels wide, and
    with single pixels hidden the network guesses the grains too. With `block` of a grain's size or more it cannot.

    The authors' network and loss. Here, beyond single pixels: crops instead of the whole image, and a higher learning
    rate with a warm-up of 100 steps, as 150000 steps are too many for a CPU. What lies outside the image is missing,
    where the authors mirror it. With as many threads on the same machine, the same seed gives the same image; torch
    takes a thread for each processor, and on a machine that is busy with other work ``OMP_NUM_THREADS=1`` may be much
    faster. Needs ``pip install 'usbeam[train]'``.

    Raises
    ------
    ConfigError
        Without torch or safetensors.
    CheckpointError
        If `checkpoint` is of another image or of other settings, or damaged.
    TrainingDiverged
        If the loss is no number any more; `checkpoint` keeps a state from before.
    FileAccessError
        If `checkpoint` cannot be read or written.
    """
    refuse_smaller(task, SMALLEST, "self2self")
    try:
        from usbeam.train.self2self import Fit, Settings
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise ConfigError(
            f"self2self needs {error.name}, which is not installed",
            location="method",
            hint="pip install 'usbeam[train]'",
        ) from error

    step_z, step_x = task.spacing
    blocks = max(1, round(block / step_z)), max(1, round(block / step_x))
    fit = Fit(task.values, Settings(crop, blocks, learning_rate, width, seed))
    if checkpoint is not None and os.path.lexists(checkpoint):
        fit.resume(checkpoint)
    resumed_from, start = fit.step, time.monotonic()
    fit.run(n_steps, max_seconds, checkpoint, lambda fraction: task.progress(0.9 * fraction))
    fitted = time.monotonic()
    found = fit.predict(n_predictions, lambda fraction: task.progress(0.9 + 0.1 * fraction))
    task.notes.update(
        steps=fit.step,
        resumed_from=resumed_from,
        loss=fit.loss,
        ended_by="steps" if fit.step >= n_steps else "max_seconds",
        block_pixels=list(blocks),
        fit_seconds=fitted - start,
        predict_seconds=time.monotonic() - fitted,
    )
    return found
