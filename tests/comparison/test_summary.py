"""Means, matches at the same edge width and tests of constructed results, against numbers by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from usbeam.comparison.methods import sweeps
from usbeam.comparison.results import Result
from usbeam.comparison.summary import Row, summarise

SWEEPS = sweeps(["gaussian:sigma=0.1mm,0.2mm", "median:size=0.3mm", "nlm:strength=0.1,0.2"])


def result(edge: float | None, cnr: float, gcnr: float = 0.5, **others: Mapping[str, float]) -> Result:
    figures = {"cnr": cnr, "gcnr": gcnr, "mean_difference_db": -10.0}
    pairs = {"cyst": figures if edge is None else {**figures, "edge_width": edge}, **others}
    return Result(1.0, False, pairs, {}, {}, {}, {})


def one_image(
    mild: Result, strong: Result, shift: float = 0.0, *, original: float | None = 1.0e-3
) -> dict[str, Result]:
    """Curves of a Gaussian through R 1, 1.2 and 2 with CNR 2, 3 and 4; of a median through R 1 and 1.5 with 2 and 5."""
    return {
        "identity": result(original, 2.0 + shift, 0.50),
        "gaussian:sigma=0.1mm": result(1.2e-3, 3.0 + shift, 0.60),
        "gaussian:sigma=0.2mm": result(2.0e-3, 4.0 + shift, 0.90),
        "median:size=0.3mm": result(1.5e-3, 5.0 + shift, 0.55),
        "nlm:strength=0.1": mild,
        "nlm:strength=0.2": strong,
    }


def found(images: list[dict[str, Result]]) -> dict[str, Row]:
    return {row.setting.label: row for row in summarise(SWEEPS, images)}


def test_a_control_is_read_at_the_methods_own_edge_width() -> None:
    rows = found([one_image(result(1.25e-3, 7.0, 0.66), result(1.6e-3, 7.0, 0.8))])
    mild, strong = rows["nlm:strength=0.1"], rows["nlm:strength=0.2"]
    assert mild.figures["edge_ratio"].value == pytest.approx(1.25)
    assert mild.matched["gaussian"]["cnr"].value == pytest.approx(3.0625)  # a sixteenth of the way from 3 to 4
    assert mild.matched["median:size=0.3mm"]["cnr"].value == pytest.approx(3.5)  # half of the way from 2 to 5
    assert mild.against_best["cnr_ratio"].value == pytest.approx(7 / 3.5)
    assert mild.matched["gaussian"]["gcnr"].value == pytest.approx(0.61875)
    assert mild.against_best["gcnr_gain"].value == pytest.approx(0.66 - 0.61875)
    assert mild.unmatched == {}
    assert strong.matched["gaussian"]["cnr"].value == pytest.approx(3.5)
    assert strong.matched["median:size=0.3mm"] == {}  # its curve ends at 1.5
    assert strong.against_best["cnr_ratio"].value == pytest.approx(2.0)


def test_beyond_all_controls_there_is_no_ratio_and_a_reason() -> None:
    rows = found(
        [one_image(result(0.9e-3, 7.0), result(2.1e-3, 7.0)), one_image(result(None, 7.0), result(1.1e-3, 5.0))]
    )
    mild, strong = rows["nlm:strength=0.1"], rows["nlm:strength=0.2"]
    assert mild.against_best == {}
    assert mild.matched == {"gaussian": {}, "median:size=0.3mm": {}}
    assert mild.unmatched == {
        "its edges are sharper than any control's": 1,
        "an edge or its CNR could not be measured": 1,
    }
    assert strong.unmatched == {"its edges are wider": 1}
    assert strong.against_best["cnr_ratio"].n == 1
    assert strong.against_best["cnr_ratio"].value == pytest.approx(5 / 2.6)  # the median, a fifth of the way


def test_where_the_original_shows_no_edge_there_is_no_curve() -> None:
    rows = found([one_image(result(1.2e-3, 7.0), result(1.5e-3, 7.0), original=None)])
    assert rows["nlm:strength=0.1"].points == [None]
    assert rows["nlm:strength=0.1"].unmatched == {"an edge or its CNR could not be measured": 1}
    assert rows["nlm:strength=0.1"].figures["cnr"].value == 7.0


def test_curves_use_the_pairs_in_which_the_original_shows_an_edge() -> None:
    blurred = {"cnr": 1.0, "gcnr": 0.4, "mean_difference_db": 4.0}
    images = [one_image(result(1.2e-3, 6.0), result(1.5e-3, 6.0))]
    images = [{label: result_with(each, blurred) for label, each in images[0].items()}]
    row = found(images)["nlm:strength=0.1"]
    assert row.points[0] is not None
    assert row.points[0].cnr == 6.0
    assert row.figures["cnr"].value == 3.5  # of both pairs
    assert row.figures["mean_difference_db"].value == 7.0  # of magnitudes


def result_with(each: Result, pair: Mapping[str, float]) -> Result:
    return Result(1.0, False, {**each.pairs, "faint": pair}, {}, {}, {}, {})


def test_means_are_of_the_images_that_have_the_figure() -> None:
    rows = found(
        [one_image(result(1.25e-3, 6.0), result(1.6e-3, 7.0)), one_image(result(None, 8.0), result(1.6e-3, 7.0))]
    )
    row = rows["nlm:strength=0.1"]
    assert (row.figures["cnr"].value, row.figures["cnr"].n) == (7.0, 2)
    assert (row.figures["edge_width"].n, row.figures["edge_ratio"].n) == (1, 1)
    assert "speckle_snr" not in row.figures


def test_p_is_that_of_the_signs_and_adjusted_over_settings() -> None:
    images = [one_image(result(1.25e-3, 6.0 + 0.1 * k), result(1.5e-3, 4.0 + 0.01 * k), 0.01 * k) for k in range(6)]
    rows = found(images)
    mild, strong = rows["nlm:strength=0.1"].tests, rows["nlm:strength=0.2"].tests
    # All six above identity, and mild above the better control, strong below it: p = 2/64 each, times 2 settings.
    for test in (mild["identity"]["cnr"], strong["identity"]["cnr"], mild["control"]["cnr"], strong["control"]["cnr"]):
        assert (test.p, test.p_holm, test.n) == (pytest.approx(2 / 64), pytest.approx(4 / 64), 6)
    assert mild["identity"]["gcnr"].p == 1.0  # all equal
    assert rows["gaussian:sigma=0.1mm"].tests == {}


def test_five_images_are_not_tested() -> None:
    rows = found([one_image(result(1.25e-3, 6.0 + k), result(1.5e-3, 4.0)) for k in range(5)])
    test = rows["nlm:strength=0.1"].tests["identity"]["cnr"]
    assert (test.p, test.p_holm, test.n) == (None, None, 5)
