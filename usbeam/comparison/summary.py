"""What results come to: means over images, what controls reach at the same edge width, tests."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, geometric_mean, median

from usbeam.comparison.curves import Point, at_edge_ratio, best
from usbeam.comparison.methods import IDENTITY, Setting, Sweep
from usbeam.comparison.results import Result
from usbeam.comparison.statistics import Estimate, estimate, holm, signed_rank

OF_PAIRS = ("cnr", "control_cnr", "gcnr", "mean_difference_db", "speckle_snr", "enl", "edge_width")
"""Figures whose mean over pairs is given; of the difference of levels, which has either sign, the mean magnitude."""
OF_IMAGES = ("psnr", "ssim", "lncc")
CONTROL = "control"
"""The better of the controls that blur, at the same edge width."""
COMPARED = ("cnr", "gcnr")

Results = Mapping[str, Result]
"""Label of the setting -> its figures in one image."""


@dataclass(frozen=True)
class SignedRank:
    """A signed-rank test over images.

    Parameters
    ----------
    p
        Two-sided; None for too few images.
    p_holm
        Adjusted for all settings that were tested for this figure against the same.
    n
        Number of images.
    """

    p: float | None
    p_holm: float | None
    n: int


@dataclass(frozen=True, eq=False)
class Row:
    """One setting of a method, over all images.

    Parameters
    ----------
    sweep, setting
        The method.
    figures
        ``edge_ratio`` and the figures of `usbeam.metrics.evaluate`: means over pairs, then over images; of those
        images alone that have the figure in every pair.
    points
        One for each image: its place on the operating curve; None where an edge could not be measured.
    matched
        Label of a control that blurs -> ``cnr`` and ``gcnr`` that its curve reaches at this setting's edge width.
        Empty for controls.
    against_best
        Against the better control at the same edge width: ``cnr_ratio``, and ``gcnr_gain``, the difference.
    unmatched
        Reason -> number of images in which no control reaches this setting's edge width.
    tests
        ``identity`` or ``control`` -> figure -> `SignedRank`.
    seconds
        Median over images.
    compiled
        Whether any of the times may include compilation.
    """

    sweep: Sweep
    setting: Setting
    figures: Mapping[str, Estimate]
    points: Sequence[Point | None]
    seconds: float
    compiled: bool
    matched: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict[str, Mapping[str, Estimate]])
    against_best: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    unmatched: Mapping[str, int] = field(default_factory=dict[str, int])
    tests: Mapping[str, Mapping[str, SignedRank]] = field(default_factory=dict[str, Mapping[str, SignedRank]])


def summarise(sweeps: Sequence[Sweep], images: Sequence[Results]) -> list[Row]:
    """One row for each setting.

    Parameters
    ----------
    sweeps
        The methods; identity among them.
    images
        For each image the results of all settings.
    """
    yardsticks = {sweep.label: [_curve(sweep, results) for results in images] for sweep in sweeps if sweep.is_yardstick}
    rows = [
        _row(sweep, setting, images, {} if sweep.is_control else yardsticks)
        for sweep in sweeps
        for setting in sweep.settings
    ]
    return _adjusted(rows)


def mean_over_pairs(result: Result, name: str) -> float | None:
    """Mean of a figure over the pairs of one image; None unless all of them have it."""
    values = [figures.get(name) for figures in result.pairs.values()]
    found = [abs(value) if name == "mean_difference_db" else value for value in values if value is not None]
    return fmean(found) if len(found) == len(values) else None


def point(result: Result, original: Result) -> Point | None:
    """Where a setting stands on its operating curve in one image.

    It is a mean over those pairs in which the original shows an edge, the same for every setting: geometric for the
    edge ratio. None if there is no such pair, or one of them lacks a figure.
    """
    names = [name for name, figures in original.pairs.items() if "edge_width" in figures]
    mine = [result.pairs[name] for name in names]
    if not names or not all({"edge_width", "cnr", "gcnr"} <= figures.keys() for figures in mine):
        return None
    ratios = [
        figures["edge_width"] / original.pairs[name]["edge_width"] for name, figures in zip(names, mine, strict=True)
    ]
    return Point(geometric_mean(ratios), *(fmean(figures[figure] for figures in mine) for figure in COMPARED))


def _curve(sweep: Sweep, results: Results) -> list[Point]:
    """A sweep's operating curve in one image, from the original on; settings without an edge are left out."""
    original = results[IDENTITY]
    labels = [IDENTITY, *(setting.label for setting in sweep.settings)]
    return [found for label in labels if (found := point(results[label], original)) is not None]


