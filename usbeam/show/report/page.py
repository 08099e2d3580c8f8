"""The page: markup, style and script of this folder with the contents in it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from usbeam import __version__
from usbeam.errors import ConfigError, printable
from usbeam.image import Image
from usbeam.io.atomic import atomic_write, check_output
from usbeam.measure.contrast import BINS
from usbeam.measure.shapes import BORDER, MAX_POINTS, RegionPair
from usbeam.show.report import contents

MAX_PIXELS = 20_000_000
"""Of all images together: a page of some 100 MB; a larger one takes a browser too long to open."""
_POLICY = "default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'"


def write(
    images: Mapping[str, Image],
    path: str | os.PathLike[str],
    *,
    regions: Mapping[str, RegionPair] | None = None,
    points: Iterable[tuple[float, float]] = (),
    title: str = "",
    dynamic_range: float = 60.0,
    overwrite: bool = False,
) -> None:
    """Write a report: one HTML page that shows the images, lets one draw regions, and measures.

    The page holds the images as numbers (the envelope, or dB of an image in dB), so that what it measures is what
    `usbeam.measure.metrics` measures. It loads nothing and sends nothing; a policy in the page forbids it.

    Parameters
    ----------
    images
        Title -> image, in any state and on any grid, at most `MAX_PIXELS` pixels together.
    path
        The page to be written (.html).
    regions
        Name -> pair: regions to start with.
    points
        Places ``(x, z)`` [m] near which the point-spread function is measured (`usbeam.measure.psf.measure`). Where an
        image has none there, the page says why.
    title
        Of the page.
    dynamic_range
        For CNR [dB], and of the display at first.
    overwrite
        Whether a page that is there may be replaced.

    Raises
    ------
    OutputExists, FileAccessError
        If the page is there, or cannot be written.
    ConfigError
        If there is no image, too many pixels, a pixel that is not finite, or a dynamic range that is not positive.

    Examples
    --------
    >>> import usbeam as ub
    >>> grid = ub.Grid.linear(x=(-10e-3, 10e-3), z=(10e-3, 30e-3), shape=(201, 201))
    >>> speckle = np.random.default_rng(0).rayleigh(size=grid.shape).astype(np.float32)
    >>> write({"speckle": ub.Image(speckle, grid, "envelope")}, "report.html", title="Speckle")
    """
    _check(images, dynamic_range)
    check_output(path, overwrite=overwrite)  # before the work
    data = {
        "title": printable(title) or "usbeam report",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "dynamic_range": float(dynamic_range),
        "bins": BINS,
        "border": BORDER,
        "max_points": MAX_POINTS,
        "images": [contents.of_image(name, image) for name, image in images.items()],
        "regions": [contents.of_pair(name, pair) for name, pair in (regions or {}).items()],
        "points": contents.of_points(points, images.values()),
    }
    page = _page(data)
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _check(images: Mapping[str, Image], dynamic_range: float) -> None:
    if not images:
        raise ConfigError("no image to report", location="images")
    if not (np.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="dynamic_range", found=dynamic_range)
    n_pixels = sum(image.grid.size for image in images.values())
    if n_pixels > MAX_PIXELS:
        raise ConfigError(
            "too many pixels for one page",
            location="images",
            expected=f"at most {MAX_PIXELS:,} pixels in all images together",
            found=f"{n_pixels:,}",
            hint="several reports of fewer images, or images of a smaller region or with a larger step",
        )
    for name, image in images.items():
        if not np.all(np.isfinite(image.data)):
            raise ConfigError("a pixel is not finite", location=name)


def _page(data: Mapping[str, Any]) -> str:
    """The markup with everything in it; the policy names the style and the script by their hashes."""
    folder = files("usbeam.show.report")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    parts = sorted(folder.joinpath("script").iterdir(), key=lambda part: part.name)
    script = "\n".join(part.read_text(encoding="utf-8") for part in parts if part.name.endswith(".js"))
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        policy=_POLICY.format(script=_hash(script), style=_hash(style)),
        version=html.escape(__version__),
        title=html.escape(str(data["title"])),
        style=style,
        # ASCII only, and nothing in it that could end the element it stands in.
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
