"""From channel data to an enhanced image, by a trained network that sees more than one image of a frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.beamforming.angular import Angular, AngularImages
from usbeam.beamforming.oblique import DIAGONALS
from usbeam.beamforming.requests import default_grid
from usbeam.enhancers import enhance, trained
from usbeam.enhancers.scale import TOLERANCE
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.measure import speckle

if TYPE_CHECKING:
    from usbeam.train.run import Run


def enhance_recording(
    recording: Acquisition,
    network: str | os.PathLike[str] | Run,
    grid: Grid | None = None,
    *,
    frame: int = 0,
    mode: str = "quality",
    dynamic_range: float = 60.0,
    device: str = "auto",
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
        Image points; `trained_grid` if not given.
    frame
        Which frame.
    mode
        ``quality``: what the network makes of the image and of oblique looks, averaged. ``fast``: of the image alone.
    dynamic_range
        Displayed range [dB].
    device
        ``cpu``, ``gpu`` or ``auto``, of the beamformer and of the network.
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
    points = trained_grid(recording, network, frame, device=device) if grid is None else grid
    made = Angular(recording, points, device=device)(recording.frame(frame))
    looks = made.looks(DIAGONALS) if mode == "quality" else []
    return enhance(
        made.image(), network, looks=looks, dynamic_range=dynamic_range, device=device, progress=progress, **given
    )


def trained_grid(
    recording: Acquisition, network: str | os.PathLike[str] | Run, frame: int = 0, *, device: str = "auto"
) -> Grid:
    """Where a recording reaches, in pixels as the network knows them: as many to a speckle as in its training.

    A network sees pixels and no metres. So the size of a speckle is measured in a first image of the recording, whose
    pixels are as large as those of the training, and the grid is stretched by what that differs from the training's.
    An image on another grid is resampled (`usbeam.enhancers.scale`); on this one it need not be.

    Parameters
    ----------
    recording
        The channel data.
    network
        As for `enhance_recording`.
    frame
        In which the speckle is measured.
    device
        Of the beamformer.

    Returns
    -------
    Grid

    Raises
    ------
    ConfigError, GeometryError
        For transmits that `usbeam.Angular` refuses.
    MeasurementError
        If the frame is zero everywhere.
    CheckpointError, FileAccessError
        If the weights are damaged or cannot be read.
    """
    return _stretched(recording, network, frame, device, lambda made: [made.image()])


def looks_grid(
    recording: Acquisition, network: str | os.PathLike[str] | Run, frame: int = 0, *, device: str = "auto"
) -> Grid:
    """The same for looks, whose speckle is larger than that of the image: to train the network further on them.

    Parameters, returns and errors are those of `trained_grid`.
    """
    return _stretched(recording, network, frame, device, lambda made: made.looks(DIAGONALS))


def _stretched(
    recording: Acquisition,
    network: str | os.PathLike[str] | Run,
    frame: int,
    device: str,
    seen: Callable[[AngularImages], Sequence[Image]],
) -> Grid:
    """A grid on which the speckle of some images of a frame has as many pixels as in the training."""
    reach, known = default_grid(recording), trained.find(network).network
    if known.spacing is None:
        return reach
    x, z = ((float(axis[0]), float(axis[-1])) for axis in (reach.x, reach.z))
    grid = Grid.spaced(x=x, z=z, spacing=known.spacing)
    if known.cell is None:
        return grid
    sizes = [speckle.cell(image) for image in seen(Angular(recording, grid, device=device)(recording.frame(frame)))]
    found = [float(size) for size in np.mean(sizes, axis=0)]
    ratios = [size / step / cell for size, step, cell in zip(found, known.spacing, known.cell, strict=True)]
    if all(abs(ratio - 1) <= TOLERANCE for ratio in ratios):
        return grid
    return Grid.spaced(x=x, z=z, spacing=(known.spacing[0] * ratios[0], known.spacing[1] * ratios[1]))
