"""Pictures: images as other programs know them, by the ending of the file's name.

Each format has a module with ``write(images, path, **options)``, and those that are read a function that gives a
`Picture`. `KINDS` is the one table of them.
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usbeam.errors import BadField, ConfigError, FileFormatError
from usbeam.image import Image, State
from usbeam.io.atomic import atomic_write
from usbeam.io.pictures.picture import Asked, image_of


@dataclass(frozen=True)
class Kind:
    """A format.

    Parameters
    ----------
    name
        As people say it.
    endings
        Of file names.
    states
        Of images that it can hold.
    writer, reader
        ``module.function`` in this package; no reader where usbeam does not read it.
    options
        Of the writer.
    writing_needs, reading_needs
        A library, and the extra of usbeam that brings it.
    is_folder
        Whether it is a folder rather than a file.
    """

    name: str
    endings: tuple[str, ...]
    states: tuple[State, ...]
    writer: str
    reader: str | None = None
    options: tuple[str, ...] = ()
    writing_needs: tuple[str, str] | None = None
    reading_needs: tuple[str, str] | None = None
    is_folder: bool = False


_ANY: tuple[State, ...] = ("db", "envelope", "complex")
_PYDICOM = ("pydicom", "dicom")
KINDS = (
    Kind("PNG", (".png",), ("db",), "png.write", "raster.read_png"),
    Kind(
        "TIFF",
        (".tif", ".tiff"),
        ("db", "envelope"),
        "tiff.write",
        "raster.read_tiff",
        ("pixels",),
        writing_needs=("tifffile", "images"),
    ),
    Kind(
        "DICOM",
        (".dcm",),
        ("db",),
        "dicom.write",
        "dicom_reader.read",
        ("tags", "frame_interval"),
        writing_needs=_PYDICOM,
        reading_needs=_PYDICOM,
    ),
    Kind("NIfTI", (".nii",), _ANY, "nifti.write", writing_needs=("nibabel", "images")),
    Kind("compressed NIfTI", (".nii.gz",), _ANY, "nifti.write_compressed", writing_needs=("nibabel", "images")),
    Kind("Zarr", (".zarr",), _ANY, "zarr.write", writing_needs=("zarr", "images"), is_folder=True),
)
"""Every format, the one table that is asked."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_DICOM_PREAMBLE = 128


def named(path: str | os.PathLike[str]) -> Kind | None:
    """The format that a name ends with; None for other endings."""
    name = Path(path).name.lower()
    return next((kind for kind in KINDS if name.endswith(kind.endings)), None)


def sniffed(path: str | os.PathLike[str]) -> Kind | None:
    """The format that a file begins like, or is named after; None if neither is a picture's, or nothing can be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(_DICOM_PREAMBLE + 4)
    except (OSError, ValueError):
        return None
    name = next((name for beginning, name in _BEGINNINGS.items() if head.startswith(beginning)), None)
    if head[_DICOM_PREAMBLE:] == b"DICM":
        name = "DICOM"
    return next((kind for kind in KINDS if kind.name == name), named(path))


def write(
    images: Iterable[Image], path: str | os.PathLike[str], kind: Kind, *, overwrite: bool, options: Mapping[str, Any]
) -> None:
    """Write images on one grid; the file is whole or not there.

    Raises
    ------
    ConfigError
        For no images, images that differ in more than their pixels, a state or an option that the format does not
        have, and a library that is not installed.
    BadField
        If a pixel is not finite.
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    """
    unknown = [name for name in options if name not in kind.options]
    if unknown:
        raise ConfigError(
            f"{kind.name} has no such option",
            path=path,
            location=unknown[0],
            expected=", ".join(kind.options) or "none",
        )
    frames = _alike(images, path, kind)
    first = next(frames)  # before anything is written
    if kind.is_folder:
        from usbeam.io.pictures.zarr import atomic_folder as place
    else:
        place = atomic_write
    function = _function(kind.writer, kind.writing_needs)
    with place(path, overwrite=overwrite) as temporary:
        function(itertools.chain([first], frames), temporary, **options)


def asked(
    path: str | os.PathLike[str],
    *,
    spacing: float | tuple[float, float] | None,
    dynamic_range: float | None,
    frame: int | None,
) -> Asked:
    """What the caller says of a picture, checked.

    Raises
    ------
    ConfigError
        For what cannot be.
    """
    steps = None if spacing is None else tuple(float(step) for step in np.broadcast_to(spacing, (2,)))
    if dynamic_range is not None and not (np.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", path=path, location="dynamic_range", found=dynamic_range)
    if frame is not None and frame < 0:
        raise ConfigError("frames are counted from 0", path=path, location="frame", found=frame)
    return Asked(Path(path), None if steps is None else (steps[0], steps[1]), dynamic_range, frame or 0)


def read(asked: Asked, kind: Kind) -> Image:
    """The image that a picture shows.

    Raises
    ------
    ConfigError
        If nobody says how large a pixel is, for a frame that is not there, and for a library that is not installed.
    FileAccessError, FileFormatError
        If it cannot be reached, is damaged, too large, coloured, or of a format that is not read.
    """
    if kind.reader is None:
        raise FileFormatError(
            f"{kind.name} is written and not read", path=asked.path, hint="usbeam reads .h5, .png, .tif and .dcm"
        )
    picture = _function(kind.reader, kind.reading_needs)(asked)
    return image_of(picture, asked, kind.name)


def _function(name: str, needs: tuple[str, str] | None) -> Any:
    if needs is not None:
        library, extra = needs
        try:
            importlib.import_module(library)
        except ModuleNotFoundError as error:
            raise ConfigError(f"this needs {library}", hint=f"pip install 'usbeam[{extra}]'") from error
    module, function = name.split(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)


def _alike(images: Iterable[Image], path: str | os.PathLike[str], kind: Kind) -> Iterator[Image]:
    """The images, when they can be frames of one file."""
    first: Image | None = None
    for index, image in enumerate(images):
        first = first or image
        if image.state not in kind.states:
            raise ConfigError(
                f"a {kind.name} cannot show an image of state {image.state}",
                path=path,
                location="image.state",
                expected=" or ".join(kind.states),
                hint="image.envelope().db(60).save(...)",
            )
        if not np.isfinite(image.data).all():
            raise BadField("pixels that are not finite", path=path, location=f"images[{index}]")
        same = (image.grid, image.state, image.dynamic_range_db) == (first.grid, first.state, first.dynamic_range_db)
        if not same:
            raise ConfigError(
                "frames of one file have one grid, state and dynamic range", path=path, location=f"images[{index}]"
            )
        yield image
    if first is None:
        raise ConfigError("no images", path=path)
