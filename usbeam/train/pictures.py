"""Pictures of a training: its losses, and what the network makes of one pair that is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from usbeam.grid import Grid
from usbeam.io.atomic import atomic_write

if TYPE_CHECKING:
    from usbeam.train.run import Epoch

GREYS = {"display": (0.0, 1.0), "median": (-2.0, 1.0)}
"""What is black and what is white, by the domain; -40 and 20 dB re the median."""


def curves(history: Sequence[Epoch], path: Path) -> None:
    """Draw both losses against the epoch.

    Raises
    ------
    FileAccessError
        If the picture cannot be written.
    """
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    ax = figure.add_subplot()
    epochs = [each.epoch for each in history]
    ax.plot(epochs, [each.train_loss for each in history], "o-", markersize=3, label="training")
    ax.plot(epochs, [each.validation_loss for each in history], "s-", markersize=3, label="held out")
    ax.set(xlabel="epoch", ylabel="mean absolute difference")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, alpha=0.3)
    ax.legend()
    _write(figure, path)


def sample(images: Mapping[str, npt.NDArray[np.float32]], grid: Grid, domain: str, path: Path) -> None:
    """Draw images of one grid next to each other, titled, with axes in mm.

    Raises
    ------
    FileAccessError
        If the picture cannot be written.
    """
    black, white = GREYS[domain]
    width, depth = (float(np.ptp(axis)) for axis in (grid.x, grid.z))
    height = 2.8 * min(1.5, max(0.5, depth / width))
    figure = Figure(figsize=(3.0 * len(images) + 0.4, height + 0.9))
    space = {
        "left": 0.05,
        "right": 0.99,
        "bottom": 0.5 / (height + 0.9),
        "top": 1 - 0.4 / (height + 0.9),
        "wspace": 0.05,
    }
    panels = figure.subplots(1, len(images), sharey=True, squeeze=False, gridspec_kw=space)[0]
    for ax, (title, image) in zip(panels, images.items(), strict=True):
        ax.imshow(image, cmap="gray", vmin=black, vmax=white, extent=grid.extent_mm, aspect="equal")
        ax.set_title(title, fontsize="medium")
        ax.set_xlabel("x [mm]")
    figure.axes[0].set_ylabel("z [mm]")
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_write(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
