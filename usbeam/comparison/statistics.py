"""Means with their uncertainty, and tests: over images, since the pixels of one image are no independent samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_IMAGES = 6
"""Fewest images that are tested: with five, the least p of a two-sided signed-rank test is 0.0625."""
RESAMPLES = 10_000
SEED = 0
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over images, and the interval that holds it with 95 % confidence.

    Parameters
    ----------
    value
        The mean.
    low, high
        Limits of the interval; None for a single image.
    n
        Number of images that have the figure.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Sequence[float], *, geometric: bool = False) -> Estimate | None:
    """Mean of one value for each image, with its percentile bootstrap interval; None of no values.

    Images are drawn with replacement, 10 000 times with a fixed seed; the interval lies between the 2.5 and the 97.5
    percentile of the means. With few images it is too narrow.

    Parameters
    ----------
    values
        One for each image.
    geometric
        Take the geometric mean, as is right for ratios; all values are above 0 then.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.

    Examples
    --------
    >>> estimate([1.0, 4.0], geometric=True)
    Estimate(value=2.0, low=1.0, high=4.0, n=2)
    """
    if not values:
        return None
    given = np.log(values) if geometric else np.asarray(values, np.float64)
    found = [given.mean()]
    if given.size > 1:
        drawn = np.random.default_rng(SEED).integers(given.size, size=(RESAMPLES, given.size))
        found += list(np.quantile(given[drawn].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    mean, *limits = (float(np.exp(each) if geometric else each) for each in found)
    low, high = limits or (None, None)
    return Estimate(mean, low, high, given.size)


def signed_rank(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test that paired differences are symmetric about 0, computed by SciPy.

    Differences of exactly 0 are left out; p is 1 where nothing else is left. None of fewer than six differences.

    References
    ----------
    F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 80-83, 1945.

    Examples
    --------
    >>> signed_rank([1, 2, 3, 4, 5, 6])  # 2 of the 64 patterns of signs
    0.03125
    """
    from scipy.stats import wilcoxon

    if len(differences) < MIN_IMAGES:
        return None
    other = [each for each in differences if each != 0]
    return float(np.asarray(wilcoxon(other))[1]) if other else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p of several tests so that the chance of any false finding among them stays at the level.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none becomes smaller than one
    before it, or larger than 1.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6(2), 65-70, 1979.

    Examples
    --------
    >>> holm([0.5, 0.125, 0.25])
    [0.5, 0.375, 0.5]
    """
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values, np.float64)[order]), 1)
    return adjusted.tolist()
