"""Images at the scale of a network, and back on their own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

import usbeam as ub
from usbeam.enhancers import scale
from usbeam.enhancers.scale import Scale
from usbeam.measure import speckle

from .networks import one_thread, run_folder

__all__ = ["one_thread"]

Levels = npt.NDArray[np.float64]


def field(step: float, cell: float = 1e-3, seed: int = 0) -> ub.Image:
    """The same band-limited speckle on pixels of any size [m], over 24 mm x 16 mm."""
    rng = np.random.default_rng(seed)
    shape = round(24e-3 / step) + 1, round(16e-3 / step) + 1
    grid = ub.Grid.linear(x=(-8e-3, 8e-3), z=(4e-3, 28e-3), shape=shape)
    places, waves = (rng.standard_normal((500, 2)) for _ in range(2))
    k = waves / cell * 2.35 / np.sqrt(2)  # Gaussian in k: the squared correlation is as wide as the cell
    z, x = (np.exp(1j * np.outer(axis, k[:, i])) for i, axis in enumerate((grid.z, grid.x)))
    amplitude = places[:, 0] + 1j * places[:, 1]
    return ub.Image(np.einsum("zn,xn,n->zx", z, x, amplitude).astype(np.complex64), grid)


def levels(image: ub.Image) -> Levels:
    return image.db(60).data.astype(np.float64)


class TestScale:
    @pytest.mark.parametrize(
        ("own", "trained", "factor"),
        [
            ((3.0, 3.0), (3.2, 2.8), (1.0, 1.0)),
            ((3.0, 3.0), (6.0, 3.0), (2.0, 1.0)),
            ((3.0, 3.0), (1.5, 3.9), (0.5, 1.3)),
            ((0.5, 100.0), (5.0, 5.0), (4.0, 0.25)),
        ],
    )
    def test_factor(self, own: tuple[float, float], trained: tuple[float, float], factor: tuple[float, float]) -> None:
        assert Scale(own, trained).factor == pytest.approx(factor)

    @pytest.mark.parametrize("state", ["complex", "envelope", "db"])
    def test_of_an_image_by_its_speckle(self, state: str) -> None:
        image = field(0.25e-3)
        given = {"complex": image, "envelope": image.envelope(), "db": image.db(60)}[state]
        found = scale.measured(given, (4.0, 8.0))
        assert found is not None
        assert found.own == pytest.approx((4.0, 4.0), rel=0.25)
        assert found.factor == pytest.approx((1.0, 2.0), rel=0.25)

    def test_none_without_speckle(self) -> None:
        grid = ub.Grid.linear(x=(0, 10e-3), z=(1e-3, 11e-3), shape=(100, 100))
        points = np.zeros(grid.shape)
        points[::30, ::30] = 1
        image = ub.Image(ndimage.gaussian_filter(points, 2).astype(np.float32), grid, "envelope")
        assert scale.measured(image, (3.0, 3.0)) is None


class TestThrough:
    def test_there_and_back_again(self) -> None:
        """Nothing is lost in finer pixels, and little in pixels that still show the speckle."""
        for factor, error in (((1.7, 1.2), 0.05), ((0.8, 0.8), 0.2)):
            level = levels(field(0.2e-3))
            own = Scale((5.0, 5.0), (5.0 * factor[0], 5.0 * factor[1]))
            found = scale.through(own, level, lambda given: given, 17)
            seen = level > -30  # a spline of decibels rings around the envelope's zeros
            assert found.shape == level.shape
            assert np.median(np.abs(found - level)[seen]) < error

    def test_the_function_sees_speckle_of_the_size_that_it_knows(self) -> None:
        given: list[Levels] = []

        def see(level: Levels) -> Levels:
            given.append(level)
            return level

        image = field(0.25e-3)
        scale.through(scale.measured(image, (6.0, 3.0)), levels(image), see, 17)
        (seen,) = given
        shown = ub.Image(seen.astype(np.float32), ub.Grid.linear(x=(0, 1), z=(1, 2), shape=seen.shape), "db", 60.0)
        cell = np.divide(speckle.cell(shown), shown.grid.spacing)
        assert cell == pytest.approx((6.0, 3.0), rel=0.25)
        assert seen.max() == pytest.approx(0, abs=0.3)

    def test_within_the_tolerance_pixels_stay(self) -> None:
        level = levels(field(0.25e-3))
        for own in (None, Scale((4.0, 4.0), (4.2, 3.9))):
            assert scale.through(own, level, lambda given: given, 17) is level

    def test_no_smaller_than_the_network_takes(self) -> None:
        level = levels(field(1e-3))
        shapes: list[tuple[int, ...]] = []

        def see(given: Levels) -> Levels:
            shapes.append(given.shape)
            return given

        assert scale.through(Scale((40.0, 40.0), (5.0, 5.0)), level, see, 17).shape == level.shape
        assert shapes == [(17, 17)]


def test_the_size_of_pixels_does_not_matter(tmp_path: Path) -> None:
    """The same field on finer pixels: without its scale a network makes something else of it, with it the same."""
    coarse, fine = field(0.25e-3), field(0.1e-3)
    apart: dict[str, float] = {}
    for name, facts in {"unknown": {}, "known": {"speckle_cell": [1e-3, 1e-3]}}.items():
        run = run_folder(tmp_path / name, spacing=[0.25e-3, 0.25e-3], **facts)
        one, other = (ub.enhance(each, run).data.astype(np.float64) for each in (coarse, fine))
        steps = [(a - 1) / (b - 1) for a, b in zip(other.shape, one.shape, strict=True)]
        there = ndimage.affine_transform(other, steps, output_shape=one.shape, order=1)
        apart[name] = float(np.median(np.abs(one - there)))
    assert apart["known"] < 0.3
    assert apart["unknown"] > 2 * apart["known"]
