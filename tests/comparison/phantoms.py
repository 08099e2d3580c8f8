"""Small images of speckle with a dark and a bright inclusion, and the regions in them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

import usbeam as ub
from usbeam import roi

GRID = ub.Grid.linear(x=(-6e-3, 6e-3), z=(14e-3, 26e-3), shape=(121, 121))
PAIRS = {
    name: roi.RegionPair(name, roi.Circle(x, 20e-3, 1.6e-3), roi.Annulus(x, 20e-3, 2.2e-3, 2.7e-3))
    for name, x in (("cyst", -2.9e-3), ("lesion", 2.9e-3))
}


def image(seed: int, grid: ub.Grid = GRID) -> ub.Image:
    """Complex, with edges as wide as the speckle is."""
    generator = np.random.default_rng(seed)
    echoes = generator.standard_normal((2, *grid.shape))
    for pair, contrast in zip(PAIRS.values(), (-18.0, 9.0), strict=True):
        echoes[:, pair.inside.signed_distance(grid) < 0] *= 10 ** (contrast / 20)
    real, imaginary = (ndimage.gaussian_filter(part, 1.2) for part in echoes)
    return ub.Image((real + 1j * imaginary).astype(np.complex64), grid)
