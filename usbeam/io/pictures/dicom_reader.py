"""Reading a frame of a DICOM file: the 2-D tissue region, with the calibration of US Region Calibration (C.8.5.5).

The reference pixel is counted from the region's own corner, and its physical value, where it is given, says where the
pixels lie. Without regions, Pixel Spacing is taken. Where the caller says how large a pixel is, the whole frame is
read, whatever the file says of regions.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, ConfigError, FileFormatError
from usbeam.io.pictures.dicom import CENTIMETRES, CREATOR, NOTES_ELEMENT, NOTES_GROUP, TISSUE, TWO_DIMENSIONAL
from usbeam.io.pictures.notes import Notes, read_text
from usbeam.io.pictures.picture import Asked, Picture, guarded, one_channel, refuse_claim

if TYPE_CHECKING:
    from pydicom import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_CENTI, _MILLI = 1e-2, 1e-3


@dataclass(frozen=True)
class Region:
    """Where the image of tissue lies in the frame, and what its pixels measure.

    Parameters
    ----------
    rows, columns
        Of the frame.
    spacing, first : (z, x)
        Size of a pixel and position of the region's first one [m].
    """

    rows: slice
    columns: slice
    spacing: tuple[float, float] | None = None
    first: tuple[float, float] | None = None


def read(asked: Asked) -> Picture:
    """The pixels of a frame, and what the file says of their size and place.

    Raises
    ------
    ConfigError
        If there is no such frame, or nobody can tell which region is meant.
    TooLarge, FileFormatError, BadField, FileAccessError
        If it unpacks to too much, is damaged, compressed in a way that nothing here reads, of another kind, or cannot
        be reached.
    """
    import pydicom

    with guarded(asked.path, "DICOM"), _quiet():
        _refuse_packed(asked)
        file = pydicom.dcmread(asked.path)
        shape = _checked(file, asked)
        region = _region(file, shape, asked) if asked.spacing is None else _whole(shape)
        grey = _grey(file, region, asked)
        if not grey.size:
            raise BadField(
                "the region lies outside the picture", path=asked.path, location="SequenceOfUltrasoundRegions"
            )
        return Picture(grey, spacing=region.spacing, first=region.first, notes=_notes(file, grey.shape))


@contextmanager
def _quiet() -> Generator[None]:
    """Keep what pydicom logs of a damaged file, tracebacks included, from the program's own log."""
    log = logging.getLogger("pydicom")
    before, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = before


def _refuse_packed(asked: Asked) -> None:
    """Refuse, before anything is unpacked, a file that is packed as a whole or in a way that nothing here reads."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = UID(str(read_file_meta_info(asked.path).get("TransferSyntaxUID", "")))
    try:
        readable = "Deflated" not in syntax.name and get_decoder(syntax).is_available
    except (ValueError, NotImplementedError):
        readable = False
    if not readable:
        raise FileFormatError(
            "compressed in a way that is not read here",
            path=asked.path,
            location="TransferSyntaxUID",
            found=syntax.name or "nothing",
            hint="rewrite it uncompressed, with `dcmdjpeg` or `gdcmconv --raw`; or install pylibjpeg's decoders",
        )


def _checked(file: Dataset, asked: Asked) -> tuple[int, int]:
    """Rows and columns, when what the file says of its pixels can be read."""
    count = int(file.get("NumberOfFrames") or 1)
    if asked.frame >= count:
        raise ConfigError(
            "no such frame", path=asked.path, location="frame", expected=f"within 0..{count - 1}", found=asked.frame
        )
    known = (*_GREY, "PALETTE COLOR", *_COLOUR)
    if file.PhotometricInterpretation not in known or file.BitsAllocated not in (8, 16) or file.PixelRepresentation:
        raise FileFormatError(
            "pixels of a kind that is not read",
            path=asked.path,
            expected="grey or colour of 8 or 16 bits, without sign",
            found=f"{file.PhotometricInterpretation}, {file.BitsAllocated} bits",
        )
    shape = int(file.Rows), int(file.Columns)
    refuse_claim(math.prod(shape) * int(file.SamplesPerPixel) * int(file.BitsAllocated) // 8, asked.path)
    return shape


def _grey(file: Dataset, region: Region, asked: Asked) -> npt.NDArray[np.float32]:
    """The region of the frame, from 0 to 1."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    pixels = pixel_array(file, index=asked.frame)[region.rows, region.columns]
    white = 2 ** int(file.BitsStored) - 1
    if file.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, file)
        white = int(np.iinfo(pixels.dtype).max)
    grey = one_channel(pixels, white, asked.path)
    return 1 - grey if file.PhotometricInterpretation == "MONOCHROME1" else grey


