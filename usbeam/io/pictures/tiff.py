"""TIFF, one page per frame: baseline resolution tags in pixels per centimetre, and OME-XML with the spacing in mm.

After Adobe's "TIFF, Revision 6.0" and the Open Microscopy Environment's OME-TIFF. What else there is to say of the
image is JSON in a private tag.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from usbeam.errors import ConfigError
from usbeam.image import Image
from usbeam.io.pictures.levels import levels
from usbeam.io.pictures.notes import notes_of, steps

NOTES_TAG = 65002
"""In the range of TIFF 6.0 that anybody may use."""
_PIXELS = ("float32", "uint16", "uint8")


def write(images: Iterator[Image], path: Path, *, pixels: str = "float32") -> None:
    """Write dB images or envelopes.

    Parameters
    ----------
    images, path
        The frames, on one grid, and the file.
    pixels
        ``float32``: the image's own values. ``uint16``, ``uint8``: a dB image from black to white.

    Raises
    ------
    ConfigError
        For other pixels, an envelope as grey levels, and pixels that are not equally spaced.
    """
    import tifffile

    if pixels not in _PIXELS:
        raise ConfigError("unknown kind of pixel", location="pixels", expected=", ".join(_PIXELS), found=pixels)
    frames = list(images)
    shown = [image.data.astype(np.float32) if pixels == "float32" else levels(image, pixels) for image in frames]
    z, x = steps(frames[0].grid)
    notes = json.dumps(notes_of(frames[0])).encode()
    described: dict[str, Any] = {
        "axes": "TYX",
        "Name": "usbeam",
        "PhysicalSizeX": 1e3 * x,
        "PhysicalSizeXUnit": "mm",
        "PhysicalSizeY": 1e3 * z,
        "PhysicalSizeYUnit": "mm",
    }
    content = io.BytesIO()  # a name would be written into the file
    tifffile.imwrite(
        content,
        np.stack(shown),
        ome=True,
        photometric="minisblack",
        metadata=described,
        resolution=(1e-2 / x, 1e-2 / z),
        resolutionunit="CENTIMETER",
        software="usbeam",
        extratags=[(NOTES_TAG, 2, len(notes) + 1, notes + b"\0", False)],
    )
    path.write_bytes(content.getbuffer())
