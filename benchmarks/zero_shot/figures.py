"""What networks and filters came to on one set: medians over seeds, and the best filter at the same edge width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.comparison.images import BESIDE
from benchmarks.comparison.protocol import Set
from usbeam.comparison.curves import Point, at_edge_ratio, best
from usbeam.comparison.methods import IDENTITY
from usbeam.comparison.statistics import Estimate, estimate

from .judging import Method

OTHERS = ("level_error_db", "speckle_snr", "cnr_eq2", "line_level_db", "faint_difference_db")
"""Figures that are known as means over the images of a set only."""


@dataclass(frozen=True)
class Against:
    """A network against the best of filters and compounds at its own edge width.

    Parameters
    ----------
    cnr_ratio, gcnr_gain
        Image by image against the best of all there, as a mean over seeds; interval by bootstrap over images, of which
        each is a recording. None where no filter reaches its edge width in any image.
    level_error_ratio
        Of means over images, at the mean edge width; a median over seeds.
    n_images
        In which a filter reaches its edge width.
    """

    cnr_ratio: Estimate | None
    gcnr_gain: Estimate | None
    level_error_ratio: float | None
    n_images: int


class Figures:
    """Figures of a set, for labels that stand for the seeds of one network, or for one setting of a filter.

    Parameters
    ----------
    found
        The set, measured.
    networks
        Those among what was measured.
    """

    def __init__(self, found: Set, networks: Sequence[Method]) -> None:
        self.found = found
        self.rows = {row.setting.label: row for row in found.comparison.rows}
        learnt = {method.name for method in networks}
        left_out = {IDENTITY, *BESIDE, *learnt}
        self.classical = [sweep for sweep in found.comparison.sweeps if sweep.label not in left_out]

    def value(self, labels: Sequence[str], name: str) -> float | None:
        """Median over the labels of a mean over images; None unless all have it."""
        values = [self._value(label, name) for label in labels]
        known = [value for value in values if value is not None]
        return median(known) if known and len(known) == len(values) else None

    def ratio(self, labels: Sequence[str], name: str) -> float | None:
        """The same over that of the original; the median of ratios."""
        mine, before = self.value(labels, name), self.value([IDENTITY], name)
        return None if mine is None or not before else mine / before

    def against(self, labels: Sequence[str]) -> Against:
        """Against the best filter or compound."""
        ratios: list[float] = []
        gains: list[float] = []
        for index in range(len(self.found.scenes)):
            couples = [each for label in labels if (each := self._couple(label, index)) is not None]
            if couples:
                ratios.append(float(np.exp(fmean(np.log(mine.cnr / rival.cnr) for mine, rival in couples))))
                gains.append(fmean(mine.gcnr - rival.gcnr for mine, rival in couples))
        errors = [each for label in labels if (each := self._level_error_ratio(label)) is not None]
        found = estimate(ratios, geometric=True), estimate(gains)
        return Against(*found, median(errors) if errors else None, len(ratios))

    def table(self, labels: Sequence[str]) -> dict[str, Any]:
        """All figures of each label, in JSON's types."""
        names = ("edge_ratio", "cnr", "gcnr", "mean_difference_db", *OTHERS)
        return {label: {name: self._value(label, name) for name in names} for label in labels if label in self.rows}

    def _value(self, label: str, name: str) -> float | None:
        if name in OTHERS:
            return self.found.others[label].get(name)
        found = self.rows[label].figures.get(name)
        return None if found is None else found.value

    def _couple(self, label: str, index: int) -> tuple[Point, Point] | None:
        """A network in one image, and the best there at its edge width."""
        mine, start = self.rows[label].points[index], self.rows[IDENTITY].points[index]
        if mine is None or start is None:
            return None
        curves = [
            [start, *(point for each in sweep.settings if (point := self.rows[each.label].points[index]) is not None)]
            for sweep in self.classical
        ]
        reached = [point for curve in curves if (point := at_edge_ratio(curve, mine.edge_ratio)) is not None]
        rival = best(reached, mine.edge_ratio)
        return None if rival is None or min(mine.cnr, rival.cnr) <= 0 else (mine, rival)

    def _level_error_ratio(self, label: str) -> float | None:
        mine = self._place(label)
        rivals: list[float] = []
        for sweep in self.classical:
            labels = [IDENTITY, *(each.label for each in sweep.settings)]
            places = sorted(place for each in labels if (place := self._place(each)) is not None)
            if mine is not None and places and places[0][0] <= mine[0] <= places[-1][0]:
                rivals.append(float(np.interp(mine[0], *np.transpose(places))))
        return mine[1] / min(rivals) if mine is not None and rivals else None

    def _place(self, label: str) -> tuple[float, float] | None:
        """Edge ratio and level error."""
        ratio, error = self._value(label, "edge_ratio"), self._value(label, "level_error_db")
        return None if ratio is None or error is None else (ratio, error)
