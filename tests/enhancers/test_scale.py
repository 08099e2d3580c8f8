"""An image is fed with as many pixels to a speckle as the network was trained on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

import usbeam as ub
from usbeam.enhancers import scale
from usbeam.errors import CheckpointError
from usbeam.measure import speckle

from .networks import one_thread, run_folder

__all__ = ["one_thread"]

SHAPE = (320, 256)
STEPS = (0.05e-3, 0.1e-3)


def image(
    widths: tuple[float, float], seed: int = 0, *, every: int = 1, contrast_db: float = -15.0, shape: Any = SHAPE
) -> ub.Image:
    """Speckle of so many pixels with a disc of another level, of which every so many-th pixel is taken."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((2, *shape)), (0, *(np.array(widths) / np.sqrt(8 * np.log(2)))))
    z, x = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(z / shape[0] - 0.5, x / shape[1] - 0.5) < 0.15
    data = ((noise[0] + 1j * noise[1]) * 10 ** (contrast_db * disc / 20))[::every, ::every]
    z, x = (step * np.arange(n)[::every] for step, n in zip(STEPS, shape, strict=True))
    return ub.Image(data.astype(np.complex64), ub.Grid(x - x.mean(), 5e-3 + z))


def levels(given: ub.Image) -> npt.NDArray[np.float64]:
    return np.asarray(given.db(100.0).data, np.float64)


class TestSize:
    @pytest.mark.parametrize("widths", [(2.5, 3.0), (4.0, 6.0), (6.0, 3.5), (12.0, 8.0)])
    def test_of_a_displayed_image_is_that_of_the_complex_one(self, widths: tuple[float, float]) -> None:
        for seed, contrast_db in ((0, 0.0), (1, -25.0), (2, 8.0)):
            given = image(widths, seed, contrast_db=contrast_db)
            found = scale.cell(levels(given))
            assert found is not None
            wanted = np.array(speckle.cell(given)) / STEPS
            np.testing.assert_allclose(found, wanted, rtol=0.1)
            shown = scale.cell(np.asarray(given.db(60.0).data))
            np.testing.assert_allclose(shown, found, rtol=0.02)

    def test_where_there_is_no_speckle_there_is_none(self) -> None:
        z, x = np.mgrid[:200, :100] / 100.0
        points = np.full((200, 100), -100.0)
        points[20::40, 10::30] = 0.0
        for given in (np.zeros((200, 100)), -30 * z, points, -40 * (np.hypot(z - 1, x - 0.5) < 0.3)):
            assert scale.cell(given) is None

    def test_ratios(self) -> None:
        assert scale.ratios((4.3, 2.8), (4.0, 3.0)) is None
        assert scale.ratios((8.0, 2.8), (4.0, 3.0)) == (0.5, 1.0)
        assert scale.ratios((4.0, 1.0), (4.0, 3.0)) == (1.0, 3.0)


class TestResampling:
    def test_there_and_back(self) -> None:
        smooth = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((60, 50)), 3)
        for shape in ((120, 99), (45, 38)):
            there = scale.resampled(smooth, shape)
            assert there.shape == shape
            np.testing.assert_allclose(there[[0, 0, -1, -1], [0, -1, 0, -1]], smooth[[0, 0, -1, -1], [0, -1, 0, -1]])
            np.testing.assert_allclose(scale.resampled(there, smooth.shape), smooth, atol=0.02 * np.ptp(smooth))

    def test_a_line_of_pixels(self) -> None:
        assert scale.resampled(np.ones((1, 30)), (1, 15)).shape == (1, 15)


def trained_on(folder: Path, given: ub.Image, **facts: Any) -> Path:
    """A network of random weights that was trained on images as the one given."""
    known = {"spacing": list(given.grid.spacing), "speckle_cell": list(speckle.cell(given))}
    return run_folder(folder, **{**known, **facts})


