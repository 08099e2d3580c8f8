"""Images on disk: lossless HDF5 (``usbeam-image``), and the pictures that other programs know."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py

from usbeam.errors import BadField, ConfigError, FileFormatError, GeometryError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import pictures, safe
from usbeam.io.atomic import atomic_write
from usbeam.io.findings import raise_errors
from usbeam.io.identify import find_spec
from usbeam.io.spec import load_spec
from usbeam.io.structure import read_contents
from usbeam.io.write import write_contents

_HDF5 = (".h5", ".hdf5")
ENDINGS = (*_HDF5, *(ending for kind in pictures.KINDS for ending in kind.endings))
"""Of the files that images are written to."""


def save_image(image: Image, path: str | os.PathLike[str], *, overwrite: bool = False, **options: Any) -> None:
    """Write an image by the ending of its name.

    ``.h5`` or ``.hdf5``: everything, lossless. All others are for other programs (`usbeam.io.pictures`):

    ``.png``
        The pixels of a dB image as 8-bit grey, black at -dynamic_range_db and white at 0, without axes; their size is
        in the PNG's own field (dots per metre, in x and in z), and spacing, position, dynamic range and settings are in
        its text.
    ``.tif``, ``.tiff``
        A dB image or envelope as float32, or with ``pixels="uint8"`` or ``"uint16"`` as grey levels.
    ``.dcm``
        A dB image as DICOM Ultrasound Image, for research; ``tags={"PatientID": "42"}`` says what is known.
    ``.nii``, ``.nii.gz``, ``.zarr``
        An image in any state as float32 or complex64.

    Parameters
    ----------
    image
        The image.
    path
        The file to be written; a folder for Zarr.
    overwrite
        Whether what is there may be replaced.
    **options
        Of the format.

    Raises
    ------
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    ConfigError
        For another ending, a state that the format cannot show, pixels that are not equally spaced where the format
        knows no others, options that it does not have, and a library that is not installed.
    BadField
        If a pixel is not finite.
    """
    if _ending(path) in _HDF5 and not options:
        _save_hdf5(image, path, overwrite)
    else:
        save_images([image], path, overwrite=overwrite, **options)


def save_images(
    images: Iterable[Image], path: str | os.PathLike[str], *, overwrite: bool = False, **options: Any
) -> None:
    """Write images on one grid as the frames of one file, by the ending of its name.

    Parameters
    ----------
    images
        In one state, with one dynamic range. For Zarr they are taken one at a time, so that a generator of a large set
        will do. What is said of the images is said of the first one.
    path, overwrite, **options
        As in `save_image`: ``.tif``, ``.tiff``, ``.dcm`` (and ``frame_interval=0.02``, in s), ``.nii``, ``.nii.gz``,
        ``.zarr``.

    Raises
    ------
    ConfigError
        Likewise, and for images that differ in more than their pixels.
    OutputExists, FileAccessError, BadField
        As in `save_image`.
    """
    kind = pictures.named(path)
    if kind is None:
        ending = _ending(path)
        if ending in _HDF5:
            raise ConfigError(
                "holds one image, and has no options", path=path, found=", ".join(options) or None, hint="save as .zarr"
            )
        raise ConfigError("unknown kind of image file", path=path, expected=_LISTED, found=ending)
    pictures.write(images, path, kind, overwrite=overwrite, options=options)


_LISTED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def _ending(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower()


def _save_hdf5(image: Image, path: str | os.PathLike[str], overwrite: bool) -> None:
    spec = load_spec("image")
    with atomic_write(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w") as file:
            write_contents(file, spec, image)
        with safe.safe_open(temporary, max_gb=math.inf) as file:
            raise_errors(read_contents(file, spec).findings, path)


def load_image(
    path: str | os.PathLike[str],
    *,
    spacing: float | tuple[float, float] | None = None,
    dynamic_range: float | None = None,
    frame: int | None = None,
) -> Image:
    """Read a ``usbeam-image`` file, or the B-mode picture in a PNG, TIFF or DICOM file as an image in dB.

    A picture is taken for what a display shows: black is minus the dynamic range, white 0 dB, and grey is linear
    between them. Of a DICOM file the region of tissue is read.

    Parameters
    ----------
    path
        The file.
    spacing
        Of a picture: size of a pixel [m], one for both axes or ``(z, x)``; otherwise what the file says.
    dynamic_range
        Of a picture: decibels between black and white; otherwise what usbeam noted in it, or 60 (the log says so).
    frame
        Of a picture: which of several, the first one if not given.

    Raises
    ------
    FileAccessError, FileFormatError
        If it cannot be reached, is not safe, or is not an image; all missing fields are named at once.
    ConfigError
        For a picture of which nobody says how large a pixel is, and for what does not fit the file.
    """
    kind = pictures.sniffed(path)
    if kind is not None:
        asked = pictures.asked(path, spacing=spacing, dynamic_range=dynamic_range, frame=frame)
        return pictures.read(asked, kind)
    image = _load_hdf5(path)
    for name, value in {"spacing": spacing, "dynamic_range": dynamic_range, "frame": frame}.items():
        if value is not None:
            raise ConfigError("is for a picture", path=path, location=name, found=value)
    return image


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as a picture, of which the caller may say more than the file does."""
    return pictures.sniffed(path) is not None


def _load_hdf5(path: str | os.PathLike[str]) -> Image:
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
