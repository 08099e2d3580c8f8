"""Pictures: pixels where the grid says, in mm, with a dB bar; files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from usbeam import Grid, Image
from usbeam.errors import ConfigError, OutputExists
from usbeam.show import plot

GRID = Grid.linear(x=(-2e-3, 2e-3), z=(10e-3, 16e-3), shape=(61, 41))


def spot(grid: Grid = GRID, x: float = 1e-3, z: float = 12e-3) -> Image:
    """Bright at one place, 40 dB less elsewhere."""
    data = np.full(grid.shape, 0.01j, np.complex64)
    data[np.abs(grid.z - z).argmin(), np.abs(grid.x - x).argmin()] = 1
    return Image(data, grid)


def test_axes_are_in_mm_with_depth_downwards() -> None:
    axes = plot.bmode(spot(), title="a spot")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lateral x [mm]", "depth z [mm]")
    assert axes.get_title() == "a spot"
    (picture,) = axes.images
    assert picture.get_extent() == pytest.approx((-2.05, 2.05, 16.05, 9.95))
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("state", ["complex", "envelope", "db"])
def test_any_state_shows_the_same_decibels(state: str) -> None:
    image = {"complex": spot(), "envelope": spot().envelope(), "db": spot().db(50)}[state]
    (picture,) = plot.bmode(image, dynamic_range=50).images
    np.testing.assert_allclose(np.asarray(picture.get_array()), spot().db(50).data)
    assert picture.get_clim() == (-50, 0)


def test_a_db_image_keeps_its_own_range() -> None:
    (picture,) = plot.bmode(spot().db(35), dynamic_range=60).images
    assert picture.get_clim() == (-35, 0)


def test_the_bar_is_in_db_and_can_be_left_out() -> None:
    with_bar, without = plot.bmode(spot()), plot.bmode(spot(), colorbar=False)
    assert [axes.get_ylabel() for axes in with_bar.figure.axes[1:]] == ["dB"]
    assert len(without.figure.axes) == 1


def test_draws_where_it_is_told_to() -> None:
    one, two = Figure().subplots(1, 2)
    assert plot.bmode(spot(), ax=two) is two
    assert (len(one.images), len(two.images)) == (0, 1)


def test_unequal_steps_are_drawn_in_place() -> None:
    grid = Grid(np.array([-1e-3, 0, 3e-3]), np.geomspace(5e-3, 20e-3, 9))
    axes = plot.bmode(spot(grid, 3e-3, grid.z[4]))
    assert not axes.images
    (mesh,) = axes.collections
    values = np.asarray(mesh.get_array()).reshape(grid.shape)
    assert np.unravel_index(values.argmax(), values.shape) == (4, 2)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_one_row_column_or_point_can_be_shown(tmp_path: Path, shape: tuple[int, int]) -> None:
    limits = {"x": (0.0, 1e-3) if shape[1] > 1 else (0.0, 0.0), "z": (5e-3, 6e-3) if shape[0] > 1 else (5e-3, 5e-3)}
    image = Image(np.ones(shape, np.complex64), Grid.linear(**limits, shape=shape))
    plot.save_figure(plot.bmode(image), tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize(("width", "height"), [(10, 10), (40, 40), (5, 40), (40, 5), (1, 60), (400, 400)])
def test_labels_are_not_cut_off(tmp_path: Path, width: int, height: int) -> None:
    grid = Grid.linear(x=(-width * 5e-4, width * 5e-4), z=(10e-3, (10 + height) * 1e-3), shape=(9, 7))
    alone, together = plot.bmode(spot(grid)), plot.side_by_side([spot(grid)] * 2, ["left", "right"])[0]
    hundredth = 0.01  # inch
    for axes in (alone, together):
        plot.save_figure(axes, tmp_path / "a.png", overwrite=True)
        drawn, (page_width, page_height) = axes.figure.get_tightbbox(), axes.figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) >= -hundredth
        assert drawn.x1 <= page_width + hundredth
        assert drawn.y1 <= page_height + hundredth


def test_images_side_by_side_share_one_bar() -> None:
    axes = plot.side_by_side([spot(), spot(x=-1e-3).envelope()], ["left", "right"], dynamic_range=45)
    assert [ax.get_title() for ax in axes] == ["left", "right"]
    figure = axes[0].figure
    assert len(figure.axes) == 3
    assert all(ax.images[0].get_clim() == (-45, 0) for ax in axes)
    with pytest.raises(ValueError, match="zip"):
        plot.side_by_side([spot()], ["left", "right"])


def test_the_spot_is_white_where_its_coordinates_say(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    axes = plot.bmode(spot(x=1e-3, z=12e-3), dynamic_range=60)
    plot.save_figure(axes, path)
    with PIL.Image.open(path) as picture:
        grey = np.asarray(picture.convert("L"), float)

    def shade(x_mm: float, z_mm: float) -> float:
        across, up = axes.figure.transFigure.inverted().transform(axes.transData.transform((x_mm, z_mm)))
        return grey[round((1 - up) * grey.shape[0] - 0.5), round(across * grey.shape[1] - 0.5)]

    assert shade(1, 12) > 250
    for x_mm, z_mm in ((-1, 12), (1, 14), (1.15, 12), (0.85, 12), (1, 12.15), (-1.9, 15.9)):
        assert shade(x_mm, z_mm) == pytest.approx(255 / 3, abs=3)


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "PNG"])
def test_formats(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    plot.save_figure(plot.bmode(spot()), path)
    head = path.read_bytes()[:5]
    assert {"png": b"\x89PNG\r", "pdf": b"%PDF-", "svg": b"<?xml"}[ending.lower()] == head
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.h5"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a picture format"):
        plot.save_figure(plot.bmode(spot()), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        plot.save_figure(plot.bmode(spot()), path)
    assert path.read_bytes() == b"precious"
    plot.save_figure(plot.bmode(spot()), path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
