"""The regions, by one rule that knows the phantom and no image: it stands before any method runs.

Inside: the circle less one PSF width, so that no pixel is a mixture. Outside: the ring from 1.2 to 1.6 radii. Circles
are only placed where neither region comes nearer than one PSF width to another structure, so that nothing needs to be
cut out.
"""

from __future__ import annotations

import math

from usbeam.measure.roi import Annulus, Circle, RegionPair

INNER, OUTER = 1.2, 1.6
"""Radii of the ring, in radii of the circle."""


def pair(name: str, circle: tuple[float, float, float], psf: float) -> RegionPair:
    """The regions of a circle (x, z, radius) [m] seen with a PSF so wide [m]."""
    x, z, radius = circle
    return RegionPair(name, Circle(x, z, radius - psf), Annulus(x, z, INNER * radius, OUTER * radius))


def apart(one: tuple[float, float, float], other: tuple[float, float, float], psf: float) -> bool:
    """Whether neither circle touches the ring of the other."""
    distance = math.hypot(one[0] - other[0], one[1] - other[1])
    return all(distance >= OUTER * a[2] + b[2] + psf for a, b in ((one, other), (other, one)))
