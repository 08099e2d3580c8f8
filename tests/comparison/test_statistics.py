"""Means with their intervals and tests, against known numbers."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.comparison.statistics import RESAMPLES, estimate, holm, signed_rank


def test_an_interval_of_normal_values_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = estimate(list(values))
    assert found is not None
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.06 * half),
        pytest.approx(values.mean() + half, abs=0.06 * half),
    )
    assert found.n == 400


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = estimate(list(generator.normal(size=30)))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
    assert 0.88 * 200 <= hits <= 0.98 * 200  # 95 %, less what the percentile method loses at n = 30


def test_the_same_values_give_the_same_interval() -> None:
    assert estimate([1.0, 2.0, 4.0]) == estimate([1.0, 2.0, 4.0])
    assert RESAMPLES >= 1000


def test_few_values() -> None:
    assert estimate([]) is None
    alone = estimate([3.0])
    assert alone is not None
    assert (alone.value, alone.low, alone.high, alone.n) == (3.0, None, None, 1)


def test_a_mean_of_ratios_is_geometric() -> None:
    found = estimate([0.5, 2.0], geometric=True)
    assert found is not None
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), pytest.approx(0.5), pytest.approx(2.0))


def test_signed_rank_of_darwins_maize() -> None:
    # Darwin's 15 pairs of maize plants, in eighths of an inch: two losses of ranks 14 and 10, and a p of 0.041.
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert signed_rank(darwin) == pytest.approx(0.0413, abs=5e-4)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5, 6], 2 / 64),
        ([-1, 2, 3, 4, 5, 6], 4 / 64),
        ([1, -2, 3, 4, 5, 6], 6 / 64),
        ([1, 2, 3, 4, 5, 6, 7], 2 / 128),
        ([0, 1, 2, 3, 4, 5, 6], 2 / 64),  # the 0 does not count
        ([0, 0, 0, 0, 0, 0], 1.0),
    ],
)
def test_signed_rank_counts_patterns_of_signs(differences: list[float], p: float) -> None:
    """With n differences there are 2^n patterns; p is the share of those at least as far from even, to both sides."""
    assert signed_rank(differences) == pytest.approx(p)
    assert signed_rank([-each for each in differences]) == pytest.approx(p)


def test_few_images_are_not_tested() -> None:
    assert signed_rank([1, 2, 3, 4, 5]) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]
