"""Images on disk: lossless HDF5, and PNG that knows its pixel size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL.Image
import pytest

from tests.io.recordings import assert_clear, small
from usbeam.errors import BadField, ConfigError, FileFormatError, MissingField, UnsupportedVersion
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import load_image, save, save_image, validate

GRID = Grid.linear(x=(-2e-3, 2e-3), z=(5e-3, 11e-3), shape=(7, 9))
SETTINGS = {"method": "das", "f_number": 1.5, "transmits": [0, 31], "window": None, "name": "Müller"}


def analytic() -> Image:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((*GRID.shape, 2)).view(np.complex128)[..., 0].astype(np.complex64)
    return Image(data, GRID, settings=SETTINGS, source={"file": "a.h5", "sha256": "0" * 64})


@pytest.mark.parametrize("make", [analytic, lambda: analytic().envelope(), lambda: analytic().envelope().db(50)])
def test_what_is_saved_is_loaded(tmp_path: Path, make: Callable[[], Image]) -> None:
    image, path = make(), tmp_path / "image.h5"
    image.save(path)
    loaded = load_image(path)
    assert np.array_equal(loaded.data, image.data)
    assert loaded.data.dtype == image.data.dtype
    assert loaded.grid == image.grid
    assert (loaded.state, loaded.dynamic_range_db) == (image.state, image.dynamic_range_db)
    assert loaded.settings == SETTINGS
    assert loaded.source == image.source
    assert validate(path, full=True) == []


def test_uneven_grids_and_double_precision(tmp_path: Path) -> None:
    grid = Grid(np.array([0.0, 1e-3, 3e-3]), np.array([1e-3]))
    image = Image(np.array([[0.1, 0.2, 0.3]]), grid, state="envelope")
    save_image(image, tmp_path / "image.hdf5")
    loaded = load_image(tmp_path / "image.hdf5")
    assert loaded.grid == grid
    assert loaded.data.dtype == np.float32
    assert np.array_equal(loaded.data, image.data.astype(np.float32))


def test_png_pixels_and_their_size(tmp_path: Path) -> None:
    values = np.linspace(-60, 0, GRID.size, dtype=np.float32).reshape(GRID.shape)
    image = Image(values, GRID, state="db", dynamic_range_db=60.0, settings=SETTINGS, source={"file": "a.h5"})
    image.save(tmp_path / "image.png")
    with PIL.Image.open(tmp_path / "image.png") as png:
        assert png.mode == "L"
        pixels = np.asarray(png)
        info = png.info
    assert pixels.shape == GRID.shape
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)
    assert np.abs(pixels / 255 * 60 - 60 - values).max() <= 60 / 255 / 2 + 1e-4
    dots_per_metre = [round(dots / 0.0254) for dots in info["dpi"]]
    assert dots_per_metre == [2000, 1000]  # x: 0.5 mm, z: 1 mm
    notes = {key.removeprefix("usbeam "): value for key, value in info.items() if key.startswith("usbeam ")}
    assert json.loads(notes["spacing_z_x_m"]) == pytest.approx([1e-3, 0.5e-3])
    assert json.loads(notes["first_pixel_z_x_m"]) == [5e-3, -2e-3]
    assert json.loads(notes["dynamic_range_db"]) == 60
    assert json.loads(notes["settings"]) == SETTINGS
    assert json.loads(notes["source"]) == {"file": "a.h5"}


@pytest.mark.parametrize("make", [analytic, lambda: analytic().envelope()])
def test_case_70_png_of_an_image_that_is_not_in_db(tmp_path: Path, make: Callable[[], Image]) -> None:
    with pytest.raises(ConfigError) as caught:
        make().save(tmp_path / "image.png")
    assert_clear(caught.value, tmp_path / "image.png", "image.envelope().db(60)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("x", [[0.0, 1e-3, 3e-3], [0.0]])
def test_png_of_uneven_pixels(tmp_path: Path, x: list[float]) -> None:
    grid = Grid(np.array(x), np.array([1e-3, 2e-3]))
    image = Image(np.zeros(grid.shape, np.float32), grid, state="db", dynamic_range_db=60.0)
    with pytest.raises(ConfigError, match="equally spaced"):
        image.save(tmp_path / "image.png")
    assert list(tmp_path.iterdir()) == []


def test_other_endings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.h5, \.hdf5, \.png, .* or \.zarr"):
        analytic().save(tmp_path / "image.jpg")


def test_settings_must_be_plain(tmp_path: Path) -> None:
    for wrong in (np.arange(3), float("nan"), {1, 2}):
        image = Image(analytic().data, GRID, settings={"window": wrong})
        with pytest.raises(ConfigError, match="JSON"):
            image.save(tmp_path / "image.h5")
    assert list(tmp_path.iterdir()) == []


def test_nonfinite_pixels_are_not_written(tmp_path: Path) -> None:
    data = analytic().data.copy()
    data[2, 3] = np.nan
    with pytest.raises(BadField, match=r"not finite, the first at index \(2, 3\)"):
        Image(data, GRID).save(tmp_path / "image.h5")
    assert list(tmp_path.iterdir()) == []


def test_recording_is_no_image(tmp_path: Path) -> None:
    save(small(), tmp_path / "recording.h5")
    with pytest.raises(FileFormatError) as caught:
        load_image(tmp_path / "recording.h5")
    assert_clear(caught.value, tmp_path / "recording.h5", "not an image", "usbeam beamform")
    analytic().save(tmp_path / "image.h5")
    with pytest.raises(ConfigError, match="spacing: is for a picture"):
        load_image(tmp_path / "image.h5", spacing=1e-4)


def change(name: str, value: Any) -> Callable[[h5py.File], None]:
    """Replace a dataset, or with ``owner:name`` an attribute; None removes it."""

    def apply(file: h5py.File) -> None:
        owner, _, attribute = name.partition(":")
        holder = file[owner].attrs if attribute else file
        kept = {} if attribute else dict(file[owner].attrs)
        del holder[attribute or owner]
        if value is not None:
            holder[attribute or owner] = value
            if not attribute:
                file[owner].attrs.update(kept)

    return apply


SPOILT: dict[str, tuple[Callable[[h5py.File], None], type[FileFormatError], str]] = {
    "missing fields": (lambda file: (change("x", None)(file), change("z", None)(file))[0], MissingField, "/x, /z"),
    "newer": (change("/:format_version", "3.0"), UnsupportedVersion, "3.0"),
    "other shape": (change("x", np.arange(8) * 1e-3), BadField, "n_x=9"),
    "positions fall": (change("x", -np.arange(9) * 1e-3), BadField, "rise"),
    "behind the array": (change("z", -np.arange(7) * 1e-3), BadField, "/z"),
    "state and type": (change("/image:state", "envelope"), BadField, "complex64"),
    "unknown state": (change("/image:state", "log"), BadField, "complex or envelope or db"),
    "db without range": (change("/image:state", "db"), MissingField, "/image:dynamic_range_db"),
    "settings": (change("/:settings", "{not json"), BadField, "JSON"),
    "settings of a list": (change("/:settings", "[1]"), BadField, "JSON object"),
    "deep settings": (change("/:settings", "[" * 50_000), BadField, "JSON"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_image(tmp_path: Path, case: str) -> None:
    path = tmp_path / "image.h5"
    analytic().save(path)
    spoil, kind, words = SPOILT[case]
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(kind) as caught:
        load_image(path)
    assert_clear(caught.value, path, words)
