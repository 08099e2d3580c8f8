"""Figures of a comparison: operating curves, and pictures side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, geometric_mean
from typing import Any

import matplotlib

from usbeam.comparison import Comparison
from usbeam.comparison.curves import Point
from usbeam.comparison.methods import IDENTITY, Sweep
from usbeam.errors import MeasurementError
from usbeam.show.figure import STYLE, axes
from usbeam.show.plot import bmode

SHARP = 1.2
"""Edge ratio near which settings are taken for `pictures`."""
COLUMNS = 4
"""Most pictures beside each other."""
_LINES = ("solid", "dashed", "dotted", "dashdot")
_MARKERS = "oD^vs"
_COLORS = len(STYLE["axes.prop_cycle"])


@matplotlib.rc_context(STYLE)
def curves(comparison: Comparison, *, ax: Any = None) -> Any:
    """Show CNR and gCNR against edge width: one line for each method, from setting to setting; controls in grey.

    Every point is a mean over the images in which an edge could be measured.

    Parameters
    ----------
    comparison
        As `usbeam.compare` gives it.
    ax : pair of matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    pair of matplotlib Axes

    Raises
    ------
    MeasurementError
        If no edge could be measured in any image.
    """
    left, right = axes((9.0, 3.6), 2) if ax is None else ax
    found = {sweep.label: (sweep, _points(comparison, sweep)) for sweep in comparison.sweeps}
    (start,) = found[IDENTITY][1] or [None]
    if start is None:
        raise MeasurementError("no operating curve: no edge could be measured in any image")
    styles = _styles(comparison.sweeps)
    for place, figure, name in ((left, "cnr", "CNR"), (right, "gcnr", "gCNR")):
        for label, (sweep, points) in found.items():
            drawn = [start, *points] if sweep.is_yardstick else points
            values = [(each.edge_ratio, getattr(each, figure)) for each in drawn]
            place.plot(*zip(*values, strict=True) if values else ([], []), label=label, **styles[label])
        place.set(xlabel="edge width over the original's, R", ylabel=name)
        place.set_xlim(right=_right_end(found.values()))
        place.grid(color="0.92", linewidth=0.6)
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return left, right


@matplotlib.rc_context(STYLE)
def pictures(comparison: Comparison) -> Any:
    """Show the first image, enhanced by each method, in a new figure.

    Of several settings it is the one whose edge width is nearest to 1.2 times the original's.

    Parameters
    ----------
    comparison
        As `usbeam.compare` gives it.

    Returns
    -------
    list of matplotlib Axes, one for each method
    """
    from matplotlib.figure import Figure

    chosen = [_nearest(comparison, sweep) for sweep in comparison.sweeps]
    rows = math.ceil(len(chosen) / COLUMNS)
    columns = math.ceil(len(chosen) / rows)
    image = comparison.enhanced[IDENTITY]
    across, along, down, up = image.grid.extent_mm
    size = 2.6 / max(along - across, down - up)
    figure = Figure(
        figsize=(columns * max(1.6, (along - across) * size + 0.3) + 1.2, rows * ((down - up) * size + 0.9)),
        layout="compressed",
    )
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place in places[len(chosen) :]:
        place.remove()
    for index, ((label, found), place) in enumerate(zip(chosen, places, strict=False)):
        enhanced, title = comparison.enhanced[label], _title(label, found)
        bmode(enhanced, dynamic_range=comparison.dynamic_range, ax=place, colorbar=False, title=title)
        if index % columns:
            place.set_ylabel("")
            place.tick_params(labelleft=False)
        if index + columns < len(chosen):
            place.set_xlabel("")
    shown = places[: len(chosen)]
    (picture,) = shown[0].images or shown[0].collections
    figure.colorbar(picture, ax=shown, label="dB", aspect=30 * rows, fraction=0.03)
    return shown


def _styles(sweeps: Sequence[Sweep]) -> dict[str, dict[str, Any]]:
    """How lines look: methods in colours, with another marker when colours come again; controls in grey."""
    yardsticks = [sweep.label for sweep in sweeps if sweep.is_yardstick]
    methods = [sweep.label for sweep in sweeps if not sweep.is_control]
    grey = {"color": "0.55", "linewidth": 1, "marker": "o", "markersize": 3, "zorder": 1.8}
    return {
        IDENTITY: {"color": "black", "marker": "s", "markersize": 5, "linestyle": "none", "zorder": 1.9},
        **{label: {**grey, "linestyle": _LINES[n % len(_LINES)]} for n, label in enumerate(yardsticks)},
        **{
            label: {"marker": _MARKERS[n // _COLORS % len(_MARKERS)], "markersize": 4}
            for n, label in enumerate(methods)
        },
    }


def _points(comparison: Comparison, sweep: Sweep) -> list[Point]:
    """A sweep's operating curve, as a mean over images."""
    rows = [row for row in comparison.rows if row.sweep is sweep]
    measured = [[point for point in row.points if point is not None] for row in rows]
    return [
        Point(
            geometric_mean(point.edge_ratio for point in points),
            *(fmean(getattr(point, name) for point in points) for name in ("cnr", "gcnr")),
        )
        for points in measured
        if points
    ]


def _right_end(found: Iterable[tuple[Sweep, Sequence[Point]]]) -> float | None:
    """Edge ratio somewhat beyond that of all methods; controls may go on."""
    ratios = [point.edge_ratio for sweep, points in found for point in points if not sweep.is_control]
    return 1 + 1.1 * (max(1.2, *ratios) - 1) if ratios else None


def _nearest(comparison: Comparison, sweep: Sweep) -> tuple[str, Point | None]:
    """The setting to show, and where it stands in the first image."""
    rows = [row for row in comparison.rows if row.sweep is sweep]
    settings: Sequence[tuple[str, Point | None]] = [(row.setting.label, row.points[0]) for row in rows]
    return min(settings, key=lambda each: float("inf") if each[1] is None else abs(each[1].edge_ratio - SHARP))


def _title(label: str, point: Point | None) -> str:
    name = "\n".join(label.split(":", 1))
    return f"{name}\n" + ("" if point is None else f"R {point.edge_ratio:.2f}, CNR {point.cnr:.2f}")
