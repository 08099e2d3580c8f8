"""Figures of a comparison: operating curves, and pictures side by side."""

from __future__ import annotations

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
    controls = [label for label, (sweep, _) in found.items() if sweep.is_yardstick]
    for place, figure, name in ((left, "cnr", "CNR"), (right, "gcnr", "gCNR")):
        for label, (sweep, points) in found.items():
            style: dict[str, Any] = {"marker": "o", "markersize": 4, "label": label}
            drawn = points
            if sweep.is_control:
                style |= {"color": "0.55", "linewidth": 1, "markersize": 3, "zorder": 1.8}
            if sweep.is_yardstick:
                style |= {"linestyle": _LINES[controls.index(label) % len(_LINES)]}
                drawn = [start, *points]
            if label == IDENTITY:
                style |= {"color": "black", "marker": "s", "markersize": 5, "linestyle": "none"}
            place.plot([each.edge_ratio for each in drawn], [getattr(each, figure) for each in drawn], **style)
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
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
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
