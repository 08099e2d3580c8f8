"""What a control reaches at an edge width, against numbers by hand."""

from __future__ import annotations

import pytest

from usbeam.comparison.curves import Point, at_edge_ratio, best

CURVE = [Point(1.0, 2.0, 0.5), Point(1.2, 3.0, 0.7), Point(2.0, 4.0, 0.8)]


@pytest.mark.parametrize(
    ("edge_ratio", "cnr", "gcnr"),
    [(1.0, 2.0, 0.5), (1.05, 2.25, 0.55), (1.2, 3.0, 0.7), (1.6, 3.5, 0.75), (2.0, 4.0, 0.8)],
)
def test_between_settings_it_is_linear(edge_ratio: float, cnr: float, gcnr: float) -> None:
    found = at_edge_ratio(CURVE, edge_ratio)
    assert found is not None
    assert (found.edge_ratio, found.cnr, found.gcnr) == (edge_ratio, pytest.approx(cnr), pytest.approx(gcnr))


@pytest.mark.parametrize("edge_ratio", [0.99, 2.01])
def test_beyond_the_settings_there_is_nothing(edge_ratio: float) -> None:
    assert at_edge_ratio(CURVE, edge_ratio) is None


def test_a_curve_of_one_point_has_no_between() -> None:
    assert at_edge_ratio(CURVE[:1], 1.0) is None
    assert at_edge_ratio([], 1.0) is None


def test_where_a_curve_comes_back_the_higher_counts() -> None:
    back = [Point(1.0, 2.0, 0.5), Point(1.4, 4.0, 0.6), Point(1.2, 5.0, 0.4)]
    found = at_edge_ratio(back, 1.3)
    assert found is not None
    assert (found.cnr, found.gcnr) == (pytest.approx(4.5), pytest.approx(0.575))


def test_two_settings_of_one_edge_width_are_no_division_by_zero() -> None:
    found = at_edge_ratio([Point(1.0, 2.0, 0.5), Point(1.0, 3.0, 0.4)], 1.0)
    assert found == Point(1.0, 3.0, 0.5)


def test_the_best_of_controls_is_taken_figure_by_figure() -> None:
    assert best([Point(1.1, 2.0, 0.9), Point(1.1, 3.0, 0.8)], 1.1) == Point(1.1, 3.0, 0.9)
    assert best([], 1.1) is None
