"""B-mode pictures as images: written by each format's own library, and what scanners' files look like."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pydicom
import pytest
import tifffile
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import usbeam as ub
from tests.io.recordings import assert_clear
from usbeam.errors import BadField, ConfigError, FileAccessError, FileFormatError
from usbeam.grid import Grid
from usbeam.image import Image

SHAPE = (40, 30)
BRIGHT = (7, 22)


def grey() -> np.ndarray:
    """Dark, with a bright pixel in the upper right and one half as bright below it."""
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[BRIGHT] = 255
    pixels[BRIGHT[0] + 5, BRIGHT[1]] = 51
    return pixels


def peak(image: Image) -> tuple[float, float]:
    """Depth and lateral position of the brightest pixel."""
    row, column = np.unravel_index(image.data.argmax(), image.data.shape)
    return float(image.grid.z[row]), float(image.grid.x[column])


def place(spacing: tuple[float, float]) -> tuple[float, float]:
    """Of the bright pixel where the picture's upper edge is at the array, and its middle at x = 0."""
    return (BRIGHT[0] + 0.5) * spacing[0], (BRIGHT[1] + 0.5 - SHAPE[1] / 2) * spacing[1]


def assert_shows(image: Image, spacing: tuple[float, float]) -> None:
    assert (image.state, image.data.dtype) == ("db", np.float32)
    np.testing.assert_allclose(image.grid.spacing, spacing, rtol=1e-6)
    np.testing.assert_allclose(peak(image), place(spacing), rtol=1e-6)
    level = image.dynamic_range_db
    assert level is not None
    np.testing.assert_allclose([image.data.min(), image.data.max()], [-level, 0], atol=1e-4)
    row, column = BRIGHT
    assert image.data[row + 5, column] == pytest.approx(-0.8 * level, abs=1e-3)


@pytest.mark.parametrize("spacing", [1e-4, (1e-4, 2e-4)])
def test_png_with_the_callers_spacing(tmp_path: Path, spacing: Any, caplog: pytest.LogCaptureFixture) -> None:
    PIL.Image.fromarray(grey()).save(tmp_path / "a.png")
    with pytest.raises(ConfigError) as caught:
        ub.load_image(tmp_path / "a.png")
    assert_clear(caught.value, tmp_path / "a.png", "does not say how large a pixel", "--spacing 0.1mm")
    with caplog.at_level(logging.WARNING, "usbeam"):
        image = ub.load_image(tmp_path / "a.png", spacing=spacing)
    assert "a.png: taken for 60 dB" in caplog.text
    assert_shows(image, spacing if isinstance(spacing, tuple) else (spacing, spacing))
    assert image.dynamic_range_db == 60
    caplog.clear()
    assert_shows(ub.load_image(tmp_path / "a.png", spacing=1e-4, dynamic_range=45), (1e-4, 1e-4))
    assert not caplog.text


def test_png_that_says_dots_per_metre(tmp_path: Path) -> None:
    PIL.Image.fromarray(grey()).save(tmp_path / "a.png", dpi=(5000 * 0.0254, 10000 * 0.0254))
    assert_shows(ub.load_image(tmp_path / "a.png"), (1e-4, 2e-4))


@pytest.mark.parametrize("dpi", [72, 96, 300])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_resolution_of_a_screen_is_no_pixel_size(tmp_path: Path, name: str, dpi: int) -> None:
    PIL.Image.fromarray(grey()).save(tmp_path / name, dpi=(dpi, dpi))
    with pytest.raises(ConfigError) as caught:
        ub.load_image(tmp_path / name)
    assert_clear(caught.value, tmp_path / name, f"{dpi} dots per inch", "--spacing")
    assert_shows(ub.load_image(tmp_path / name, spacing=1e-4), (1e-4, 1e-4))


