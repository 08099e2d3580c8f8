"""Where a profile falls to half of its peak: the one rule behind every full width at half maximum (FWHM)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import root_scalar

from usbeam.checks import Floats

Sides = tuple[float, float]
"""Distances from a peak toward lower and toward higher positions [m]."""
_BLOCK = 16
"""Distances looked at together."""


def half_widths(profile: Callable[[Floats], Floats], *, step: float, limits: Sides) -> Sides | None:
    """Distances from a peak to where its profile first falls to half, on both sides.

    Walks outwards until a step lies below half, then finds the crossing within that step (Brent's method).

    Parameters
    ----------
    profile
        Level at positions (n,) relative to the peak, in any unit.
    step
        Of the walk; a dip narrower than this may be stepped over.
    limits
        Farthest distances at which the profile is known.

    Returns
    -------
    (before, after) or None
        None where the profile is above half up to a limit.

    Examples
    --------
    >>> sides = half_widths(lambda s: np.exp(-4 * np.log(2) * s**2), step=0.05, limits=(2.0, 2.0))
    >>> round(sum(sides), 6)
    1.0
    """
    before = _half_width(lambda s: profile(-s), step, limits[0])
    after = _half_width(profile, step, limits[1])
    return None if before is None or after is None else (before, after)


def _half_width(profile: Callable[[Floats], Floats], step: float, limit: float) -> float | None:
    level = profile(np.zeros(1))[0] / 2
    reached = 0.0

    def above_half(distance: float) -> float:
        return float(profile(np.array([distance]))[0] - level)

    while reached < limit:
        distances = np.minimum(reached + step * np.arange(_BLOCK + 1), limit)
        below = np.flatnonzero(profile(distances) < level)
        if below.size and below[0]:
            inner, outer = distances[below[0] - 1 : below[0] + 1]
            return float(root_scalar(above_half, bracket=(inner, outer), method="brentq", xtol=1e-6 * step).root)
        reached = float(distances[-1])
    return None
