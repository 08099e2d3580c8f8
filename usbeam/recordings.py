"""From channel data to an enhanced image, by a trained network that sees more than one image of a frame."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.beamforming.angular import Angular
from usbeam.beamforming.requests import default_grid
from usbeam.enhancers import enhance, trained
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image

if TYPE_CHECKING:
    from usbeam.train.run import Run

ANGLES = (np.pi / 4, 3 * np.pi / 4)
"""Of the lines [rad] on whose sides the looks lie: four looks."""


def enhance_recording(
    recording: Acquisition,
    network: str | os.PathLike[str] | Run,
    grid: Grid | None = None,
    *,
    frame: int = 0,
    mode: str = "quality",
    dynamic_range: float = 60.0,
    progress: Callable[[float], None] | None = None,
    **parameters: Any,
) -> Image:
    """Beamform a frame and enhance it by a trained network.

    The image and its looks are sums of the same angular components (`usbeam.Angular`), in one pass.

    Parameters
    ----------
    recording
        The channel data.
    network
        What `usbeam.train.fit` gave, its folder, a file of weights, or the name of weights that come with usbeam.
    grid
        Image points; where the recording reaches, with the pixels of the training, if not given.
    frame
        Which frame.
    mode
        ``quality``: what the network makes of the image and of oblique looks, averaged. ``fast``: of the image alone.
    dynamic_range
        Displayed range [dB].
    progress
        Called with the fraction done.
    **parameters
        Others of `usbeam.enhancers.trained`: ``gate``, ``runtime``.

    Returns
    -------
    Image
        State dB. Its settings have how it was beamformed, and in ``enhanced`` what the network did.

    Raises
    ------
    ConfigError, GeometryError
        For transmits, grids and parameters that `usbeam.Angular` or `usbeam.enhance` refuses.
    CheckpointError, FileAccessError
        If the weights are damaged or cannot be read.

    Examples
    --------
    >>> recording = usbeam.load("recording.h5")  # doctest: +SKIP
    >>> enhance_recording(recording, "runs/a", gate=True).save("better.h5")  # doctest: +SKIP
    """
    chosen = trained.find(network)
    given = {"mode": mode, **parameters}
    chosen.resolved(given)  # refused before it is beamformed
    if frame not in range(recording.n_frames):
        raise ConfigError("no such frame", location="frame", expected=f"0..{recording.n_frames - 1}", found=frame)
    made = Angular(recording, trained_grid(recording, network) if grid is None else grid)(recording.frame(frame))
    looks = made.looks(ANGLES) if mode == "quality" else []
    return enhance(made.image(), network, looks=looks, dynamic_range=dynamic_range, progress=progress, **given)


def trained_grid(recording: Acquisition, network: str | os.PathLike[str] | Run) -> Grid:
    """Where a recording reaches, in pixels of the size that a network was trained on.

    Parameters
    ----------
    recording
        The channel data.
    network
        As for `enhance_recording`.
    """
    reach, spacing = default_grid(recording), trained.find(network).network.spacing
    if spacing is None:
        return reach
    x, z = ((float(axis[0]), float(axis[-1])) for axis in (reach.x, reach.z))
    return Grid.spaced(x=x, z=z, spacing=spacing)
