"""The benchmark of times: every method that it can time is in it, and growth is what it says."""

from __future__ import annotations

import pytest

from usbeam.cli.bench import _load
from usbeam.enhancers import METHODS

enhancers = _load("enhancers")


def test_a_row_for_each_method_and_a_column_for_each_image() -> None:
    shapes = ((20, 16), (40, 32))
    found = enhancers.run(1, ["identity", "median"], shapes)
    assert [(row["method"], row["shape"]) for row in found["rows"]] == [
        (name, shape) for name in ("identity", "median") for shape in shapes
    ]
    assert all(row["seconds"] > 0 and row["calls"] == 1 for row in found["rows"])
    lines = enhancers.report(found)
    assert len(lines) == 4
    assert "16 x 20" in lines[1]


def test_growth_of_time_that_is_proportional_to_pixels_is_one() -> None:
    rows = [
        {"method": "some", "shape": (n, n), "seconds": 1e-6 * n * n, "first_seconds": 1.0, "calls": 3} for n in (10, 20)
    ]
    line = enhancers.report({"threads": 2, "shapes": [(10, 10), (20, 20)], "rows": rows})[-1]
    assert float(line.split()[-1]) == pytest.approx(1)


def test_only_methods_with_a_time_of_their_own_are_left_out() -> None:
    assert {name for name, method in METHODS.items() if "max_seconds" in method.parameters} == enhancers.TIMED
