"""A frame on its way through a beamformer: checked before, in physical units after."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming.requests import checked_frame, refuse_nonfinite

_log = logging.getLogger("usbeam")


def imaged(
    acquisition: Acquisition,
    samples: npt.ArrayLike,
    beamform: Callable[[npt.NDArray[Any]], npt.NDArray[np.complex64]],
) -> npt.NDArray[np.complex64]:
    """What a beamformer makes of a frame ``(n_tx, n_rx, n_samples)``, in the units of the samples.

    Raises
    ------
    BadField
        If it is no frame of this recording, or not finite.
    """
    frame = checked_frame(acquisition, samples)
    _say_once_that_kernels_compile()
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is reported below, with its place
        data = beamform(frame)
    if not np.all(np.isfinite(data)):
        refuse_nonfinite(frame)
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
