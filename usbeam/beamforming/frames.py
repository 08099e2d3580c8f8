"""A frame on its way through a beamformer: checked before, in physical units after."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.beamforming.requests import checked_frames, refuse_nonfinite
from usbeam.kernels.backend import Backend

_log = logging.getLogger("usbeam")


def imaged(acquisition: Acquisition, samples: Any, beamform: Callable[[Any], Any], backend: Backend) -> Any:
    """What a beamformer makes of frames, in the units of the samples, on the backend's device.

    Parameters
    ----------
    acquisition
        The recording.
    samples : (n_frames, n_tx, n_rx, n_samples)
        As recorded; what lies on the device already is not copied.
    beamform
        Makes arrays, the first axis that of the frames.
    backend
        Whose arrays `beamform` takes and gives.

    Raises
    ------
    BadField
        If they are no frames of this recording, or not finite.
    """
    data = unverified(acquisition, samples, beamform, backend)
    if not bool(backend.xp.isfinite(data).all()):
        refuse_nonfinite(backend.numpy(backend.asarray(samples)))
    return data


def unverified(acquisition: Acquisition, samples: Any, beamform: Callable[[Any], Any], backend: Backend) -> Any:
    """As `imaged`, but what is not finite is left for the caller to find: a GPU goes on without being waited for."""
    frames = checked_frames(acquisition, samples, backend)
    _say_once_that_kernels_compile()
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is reported later, with its place
        data = beamform(frames)
    if acquisition.scale != 1:
        data *= np.float32(acquisition.scale)
    return data


def source(acquisition: Acquisition) -> dict[str, str]:
    """Where the samples come from; a file by its name alone."""
    known: dict[str, str] = {}
    if acquisition.path is not None:
        known["file"] = Path(acquisition.path).name
    digest = getattr(acquisition.samples, "sha256", None)  # readers of files know it
    if digest:
        known["sha256_samples"] = digest
    return known


@functools.cache
def _say_once_that_kernels_compile() -> None:
    _log.info("compiling the kernels, once per process (usbeam warmup and USBEAM_NUMBA_CACHE=1 avoid it)")
