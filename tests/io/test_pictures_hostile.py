"""Pictures that nobody has vouched for: only `UsbeamError` comes out, at once, and nothing is unpacked in vain."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import Dataset

import usbeam as ub
from tests.io.recordings import assert_clear
from tests.io.test_pictures_in import scan
from usbeam.errors import FileFormatError, TooLarge, UsbeamError
from usbeam.grid import Grid
from usbeam.image import Image

NAMES = ("a.png", "a.tif", "a.dcm")


def whole(folder: Path, name: str) -> bytes:
    grid = Grid.linear(x=(-2e-3, 2e-3), z=(1e-3, 5e-3), shape=(20, 16))
    data = np.random.default_rng(0).uniform(-60, 0, grid.shape).astype(np.float32)
    Image(data, grid, "db", 60.0).save(folder / name, overwrite=True)
    return (folder / name).read_bytes()


def attempt(path: Path) -> str:
    """What comes of reading: an image, or the one line that says why not."""
    try:
        image = ub.load_image(path)
    except UsbeamError as error:
        line = str(error)
        assert line.startswith(str(path))
        assert "\n" not in line
        return line
    assert np.isfinite(image.data).all()
    assert image.data.shape == image.grid.shape
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_anywhere(tmp_path: Path, name: str) -> None:
    content = whole(tmp_path, name)
    path = tmp_path / f"cut{name}"
    for end in range(0, len(content) - 1, max(1, len(content) // 60)):
        path.write_bytes(content[:end])
        line = attempt(path)
        assert line or name == "a.png" or end > len(content) // 2, end


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bytes(tmp_path: Path, name: str) -> None:
    content = whole(tmp_path, name)
    path = tmp_path / f"flipped{name}"
    rng = np.random.default_rng(1)
    slowest = 0.0
    for _ in range(400):
        spoilt = bytearray(content)
        for place in rng.integers(0, len(spoilt), rng.integers(1, 6)):
            spoilt[place] = rng.integers(256)
        path.write_bytes(spoilt)
        start = time.perf_counter()
        attempt(path)
        slowest = max(slowest, time.perf_counter() - start)
    assert slowest < 2


@pytest.mark.parametrize(
    "content", [b"", b"text\n", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*\0\0\0\x08", bytes(128) + b"DICM"]
)
@pytest.mark.parametrize("name", NAMES)
def test_hardly_anything(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        ub.load_image(tmp_path / name)
    assert_clear(caught.value, tmp_path / name)


def png(width: int, height: int, idat: bytes, *more: tuple[bytes, bytes]) -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *more, (b"IDAT", idat), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def bomb_png(path: Path) -> None:
    path.write_bytes(png(8000, 8000, zlib.compress(bytes(8001 * 8000), 9)))


def endless_png(path: Path) -> None:
    path.write_bytes(png(2**31 - 1, 2**31 - 1, zlib.compress(b"")))


def wordy_png(path: Path) -> None:
    text = b"usbeam settings\0\0" + zlib.compress(b" " * 10**8, 9)
    path.write_bytes(png(8, 8, zlib.compress(bytes(72)), (b"zTXt", text)))


def bomb_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8000, 8000), np.uint8), compression="zlib", compressionargs={"level": 9})


def endless_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    for tag in (256, 257):
        at = content.find(struct.pack("<H", tag) + b"\x04\0") if content[:2] == b"II" else -1
        at = at if at >= 0 else content.find(struct.pack("<H", tag) + b"\x03\0")
        content[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 2**31 - 1)
    path.write_bytes(content)


def looping_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * count, first)
    path.write_bytes(content)


def changed(change: Callable[[Dataset], None]) -> Callable[[Path], None]:
    return lambda path: (scan(path, change), None)[1]


def _large(file: Dataset) -> None:
    file.Rows = file.Columns = 65535


def _many(file: Dataset) -> None:
    file.NumberOfFrames = 2**31 - 1


def deep_dicom(path: Path) -> None:
    """Sequences within sequences, none of which says where it ends."""
    level = b"\x18\x00\x11\x60SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = scan(path).read_bytes()
    path.write_bytes(content[: content.find(b"\x18\x00\x11\x60SQ")] + 20_000 * level)


def deflated_dicom(path: Path) -> None:
    scan(path)
    file = pydicom.dcmread(path)
    file.PixelData = bytes(10**8)
    file.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    file.save_as(path)


def jpeg_dicom(path: Path) -> None:
    """A JPEG of 8 x 8 pixels whose own header says 65500 x 65500."""
    import io

    import PIL.Image

    scan(path)
    file = pydicom.dcmread(path)
    content = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8, 8), np.uint8)).save(content, format="JPEG")
    spoilt = bytearray(content.getvalue())
    at = spoilt.find(b"\xff\xc0")
    spoilt[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    file.PixelData = pydicom.encaps.encapsulate([bytes(spoilt)])
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    file.save_as(path)


HOSTILE: dict[str, tuple[Callable[[Path], None], type[UsbeamError], str]] = {
    "bomb.png": (bomb_png, TooLarge, "GB in a file of"),
    "endless.png": (endless_png, TooLarge, "too large"),
    "wordy.png": (wordy_png, FileFormatError, "damaged"),
    "bomb.tif": (bomb_tiff, TooLarge, "GB in a file of"),
    "endless.tif": (endless_tiff, TooLarge, "too large"),
    "large.dcm": (changed(_large), TooLarge, "GB in a file of"),
    "many.dcm": (changed(_many), FileFormatError, "damaged"),
    "deep.dcm": (deep_dicom, FileFormatError, ""),
    "deflated.dcm": (deflated_dicom, FileFormatError, "compressed in a way"),
    "jpeg.dcm": (jpeg_dicom, FileFormatError, "decompression bomb"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    make, kind, words = HOSTILE[name]
    path = tmp_path / name
    make(path)
    caplog.clear()
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(kind) as caught:
        ub.load_image(path)
    seconds = time.perf_counter() - start
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_clear(caught.value, path, words)
    assert not caplog.text  # of the library's
    assert most < 20e6
    assert seconds < 2


def test_a_loop_of_pages_has_an_end(tmp_path: Path) -> None:
    looping_tiff(tmp_path / "a.tif")
    assert ub.load_image(tmp_path / "a.tif", spacing=1e-4).grid.shape == (8, 8)


def test_text_of_a_file_is_shown_without_its_tricks(tmp_path: Path) -> None:
    def steer(file: Dataset) -> None:
        file.PhotometricInterpretation = "GREEN\x1b[2J"

    with pytest.warns(UserWarning, match="Invalid value"):
        scan(tmp_path / "a.dcm", steer)
    with pytest.raises(FileFormatError) as caught:
        ub.load_image(tmp_path / "a.dcm")
    assert "\x1b" not in str(caught.value)


NOTES = (
    "[" * 5000,
    '{"shape_z_x": [2, 2], "spacing_z_x_m": ["a", 1]}',
    '{"shape_z_x": [2, 2], "settings": 3}',
    "1",
    '{"a": NaN}',
)


@pytest.mark.parametrize("text", NOTES)
def test_notes_that_are_none(tmp_path: Path, text: str) -> None:
    from usbeam.io.pictures.tiff import NOTES_TAG

    tag = [(NOTES_TAG, 2, len(text) + 1, text.encode() + b"\0", False)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.uint8), extratags=tag)
    image = ub.load_image(tmp_path / "a.tif", spacing=1e-4)
    assert image.dynamic_range_db == 60