def _row(
    sweep: Sweep, setting: Setting, images: Sequence[Results], yardsticks: Mapping[str, Sequence[Sequence[Point]]]
) -> Row:
    mine = [results[setting.label] for results in images]
    points = [point(result, results[IDENTITY]) for result, results in zip(mine, images, strict=True)]
    values = {name: [mean_over_pairs(result, name) for result in mine] for name in OF_PAIRS}
    values |= {name: [result.whole.get(name) for result in mine] for name in OF_IMAGES}
    figures = {name: _estimate(each) for name, each in values.items()}
    figures["edge_ratio"] = _estimate([each and each.edge_ratio for each in points], geometric=True)
    row = Row(
        sweep,
        setting,
        _present(figures),
        points,
        median(result.seconds for result in mine),
        any(result.compiled for result in mine),
    )
    if sweep.is_control:
        return row
    reached = {
        label: [each and at_edge_ratio(curve, each.edge_ratio) for each, curve in zip(points, curves, strict=True)]
        for label, curves in yardsticks.items()
    }
    return _matched(row, images, reached, yardsticks)


def _matched(
    row: Row,
    images: Sequence[Results],
    reached: Mapping[str, Sequence[Point | None]],
    yardsticks: Mapping[str, Sequence[Sequence[Point]]],
) -> Row:
    """The row with what controls reach at its edge width, in each image."""
    couples: list[tuple[Point, Point]] = []
    unmatched: Counter[str] = Counter()
    for index, mine in enumerate(row.points):
        others = [each for points in reached.values() if (each := points[index]) is not None]
        rival = None if mine is None else best(others, mine.edge_ratio)
        if mine is not None and rival is not None:
            couples.append((mine, rival))
        else:
            unmatched[_reason(mine, [curves[index] for curves in yardsticks.values()])] += 1
    identity = [
        (mine, other)
        for results in images
        if (mine := _both(results[row.setting.label])) and (other := _both(results[IDENTITY]))
    ]
    matched = {
        label: _present({name: _estimate([each and getattr(each, name) for each in points]) for name in COMPARED})
        for label, points in reached.items()
    }
    ratios = [mine.cnr / rival.cnr if mine.cnr > 0 and rival.cnr > 0 else None for mine, rival in couples]
    against_best = {
        "cnr_ratio": _estimate(ratios, geometric=True),
        "gcnr_gain": _estimate([mine.gcnr - rival.gcnr for mine, rival in couples]),
    }
    tests = {
        IDENTITY: {name: _tested([mine[name] - other[name] for mine, other in identity]) for name in COMPARED},
        CONTROL: {
            name: _tested([getattr(mine, name) - getattr(rival, name) for mine, rival in couples]) for name in COMPARED
        },
    }
    return dataclasses.replace(
        row, matched=matched, against_best=_present(against_best), unmatched=dict(unmatched), tests=tests
    )


def _reason(mine: Point | None, curves: Sequence[Sequence[Point]]) -> str:
    """Why no control is at hand for a point."""
    ratios = [each.edge_ratio for curve in curves for each in curve]
    if mine is None or not ratios:
        return "an edge or its CNR could not be measured"
    return "its edges are sharper than any control's" if mine.edge_ratio < min(ratios) else "its edges are wider"


def _both(result: Result) -> dict[str, float] | None:
    """Mean CNR and gCNR of an image, if it has both."""
    found = {name: mean_over_pairs(result, name) for name in COMPARED}
    return {name: value for name, value in found.items() if value is not None} if None not in found.values() else None


def _estimate(values: Sequence[float | None], *, geometric: bool = False) -> Estimate | None:
    return estimate([each for each in values if each is not None], geometric=geometric)


def _present(figures: Mapping[str, Estimate | None]) -> dict[str, Estimate]:
    return {name: each for name, each in figures.items() if each is not None}


def _tested(differences: Sequence[float]) -> SignedRank:
    return SignedRank(signed_rank(differences), None, len(differences))


def _adjusted(rows: Sequence[Row]) -> list[Row]:
    """The rows with p adjusted over all of them, for each figure and opponent."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for index, row in enumerate(rows):
        for other, tests in row.tests.items():
            for name, test in tests.items():
                if test.p is not None:
                    found[other, name][index] = test.p
    adjusted = {which: dict(zip(values, holm(list(values.values())), strict=True)) for which, values in found.items()}
    return [
        dataclasses.replace(
            row,
            tests={
                other: {
                    name: dataclasses.replace(test, p_holm=adjusted.get((other, name), {}).get(index))
                    for name, test in tests.items()
                }
                for other, tests in row.tests.items()
            },
        )
        for index, row in enumerate(rows)
    ]
