"""Regions in metres: pairs of an inside and an outside, kept in a TOML file.

A file of regions reads::

    [cyst]
    inside = {shape = "circle", x = "0mm", z = "20mm", radius = "3mm"}
    outside = {shape = "annulus", x = "0mm", z = "20mm", inner = "4mm", outer = "6mm"}

Every table is a pair with a name of its own. Other shapes::

    {shape = "rectangle", x = "-3mm:3mm", z = "10mm:12mm"}
    {shape = "polygon", points = [["-1mm", "10mm"], ["1mm", "10mm"], ["0mm", "12mm"]]}
    {shape = "mask", file = "cyst.png"}

A bare number is in metres. A mask is an 8-bit PNG beside the TOML file with as many pixels as the image, white inside.
Shapes do not depend on the pixels of any image (but for masks), so that one file serves images of any grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Truth
from usbeam.errors import ConfigError, MeasurementError
from usbeam.image import Image
from usbeam.measure.mask import Mask
from usbeam.measure.region_file import dumps, load, save
from usbeam.measure.shapes import BORDER, Annulus, Circle, Polygon, Rectangle, RegionPair, Shape

__all__ = [
    "Annulus",
    "Circle",
    "Mask",
    "Polygon",
    "Rectangle",
    "RegionPair",
    "Shape",
    "check",
    "dumps",
    "from_truth",
    "load",
    "refuse_overlap",
    "save",
    "values",
]

MARGIN = 0.5e-3
"""Distance [m] that `from_truth` keeps from the border of a phantom's circle, where the image is blurred."""


def values(image: Image, shape: Shape, *, name: str = "region") -> npt.NDArray[Any]:
    """The image's values in a shape, row by row (n_pixels,).

    Parameters
    ----------
    image
        In any state; its values are not converted.
    shape
        A pixel belongs to it if its centre lies inside or on the border.
    name
        Of the region, for messages.

    Raises
    ------
    MeasurementError
        If the shape reaches outside the image, holds no pixel, or holds values that are not finite.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-1e-3, 1e-3), z=(9e-3, 11e-3), shape=(3, 3))
    >>> image = Image(np.arange(9, dtype=np.float32).reshape(3, 3), grid, "envelope")
    >>> values(image, Circle(x=0.0, z=10e-3, radius=1e-3))
    array([1., 3., 4., 5., 7.], dtype=float32)
    """
    if not isinstance(shape, Mask):
        _check_within(image, shape.bounds, name)
    found = image.data[shape.inside(image.grid)]
    if not found.size:
        step_z, step_x = (f"{step * 1e3:.3g} mm" for step in image.grid.spacing)
        raise MeasurementError(
            "no pixel's centre lies in the region", location=name, hint=f"pixels are {step_x} wide and {step_z} high"
        )
    if not np.all(np.isfinite(found)):
        raise MeasurementError("a value in the region is not finite", location=name)
    return found


def check(image: Image, pairs: Mapping[str, RegionPair]) -> None:
    """Refuse regions that an image does not hold.

    Parameters
    ----------
    image
        In any state.
    pairs
        Name -> `RegionPair`.

    Raises
    ------
    MeasurementError
        For the first region that `values` refuses, and the first pair that overlaps.
    """
    for pair in pairs.values():
        for shape, name in zip((pair.inside, pair.outside), pair.region_names, strict=True):
            values(image, shape, name=name)
        refuse_overlap(image, pair)


def refuse_overlap(image: Image, pair: RegionPair) -> None:
    """Refuse a pair whose regions share pixels within both; those on a common border may belong to both.

    Raises
    ------
    MeasurementError
        With their number.
    """
    both = pair.inside.inside(image.grid) & pair.outside.inside(image.grid)
    if both.any():
        within = np.maximum(pair.inside.signed_distance(image.grid), pair.outside.signed_distance(image.grid))
        count = np.count_nonzero(within[both] < -BORDER)
        if count:
            raise MeasurementError(
                "inside and outside overlap",
                location=pair.name,
                expected="two regions apart",
                found=f"{count} pixel(s) in both",
            )


def _check_within(image: Image, bounds: tuple[float, float, float, float], name: str) -> None:
    """Refuse a region that reaches beyond the outer edges of the image's pixels."""
    left, right, bottom, top = (edge * 1e-3 for edge in image.grid.extent_mm)
    beyond = max(left - bounds[0], bounds[1] - right, top - bounds[2], bounds[3] - bottom)
    if beyond > BORDER:
        raise MeasurementError(
            f"the region reaches {beyond * 1e3:.4g} mm outside the image",
            location=name,
            expected=f"within x {left * 1e3:.4g} to {right * 1e3:.4g} mm, z {top * 1e3:.4g} to {bottom * 1e3:.4g} mm",
            found="x {:.4g} to {:.4g} mm, z {:.4g} to {:.4g} mm".format(*(edge * 1e3 for edge in bounds)),
        )


def from_truth(truth: Truth, *, margin: float = MARGIN) -> dict[str, RegionPair]:
    """Pairs for the circles that a phantom is known to hold.

    Inside: the circle less the margin. Outside: a ring as much larger than the circle, with the area of the inside, so
    that both are at the same mean depth and hold about as many pixels.

    Parameters
    ----------
    truth
        Of a phantom or recording.
    margin
        Distance [m] kept from the circle's border on both sides; the width of the blur there.

    Raises
    ------
    ConfigError
        If the truth holds no circle, or the margin leaves nothing of one.

    Examples
    --------
    >>> from_truth(Truth(regions={"cyst": (0.0, 20e-3, 3e-3)}), margin=0.5e-3)["cyst"].inside
    Circle(x=0.0, z=0.02, radius=0.0025)
    """
    if not truth.regions:
        raise ConfigError("the phantom holds no region", location="truth.regions", hint="cysts and inclusions do")
    if not (np.isfinite(margin) and margin >= 0):
        raise ConfigError("not a distance", location="margin", expected=">= 0 m", found=margin)
    pairs: dict[str, RegionPair] = {}
    for name, (x, z, radius) in truth.regions.items():
        if radius <= margin:
            raise ConfigError(f"nothing is left of {name}", location="margin", expected=f"< {radius:g} m", found=margin)
        inside = Circle(float(x), float(z), float(radius - margin))
        inner = float(radius + margin)
        pairs[name] = RegionPair(
            name, inside, Annulus(inside.x, inside.z, inner, float(np.hypot(inner, inside.radius)))
        )
    return pairs
