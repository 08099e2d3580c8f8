"""Pictures with axes in mm and a dB bar. Every function takes ``ax=`` and returns it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from usbeam.errors import ConfigError
from usbeam.image import Image
from usbeam.io.atomic import atomic_write

NON_UNIFORM = 1e-3
"""Relative deviation of a grid's step above which pixels are drawn one by one."""


def bmode(image: Image, *, dynamic_range: float = 60.0, ax: Any = None, colorbar: bool = True, title: str = "") -> Any:
    """Show an image in grey, depth downwards, axes in mm.

    Parameters
    ----------
    image
        In any state; complex and envelope images are log-compressed to `dynamic_range`.
    dynamic_range
        [dB]; a dB image keeps its own.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.
    colorbar
        Draw the dB bar.
    title
        Above the picture.

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        from matplotlib.figure import Figure

        width, height = image.grid.extent_mm[1] - image.grid.extent_mm[0], np.ptp(image.grid.extent_mm[2:])
        size = 5.0 / max(width, height)
        # "constrained" needs two rounds where the aspect is fixed and there is a bar; the first cuts the labels off.
        # A Figure of its own, not pyplot's: nothing is registered globally, nothing needs closing.
        ax = Figure(
            figsize=(max(3.2, width * size + 1.7), max(2.4, height * size + 0.9)), layout="compressed"
        ).add_subplot()
    shown = image if image.state == "db" else image.db(dynamic_range)
    floor = -float(shown.dynamic_range_db or dynamic_range)
    x_mm, z_mm = shown.grid.x * 1e3, shown.grid.z * 1e3
    if all(_is_uniform(axis) for axis in (x_mm, z_mm)):
        picture = ax.imshow(
            shown.data,
            extent=shown.grid.extent_mm,
            cmap="gray",
            vmin=floor,
            vmax=0,
            aspect="equal",
            interpolation="nearest",
        )
    else:
        picture = ax.pcolormesh(x_mm, z_mm, shown.data, cmap="gray", vmin=floor, vmax=0, shading="nearest")
        ax.set_aspect("equal")
        ax.invert_yaxis()
    ax.set(xlabel="lateral x [mm]", ylabel="depth z [mm]", title=title)
    if colorbar:
        ax.figure.colorbar(picture, ax=ax, label="dB", fraction=0.046, pad=0.03)
    return ax


def _is_uniform(axis: Any) -> bool:
    steps = np.diff(axis)
    return not len(steps) or bool(np.ptp(steps) <= NON_UNIFORM * steps.mean())


def side_by_side(images: Sequence[Image], titles: Sequence[str], *, dynamic_range: float = 60.0) -> Any:
    """Show images of one grid next to each other, each relative to its own maximum, with one dB bar.

    Parameters
    ----------
    images, titles
        As many titles as images.
    dynamic_range
        [dB].

    Returns
    -------
    array of matplotlib Axes, one per image
    """
    from matplotlib.figure import Figure

    left, right, bottom, top = images[0].grid.extent_mm
    height = 3.5 * min(4.0, max(0.6, (bottom - top) / (right - left)))
    axes = Figure(figsize=(4.0 * len(images) + 1, height + 0.9), layout="constrained").subplots(
        1, len(images), sharey=True, squeeze=False
    )[0]
    for ax, image, title in zip(axes, images, titles, strict=True):
        bmode(image, dynamic_range=dynamic_range, ax=ax, colorbar=False, title=title)
        ax.label_outer()
    axes[0].figure.colorbar(axes[-1].images[0], ax=list(axes), label="dB", fraction=0.046, pad=0.02)
    return axes


def save_figure(ax: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the figure that holds `ax`, whole or not at all; the ending says the format.

    Raises
    ------
    OutputExists
        If the file is there and `overwrite` is false.
    ConfigError
        For an ending that is no picture format.
    """
    ending = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if ending not in ax.figure.canvas.get_supported_filetypes():
        raise ConfigError("not a picture format", path=path, expected=".png, .pdf or .svg", found=f".{ending}")
    with atomic_write(path, overwrite=overwrite) as temporary:
        ax.figure.savefig(temporary, format=ending, dpi=150)
