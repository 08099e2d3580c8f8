"""Pictures with axes in mm and levels in dB. Every function takes ``ax=`` and returns it.

A figure of its own is made where no ``ax`` is given (`usbeam.show.figure`); a notebook shows it by ``ax.figure``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from usbeam.errors import ConfigError
from usbeam.image import Image
from usbeam.measure.psf import Spot
from usbeam.measure.roi import RegionPair
from usbeam.show.figure import AMBER, BLUE, GREEN, ORANGE, SKY, STYLE, axes, save_figure

__all__ = [
    "axes",
    "bmode",
    "contour",
    "cross_sections",
    "fwhm_against_depth",
    "psf",
    "regions",
    "save_figure",
    "side_by_side",
    "spots",
]

NON_UNIFORM = 1e-3
"""Relative deviation of a grid's step above which pixels are drawn one by one."""
HALF_DB = 20 * np.log10(0.5)


@matplotlib.rc_context(STYLE)
def bmode(image: Image, *, dynamic_range: float = 60.0, ax: Any = None, colorbar: bool = True, title: str = "") -> Any:
    """Show an image in grey, depth downwards, axes in mm.

    Parameters
    ----------
    image
        In any state; complex and envelope images are log-compressed to `dynamic_range`.
    dynamic_range
        [dB]; a dB image keeps its own.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.
    colorbar
        Draw the dB bar.
    title
        Above the picture.

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        ax = _picture_axes(image, longest=5.0)[0]
    shown = image if image.state == "db" else image.db(dynamic_range)
    limits = {"vmin": -float(shown.dynamic_range_db or dynamic_range), "vmax": 0, "cmap": "gray"}
    x_mm, z_mm = shown.grid.x * 1e3, shown.grid.z * 1e3
    if all(_is_uniform(axis) for axis in (x_mm, z_mm)):
        picture = ax.imshow(shown.data, extent=shown.grid.extent_mm, aspect="equal", interpolation="nearest", **limits)
    else:
        picture = ax.pcolormesh(x_mm, z_mm, shown.data, shading="nearest", **limits)
        ax.set_aspect("equal")
        ax.invert_yaxis()
    ax.set(xlabel="lateral x [mm]", ylabel="depth z [mm]", title=title)
    if colorbar:
        _bar(picture)
    return ax


@matplotlib.rc_context(STYLE)
def side_by_side(images: Sequence[Image], titles: Sequence[str], *, dynamic_range: float = 60.0, ax: Any = None) -> Any:
    """Show images of one grid next to each other, each relative to its own maximum, with one dB bar.

    Parameters
    ----------
    images, titles
        As many titles as images.
    dynamic_range
        [dB].
    ax : sequence of matplotlib Axes, optional
        One per image; a new figure if not given.

    Returns
    -------
    sequence of matplotlib Axes, one per image

    Raises
    ------
    ConfigError
        For another number of titles or axes than images.
    """
    each = _picture_axes(images[0], len(images), longest=4.5) if ax is None else list(ax)
    if not len(images) == len(titles) == len(each):
        counts = f"{len(images)} images, {len(titles)} titles, {len(each)} axes"
        raise ConfigError("pictures, titles and axes differ in number", location="images", found=counts)
    for place, image, title in zip(each, images, titles, strict=True):
        bmode(image, dynamic_range=dynamic_range, ax=place, colorbar=False, title=title)
        if place is not each[0]:
            place.set_ylabel("")
            place.tick_params(labelleft=False)
    (mappable,) = each[-1].images or each[-1].collections
    _bar(mappable)
    return each


@matplotlib.rc_context(STYLE)
def regions(
    image: Image, pairs: Mapping[str, RegionPair], *, dynamic_range: float = 60.0, ax: Any = None, title: str = ""
) -> Any:
    """Show an image with the outlines of its regions: inside drawn through, outside dashed, names beside them.

    Parameters
    ----------
    image, dynamic_range, ax, title
        As `bmode` takes them.
    pairs
        As `usbeam.roi.load` gives them.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patheffects import withStroke

    ax = bmode(image, dynamic_range=dynamic_range, ax=ax, title=title)
    x_mm, z_mm = image.grid.x * 1e3, image.grid.z * 1e3
    shadow = [withStroke(linewidth=2.5, foreground="black")]
    for name, pair in pairs.items():
        for shape, color, line in ((pair.inside, SKY, "solid"), (pair.outside, AMBER, "dashed")):
            distance = shape.signed_distance(image.grid)
            if distance.min() < 0 < distance.max():  # its zero is the outline, of whatever shape
                outline = ax.contour(x_mm, z_mm, distance, [0], colors=color, linestyles=line, linewidths=1.2)
                outline.set_path_effects(shadow)
        rows, columns = np.nonzero(pair.inside.inside(image.grid))
        if rows.size:
            place = float(x_mm[columns].mean()), float(z_mm[rows].mean())
            ax.text(*place, name, color=SKY, fontsize=8, ha="center", va="center", path_effects=shadow)
    return ax


@matplotlib.rc_context(STYLE)
def spots(image: Image, measured: Sequence[Spot], *, dynamic_range: float = 60.0, ax: Any = None) -> Any:
    """Show an image with a ring around every spot that was measured in it.

    Parameters
    ----------
    image, dynamic_range, ax
        As `bmode` takes them.
    measured
        As `usbeam.psf.survey` gives them.

    Returns
    -------
    matplotlib Axes
    """
    ax = bmode(image, dynamic_range=dynamic_range, ax=ax)
    x_mm, z_mm = ([getattr(spot, name) * 1e3 for spot in measured] for name in ("x", "z"))
    ax.plot(x_mm, z_mm, "o", markersize=9, markerfacecolor="none", markeredgecolor=ORANGE)
    return ax


