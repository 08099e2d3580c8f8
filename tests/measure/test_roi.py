"""Regions: distances and pixels of shapes, their file, and what cannot be a region."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import usbeam as ub
from usbeam import roi
from usbeam.errors import (
    ConfigError,
    FileAccessError,
    FileFormatError,
    MeasurementError,
    OutputExists,
    TooLarge,
    UsbeamError,
)
from usbeam.measure import shapes

GRID = ub.Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(41, 26))  # 0.25 mm deep, 0.4 mm wide
CIRCLE = roi.Circle(0.0, 15e-3, 2e-3)
RING = roi.Annulus(0.0, 15e-3, 3e-3, 4e-3)
CYST = roi.RegionPair("cyst", CIRCLE, RING)

across = st.floats(-6e-3, 6e-3)
down = st.floats(9e-3, 21e-3)
length = st.floats(1e-4, 5e-3)
circles = st.builds(roi.Circle, across, down, length)
rings = st.builds(lambda x, z, inner, depth: roi.Annulus(x, z, inner, inner + depth), across, down, length, length)
rectangles = st.builds(lambda x, z, w, h: roi.Rectangle((x, x + w), (z, z + h)), across, down, length, length)


def polygon(points: list[tuple[float, float]]) -> roi.Polygon | None:
    try:
        return roi.Polygon(tuple(points))
    except ConfigError:
        return None


polygons = st.builds(polygon, st.lists(st.tuples(across, down), min_size=3, max_size=8)).filter(bool)
outlines = circles | rings | rectangles | polygons


def mirrored(shape: Any) -> Any:
    """The shape at -x."""
    if isinstance(shape, roi.Rectangle):
        return roi.Rectangle((-shape.x[1], -shape.x[0]), shape.z)
    if isinstance(shape, roi.Polygon):
        return roi.Polygon(tuple((-x, z) for x, z in shape.points))
    return type(shape)(-shape.x, *list(vars(shape).values())[1:])


def distance_at(shape: Any, x: float, z: float) -> float:
    return float(shape.signed_distance(ub.Grid(np.array([x]), np.array([z])))[0, 0])


# Distances


@given(outlines)
def test_the_sign_of_the_distance_says_what_is_inside(shape: Any) -> None:
    distance, inside = shape.signed_distance(GRID), shape.inside(GRID)
    assert (distance.shape, inside.shape) == (GRID.shape, GRID.shape)
    assert inside[distance < 0].all()
    assert not inside[distance > 2e-9].any()


@given(outlines)
def test_the_distance_changes_no_faster_than_the_place(shape: Any) -> None:
    distance = shape.signed_distance(GRID)
    x, z = np.meshgrid(GRID.x, GRID.z)
    chosen = np.random.default_rng(0).permutation(GRID.size)
    steps = np.hypot(np.diff(x.ravel()[chosen]), np.diff(z.ravel()[chosen]))
    assert np.all(np.abs(np.diff(distance.ravel()[chosen])) <= steps + 1e-12)
    for axis, step in ((0, GRID.spacing[0]), (1, GRID.spacing[1])):
        assert np.all(np.abs(np.diff(distance, axis=axis)) <= step + 1e-12)


@given(outlines)
def test_the_mirrored_shape_has_the_mirrored_distances(shape: Any) -> None:
    np.testing.assert_allclose(
        mirrored(shape).signed_distance(GRID), shape.signed_distance(GRID)[:, ::-1], rtol=0, atol=1e-15
    )


@given(outlines)
def test_nothing_inside_lies_beyond_the_bounds(shape: Any) -> None:
    left, right, top, bottom = shape.bounds
    x, z = np.meshgrid(GRID.x, GRID.z)
    inside = shape.inside(GRID)
    beyond = np.maximum.reduce([left - x, x - right, top - z, z - bottom])
    assert np.all(beyond[inside] <= 1.1e-9)
    assert np.all(shape.signed_distance(GRID) >= beyond - 1e-12)


def test_distances_at_known_places() -> None:
    assert distance_at(CIRCLE, 0.0, 15e-3) == pytest.approx(-2e-3)
    assert distance_at(CIRCLE, 3e-3, 19e-3) == pytest.approx(3e-3)
    assert distance_at(RING, 0.0, 15e-3) == pytest.approx(3e-3)
    assert distance_at(RING, 0.0, 18.4e-3) == pytest.approx(-0.4e-3)
    assert distance_at(RING, 0.0, 18.7e-3) == pytest.approx(-0.3e-3)
    box = roi.Rectangle((-1e-3, 2e-3), (10e-3, 16e-3))
    assert distance_at(box, 0.5e-3, 13e-3) == pytest.approx(-1.5e-3)
    assert distance_at(box, 5e-3, 20e-3) == pytest.approx(5e-3)  # 3, 4 to the corner
    assert distance_at(box, 0.0, 9e-3) == pytest.approx(1e-3)


def test_a_polygon_of_a_rectangles_corners_is_the_rectangle() -> None:
    box = roi.Rectangle((-2.2e-3, 1.7e-3), (11.1e-3, 16.3e-3))
    corners = roi.Polygon(((-2.2e-3, 11.1e-3), (1.7e-3, 11.1e-3), (1.7e-3, 16.3e-3), (-2.2e-3, 16.3e-3)))
    np.testing.assert_allclose(corners.signed_distance(GRID), box.signed_distance(GRID), rtol=0, atol=1e-15)
    assert corners.bounds == box.bounds


def test_a_polygon_of_many_corners_is_the_circle() -> None:
    turn = np.linspace(0, 2 * np.pi, 401)[:-1]
    many = roi.Polygon(tuple(zip(2e-3 * np.sin(turn), 15e-3 + 2e-3 * np.cos(turn), strict=True)))
    sagitta = 2e-3 * (1 - math.cos(math.pi / 400))
    np.testing.assert_allclose(many.signed_distance(GRID), CIRCLE.signed_distance(GRID), rtol=0, atol=1.01 * sagitta)


def test_a_polygon_that_crosses_itself_goes_by_the_even_odd_rule() -> None:
    star = [(math.sin(4 * math.pi * k / 5), -math.cos(4 * math.pi * k / 5)) for k in range(5)]
    pentagram = roi.Polygon(tuple((4e-3 * x, 15e-3 + 4e-3 * z) for x, z in star))
    assert distance_at(pentagram, 0.0, 15e-3) == pytest.approx(
        4e-3 * math.cos(math.radians(72))
    )  # outside: crossed twice
    assert distance_at(pentagram, 0.0, 12e-3) < 0  # the upper tip


def test_corners_given_twice_change_nothing() -> None:
    once = roi.Polygon(((0, 11e-3), (2e-3, 12e-3), (0, 14e-3)))
    twice = roi.Polygon(((0, 11e-3), (0, 11e-3), (2e-3, 12e-3), (0, 14e-3), (0, 11e-3)))
    np.testing.assert_array_equal(once.signed_distance(GRID), twice.signed_distance(GRID))


@pytest.mark.parametrize("radius", [5, 13, 25, 50])  # each with Pythagorean pixels on the border
def test_pixels_on_the_border_belong_to_the_shape(radius: int) -> None:
    grid = ub.Grid.spaced(x=(-6e-3, 6e-3), z=(9e-3, 21e-3), spacing=0.1e-3)
    column, row = np.meshgrid(np.arange(-60, 61), np.arange(-60, 61))
    wanted = column**2 + row**2 <= radius**2
    np.testing.assert_array_equal(roi.Circle(0.0, 15e-3, radius * 1e-4).inside(grid), wanted)
    square = roi.Rectangle((-radius * 1e-4, radius * 1e-4), (15e-3 - radius * 1e-4, 15e-3 + radius * 1e-4))
    np.testing.assert_array_equal(square.inside(grid), np.maximum(abs(column), abs(row)) <= radius)


def test_the_number_of_pixels_is_the_area() -> None:
    grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(1001, 501))
    pixel = math.prod(grid.spacing)
    for shape, area in ((CIRCLE, math.pi * 4e-6), (RING, math.pi * 7e-6)):
        assert np.count_nonzero(shape.inside(grid)) * pixel == pytest.approx(area, rel=2e-3)


# Masks


def test_distances_of_a_mask_are_those_of_the_pixels_outline() -> None:
    pixels = np.zeros(GRID.shape, bool)
    pixels[8:20, 5:17] = True
    half_z, half_x = (step / 2 for step in GRID.spacing)
    outline = roi.Rectangle(
        (GRID.x[5] - half_x, GRID.x[16] + half_x), (GRID.z[8] - half_z, GRID.z[19] + half_z)
    ).signed_distance(GRID)
    np.testing.assert_allclose(roi.Mask(pixels, "m.png").signed_distance(GRID), outline, rtol=0, atol=1e-15)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_distances_of_any_mask_against_every_edge_and_corner(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(10e-3, 13e-3), shape=(7, 6))
    pixels = rng.random(grid.shape) < rng.random()
    pixels[rng.integers(7), rng.integers(6)] = True
    pixels[0, 0] = False
    step_z, step_x = grid.spacing
    border = []  # middles of edges and corners between unlike pixels
    for (i, j), inside in np.ndenumerate(pixels):
        for di, dj in ((0, 1), (1, 0), (1, 1), (1, -1)):
            if 0 <= i + di < 7 and 0 <= j + dj < 6 and pixels[i + di, j + dj] != inside:
                border.append((grid.x[j] + dj * step_x / 2, grid.z[i] + di * step_z / 2))
    x, z = np.meshgrid(grid.x, grid.z)
    nearest = np.min([np.hypot(x - bx, z - bz) for bx, bz in border], axis=0)
    found = roi.Mask(pixels, "m.png").signed_distance(grid)
    np.testing.assert_allclose(found, np.where(pixels, -nearest, nearest), rtol=0, atol=1e-15)


def test_a_mask_of_every_pixel_has_no_border() -> None:
    assert np.all(roi.Mask(np.ones(GRID.shape, bool), "m.png").signed_distance(GRID) == -np.inf)


def test_a_mask_fits_one_grid_only() -> None:
    mask = roi.Mask(np.ones((3, 4), bool), "m.png")
    with pytest.raises(MeasurementError, match=r"made for another image \(expected 3 x 4 pixels, found 41 x 26\)"):
        mask.inside(GRID)
    uneven = ub.Grid(np.array([0, 1e-3, 3e-3, 4e-3]), np.array([1e-2, 1.1e-2, 1.2e-2]))
    with pytest.raises(ConfigError, match="equal steps"):
        mask.signed_distance(uneven)


# Values


def image(data: np.ndarray | None = None) -> ub.Image:
    values = np.arange(GRID.size, dtype=np.float32).reshape(GRID.shape) if data is None else data
    return ub.Image(values, GRID, "envelope")


def test_values_are_those_of_the_pixels_inside() -> None:
    found = roi.values(image(), CIRCLE)
    np.testing.assert_array_equal(found, image().data[CIRCLE.inside(GRID)])
    assert found.ndim == 1
    mask = roi.Mask(CIRCLE.inside(GRID), "m.png")
    np.testing.assert_array_equal(roi.values(image(), mask), found)


def test_a_region_may_reach_the_outer_edge_of_the_last_pixels() -> None:
    left, right, bottom, top = (edge * 1e-3 for edge in GRID.extent_mm)
    assert roi.values(image(), roi.Rectangle((left, right), (top, bottom))).size == GRID.size
    with pytest.raises(MeasurementError, match=r"reaches 0\.002 mm outside"):
        roi.values(image(), roi.Rectangle((left - 2e-6, right), (top, bottom)))


@pytest.mark.parametrize(
    ("shape", "beyond"),
    [
        (roi.Circle(4e-3, 15e-3, 2e-3), "0.8"),
        (roi.Circle(-4e-3, 15e-3, 2e-3), "0.8"),
        (roi.Annulus(0.0, 11e-3, 1e-3, 4e-3), "2.875"),
        (roi.Rectangle((0.0, 1e-3), (12e-3, 25e-3)), "4.875"),
        (roi.Polygon(((0, 12e-3), (1e-3, 12e-3), (0, 1))), "979.9"),
    ],
)
def test_a_region_outside_says_by_how_much(shape: Any, beyond: str) -> None:
    message = (
        rf"^cyst\.inside: the region reaches {beyond} mm outside the image \(expected within x -5\.2 to 5\.2 mm, z "
    )
    with pytest.raises(MeasurementError, match=message):
        roi.values(image(), shape, name="cyst.inside")


def test_a_region_between_the_pixels_is_empty() -> None:
    with pytest.raises(MeasurementError, match="no pixel's centre lies in the region") as caught:
        roi.values(image(), roi.Circle(0.0, 15.1e-3, 0.01e-3))
    assert caught.value.hint == "pixels are 0.4 mm wide and 0.25 mm high"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    data = image().data.copy()
    data[20, 13] = bad
    with pytest.raises(MeasurementError, match="not finite"):
        roi.values(image(data), CIRCLE)


# From a phantom


def test_from_truth_keeps_a_margin_on_both_sides() -> None:
    truth = ub.Truth(regions={"a": (1e-3, 20e-3, 3e-3), "b": (0.0, 30e-3, 2e-3)})
    pairs = roi.from_truth(truth, margin=0.4e-3)
    assert list(pairs) == ["a", "b"]
    inside, outside = pairs["a"].inside, pairs["a"].outside
    assert isinstance(inside, roi.Circle)
    assert isinstance(outside, roi.Annulus)
    assert (inside.x, inside.z, inside.radius) == (1e-3, 20e-3, pytest.approx(2.6e-3))
    assert (outside.x, outside.z, outside.inner) == (1e-3, 20e-3, pytest.approx(3.4e-3))
    assert outside.outer**2 - outside.inner**2 == pytest.approx(2.6e-3**2)  # as large as the inside
    assert pairs["b"].name == "b"


@pytest.mark.parametrize(
    ("truth", "margin", "message"),
    [
        (ub.Truth(), 0.0, "holds no region"),
        (ub.Truth(regions={"a": (0.0, 20e-3, 1e-3)}), 1e-3, "nothing is left of a"),
        (ub.Truth(regions={"a": (0.0, 20e-3, 1e-3)}), -1e-3, "not a distance"),
        (ub.Truth(regions={"a": (0.0, 20e-3, 1e-3)}), math.nan, "not a distance"),
    ],
)
def test_from_truth_refuses(truth: ub.Truth, margin: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        roi.from_truth(truth, margin=margin)


# Shapes that cannot be


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize(
    "make",
    [
        lambda bad: roi.Circle(bad, 1e-2, 1e-3),
        lambda bad: roi.Circle(0.0, 1e-2, bad),
        lambda bad: roi.Annulus(0.0, bad, 1e-3, 2e-3),
        lambda bad: roi.Annulus(0.0, 1e-2, 1e-3, bad),
        lambda bad: roi.Rectangle((bad, 1e-3), (1e-2, 2e-2)),
        lambda bad: roi.Rectangle((0.0, 1e-3), (1e-2, bad)),
        lambda bad: roi.Polygon(((0.0, 1e-2), (bad, 1e-2), (0.0, 2e-2))),
    ],
)
def test_numbers_that_are_no_lengths(make: Any, bad: float) -> None:
    with pytest.raises(ConfigError, match="not a length that a region can have"):
        make(bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: roi.Circle(0.0, 1e-2, 0.0), "radius: too small"),
        (lambda: roi.Circle(0.0, 1e-2, -1e-3), r"radius: too small \(expected > 0 m, found -0\.001 m\)"),
        (lambda: roi.Annulus(0.0, 1e-2, 0.0, 1e-3), "inner: too small"),
        (lambda: roi.Annulus(0.0, 1e-2, 2e-3, 2e-3), "outer: too small"),
        (lambda: roi.Annulus(0.0, 1e-2, 3e-3, 2e-3), "outer: too small"),
        (lambda: roi.Rectangle((1e-3, -1e-3), (1e-2, 2e-2)), "x: too small"),
        (lambda: roi.Rectangle((-1e-3, 1e-3), (1e-2, 1e-2)), "z: too small"),
        (lambda: roi.Polygon(((0, 0), (1, 1))), "3 to 1000 pairs"),
        (lambda: roi.Polygon(((0, 0),) * 1001), "found 1001 points"),
        (lambda: roi.Polygon(((0, 1e-2), (1e-3, 2e-2), (2e-3, 3e-2))), "lie on one line"),
        (lambda: roi.Polygon(((0, 1e-2), (0, 1e-2), (2e-3, 3e-2))), "lie on one line"),
        (lambda: roi.Mask(np.zeros((2, 2), bool), "m.png"), "marks no pixel"),
        (lambda: roi.Mask(np.ones((2, 2), bool), "../m.png"), "not the name of a mask's file"),
        (lambda: roi.Mask(np.ones((2, 2), bool), "/tmp/m.png"), "not the name of a mask's file"),
        (lambda: roi.Mask(np.ones((2, 2), bool), "C:\\m.png"), "not the name of a mask's file"),
        (lambda: roi.Mask(np.ones((2, 2), bool), "m.toml"), "not the name of a mask's file"),
    ],
)
def test_shapes_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# The file


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), outlines, min_size=1, max_size=4)
)
@settings(max_examples=60)
def test_every_outline_and_name_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, shapes_by_name: dict[str, Any]
) -> None:
    pairs = {name: roi.RegionPair(name, shape, mirrored(shape)) for name, shape in shapes_by_name.items()}
    path = tmp_path_factory.getbasetemp() / "rois.toml"
    roi.save(pairs, path, overwrite=True)
    found = roi.load(path)
    assert found == pairs
    assert list(found) == list(pairs)


def test_lengths_are_written_in_mm_as_people_would() -> None:
    pair = roi.RegionPair("a", roi.Circle(-0.0, 0.0201, 1e-3 / 3), roi.Rectangle((-0.0015, 0.3e-3), (0.01, 0.1)))
    assert roi.dumps({"a": pair}).splitlines()[1:] == [
        'inside = {shape = "circle", x = "0mm", z = "20.1mm", radius = "0.3333333333333333mm"}',
        'outside = {shape = "rectangle", x = "-1.5mm:0.3mm", z = "10mm:100mm"}',
    ]


def test_masks_come_back_from_pictures_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    pixels = CIRCLE.inside(GRID)
    pair = roi.RegionPair("m", roi.Mask(pixels, "masks/in.png"), roi.Mask(~pixels, "out.png"))
    roi.save({"m": pair, "cyst": CYST}, tmp_path / "rois.toml")
    found = roi.load(tmp_path / "rois.toml")
    inside, outside = found["m"].inside, found["m"].outside
    assert isinstance(inside, roi.Mask)
    assert isinstance(outside, roi.Mask)
    np.testing.assert_array_equal(inside.pixels, pixels)
    np.testing.assert_array_equal(outside.pixels, ~pixels)
    assert inside.file == "masks/in.png"
    assert found["cyst"] == CYST
    with PIL.Image.open(tmp_path / "out.png") as picture:
        assert (picture.mode, picture.size) == ("L", (26, 41))


def test_nothing_is_replaced_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "rois.toml"
    path.write_text("precious")
    with pytest.raises(OutputExists):
        roi.save({"cyst": CYST}, path)
    assert path.read_text() == "precious"
    roi.save({"cyst": CYST}, path, overwrite=True)
    assert roi.load(path) == {"cyst": CYST}
    (tmp_path / "m.png").write_text("precious")
    masked = roi.RegionPair("m", roi.Mask(np.ones((2, 2), bool), "m.png"), CIRCLE)
    with pytest.raises(OutputExists, match=r"m\.png"):
        roi.save({"m": masked}, tmp_path / "other.toml")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.png", "rois.toml"]
    with pytest.raises(ConfigError, match="no region to write"):
        roi.save({}, tmp_path / "empty.toml")


def test_the_files_of_the_handbook(tmp_path: Path) -> None:
    path = tmp_path / "rois.toml"
    path.write_text(
        """
        [cyst]
        inside = {shape = "circle", x = "0mm", z = "15 mm", radius = "2mm"}
        outside = {shape = "annulus", x = 0, z = 0.015, inner = "3000um", outer = "0.4cm"}
        ["layer, upper"]
        inside = {shape = "rectangle", x = "-3mm:3mm", z = "10mm:12mm"}
        outside = {shape = "polygon", points = [["-1mm", "10mm"], ["1mm", 0.010], ["0mm", "12mm"]]}
        """
    )
    layer = roi.Rectangle((-3e-3, 3e-3), (10e-3, 12e-3))
    triangle = roi.Polygon(((-1e-3, 10e-3), (1e-3, 10e-3), (0.0, 12e-3)))
    name = "layer, upper"
    assert roi.load(path) == {"cyst": CYST, name: roi.RegionPair(name, layer, triangle)}


OUTSIDE = 'outside = {shape = "annulus", x = "0mm", z = "20mm", inner = "4mm", outer = "6mm"}'


def inside(text: str) -> str:
    return f"[cyst]\ninside = {text}\n{OUTSIDE}\n"


HOSTILE: dict[str, tuple[str, str]] = {
    "empty": ("", "no region in the file"),
    "not TOML": ("[cyst\n", "not TOML"),
    "twice": (f"[cyst]\n{OUTSIDE}\n{OUTSIDE}\n", "not TOML"),
    "too deep": ("a = " + "[" * 5000, "not TOML"),
    "endless integer": ("[cyst]\ninside = 1" + "0" * 5000, "not TOML"),
    "a value": ("cyst = 1", "cyst: not a table"),
    "only inside": ('[cyst]\ninside = {shape = "circle", x = 0, z = 1, radius = 1}', "cyst: outside missing"),
    "three sides": (inside("1") + "between = 2", "cyst.between: unknown key"),
    "no table": (inside("1"), "cyst.inside: unknown shape (expected circle, annulus, rectangle, polygon, mask"),
    "no shape": (inside('{x = "0mm"}'), "cyst.inside: unknown shape"),
    "unknown shape": (inside('{shape = "elipse"}'), "found 'elipse'"),
    "shape is a list": (inside('{shape = ["circle"]}'), "cyst.inside: unknown shape"),
    "unknown key": (inside('{shape = "circle", x = 0, z = 0, radious = 1}'), "cyst.inside.radious: unknown key"),
    "missing keys": (inside('{shape = "circle", x = 0}'), "cyst.inside: z, radius missing"),
    "negative radius": (inside('{shape = "circle", x = 0, z = 0, radius = "-1mm"}'), "inside.radius: too small"),
    "inner not below outer": (
        inside('{shape = "annulus", x = 0, z = 0, inner = "2mm", outer = "1mm"}'),
        "cyst.inside.outer: too small",
    ),
    "nan": (inside('{shape = "circle", x = nan, z = 0, radius = "1mm"}'), "cyst.inside.x: not a length"),
    "inf": (inside('{shape = "circle", x = 0, z = inf, radius = "1mm"}'), "cyst.inside.z: not a length"),
    "huge integer": (
        inside('{shape = "circle", x = 1' + "0" * 400 + ", z = 0, radius = 1}"),
        "cyst.inside.x: not a length",
    ),
    "boolean": (inside('{shape = "circle", x = true, z = 0, radius = 1}'), "cyst.inside.x: not a length"),
    "date": (inside('{shape = "circle", x = 1979-05-27, z = 0, radius = 1}'), "cyst.inside.x: not a length"),
    "wrong unit": (inside('{shape = "circle", x = "1MHz", z = 0, radius = 1}'), "cannot read '1MHz' as a length"),
    "limits as list": (inside('{shape = "rectangle", x = [1, 2], z = "1mm:2mm"}'), "cyst.inside.x: not a range"),
    "limits inverted": (inside('{shape = "rectangle", x = "2mm:1mm", z = "1mm:2mm"}'), "cyst.inside.x: the range"),
    "polygon of two": (inside('{shape = "polygon", points = [[0, 0], [1, 1]]}'), "cyst.inside.points: not the corners"),
    "polygon of triples": (inside('{shape = "polygon", points = [[0, 0, 0]]}'), "cyst.inside.points: not a list of"),
    "polygon of text": (inside('{shape = "polygon", points = "abc"}'), "cyst.inside.points: not a list of points"),
    "polygon of words": (inside('{shape = "polygon", points = [["a", "b"]]}'), "cannot read 'a' as a length"),
    "mask above": (inside('{shape = "mask", file = "../secret.png"}'), "cyst.inside.file: not the name of a mask"),
    "mask from the root": (inside('{shape = "mask", file = "/etc/a.png"}'), "cyst.inside.file: not the name of a mask"),
    "mask by number": (inside('{shape = "mask", file = 1}'), "cyst.inside.file: not the name of a file"),
    "too long": ("#" * (2**20 + 1), "too long for regions"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_clear_error(tmp_path: Path, name: str) -> None:
    text, message = HOSTILE[name]
    path = tmp_path / "rois.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        roi.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="No such file"):
        roi.load(tmp_path / "missing.toml")
    with pytest.raises(FileAccessError):
        roi.load(tmp_path)
    with pytest.raises(FileAccessError):
        roi.load("a\0b")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        roi.load(tmp_path / "binary.toml")


def test_text_of_the_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "rois.toml"
    path.write_text('["a\\u001b[2J"]\ninside = 1\noutside = 2\n')
    with pytest.raises(ConfigError) as caught:
        roi.load(path)
    assert str(caught.value).isprintable()


def masked(folder: Path) -> Path:
    path = folder / "rois.toml"
    path.write_text(inside('{shape = "mask", file = "m.png"}'))
    return path


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_a_mask_of_grey_or_colour_is_what_is_nearer_to_white(tmp_path: Path) -> None:
    grey = np.array([[0, 127, 128], [255, 200, 3]], np.uint8)
    wanted = grey >= 128
    for mode in ("L", "RGB", "P"):
        PIL.Image.fromarray(grey).convert(mode).save(tmp_path / "m.png")
        mask = roi.load(masked(tmp_path))["cyst"].inside
        assert isinstance(mask, roi.Mask)
        np.testing.assert_array_equal(mask.pixels, wanted)
    PIL.Image.fromarray(wanted).save(tmp_path / "m.png")
    mask = roi.load(masked(tmp_path))["cyst"].inside
    assert isinstance(mask, roi.Mask)
    np.testing.assert_array_equal(mask.pixels, wanted)


def test_pictures_that_are_no_masks(tmp_path: Path) -> None:
    path, picture = masked(tmp_path), tmp_path / "m.png"
    with pytest.raises(FileAccessError, match=r"m\.png"):
        roi.load(path)
    picture.mkdir()
    with pytest.raises(FileAccessError, match="is a folder"):
        roi.load(path)
    picture.rmdir()
    for content in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", png(4, 4), png(4, 4) + b"\0\0\0\4IDATxxxx"):
        picture.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"m\.png.* PNG picture"):
            roi.load(path)
    for size in ((2**15, 2**15), (2**30, 2**30)):
        picture.write_bytes(png(*size) + b"\0\0\0\4IDATxxxx")
        with pytest.raises(TooLarge, match="too large for a mask"):
            roi.load(path)
    for made in (PIL.Image.new("RGBA", (3, 3)), PIL.Image.new("LA", (3, 3)), PIL.Image.new("I;16", (3, 3))):
        made.save(picture)
        with pytest.raises(FileFormatError, match="a mask is grey and opaque") as caught:
            roi.load(path)
        assert caught.value.hint == "save it as 8-bit grey PNG without transparency"
    PIL.Image.new("L", (3, 3)).save(picture)
    with pytest.raises(ConfigError, match=r"rois\.toml: cyst\.inside\.file: the mask marks no pixel"):
        roi.load(path)


def test_a_damaged_mask_raises_nothing_else(tmp_path: Path) -> None:
    path, picture = masked(tmp_path), tmp_path / "m.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)).save(picture)
    whole = picture.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(256)
        picture.write_bytes(content)
        with contextlib.suppress(UsbeamError):
            roi.load(path)


def test_what_roi_offers() -> None:
    assert ub.roi is roi
    assert all(hasattr(roi, name) for name in roi.__all__)
    assert shapes.BORDER < 1e-6