@pytest.mark.parametrize("convert", ["RGB", "RGBA", "P", "LA", "I;16"])
def test_kinds_of_grey(tmp_path: Path, convert: str) -> None:
    pixels = grey()
    picture = PIL.Image.fromarray(pixels.astype(np.uint16) * 257) if convert == "I;16" else PIL.Image.fromarray(pixels)
    picture = picture if convert == "I;16" else picture.convert(convert)
    assert picture.mode == convert
    picture.save(tmp_path / "a.png")
    assert_shows(ub.load_image(tmp_path / "a.png", spacing=1e-4), (1e-4, 1e-4))


def test_colour_and_transparency_are_refused(tmp_path: Path) -> None:
    colour = np.stack([grey()] * 3, axis=-1)
    colour[3, 4] = (255, 200, 0)
    PIL.Image.fromarray(colour).save(tmp_path / "a.png")
    with pytest.raises(BadField) as caught:
        ub.load_image(tmp_path / "a.png", spacing=1e-4)
    assert_clear(caught.value, tmp_path / "a.png", "coloured", "1 of 1200 pixels", "crop")
    clear = np.dstack([grey()] * 3 + [np.full(SHAPE, 255, np.uint8)])
    clear[0, 0, 3] = 254
    PIL.Image.fromarray(clear).save(tmp_path / "b.png")
    with pytest.raises(FileFormatError, match="transparent"):
        ub.load_image(tmp_path / "b.png", spacing=1e-4)


def test_tiff_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, grey(), resolution=(50.0, 100.0), resolutionunit="CENTIMETER")  # in x, in y
    assert_shows(ub.load_image(path), (1e-4, 2e-4))
    tifffile.imwrite(path, grey(), resolution=(254.5, 127.25), resolutionunit="INCH")
    assert_shows(ub.load_image(path), (0.0254 / 127.25, 0.0254 / 254.5))


