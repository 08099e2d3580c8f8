"""DICOM: Ultrasound Image Storage, and Ultrasound Multi-frame Image Storage for several frames.

After NEMA's "Digital Imaging and Communications in Medicine", PS3.3: 8-bit grey, and one 2-D tissue region in
centimetres (US Region Calibration, C.8.5.5) that covers the picture. Marked as derived and for research; nothing is
said of a patient unless the caller does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from usbeam.errors import ConfigError, TooLarge
from usbeam.image import Image
from usbeam.io.pictures.levels import levels
from usbeam.io.pictures.notes import notes_of, steps

if TYPE_CHECKING:
    from pydicom import Dataset

CREATOR = "usbeam"
NOTES_GROUP, NOTES_ELEMENT = 0x0051, 0x01
"""The private element that holds what else there is to say of the image, as JSON."""
CENTIMETRES = 3
TWO_DIMENSIONAL = TISSUE = 1
FRAME_INTERVAL = 0.1
"""Nominal time between frames [s]: players want one."""
_CENTI = 1e-2
_LARGEST = 2**32 - 2
_UNKNOWN = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientOrientation",
)
"""What the standard wants to be there, even if it is empty."""
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber")


def write(
    images: Iterator[Image],
    path: Path,
    *,
    tags: Mapping[str, Any] | None = None,
    frame_interval: float | None = None,
) -> None:
    """Write dB images.

    Parameters
    ----------
    images, path
        The frames, on one grid, and the file.
    tags
        What the caller knows of patient and study, by DICOM's keywords: ``{"PatientID": "42"}``. Identifiers of study
        and series may be given, to keep several files together; what describes the pixels may not.
    frame_interval
        Time between frames [s]; of several frames, nominally `FRAME_INTERVAL` where it is not known.

    Raises
    ------
    ConfigError
        For pixels that are not equally spaced, tags that are not DICOM's or not the caller's, and their values.
    TooLarge
        If a DICOM file cannot hold so many pixels.
    """
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    frames = list(images)
    file = Dataset()
    _describe(file, frames[0], tags or {})
    _add_pixels(file, frames)
    if len(frames) > 1:
        _add_times(file, len(frames), frame_interval)
    _add_region(file, frames[0])
    file.private_block(NOTES_GROUP, CREATOR, create=True).add_new(NOTES_ELEMENT, "UT", json.dumps(notes_of(frames[0])))
    _add_given(file, tags or {})
    file.ensure_file_meta()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.save_as(path, enforce_file_format=True)


def _describe(file: Dataset, image: Image, tags: Mapping[str, Any]) -> None:
    """Patient, study, series, equipment, and what kind of image it is."""
    from pydicom.uid import generate_uid

    from usbeam import __version__

    file.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _UNKNOWN:
        setattr(file, keyword, None)
    file.SOPInstanceUID = generate_uid()
    identifiers = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    for keyword in _IDENTIFIERS:
        if keyword not in tags:
            setattr(file, keyword, identifiers.get(keyword, "1"))
    file.Modality = "US"
    file.Manufacturer = "usbeam"
    file.SoftwareVersions = __version__
    file.ImageType = ["DERIVED", "PRIMARY", "", "0001"]  # the last: 2-D imaging
    file.BurnedInAnnotation = "NO"
    file.LossyImageCompression = "00"
    file.ImageComments = "For research use only. Not for diagnosis."
    file.DerivationDescription = (
        f"usbeam {__version__}: envelope of ultrasound, log-compressed, black at -{image.dynamic_range_db:g} dB, white "
        "at 0 dB"
    )


def _add_pixels(file: Dataset, frames: list[Image]) -> None:
    from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

    file.SOPClassUID = UltrasoundMultiFrameImageStorage if len(frames) > 1 else UltrasoundImageStorage
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.Rows, file.Columns = frames[0].grid.shape
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit = 7
    file.PixelRepresentation = 0
    if len(frames) * frames[0].grid.size > _LARGEST or max(frames[0].grid.shape) > np.iinfo(np.uint16).max:
        raise TooLarge(
            "more pixels than DICOM can count",
            expected=f"at most 65535 a side and {_LARGEST} in all",
            found=f"{len(frames)} frames of {file.Rows} x {file.Columns}",
            hint="save fewer frames, or as .zarr",
        )
    content = b"".join(levels(image, "uint8").tobytes() for image in frames)
    file.PixelData = content + b"\0" * (len(content) % 2)
    file["PixelData"].VR = "OB"


def _add_times(file: Dataset, count: int, frame_interval: float | None) -> None:
    from pydicom.tag import Tag
    from pydicom.valuerep import DSfloat

    if frame_interval is not None and not (np.isfinite(frame_interval) and frame_interval > 0):
        raise ConfigError("no time between frames", location="frame_interval", expected="> 0 s", found=frame_interval)
    file.NumberOfFrames = count
    file.FrameTime = DSfloat(1e3 * (frame_interval or FRAME_INTERVAL), auto_format=True)
    file.FrameIncrementPointer = Tag("FrameTime")
    if frame_interval is None:
        file.ImageComments += " The time between frames is nominal."


def _add_region(file: Dataset, image: Image) -> None:
    from pydicom import Dataset

    z, x = steps(image.grid)
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = TWO_DIMENSIONAL, TISSUE, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = file.Columns - 1, file.Rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = CENTIMETRES
    region.PhysicalDeltaX, region.PhysicalDeltaY = x / _CENTI, z / _CENTI
    region.ReferencePixelX0 = region.ReferencePixelY0 = 0
    region.ReferencePixelPhysicalValueX = float(image.grid.x[0]) / _CENTI
    region.ReferencePixelPhysicalValueY = float(image.grid.z[0]) / _CENTI
    file.SequenceOfUltrasoundRegions = [region]


def _add_given(file: Dataset, tags: Mapping[str, Any]) -> None:
    from pydicom import DataElement, config
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    for keyword, value in tags.items():
        number = tag_for_keyword(keyword)
        if number is None or dictionary_VR(number) == "SQ":
            raise ConfigError("no simple attribute of DICOM", location=f"tags[{keyword!r}]", expected="PatientID, ...")
        if keyword in file and not file[keyword].is_empty:
            raise ConfigError("is said by the image itself", location=f"tags[{keyword!r}]", found=value)
        try:
            file.add(DataElement(number, dictionary_VR(number), value, validation_mode=config.RAISE))
        except (ValueError, TypeError, OverflowError) as error:
            raise ConfigError("no value for this attribute", location=f"tags[{keyword!r}]", found=error) from error
