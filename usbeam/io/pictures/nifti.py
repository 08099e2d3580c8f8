"""NIfTI-1, after the NIfTI Data Format Working Group's header definition of 2007: x to the right, depth downwards.

The array is ``(x, z, 1, frame)``; the affine is in mm. World coordinates are the probe's, not a patient's, of whom
usbeam knows nothing: lateral position is the first, minus the depth the second, so that a viewer's usual slice shows
the array on top. Elevation is the third, one voxel of 1 mm.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from usbeam.image import Image
from usbeam.io.pictures.notes import notes_of, steps

ELEVATION_MM = 1.0
"""Nominal: an image has no thickness."""


def write(images: Iterator[Image], path: Path) -> None:
    """Write images in any state; float32, or complex64.

    Raises
    ------
    ConfigError
        If the pixels are not equally spaced.
    """
    path.write_bytes(_content(images))


def write_compressed(images: Iterator[Image], path: Path) -> None:
    """Likewise, in gzip."""
    path.write_bytes(gzip.compress(_content(images), mtime=0))


def _content(images: Iterator[Image]) -> bytes:
    from nibabel.nifti1 import Nifti1Extension, Nifti1Image

    frames = list(images)
    first = frames[0]
    z, x = (1e3 * step for step in steps(first.grid))
    affine = np.array(
        [
            [x, 0, 0, 1e3 * first.grid.x[0]],
            [0, -z, 0, -1e3 * first.grid.z[0]],
            [0, 0, ELEVATION_MM, 0],
            [0, 0, 0, 1],
        ]
    )
    dtype = np.complex64 if first.state == "complex" else np.float32
    stack = np.stack([image.data.T for image in frames], axis=-1)[:, :, np.newaxis].astype(dtype)
    volume = Nifti1Image(stack if len(frames) > 1 else stack[..., 0], affine)
    volume.header.set_xyzt_units("mm")
    volume.set_sform(affine, code="scanner")
    volume.set_qform(affine, code="scanner")
    volume.header["descrip"] = f"usbeam {first.state}, probe coordinates, research use only".encode()
    notes = json.dumps(notes_of(first)).encode()
    volume.header.extensions.append(Nifti1Extension("comment", notes))
    return volume.to_bytes()