def _whole(shape: tuple[int, int]) -> Region:
    return Region(slice(0, shape[0]), slice(0, shape[1]))


def _region(file: Dataset, shape: tuple[int, int], asked: Asked) -> Region:
    """The only 2-D region of tissue; the whole frame where there are no regions."""
    regions = list(file.get("SequenceOfUltrasoundRegions") or [])
    if not regions:
        spacing = file.get("PixelSpacing")
        size = None if spacing is None else (float(spacing[0]) * _MILLI, float(spacing[1]) * _MILLI)
        return Region(slice(0, shape[0]), slice(0, shape[1]), size)
    tissue = [
        each
        for each in regions
        if (each.get("RegionSpatialFormat"), each.get("RegionDataType")) == (TWO_DIMENSIONAL, TISSUE)
    ]
    if len(tissue) != 1:
        raise _refused(
            f"{len(tissue)} regions that are 2-D images of tissue", asked, "one", "save the one that is meant as PNG"
        )
    return _calibrated(tissue[0], shape, asked)


def _calibrated(item: Dataset, shape: tuple[int, int], asked: Asked) -> Region:
    units = item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection
    if units != (CENTIMETRES, CENTIMETRES):
        raise _refused("units of the region", asked, f"{CENTIMETRES} (cm)", _WHOLE, found=units)
    spacing = float(item.PhysicalDeltaY) * _CENTI, float(item.PhysicalDeltaX) * _CENTI
    left, top = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
    right, bottom = int(item.RegionLocationMaxX1), int(item.RegionLocationMaxY1)
    # Many scanners give one past the last pixel; further out, the picture was resized and the size of a pixel is wrong.
    if not (left <= right <= shape[1] and top <= bottom <= shape[0]):
        raise _refused(
            "the region reaches outside the picture",
            asked,
            f"within {shape[1]} x {shape[0]}",
            _WHOLE,
            found=f"{left}..{right} x {top}..{bottom}",
        )
    return Region(slice(top, bottom + 1), slice(left, right + 1), spacing, _first(item, spacing))


def _first(item: Dataset, spacing: tuple[float, float]) -> tuple[float, float] | None:
    """Position of the region's first pixel, if the reference pixel has a place."""
    pixel = item.get("ReferencePixelY0"), item.get("ReferencePixelX0")
    value = item.get("ReferencePixelPhysicalValueY"), item.get("ReferencePixelPhysicalValueX")
    if None in (*pixel, *value):
        return None
    z, x = (float(at) * _CENTI - int(count) * step for at, count, step in zip(value, pixel, spacing, strict=True))
    return z, x


_WHOLE = "give spacing= to read the whole frame"


def _refused(what: str, asked: Asked, expected: str, hint: str, found: Any = None) -> BadField:
    return BadField(
        what, path=asked.path, location="SequenceOfUltrasoundRegions", expected=expected, found=found, hint=hint
    )


def _notes(file: Dataset, shape: tuple[int, ...]) -> Notes:
    """What usbeam noted in a private element."""
    try:
        noted = file.private_block(NOTES_GROUP, CREATOR)[NOTES_ELEMENT].value
    except KeyError:
        return Notes()
    return read_text(noted, shape)
