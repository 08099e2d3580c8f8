"""PNG: 8-bit grey whose text says the rest, after the W3C's "Portable Network Graphics (PNG) Specification"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from usbeam.errors import ConfigError
from usbeam.image import Image
from usbeam.io.pictures.levels import levels
from usbeam.io.pictures.notes import notes_of, steps

PREFIX = "usbeam "
"""Before each name in the text."""
_INCH = 0.0254


def write(images: Iterator[Image], path: Path) -> None:
    """Write one dB image; the PNG's own field says dots per metre, whole ones, in x and in z.

    Raises
    ------
    ConfigError
        If there are several, or the pixels are not equally spaced.
    """
    image, *others = images
    if others:
        raise ConfigError("a PNG holds one image", found=f"{1 + len(others)}", hint="save as .tif, .dcm, .nii or .zarr")
    text = PngInfo()
    for key, value in {**notes_of(image), "format": "usbeam-png 1.0"}.items():
        text.add_text(PREFIX + key, value if isinstance(value, str) else json.dumps(value))
    dots = tuple(_INCH / step for step in reversed(steps(image.grid)))
    PIL.Image.fromarray(levels(image, "uint8")).save(path, format="PNG", pnginfo=text, dpi=dots)
