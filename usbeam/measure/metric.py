"""A figure that says what it is, and the pixels that figures are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from usbeam.checks import Floats
from usbeam.image import Image
from usbeam.measure import roi


@dataclass(frozen=True)
class Metric:
    """A figure with its definition; ``float()`` of it is the figure.

    Parameters
    ----------
    value
        The figure.
    name
        As in the output of ``usbeam evaluate``.
    definition
        The formula.
    domain
        Which values of the image it was computed from.
    regions
        Names of the regions that it used.
    unit
        Of the value; empty for a plain number.
    n_pixels
        Number of pixels in each region.

    Examples
    --------
    >>> print(Metric(1.5, "cnr", "|a - b|", "envelope", ("cyst.inside",), n_pixels=(120,)))
    cnr = 1.5 (|a - b|; envelope; cyst.inside: 120 pixels)
    """

    value: float
    name: str
    definition: str
    domain: str
    regions: tuple[str, ...] = ()
    unit: str = ""
    n_pixels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        """One line: the figure, then what it is and of what."""
        counts = [f"{name}: {count} pixels" for name, count in zip(self.regions, self.n_pixels, strict=True)]
        figure = f"{self.name} = {self.value:.6g} {self.unit}".strip()
        return f"{figure} ({'; '.join([self.definition, self.domain, *counts])})"


def displayed(image: Image, dynamic_range: float) -> Image:
    """The image in dB, as it is shown; one that is in dB already is taken as it is."""
    return image if image.state == "db" else image.db(dynamic_range)


def displayed_domain(image: Image) -> str:
    """What `displayed` gives, in words."""
    return f"dB below the image's maximum, clipped at -{displayed_range(image):g}"


def displayed_range(image: Image) -> float:
    """The range [dB] of an image in dB."""
    return cast("float", image.dynamic_range_db)


def region_values(image: Image, shape: roi.Shape, name: str) -> Floats:
    """The values of an image that is not complex in a region, in float64."""
    return roi.values(image, shape, name=name).astype(np.float64)


def inside_and_outside(image: Image, pair: roi.RegionPair) -> tuple[Floats, Floats]:
    """The values of an image that is not complex in both regions of a pair, in float64."""
    inside, outside = pair.region_names
    values = region_values(image, pair.inside, inside), region_values(image, pair.outside, outside)
    roi.refuse_overlap(image, pair)
    return values
