"""Pictures: pixels where the grid says, in mm, with a dB bar; files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

import usbeam as ub
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
    assert [axes.get_ylabel() for axes in with_bar.child_axes] == ["dB"]
    assert not without.child_axes


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


@pytest.mark.parametrize(("width", "height"), [(10, 10), (5, 40), (40, 5)])
def test_the_bar_is_as_tall_as_the_picture(width: int, height: int) -> None:
    grid = Grid.linear(x=(-width * 5e-4, width * 5e-4), z=(10e-3, (10 + height) * 1e-3), shape=(9, 7))
    for axes in (plot.bmode(spot(grid)), plot.side_by_side([spot(grid)] * 2, ["left", "right"])[-1]):
        axes.figure.draw_without_rendering()
        picture, bar = (each.get_window_extent() for each in (axes, axes.child_axes[0]))
        assert (bar.y0, bar.y1) == pytest.approx((picture.y0, picture.y1), abs=1)
        assert 5 < bar.width < 30
        assert bar.x0 > picture.x1


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
    assert [len(ax.child_axes) for ax in axes] == [0, 1]
    assert all(ax.images[0].get_clim() == (-45, 0) for ax in axes)
    with pytest.raises(ConfigError, match="1 images, 2 titles, 1 axes"):
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


# Regions


PAIRS = {
    "left": ub.roi.RegionPair(
        "left", ub.roi.Circle(-1e-3, 12e-3, 0.4e-3), ub.roi.Rectangle(x=(-1.8e-3, -0.2e-3), z=(13e-3, 14e-3))
    ),
    "tiny": ub.roi.RegionPair(
        "tiny", ub.roi.Circle(1.05e-3, 12.05e-3, 1e-6), ub.roi.Annulus(1e-3, 12e-3, 0.3e-3, 0.6e-3)
    ),
}


def outlines(axes) -> list[tuple[float, ...]]:
    """Limits in mm (left, right, top, bottom) of every closed line drawn by `contour`."""
    paths = [np.concatenate([path.vertices for path in drawn.get_paths()]) for drawn in axes.collections]
    return [
        (*each[:, 0][[each[:, 0].argmin(), each[:, 0].argmax()]], each[:, 1].min(), each[:, 1].max()) for each in paths
    ]


def test_regions_are_outlined_where_they_are() -> None:
    axes = plot.regions(spot(), PAIRS)
    assert len(axes.images) == 1
    drawn = outlines(axes)  # the tiny circle lies between pixels: nothing to draw
    assert drawn[0] == pytest.approx((-1.4, -0.6, 11.6, 12.4), abs=0.02)
    assert drawn[1] == pytest.approx((-1.8, -0.2, 13, 14), abs=0.02)
    assert drawn[2] == pytest.approx((0.4, 1.6, 11.4, 12.6), abs=0.02)
    (label,) = axes.texts
    assert (label.get_text(), label.get_position()) == ("left", pytest.approx((-1, 12)))


# Spots


def gaussian(lateral: float, axial: float, z: float = 13e-3) -> ub.psf.Spot:
    """A Gaussian of these widths, complex with a carrier."""
    grid = Grid.linear(x=(-4e-3, 4e-3), z=(z - 3e-3, z + 3e-3), shape=(121, 161))
    u, v = np.meshgrid(grid.x / lateral, (grid.z - z) / axial)
    envelope = np.exp(-4 * np.log(2) * (u**2 + v**2))
    return ub.psf.measure(Image((envelope * np.exp(5e4j * v * axial)).astype(np.complex64), grid))


def test_cross_sections_cross_minus_six_at_half_the_width() -> None:
    axes = plot.cross_sections(gaussian(0.8e-3, 0.5e-3))
    lateral, axial, half = axes.lines
    for line, width in ((lateral, 0.8), (axial, 0.5)):
        distance, level = line.get_data()
        assert distance[np.argmax(level)] == pytest.approx(0, abs=1e-6)
        above = distance[level > 20 * np.log10(0.5)]
        assert np.ptp(above) == pytest.approx(width, abs=0.06)
    assert half.get_ydata()[0] == pytest.approx(-6.02, abs=0.01)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "lateral, FWHM 0.8 mm",
        "axial, FWHM 0.5 mm",
    ]


def test_contour_shows_half_of_the_peak_and_the_principal_widths() -> None:
    axes = plot.contour(gaussian(0.8e-3, 0.5e-3))
    (lines,) = axes.collections
    half = lines.get_paths()[list(lines.levels).index(pytest.approx(-6.02, abs=0.01))].vertices
    assert np.ptp(half, axis=0) == pytest.approx((0.8, 0.5), abs=0.02)
    along, across = (np.ptp(np.array(line.get_data()), axis=1) for line in axes.lines)
    assert along == pytest.approx((0.8, 0), abs=0.01)
    assert across == pytest.approx((0, 0.5), abs=0.01)


def test_a_spot_draws_itself(tmp_path: Path) -> None:
    axes = gaussian(0.8e-3, 0.5e-3).plot()
    assert [len(each.lines) for each in axes] == [2, 3]
    assert axes[0].get_title() == "x 0.00 mm, z 13.00 mm"
    plot.save_figure(axes[0], tmp_path / "spot.png")
    pair = Figure().subplots(1, 2)
    assert tuple(gaussian(0.8e-3, 0.5e-3).plot(ax=pair)) == tuple(pair)


def test_widths_against_depth_beside_theory() -> None:
    spots = [gaussian(0.5e-3 * depth / 10e-3, 0.5e-3, depth) for depth in (10e-3, 20e-3)]
    axes = plot.fwhm_against_depth(spots, theory=lambda depth: (0.05 * depth, 0.4e-3))
    lateral, axial, lateral_theory, axial_theory = (np.array(line.get_data()) for line in axes.lines)
    np.testing.assert_allclose(lateral, [[10, 20], [0.5, 1]], rtol=1e-3)
    np.testing.assert_allclose(axial, [[10, 20], [0.5, 0.5]], rtol=1e-3)
    np.testing.assert_allclose(lateral_theory[:, [0, -1]], [[10, 20], [0.5, 1]], rtol=1e-4)
    np.testing.assert_allclose(axial_theory[1], 0.4)
    assert axes.get_ylim()[0] == 0
    assert len(plot.fwhm_against_depth(spots).lines) == 2


def test_measured_spots_are_ringed() -> None:
    axes = plot.spots(spot(), [gaussian(0.8e-3, 0.5e-3), gaussian(0.8e-3, 0.5e-3, 14e-3)])
    (rings,) = axes.lines
    np.testing.assert_allclose(rings.get_data(), [[0, 0], [13, 14]], atol=1e-3)


def test_widths_of_two_images_share_a_diagram() -> None:
    axes = plot.fwhm_against_depth([gaussian(0.4e-3, 0.5e-3)])
    plot.fwhm_against_depth([gaussian(1.6e-3, 0.5e-3)], ax=axes)
    assert axes.get_ylim() == pytest.approx((0, 1.05 * 1.6), rel=1e-3)


def test_the_users_own_style_is_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    ax = Figure().add_subplot()
    plot.bmode(spot(), ax=ax)
    assert dict(matplotlib.rcParams) == before
    assert ax.xaxis.label.get_fontsize() == before["font.size"]
