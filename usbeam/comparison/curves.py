"""Operating curves: how well a method separates, against how much it widens edges, in one image.

A blurrier image has a higher CNR, so that a CNR says little unless the edges stayed as sharp. The question is what a
plain blur would have reached at the same edge width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Point:
    """One setting of a method, in one image.

    Parameters
    ----------
    edge_ratio
        Edge width over that of the original, R.
    cnr, gcnr
        Means over the same pairs of regions.
    """

    edge_ratio: float
    cnr: float
    gcnr: float


def at_edge_ratio(curve: Sequence[Point], edge_ratio: float) -> Point | None:
    """What a curve reaches at an edge ratio: linear between neighbouring settings, nothing beyond them.

    Where noise lets a curve pass an edge ratio more than once, each figure is the highest that it has there.

    Parameters
    ----------
    curve
        In the order of the settings, the original (edge ratio 1) first.
    edge_ratio
        Where to look.

    Returns
    -------
    Point or None
        None where the curve does not reach.

    Examples
    --------
    >>> curve = [Point(1.0, 2.0, 0.5), Point(1.5, 4.0, 0.75)]
    >>> at_edge_ratio(curve, 1.25)
    Point(edge_ratio=1.25, cnr=3.0, gcnr=0.625)
    >>> at_edge_ratio(curve, 1.6)
    """
    found: list[Point] = []
    for first, second in pairwise(curve):
        step = second.edge_ratio - first.edge_ratio
        if min(first.edge_ratio, second.edge_ratio) <= edge_ratio <= max(first.edge_ratio, second.edge_ratio):
            for share in ((edge_ratio - first.edge_ratio) / step,) if step else (0.0, 1.0):
                cnr = (1 - share) * first.cnr + share * second.cnr
                gcnr = (1 - share) * first.gcnr + share * second.gcnr
                found.append(Point(edge_ratio, cnr, gcnr))
    return best(found, edge_ratio)


def best(points: Sequence[Point], edge_ratio: float) -> Point | None:
    """The highest figures of some points at one edge ratio; None of no points."""
    if not points:
        return None
    return Point(edge_ratio, max(point.cnr for point in points), max(point.gcnr for point in points))
