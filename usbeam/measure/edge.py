"""How sharp a structure's border is."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr

from usbeam.checks import Floats
from usbeam.errors import MeasurementError
from usbeam.image import Image
from usbeam.measure import roi
from usbeam.measure.metric import Metric, displayed, displayed_domain

WIDTH = 2 * 1.2815515655446004
"""Distance between the 10 % and the 90 % point of a Gaussian edge, in its standard deviations."""
MIN_PIXELS = 20
"""Fewest pixels on either side of the border to which an edge is fitted."""
STEPS = 1000
"""Distances over which pixels are averaged before the fit; the fit is that to single pixels, but for these."""
WIDEST = 0.95
"""Widest edge, as a share of the distances that take part in the fit; beyond it the two levels are not seen."""
MIN_STEP = 0.5
"""Smallest step over the border, in standard deviations of the grey levels about the edge, that is taken for one."""


def edge_width(image: Image, pair: roi.RegionPair, *, dynamic_range: float = 60.0) -> Metric:
    """Width of the border of ``pair.inside`` [m]: from 10 % to 90 % of the step between its two sides.

    A Gaussian edge (an error function) is fitted by least squares to the displayed dB of all pixels against their
    signed distance from the inside's border: two levels, a position and a standard deviation sigma; the width is
    2 x 1.2816 sigma. The position is free within the middle half of the distances, since an inside is often drawn
    somewhat smaller than the structure. Speckle scatters the pixels about the edge and makes the figure uncertain, but
    does not widen it.

    Taking part are all pixels inside, down to the deepest, and those outside up to the same distance, beyond the gap
    that was left between inside and outside (unless the outside lies far away, more than the inside is wide). No other
    structure should lie there.

    Parameters
    ----------
    image, pair
        The image, and the regions: the inside's border is near the edge that is measured.
    dynamic_range
        Displayed range [dB] of an image that is not in dB.

    Raises
    ------
    MeasurementError
        If a region reaches outside the image, there are too few pixels, no step stands out of the noise, or the edge
        is wider than what was fitted, or finer than the pixels.
    ConfigError
        For a mask on a grid of unequal steps.
    """
    shown = displayed(image, dynamic_range)
    name, outside_name = pair.region_names
    for shape, region in ((pair.inside, name), (pair.outside, outside_name)):
        roi.values(shown, shape, name=region)
    distance = pair.inside.signed_distance(shown.grid)
    depth = float(-distance.min())
    gap = float(distance[pair.outside.inside(shown.grid)].min())
    farthest = depth + (gap if 0 < gap <= 2 * depth else 0.0)
    near = (distance >= -depth) & (distance <= farthest)
    across, levels = distance[near], shown.data[near].astype(np.float64)
    inside = across <= 0
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < MIN_PIXELS:
        raise MeasurementError(
            "too few pixels at the border",
            location=name,
            expected=f">= {MIN_PIXELS} on either side",
            found=f"{np.count_nonzero(inside)} inside, {np.count_nonzero(~inside)} outside",
        )
    if not np.all(np.isfinite(levels)):
        raise MeasurementError("a value near the border is not finite", location=name)
    width = WIDTH * _sigma(across, levels, position=(farthest - depth) / 2, name=name)
    if width < min(shown.grid.spacing):
        raise MeasurementError(
            "the edge is finer than the pixels", location=name, hint="an image on a finer grid may show it"
        )
    return Metric(
        width,
        "edge_width",
        "10-90 % width of an error function fitted to the pixels against their distance from the border",
        displayed_domain(shown),
        (name,),
        "m",
        (levels.size,),
    )


def _sigma(across: Floats, levels: Floats, *, position: float, name: str) -> float:
    """Standard deviation [m] of the Gaussian edge that fits best, looked for from a position on."""
    start, span = float(across.min()), float(np.ptp(across))
    places = (across - start) / span  # so that all parameters but the levels are of order 1
    nearby = np.minimum((places * STEPS).astype(np.intp), STEPS - 1)
    counts = np.bincount(nearby)
    used = counts > 0
    mean_places, mean_levels = (np.bincount(nearby, values)[used] / counts[used] for values in (places, levels))

    def residuals(parameters: Floats) -> Floats:
        return np.sqrt(counts[used]) * (_edge(mean_places, *parameters) - mean_levels)

    split = places <= (position - start) / span
    inner, outer = levels[split].mean(), levels[~split].mean()
    fitted = least_squares(
        residuals,
        x0=(inner, outer - inner, (position - start) / span, 0.1),
        x_scale=(10.0, 10.0, 0.1, 0.1),
        bounds=([-np.inf, -np.inf, 0.25, 1e-6], [np.inf, np.inf, 0.75, 1 / WIDTH]),
    ).x
    step, sigma = abs(float(fitted[1])), float(fitted[3])
    noise = float((levels - _edge(places, *fitted)).std())
    if not step > MIN_STEP * noise:
        raise MeasurementError(
            "no step stands out of the noise",
            location=name,
            expected=f"> {MIN_STEP * noise:.3g} dB",
            found=f"{step:.3g} dB",
        )
    if WIDTH * sigma > WIDEST:
        raise MeasurementError(
            "the edge is wider than what was fitted", location=name, expected=f"< {WIDEST * span * 1e3:.3g} mm"
        )
    return sigma * span


def _edge(places: Floats, inner: float, step: float, position: float, sigma: float) -> Floats:
    return inner + step * ndtr((places - position) / sigma)