@matplotlib.rc_context(STYLE)
def cross_sections(spot: Spot, *, floor_db: float = -60.0, ax: Any = None) -> Any:
    """Show the lateral and the axial cut through a spot: level against the distance from its peak.

    Parameters
    ----------
    spot
        As `usbeam.psf.measure` gives it.
    floor_db
        Lowest level shown.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes((4.2, 3.2))[0] if ax is None else ax
    cuts = {"lateral": (spot.lateral, spot.x, spot.lateral_fwhm), "axial": (spot.axial, spot.z, spot.axial_fwhm)}
    for (name, (cut, center, width)), line in zip(cuts.items(), ("solid", "dashed"), strict=True):
        label = f"{name}, FWHM {width * 1e3:.3g} mm"
        ax.plot((cut.position - center) * 1e3, cut.level_db, linestyle=line, linewidth=1.5, label=label)
    ax.axhline(HALF_DB, color="0.6", linewidth=0.8)
    ax.set(xlabel="distance from the peak [mm]", ylabel="level [dB]", ylim=(floor_db, 2))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


@matplotlib.rc_context(STYLE)
def contour(spot: Spot, *, floor_db: float = -60.0, ax: Any = None) -> Any:
    """Show a spot from near: levels in grey, lines at -6, -12, -20 and -40 dB, principal widths as bars.

    Parameters
    ----------
    spot
        As `usbeam.psf.measure` gives it.
    floor_db
        Level shown black.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    ax = bmode(spot.patch, dynamic_range=-floor_db, ax=ax, colorbar=False)
    level = spot.patch.db(200.0, reference=spot.peak).data
    x_mm, z_mm = spot.patch.grid.x * 1e3, spot.patch.grid.z * 1e3
    lines = ax.contour(x_mm, z_mm, level, [-40, -20, -12, HALF_DB], colors=[GREEN, SKY, AMBER, ORANGE], linewidths=1)
    _bar(ax.images[0]).add_lines(lines)
    for width, angle in ((spot.major_fwhm, spot.angle), (spot.minor_fwhm, spot.angle + np.pi / 2)):
        across, down = np.cos(angle) * width * 500, np.sin(angle) * width * 500  # half of it, in mm
        x, z = spot.x * 1e3, spot.z * 1e3
        ax.plot([x - across, x + across], [z - down, z + down], color=BLUE, linewidth=1)
    return ax


@matplotlib.rc_context(STYLE)
def psf(spot: Spot, *, floor_db: float = -60.0, ax: Any = None) -> Any:
    """Show all of a spot: `contour` beside `cross_sections`.

    Parameters
    ----------
    spot, floor_db
        As they take them.
    ax : pair of matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    pair of matplotlib Axes
    """
    near, cuts = axes((8.2, 3.4), 2) if ax is None else ax
    contour(spot, floor_db=floor_db, ax=near)
    cross_sections(spot, floor_db=floor_db, ax=cuts)
    near.set_title(f"x {spot.x * 1e3:z.2f} mm, z {spot.z * 1e3:.2f} mm")
    return near, cuts


@matplotlib.rc_context(STYLE)
def fwhm_against_depth(
    measured: Sequence[Spot], *, theory: Callable[[float], tuple[float, float]] | None = None, ax: Any = None
) -> Any:
    """Show lateral and axial FWHM of many spots against their depth.

    Parameters
    ----------
    measured
        As `usbeam.psf.survey` gives them.
    theory
        From a depth to the lateral and axial FWHM to be expected, all in m; drawn as lines.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes((4.2, 3.2))[0] if ax is None else ax
    depths = np.array([spot.z for spot in measured])
    widths = np.array([(spot.lateral_fwhm, spot.axial_fwhm) for spot in measured])
    kinds = list(zip(("lateral", "axial"), (BLUE, ORANGE), "os", strict=True))
    for (name, color, marker), values in zip(kinds, widths.T, strict=True):
        ax.plot(depths * 1e3, values * 1e3, marker, color=color, markersize=4, label=name)
    if theory is not None:
        between = np.linspace(depths.min(), depths.max(), 40)
        expected = np.array([theory(float(depth)) for depth in between])
        for (name, color, _), values in zip(kinds, expected.T, strict=True):
            ax.plot(between * 1e3, values * 1e3, color=color, linewidth=1, label=f"{name}, theory")
    ax.set(xlabel="depth z [mm]", ylabel="FWHM [mm]")
    ax.set_ylim(0, 1.05 * max(np.max(line.get_ydata()) for line in ax.lines))
    ax.legend()
    return ax


def _picture_axes(image: Image, columns: int = 1, *, longest: float) -> list[Any]:
    """Axes of a new figure for images of this one's shape, their longer side so many inches."""
    left, right, bottom, top = image.grid.extent_mm
    size = longest / max(right - left, bottom - top)
    # Room for a title above a narrow picture, and for labels beside a flat one.
    width, height = max(1.8, (right - left) * size + 0.2), max(1.5, (bottom - top) * size)
    return axes((columns * width + 1.5, height + 0.9), columns)


def _bar(picture: Any) -> Any:
    """The dB bar of a picture: at its right, exactly as tall, about as wide for any shape of picture."""
    ax = picture.axes
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    tall = max(1.0, abs((top - bottom) / (right - left)))
    return ax.figure.colorbar(picture, cax=ax.inset_axes([1 + 0.02 * tall, 0, 0.03 * tall, 1]), label="dB")


def _is_uniform(axis: Any) -> bool:
    steps = np.diff(axis)
    return not len(steps) or bool(np.ptp(steps) <= NON_UNIFORM * steps.mean())
