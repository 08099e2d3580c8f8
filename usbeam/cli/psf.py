"""``usbeam psf``: how an image shows points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, Overwrite, place, result, say, settings

if TYPE_CHECKING:
    from usbeam.image import Image
    from usbeam.measure.psf import Spot

COLUMNS = {
    "x": ("x", "mm", 1e3, 2),
    "z": ("z", "mm", 1e3, 2),
    "lateral_fwhm": ("lateral", "mm", 1e3, 3),
    "axial_fwhm": ("axial", "mm", 1e3, 3),
    "major_fwhm": ("long axis", "mm", 1e3, 3),
    "minor_fwhm": ("short axis", "mm", 1e3, 3),
    "angle": ("angle", "deg", 180 / math.pi, 0),
    "peak_sidelobe_db": ("side lobe", "dB", 1.0, 1),
    "integrated_sidelobe_db": ("integrated", "dB", 1.0, 1),
    "grating_lobe_db": ("grating lobe", "dB", 1.0, 1),
}
"""Figure of a spot -> heading, unit, how many of them make the SI unit, decimals."""


def psf(
    file: Annotated[Path, typer.Argument(help="An image that `usbeam beamform` made (.h5).", show_default=False)],
    near: Annotated[
        list[str] | None,
        typer.Option(help="Lateral position and depth of a point, 0mm,20mm; repeatable. Without it: bright spots."),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Look for side lobes up to here from the peak, 3mm; 5 widths if not given.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Also write a figure (.png, .pdf, .svg).")] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure point-spread functions: position, widths at -6 dB, side lobes, grating lobes."""
    from usbeam import io
    from usbeam.io.atomic import check_output
    from usbeam.measure.psf import measure, survey
    from usbeam.show.plot import save_figure
    from usbeam.units import parse_quantity

    if plot is not None:
        check_output(plot, overwrite=settings.overwrite)
    places = [place(text) for text in near or ()]
    reach = None if window is None else parse_quantity(window, "length")
    image = io.load_image(file)
    spots = [measure(image, place, window=reach) for place in places] or survey(image, window=reach)
    for spot in spots:
        if spot.warnings:
            say(f"usbeam: warning: ({1e3 * spot.x:z.3f}, {1e3 * spot.z:.3f}) mm: {'; '.join(spot.warnings)}")
    if plot is not None:
        save_figure(_draw(image, spots), plot, overwrite=settings.overwrite)
    points = [{name: getattr(spot, name) for name in (*COLUMNS, "peak", "warnings")} for spot in spots]
    result({"file": str(file), "points": points}, as_json, _table(points))


def _table(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Headings, units, and one line for each point."""
    widths = [max(len(heading), 7) for heading, *_ in COLUMNS.values()]
    yield "  ".join(f"{heading:>{width}}" for (heading, *_), width in zip(COLUMNS.values(), widths, strict=True))
    yield "  ".join(f"{unit:>{width}}" for (_, unit, *_), width in zip(COLUMNS.values(), widths, strict=True))
    for point in points:
        cells = [
            "-" if point[name] is None else f"{point[name] * scale:z.{decimals}f}"
            for name, (_, _, scale, decimals) in COLUMNS.items()
        ]
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _draw(image: Image, spots: Sequence[Spot]) -> Any:
    """One spot from near; of several, where they are and how their widths go with depth."""
    from usbeam.show import plot

    if len(spots) == 1:
        return spots[0].plot()[0]
    picture, widths = plot.axes((9, 4), 2)
    plot.spots(image, spots, ax=picture)
    return plot.fwhm_against_depth(spots, ax=widths)