class TestNetworks:
    def test_a_grid_twice_as_fine_gives_the_same(self, tmp_path: Path) -> None:
        fine, coarse = (image((10.0, 8.0), every=every, shape=(641, 513)) for every in (1, 2))
        scaled, plain = (
            trained_on(tmp_path / "scaled", coarse),
            trained_on(tmp_path / "plain", coarse, speckle_cell=None),
        )
        wanted = ub.enhance(coarse, scaled)
        done = wanted.settings["enhanced"][-1]
        assert (done["fed_pixels"], done["warnings"]) == ((321, 257), [])
        np.testing.assert_array_equal(wanted.data, ub.enhance(coarse, plain).data)

        found = ub.enhance(fine, scaled)
        done = found.settings["enhanced"][-1]
        assert found.grid == fine.grid
        np.testing.assert_allclose(done["fed_pixels"], (321, 257), rtol=0.06)
        np.testing.assert_allclose(
            done["speckle_pixels"], 2 * np.array(done["trained_on"]["speckle_pixels"]), rtol=0.08
        )
        assert done["warnings"] == []
        unscaled = ub.enhance(fine, plain)
        size = scale.cell(levels(fine))
        assert size is not None
        half = [each / 2 * step for each, step in zip(size, coarse.grid.spacing, strict=True)]
        exact = ub.enhance(fine, trained_on(tmp_path / "exact", coarse, speckle_cell=half))
        errors: list[float] = []
        for each in (exact, found, unscaled):
            difference = each.data[::2, ::2] - wanted.data  # 0 dB is the maximum of either grid
            errors.append(float(np.median(np.abs(difference - np.median(difference)))))
        assert errors[0] < 0.01
        assert errors[1] < 0.5 * errors[2]

    def test_quality_resamples_the_looks_alike(self, tmp_path: Path) -> None:
        fine, coarse = (image((8.0, 8.0), every=every) for every in (1, 2))
        run = trained_on(tmp_path / "run", coarse)
        looks = [image((8.0, 8.0), seed) for seed in (1, 2)]
        found = ub.enhance(fine, run, mode="quality", looks=looks)
        own = [ub.enhance(each, run, dynamic_range=100.0) for each in (fine, *looks)]
        assert found.grid == fine.grid
        assert own[0].settings["enhanced"][-1]["fed_pixels"] == found.settings["enhanced"][-1]["fed_pixels"]
        assert np.all(np.isfinite(found.data))

    def test_what_is_too_far_is_left_alone_with_both_numbers(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        given = image((10.0, 10.0))
        run = trained_on(tmp_path / "run", given, speckle_cell=[0.1 * each for each in speckle.cell(given)])
        with caplog.at_level(logging.WARNING, "usbeam"):
            done = ub.enhance(given, run).settings["enhanced"][-1]
        assert done["fed_pixels"] == SHAPE
        (said,) = done["warnings"]
        for size in (done["speckle_pixels"], done["trained_on"]["speckle_pixels"]):
            assert " x ".join(f"{each:.1f}" for each in size) in said
        assert said in caplog.text

    def test_without_speckle_only_the_pixels_are_compared(self, tmp_path: Path) -> None:
        given = image((4.0, 4.0))
        run = trained_on(tmp_path / "run", given, spacing=[2e-4, 2e-4])
        points = np.full(SHAPE, 1e-5, np.complex64)
        points[40::80, 40::60] = 1
        done = ub.enhance(ub.Image(points, given.grid), run).settings["enhanced"][-1]
        assert (done["speckle_pixels"], done["fed_pixels"]) == (None, SHAPE)
        (said,) = done["warnings"]
        assert said.startswith("pixels of 50 µm x 100 µm")

    @pytest.mark.parametrize("cell", [[1e-4], "wide", [1e-4, -1e-4]])
    def test_facts_that_are_no_sizes(self, tmp_path: Path, cell: Any) -> None:
        with pytest.raises(CheckpointError, match="do not say what the network is to be fed") as caught:
            ub.enhance(image((4.0, 4.0)), run_folder(tmp_path / "run", speckle_cell=cell))
        assert caught.value.location == "facts.speckle_cell"
