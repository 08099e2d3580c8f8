"""Where a profile falls to half of its peak: the one rule behind every full width at half maximum (FWHM)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import root_scalar

from usbeam.checks import Floats

Profile = Callable[[Floats], Floats]
"""Level at distances (n,) from a peak, in any unit."""
_BLOCK = 64
"""Distances looked at together."""


def half_width(profile: Profile, *, step: float, limit: float) -> float | None:
    """Distance from a peak to where its profile first falls to half.

    Walks outwards until a step lies below half, then finds the crossing within that step (Brent's method).

    Parameters
    ----------
    profile
        Level at distances >= 0 from the peak.
    step
        Of the walk; a dip narrower than this may be stepped over.
    limit
        Farthest distance at which the profile is known.

    Returns
    -------
    float or None
        None where the profile is above half up to the limit.

    Examples
    --------
    >>> round(2 * half_width(lambda s: np.exp(-4 * np.log(2) * s**2), step=0.05, limit=2.0), 6)
    1.0
    """
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
