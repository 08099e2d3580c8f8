"""Images on disk: lossless HDF5 (``usbeam-image``), and bare 8-bit PNG that knows its pixel size."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from usbeam.errors import BadField, ConfigError, FileFormatError, GeometryError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import safe
from usbeam.io.atomic import atomic_write
from usbeam.io.findings import raise_errors
from usbeam.io.identify import find_spec
from usbeam.io.spec import load_spec
from usbeam.io.structure import read_contents
from usbeam.io.write import write_contents

_INCH = 0.0254


def save_image(image: Image, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write an image by the ending of its name.

    ``.h5`` or ``.hdf5``: everything, lossless. ``.png``: the pixels of a dB image as 8-bit grey, black at
    -dynamic_range_db and white at 0, without axes; their size is in the PNG's own field (dots per metre, in x and in
    z), and spacing, position, dynamic range and settings are in its text.

    Parameters
    ----------
    image
        The image; in dB for PNG.
    path
        The file to be written.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    ConfigError
        For another ending, and for a PNG of an image that is not in dB or not uniformly sampled.
    BadField
        If a pixel is not finite.
    """
    ending = Path(path).suffix.lower()
    if ending == ".png":
        _save_png(image, path, overwrite)
    elif ending in (".h5", ".hdf5"):
        _save_hdf5(image, path, overwrite)
    else:
        raise ConfigError("unknown kind of image file", path=path, expected=".h5, .hdf5 or .png", found=ending)


def _save_hdf5(image: Image, path: str | os.PathLike[str], overwrite: bool) -> None:
    spec = load_spec("image")
    with atomic_write(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w") as file:
            write_contents(file, spec, image)
        with safe.safe_open(temporary, max_gb=math.inf) as file:
            raise_errors(read_contents(file, spec).findings, path)


def _save_png(image: Image, path: str | os.PathLike[str], overwrite: bool) -> None:
    if image.state != "db" or image.dynamic_range_db is None:
        raise ConfigError(
            f"a PNG cannot show an image of state {image.state}",
            path=path,
            location="image.state",
            expected="db",
            hint="image.envelope().db(60).save(...)",
        )
    spacing = tuple(_step(axis, name) for axis, name in ((image.grid.z, "z"), (image.grid.x, "x")))
    grey = np.rint(255 * (1 + np.clip(image.data / image.dynamic_range_db, -1, 0))).astype(np.uint8)
    text = PngInfo()
    notes: dict[str, Any] = {
        "format": "usbeam-png 1.0",
        "spacing_z_x_m": list(spacing),
        "first_pixel_z_x_m": [float(image.grid.z[0]), float(image.grid.x[0])],
        "dynamic_range_db": image.dynamic_range_db,
        "settings": dict(image.settings),
        "source": dict(image.source),
    }
    for key, value in notes.items():
        text.add_text(f"usbeam {key}", value if isinstance(value, str) else json.dumps(value))
    with atomic_write(path, overwrite=overwrite) as temporary:
        dots = tuple(_INCH / step for step in reversed(spacing))
        PIL.Image.fromarray(grey).save(temporary, format="PNG", pnginfo=text, dpi=dots)


def _step(axis: npt.NDArray[np.float64], name: str) -> float:
    """Distance between pixels along a uniform axis."""
    steps = np.diff(axis)
    if not steps.size or np.ptp(steps) > 1e-3 * steps.mean():
        raise ConfigError(
            "the pixels of a PNG are equally spaced",
            location=f"grid.{name}",
            found="one position" if not steps.size else f"steps of {steps.min():.6g} to {steps.max():.6g} m",
            hint="save as .h5, or beamform on a uniform grid",
        )
    return float(steps.mean())


def load_image(path: str | os.PathLike[str]) -> Image:
    """Read a ``usbeam-image`` file.

    Parameters
    ----------
    path
        An HDF5 file that `save_image` wrote.

    Raises
    ------
    FileAccessError, FileFormatError
        If it cannot be reached, is not safe, or is not an image; all missing fields are named at once.
    """
    spec = load_spec("image")
    with safe.safe_open(path) as file:
        found = find_spec(file)
        if found != spec:
            raise FileFormatError(
                "not an image",
                path=path,
                location="/:format",
                expected=spec.name,
                found=found.name,
                hint="`usbeam beamform` makes an image of a recording",
            )
        contents = read_contents(file, spec)
    raise_errors(contents.findings, path)
    members = contents.members(spec)
    try:
        return Image(grid=Grid(**members.pop("grid")), **members)
    except (GeometryError, ConfigError) as error:
        sides = {"expected": error.expected, "found": error.found, "hint": error.hint}
        raise BadField(error.what, path=path, location=error.location, **sides) from error
