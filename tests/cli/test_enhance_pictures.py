"""``usbeam enhance`` for people who have B-mode pictures and no channel data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import usbeam as ub
from tests.cli.conftest import Run


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(100, 255, (60, 50)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.tif", "a.h5"])
def test_from_a_picture_to_a_picture(run: Run, picture: Path, tmp_path: Path, name: str) -> None:
    options = ("--with", "median", "--spacing", "0.1mm", "--dynamic-range", "50")
    run("enhance", picture, "-o", tmp_path / name, *options)
    image = ub.load_image(tmp_path / name)
    wanted = ub.enhance(ub.load_image(picture, spacing=1e-4, dynamic_range=50), "median")
    np.testing.assert_allclose(image.data, wanted.data, atol=50 / 255 / 2 + 1e-4)
    assert image.settings["enhanced"][-1]["method"] == "median"
    np.testing.assert_allclose(image.grid.spacing, [1e-4, 1e-4], rtol=1e-6)
    assert image.dynamic_range_db == 50


def test_envelopes_are_shown_in_db_where_the_format_shows_no_other(run: Run, tmp_path: Path) -> None:
    grid = ub.Grid.linear(x=(-2e-3, 2e-3), z=(1e-3, 5e-3), shape=(40, 40))
    data = np.random.default_rng(0).rayleigh(size=grid.shape).astype(np.float32)
    ub.Image(data, grid, "envelope").save(tmp_path / "a.h5")
    for name, state in (("b.png", "db"), ("b.tif", "envelope"), ("b.h5", "envelope")):
        run("enhance", tmp_path / "a.h5", "-o", tmp_path / name, "--with", "srad", "--set", "n_iterations=2")
        assert ub.load_image(tmp_path / name).state == state


def test_what_is_missing_is_said(run: Run, picture: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = ("-o", tmp_path / "a.png", "--with", "median")
    silent = run("enhance", picture, *options)
    assert silent.code == 2
    assert "how large a pixel" in silent.err
    assert "--spacing 0.1mm" in silent.err
    assumed = run("enhance", picture, *options, "--spacing", "0.1mm")
    assert assumed.code == 0
    assert "taken for 60 dB" in caplog.text
    image = run("enhance", tmp_path / "a.png", "-o", tmp_path / "b.png", "--with", "median", "--x", "0mm:1mm")
    assert "--x: is for a recording" in image.err


def test_a_folder_gives_images_and_no_pictures(run: Run, picture: Path, tmp_path: Path) -> None:
    ub.load_image(picture, spacing=1e-4).save(tmp_path / "a.h5")
    run("enhance", tmp_path, "-o", tmp_path / "out", "--with", "median")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.h5"]
