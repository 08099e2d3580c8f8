"""Images for other programs, read back by each format's own library: pixels, their size, and the sign of each axis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
import pydicom
import pytest
import tifffile
import zarr

import usbeam as ub
from tests.io.recordings import assert_clear
from usbeam.errors import BadField, ConfigError, FileAccessError, OutputExists
from usbeam.grid import Grid
from usbeam.image import Image

SPACING = (0.0771e-3, 0.1234e-3)
GRID = Grid.spaced(x=(-3e-3, 2e-3), z=(5e-3, 9e-3), spacing=SPACING)
BRIGHT = (7, 33)
"""Row and column of the bright pixel: in the upper right, off every axis of symmetry."""
FILES = ("a.tif", "a.dcm", "a.nii", "a.nii.gz", "a.zarr")
SETTINGS = {"method": "das", "name": "Müller", "weights": [0.1, 1.0]}


def bright(level: float = 0.0) -> Image:
    """A dB image, dark but for one pixel."""
    data = np.full(GRID.shape, -50, np.float32)
    data[BRIGHT] = level
    return Image(data, GRID, "db", 50.0, SETTINGS, {"file": "a.h5"})


def analytic() -> Image:
    data = np.zeros(GRID.shape, np.complex64)
    data[BRIGHT] = 3 - 4j
    return Image(data, GRID, settings=SETTINGS)


def peak(array: Any) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(np.argmax(np.abs(array)), np.shape(array)))


def test_tiff(tmp_path: Path) -> None:
    ub.save_images([bright(-50), bright(-20)], tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome
        tags = file.pages[0].tags
        pixels = file.asarray()
        text = file.ome_metadata
    np.testing.assert_array_equal(pixels, [bright(-50).data, bright(-20).data])
    across, down = (tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution"))
    assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
    np.testing.assert_allclose([1e-2 / down, 1e-2 / across], SPACING, rtol=1e-6)
    described = tifffile.xml2dict(text)["OME"]["Image"]["Pixels"]
    np.testing.assert_allclose([described["PhysicalSizeY"], described["PhysicalSizeX"]], np.multiply(1e3, SPACING))
    assert described["PhysicalSizeXUnit"] == described["PhysicalSizeYUnit"] == "mm"
    assert ".tmp" not in text
    assert "usbeam-" not in text


@pytest.mark.parametrize(("pixels", "white"), [("uint8", 255), ("uint16", 65535)])
def test_tiff_as_grey_levels(tmp_path: Path, pixels: str, white: int) -> None:
    bright().save(tmp_path / "a.tiff", pixels=pixels)
    stored = tifffile.imread(tmp_path / "a.tiff")
    assert stored.dtype == pixels
    assert (stored.min(), stored.max(), peak(stored)) == (0, white, BRIGHT)


def test_dicom(tmp_path: Path) -> None:
    bright().save(tmp_path / "a.dcm")
    file = pydicom.dcmread(tmp_path / "a.dcm")
    assert file.SOPClassUID == pydicom.uid.UltrasoundImageStorage
    assert (file.Rows, file.Columns) == GRID.shape
    assert (file.pixel_array.min(), file.pixel_array.max()) == (0, 255)
    assert peak(file.pixel_array) == BRIGHT
    (region,) = file.SequenceOfUltrasoundRegions
    assert region.PhysicalUnitsXDirection == region.PhysicalUnitsYDirection == 3  # centimetres
    np.testing.assert_allclose([region.PhysicalDeltaY, region.PhysicalDeltaX], np.multiply(100, SPACING), rtol=1e-9)
    assert (region.RegionLocationMaxX1, region.RegionLocationMaxY1) == (file.Columns - 1, file.Rows - 1)
    row, column = BRIGHT
    x = region.ReferencePixelPhysicalValueX + (column - region.ReferencePixelX0) * region.PhysicalDeltaX
    z = region.ReferencePixelPhysicalValueY + (row - region.ReferencePixelY0) * region.PhysicalDeltaY
    np.testing.assert_allclose([z, x], [100 * GRID.z[row], 100 * GRID.x[column]])


def test_dicom_of_several_frames(tmp_path: Path) -> None:
    frames = [bright(-30), bright(-20), bright(-10)]
    ub.save_images(frames, tmp_path / "a.dcm", frame_interval=0.02)
    file = pydicom.dcmread(tmp_path / "a.dcm")
    assert file.SOPClassUID == pydicom.uid.UltrasoundMultiFrameImageStorage
    assert file.NumberOfFrames == 3
    assert file[file.FrameIncrementPointer].keyword == "FrameTime"
    assert file.FrameTime == 20  # ms
    np.testing.assert_array_equal(file.pixel_array[(slice(None), *BRIGHT)], [102, 153, 204])


def test_dicom_says_what_the_standard_wants_and_nothing_of_a_patient(tmp_path: Path) -> None:
    """Types 1 and 2 of the modules that PS3.3 makes mandatory for an Ultrasound Multi-frame Image."""
    ub.save_images([bright(), bright()], tmp_path / "a.dcm")
    file = pydicom.dcmread(tmp_path / "a.dcm")
    empty = "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber"
    empty += " ReferringPhysicianName"
    for keyword in empty.split():
        assert file[keyword].is_empty, keyword
    wanted = (
        "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID SeriesNumber Modality Manufacturer ImageType"
    )
    wanted += " InstanceNumber SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit"
    wanted += " PixelRepresentation PixelData LossyImageCompression NumberOfFrames FrameIncrementPointer FrameTime"
    for keyword in wanted.split():
        assert not file[keyword].is_empty, keyword
    assert file.ImageType[0] == "DERIVED"
    assert file.BurnedInAnnotation == "NO"
    assert "research" in file.ImageComments
    assert "nominal" in file.ImageComments  # the time between frames, which nobody said
    identifiers = {file.SOPInstanceUID, file.StudyInstanceUID, file.SeriesInstanceUID}
    assert len(identifiers) == 3
    assert all(each.is_valid for each in identifiers)


def test_dicom_holds_to_value_representations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    ub.save_images([bright(), bright()], tmp_path / "a.dcm", frame_interval=1 / 3)
    for element in pydicom.dcmread(tmp_path / "a.dcm").iterall():
        assert element.VR != "UN"


def test_dicom_tags_of_the_caller(tmp_path: Path) -> None:
    study = pydicom.uid.generate_uid()
    tags = {"PatientName": "Müller^Änne", "PatientID": "42", "StudyInstanceUID": study, "StationName": "lab"}
    bright().save(tmp_path / "a.dcm", tags=tags)
    file = pydicom.dcmread(tmp_path / "a.dcm")
    assert {keyword: str(file[keyword].value) for keyword in tags} == tags
    for wrong, words in (
        ({"Rows": 3}, "by the image itself"),
        ({"Modality": "CT"}, "by the image itself"),
        ({"Patient": "a"}, "no simple attribute"),
        ({"SequenceOfUltrasoundRegions": []}, "no simple attribute"),
        ({"PatientBirthDate": "yesterday"}, "no value"),
        ({"PatientSex": "a" * 40}, "no value"),
    ):
        with pytest.raises(ConfigError, match=words):
            bright().save(tmp_path / "b.dcm", tags=wrong)
    with pytest.raises(ConfigError, match="frame_interval"):
        ub.save_images([bright()] * 2, tmp_path / "b.dcm", frame_interval=-1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, ending: str) -> None:
    bright().save(tmp_path / f"a{ending}")
    volume = nibabel.load(tmp_path / f"a{ending}")
    data = np.asarray(volume.dataobj)
    row, column = BRIGHT
    assert data.dtype == np.float32
    assert np.unravel_index(data.argmax(), data.shape) == (column, row, 0)
    world = nibabel.affines.apply_affine(volume.affine, (column, row, 0))
    np.testing.assert_allclose(world, [1e3 * GRID.x[column], -1e3 * GRID.z[row], 0], rtol=1e-6)  # right, down
    np.testing.assert_allclose(volume.header.get_zooms()[:2], [1e3 * SPACING[1], 1e3 * SPACING[0]], rtol=1e-6)
    assert volume.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(volume.get_qform(), volume.affine, atol=1e-5)
    assert nibabel.aff2axcodes(volume.affine)[:2] == ("R", "P")
    (extension,) = volume.header.extensions
    assert json.loads(extension.get_content())["settings"] == SETTINGS


def test_nifti_frames_and_complex_values(tmp_path: Path) -> None:
    ub.save_images([analytic(), analytic()], tmp_path / "a.nii")
    data = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)
    assert data.shape == (GRID.shape[1], GRID.shape[0], 1, 2)
    assert data.dtype == np.complex64
    assert data[BRIGHT[1], BRIGHT[0], 0, 1] == 3 - 4j


def test_zarr_of_a_generator(tmp_path: Path) -> None:
    def frames() -> Iterator[Image]:
        for index in range(4):
            yield Image(analytic().data * (index + 1), GRID, settings=SETTINGS)

    ub.save_images(frames(), tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    images = group["images"]
    assert images.shape == (4, *GRID.shape)
    assert images.chunks == (1, *GRID.shape)
    assert images.metadata.dimension_names == ("frame", "z", "x")
    np.testing.assert_array_equal(images[(slice(None), *BRIGHT)], np.arange(1, 5) * np.complex64(3 - 4j))
    np.testing.assert_array_equal(group["x"][:], GRID.x)
    np.testing.assert_array_equal(group["z"][:], GRID.z)
    attributes = dict(group.attrs)
    np.testing.assert_allclose(attributes["mean_spacing_z_x_m"], SPACING)
    assert (attributes["state"], attributes["settings"]) == ("complex", SETTINGS)


def test_zarr_of_uneven_pixels(tmp_path: Path) -> None:
    grid = Grid(np.array([0.0, 1e-3, 3e-3]), np.array([1e-3]))
    Image(np.zeros(grid.shape, np.float32), grid, "envelope").save(tmp_path / "a.zarr")
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "a.zarr", mode="r")["x"][:], grid.x)
    for name in ("a.tif", "a.nii"):
        with pytest.raises(ConfigError, match="equally spaced"):
            Image(np.zeros(grid.shape, np.float32), grid, "envelope").save(tmp_path / name)


def test_zarr_replaces_its_own_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    bright().save(folder)
    with pytest.raises(OutputExists):
        bright().save(folder)

    def fails() -> Iterator[Image]:
        yield analytic()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ub.save_images(fails(), folder, overwrite=True)
    assert zarr.open_group(folder, mode="r")["images"].dtype == np.float32  # the old one
    analytic().save(folder, overwrite=True)
    assert zarr.open_group(folder, mode="r")["images"].dtype == np.complex64
    for name in ("mine.zarr", "file.zarr"):
        place = tmp_path / name
        if name == "mine.zarr":
            place.mkdir()
            (place / "thesis.txt").write_text("all of it")
        else:
            place.write_text("all of it")
        with pytest.raises(FileAccessError):
            bright().save(place, overwrite=True)
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "all of it"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "file.zarr", "mine.zarr"]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.dcm"])
def test_case_70_complex_images(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        analytic().save(tmp_path / name)
    assert_clear(caught.value, tmp_path / name, "complex", "image.envelope().db(60)")
    with pytest.raises(ConfigError, match="grey levels"):
        analytic().envelope().save(tmp_path / "a.tif", pixels="uint8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_frames_that_differ(tmp_path: Path, name: str) -> None:
    moved = Image(bright().data, Grid(GRID.x + 1e-3, GRID.z), "db", 50.0)
    brighter = Image(bright().data, GRID, "db", 60.0)
    for other in (moved, brighter):
        with pytest.raises(ConfigError, match=r"images\[1\]: frames of one file have one grid"):
            ub.save_images([bright(), other], tmp_path / name)
    with pytest.raises(ConfigError, match="no images"):
        ub.save_images([], tmp_path / name)
    with pytest.raises(BadField, match="not finite"):
        bright(np.nan).save(tmp_path / name)
    with pytest.raises(ConfigError, match="no such option"):
        bright().save(tmp_path / name, colour="red")
    assert list(tmp_path.iterdir()) == []


def test_formats_that_hold_one_image(tmp_path: Path) -> None:
    for name in ("a.png", "a.h5"):
        with pytest.raises(ConfigError, match="one image"):
            ub.save_images([bright(), bright()], tmp_path / name)
    with pytest.raises(ConfigError, match="options"):
        bright().save(tmp_path / "a.h5", pixels="uint8")
    with pytest.raises(ConfigError, match="unknown kind"):
        ub.save_images([bright()], tmp_path / "a.gif")


@pytest.mark.parametrize("name", ["a.png", *FILES[:-1]])
def test_what_is_there_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExists):
        bright().save(tmp_path / name)
    bright().save(tmp_path / name, overwrite=True)
    assert (tmp_path / name).read_bytes() != b"mine"


@pytest.mark.parametrize(("name", "extra"), [("a.tif", "images"), ("a.dcm", "dicom"), ("a.nii", "images")])
def test_missing_library(tmp_path: Path, name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("tifffile", "pydicom", "nibabel"):
        monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(ConfigError) as caught:
        bright().save(tmp_path / name)
    assert f"usbeam[{extra}]" in str(caught.value.hint)


def test_png_is_read_by_pillow(tmp_path: Path) -> None:
    bright().save(tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as png:
        assert peak(np.asarray(png)) == BRIGHT
        dots = png.info["dpi"]
    np.testing.assert_allclose(np.divide(0.0254, dots[::-1]), SPACING, rtol=1e-4)  # whole dots per metre
