"""``usbeam report``: images, regions and curves in one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usbeam.cli.common import Json, Overwrite, place, result, settings


def report(
    images: Annotated[list[Path], typer.Argument(help="Image files (.h5), on any grids.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write (.html).", show_default=False)],
    rois: Annotated[Path | None, typer.Option(help="Regions to start with (.toml).")] = None,
    near: Annotated[
        list[str] | None,
        typer.Option(help="Also show the point-spread function near X,Z: 0mm,20mm. May be repeated.", metavar="X,Z"),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.", show_default="the images' names")] = "",
    dynamic_range: Annotated[float, typer.Option(help="In dB: of CNR, and of the display at first.")] = 60.0,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a page to look at images, draw regions and measure: one file that needs no server and no network.

    Open it in a browser. The rois.toml that it downloads is what `usbeam evaluate` reads.
    """
    from usbeam.errors import ConfigError
    from usbeam.io.atomic import check_output
    from usbeam.io.image_file import load_image
    from usbeam.measure import roi
    from usbeam.show.report import write

    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("unknown ending", path=output, location="--output", expected=".html", found=output.suffix)
    check_output(output, overwrite=settings.overwrite)
    points = [place(text) for text in near or ()]
    regions = None if rois is None else roi.load(rois)
    titles = _titles(images)
    loaded = {name: load_image(path) for name, path in zip(titles, images, strict=True)}
    write(
        loaded,
        output,
        regions=regions,
        points=points,
        title=title or ", ".join(titles),
        dynamic_range=dynamic_range,
        overwrite=settings.overwrite,
    )
    size = output.stat().st_size
    summary = {
        "file": str(output),
        "bytes": size,
        "images": [str(path) for path in images],
        "pixels": sum(image.grid.size for image in loaded.values()),
        "regions": list(regions or {}),
        "points": points,
        "dynamic_range_db": dynamic_range,
    }
    result(summary, as_json, [f"{output}: {len(images)} image(s), {size / 1e6:.2f} MB; open it in a browser"])


def _titles(paths: list[Path]) -> list[str]:
    """Names of files without folder and ending, or as given where two would be equal."""
    from usbeam.errors import ConfigError

    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ConfigError("the same image twice", path=twice, location="IMAGES")
    stems = [path.stem for path in paths]
    return [path.stem if stems.count(path.stem) == 1 else str(path) for path in paths]