@pytest.mark.parametrize(("unit", "size"), [("mm", 1e-3), ("cm", 1e-2), ("micron", 1e-6), ("\\u00B5m", 1e-6)])
def test_tiff_of_imagej(tmp_path: Path, unit: str, size: float) -> None:
    dots = (size / 2e-4, size / 1e-4)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([grey() // 2, grey()]), imagej=True, resolution=dots, metadata={"unit": unit})
    assert_shows(ub.load_image(path, frame=1), (1e-4, 2e-4))
    with pytest.raises(ConfigError, match=r"frame: no such frame \(expected within 0..1, found 2\)"):
        ub.load_image(path, frame=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_zero_is_white(tmp_path: Path, dtype: type) -> None:
    white = np.iinfo(dtype).max
    pixels = white - grey().astype(dtype) * (white // 255)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    assert_shows(ub.load_image(tmp_path / "a.tif", spacing=1e-4), (1e-4, 1e-4))


def test_tiff_of_numbers_that_nobody_explains(tmp_path: Path) -> None:
    for dtype in (np.float32, np.int32):
        tifffile.imwrite(tmp_path / "a.tif", grey().astype(dtype))
        with pytest.raises(FileFormatError, match="black and white are not known"):
            ub.load_image(tmp_path / "a.tif", spacing=1e-4)


@pytest.mark.parametrize(("name", "error"), [("a.png", 0.1), ("a.tif", 1e-5), ("a.dcm", 0.1)])
def test_what_usbeam_wrote_comes_back(tmp_path: Path, name: str, error: float) -> None:
    grid = Grid.spaced(x=(-3e-3, 2e-3), z=(5e-3, 9e-3), spacing=(0.0771e-3, 0.1234e-3))
    data = np.random.default_rng(0).uniform(-45, 0, grid.shape).astype(np.float32)
    image = Image(data, grid, "db", 45.0, {"method": "das"}, {"file": "a.h5", "sha256": "0" * 64})
    image.save(tmp_path / name)
    found = ub.load_image(tmp_path / name)
    np.testing.assert_allclose(found.grid.x, grid.x, atol=1e-12)
    np.testing.assert_allclose(found.grid.z, grid.z, atol=1e-12)
    np.testing.assert_allclose(found.data, data, atol=error)
    assert (found.state, found.dynamic_range_db) == ("db", 45)
    assert (found.settings, found.source) == (image.settings, image.source)


def test_envelope_in_tiff_comes_back(tmp_path: Path) -> None:
    grid = Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=(4, 5))
    image = Image(np.arange(20, dtype=np.float32).reshape(4, 5), grid, "envelope")
    image.save(tmp_path / "a.tif")
    found = ub.load_image(tmp_path / "a.tif")
    assert (found.state, found.dynamic_range_db) == ("envelope", None)
    np.testing.assert_array_equal(found.data, image.data)


def test_notes_of_a_picture_that_was_cropped_since_are_not_taken(tmp_path: Path) -> None:
    grid = Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=(6, 5))
    Image(np.zeros(grid.shape, np.float32), grid, "db", 60.0).save(tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as opened:
        text = PIL.PngImagePlugin.PngInfo()
        for key, value in opened.info.items():
            if key.startswith("usbeam "):
                text.add_text(key, value)
        opened.crop((0, 0, 4, 6)).save(tmp_path / "b.png", pnginfo=text)
    with pytest.raises(ConfigError, match="how large a pixel"):
        ub.load_image(tmp_path / "b.png")


def scan(path: Path, change: Callable[[Dataset], None] | None = None, pixels: np.ndarray | None = None) -> Path:
    """A DICOM file as scanners write them, by pydicom: the tissue is a part of a frame with a grey bar at its side."""
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

    if pixels is None:
        pixels = np.full((60, 50), 200, np.uint8)
        pixels[10:50, 12:42] = grey()
    file = Dataset()
    file.SOPClassUID, file.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    file.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.Rows, file.Columns = pixels.shape[:2]
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, 0
    file.PixelData = pixels.tobytes()
    file["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMaxX1 = 12, 41
    region.RegionLocationMinY0, region.RegionLocationMaxY1 = 10, 49
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.01  # cm
    trace = Dataset()
    trace.RegionSpatialFormat, trace.RegionDataType, trace.RegionFlags = 4, 10, 0
    file.SequenceOfUltrasoundRegions = [trace, region]
    if change is not None:
        change(file)
    file.ensure_file_meta()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.save_as(path, enforce_file_format=True)
    return path


def test_dicom_region_of_tissue(tmp_path: Path) -> None:
    path = scan(tmp_path / "IM_0001")  # scanners give no ending
    image = ub.load_image(path)
    assert image.grid.shape == SHAPE
    assert_shows(image, (1e-4, 2e-4))
    whole = ub.load_image(path, spacing=1e-4)
    assert whole.grid.shape == (60, 50)


def test_dicom_reference_pixel(tmp_path: Path) -> None:
    """It is counted from the region's corner; rows behind the array are left out."""

    def refer(file: Dataset) -> None:
        region = file.SequenceOfUltrasoundRegions[1]
        region.ReferencePixelX0, region.ReferencePixelY0 = 15, 4
        region.ReferencePixelPhysicalValueX, region.ReferencePixelPhysicalValueY = 0.5, 0.0  # cm

    image = ub.load_image(scan(tmp_path / "a.dcm", refer))
    np.testing.assert_allclose(peak(image), [(BRIGHT[0] - 4) * 1e-4, 5e-3 + (BRIGHT[1] - 15) * 2e-4], rtol=1e-9)
    assert image.grid.shape == (SHAPE[0] - 5, SHAPE[1])  # rows 0 to 3, and the one at depth 0


def test_dicom_of_several_frames(tmp_path: Path) -> None:
    from pydicom.uid import UltrasoundMultiFrameImageStorage

    def add_frame(file: Dataset) -> None:
        file.SOPClassUID, file.NumberOfFrames = UltrasoundMultiFrameImageStorage, 2
        file.PixelData = bytes(len(file.PixelData)) + file.PixelData

    path = scan(tmp_path / "a.dcm", add_frame)
    assert ub.load_image(path).data.max() == -60
    assert_shows(ub.load_image(path, frame=1), (1e-4, 2e-4))
    with pytest.raises(ConfigError, match="no such frame"):
        ub.load_image(path, frame=2)


def test_dicom_whose_zero_is_white(tmp_path: Path) -> None:
    def invert(file: Dataset) -> None:
        file.PhotometricInterpretation = "MONOCHROME1"
        file.PixelData = bytes(255 - value for value in file.PixelData)

    assert_shows(ub.load_image(scan(tmp_path / "a.dcm", invert)), (1e-4, 2e-4))


def test_dicom_of_twelve_bits(tmp_path: Path) -> None:
    pixels = np.zeros((60, 50), np.uint16)
    pixels[10:50, 12:42] = grey() / 255 * 4095

    def narrow(file: Dataset) -> None:
        file.BitsStored, file.HighBit = 12, 11

    assert_shows(ub.load_image(scan(tmp_path / "a.dcm", narrow, pixels)), (1e-4, 2e-4))


def test_dicom_in_colour(tmp_path: Path) -> None:
    pixels = np.zeros((60, 50, 3), np.uint8)
    pixels[..., 0] = 255  # a red surround, outside the region
    pixels[10:50, 12:42] = grey()[..., np.newaxis]
    assert_shows(ub.load_image(scan(tmp_path / "a.dcm", pixels=pixels)), (1e-4, 2e-4))
    pixels[20, 20] = (0, 0, 255)
    with pytest.raises(BadField, match="1 of 1200 pixels coloured"):
        ub.load_image(scan(tmp_path / "b.dcm", pixels=pixels))


def test_dicom_without_regions(tmp_path: Path) -> None:
    def spaced(file: Dataset) -> None:
        del file.SequenceOfUltrasoundRegions
        file.PixelSpacing = [0.1, 0.2]  # mm, of rows and of columns

    def bare(file: Dataset) -> None:
        del file.SequenceOfUltrasoundRegions

    np.testing.assert_allclose(ub.load_image(scan(tmp_path / "a.dcm", spaced)).grid.spacing, [1e-4, 2e-4])
    with pytest.raises(ConfigError, match="how large a pixel"):
        ub.load_image(scan(tmp_path / "b.dcm", bare))


REGIONS: dict[str, tuple[dict[str, Any], str]] = {
    "resized": ({"RegionLocationMaxX1": 400}, "reaches outside"),
    "empty": ({"RegionLocationMinX0": 45}, "reaches outside"),
    "other units": ({"PhysicalUnitsXDirection": 4}, "units"),
    "no size": ({"PhysicalDeltaX": 0.0}, "no pixel size"),
    "upside down": ({"PhysicalDeltaY": -0.01}, "no pixel size"),
    "metres": ({"PhysicalDeltaX": 2.0, "PhysicalDeltaY": 2.0}, "no pixel size"),
    "not a number": ({"PhysicalDeltaX": float("nan")}, "no pixel size"),
    "flow": ({"RegionDataType": 2}, "0 regions that are 2-D images of tissue"),
}


@pytest.mark.parametrize("case", REGIONS)
def test_dicom_regions_that_do_not_calibrate(tmp_path: Path, case: str) -> None:
    changes, words = REGIONS[case]

    def spoil(file: Dataset) -> None:
        for keyword, value in changes.items():
            setattr(file.SequenceOfUltrasoundRegions[1], keyword, value)

    path = scan(tmp_path / "a.dcm", spoil)
    with pytest.raises(BadField) as caught:
        ub.load_image(path)
    assert_clear(caught.value, path, words)
    assert ub.load_image(path, spacing=1e-4).grid.shape == (60, 50)


def test_dicom_with_two_images(tmp_path: Path) -> None:
    def double(file: Dataset) -> None:
        file.SequenceOfUltrasoundRegions = [file.SequenceOfUltrasoundRegions[1]] * 2

    with pytest.raises(BadField, match="2 regions"):
        ub.load_image(scan(tmp_path / "a.dcm", double))


def test_dicom_with_a_palette(tmp_path: Path) -> None:
    def look_up(file: Dataset) -> None:
        """The numbers fall where the grey rises."""
        file.PhotometricInterpretation = "PALETTE COLOR"
        file.PixelData = bytes(255 - value for value in file.PixelData)
        for colour in ("Red", "Green", "Blue"):
            setattr(file, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            table = (257 * np.arange(255, -1, -1)).astype("<u2").tobytes()
            setattr(file, f"{colour}PaletteColorLookupTableData", table)

    assert_shows(ub.load_image(scan(tmp_path / "a.dcm", look_up)), (1e-4, 2e-4))


def test_dicom_that_is_compressed(tmp_path: Path) -> None:
    file = pydicom.dcmread(scan(tmp_path / "a.dcm"))
    file.compress(pydicom.uid.RLELossless)
    file.save_as(tmp_path / "b.dcm")
    assert_shows(ub.load_image(tmp_path / "b.dcm"), (1e-4, 2e-4))
    content = io.BytesIO()
    PIL.Image.fromarray(np.full((60, 50), 128, np.uint8)).save(content, format="JPEG")
    file.PixelData = pydicom.encaps.encapsulate([content.getvalue()])
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    file.save_as(tmp_path / "c.dcm")
    np.testing.assert_allclose(ub.load_image(tmp_path / "c.dcm").data, 60 * (128 / 255 - 1), atol=0.3)


def test_dicom_of_a_scanner_that_was_resized() -> None:
    """One that pydicom brings: its region is of a picture larger than this; and it is coloured."""
    path = str(get_testdata_file("examples_ybr_color.dcm", download=False))
    with pytest.raises(BadField, match="reaches outside the picture"):
        ub.load_image(path)
    with pytest.raises(BadField, match="coloured"):
        ub.load_image(path, spacing=2e-4, frame=29)


def test_dicom_that_nothing_here_unpacks(tmp_path: Path) -> None:
    for name in ("MR_small_jpeg_ls_lossless.dcm", "image_dfl.dcm"):
        with pytest.raises(FileFormatError) as caught:
            ub.load_image(str(get_testdata_file(name, download=False)))
        assert "compressed in a way" in str(caught.value)
        assert "gdcmconv" in str(caught.value.hint)


def test_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scan(tmp_path / "a.dcm")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(ConfigError) as caught:
        ub.load_image(path)
    assert "usbeam[dicom]" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.dcm"])
def test_what_the_caller_says_must_be_possible(tmp_path: Path, name: str) -> None:
    if name == "a.dcm":
        scan(tmp_path / name)
    else:
        PIL.Image.fromarray(grey()).save(tmp_path / name)
    for given, words in (
        ({"spacing": 0.0}, "no pixel size"),
        ({"spacing": np.nan}, "no pixel size"),
        ({"spacing": 0.1}, "no pixel size"),
        ({"spacing": 1e-4, "dynamic_range": -60}, "dynamic_range"),
        ({"spacing": 1e-4, "frame": -1}, "from 0"),
        ({"spacing": 1e-4, "frame": 1}, "no such frame"),
    ):
        with pytest.raises((ConfigError, BadField), match=words):
            ub.load_image(tmp_path / name, **given)
    with pytest.raises(FileAccessError, match="no such file"):
        ub.load_image(tmp_path / f"no{name}", spacing=1e-4)
    (tmp_path / f"folder{name}").mkdir()
    with pytest.raises(FileAccessError, match="folder"):
        ub.load_image(tmp_path / f"folder{name}", spacing=1e-4)


def test_formats_that_are_only_written(tmp_path: Path) -> None:
    image = Image(np.zeros((2, 2), np.float32), Grid([0, 1e-3], [1e-3, 2e-3]), "db", 60.0)
    for name in ("a.nii", "a.nii.gz"):
        image.save(tmp_path / name)
        with pytest.raises(FileFormatError, match="written and not read"):
            ub.load_image(tmp_path / name)
