"""What a report is made of, as plain types that JSON has: the page's script reads exactly this."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.errors import ConfigError, MeasurementError, printable
from usbeam.image import Image
from usbeam.measure import psf
from usbeam.measure.shapes import Mask, RegionPair, Shape

Place = tuple[float, float]

SPOT_FIGURES = ("x", "z", "lateral_fwhm", "axial_fwhm", "peak_sidelobe_db", "integrated_sidelobe_db")


def packed(array: npt.NDArray[Any]) -> str:
    """Base64 of gzip of an array's bytes, little endian."""
    small_first = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return base64.b64encode(gzip.compress(small_first.tobytes(), mtime=0)).decode("ascii")


def of_image(name: str, image: Image) -> dict[str, Any]:
    """An image: the envelope of a complex one, for that is what it shows."""
    shown = image if image.state == "db" else image.envelope()
    left, right, bottom, top = (edge * 1e-3 for edge in image.grid.extent_mm)
    return {
        "name": printable(name),
        "state": image.state,
        "x": packed(image.grid.x),
        "z": packed(image.grid.z),
        "extent": [left, right, top, bottom],
        "values": packed(shown.data.astype(np.float32)),
        "settings": _plain(image.settings),
        "source": _plain(image.source),
    }


def of_pair(name: str, pair: RegionPair) -> dict[str, Any]:
    """A pair of regions, with the keys that ``rois.toml`` has."""
    return {"name": name, "inside": _of_shape(pair.inside), "outside": _of_shape(pair.outside)}


def _of_shape(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Mask):
        n_z, n_x = shape.pixels.shape
        pixels = packed(shape.pixels.astype(np.uint8))
        return {"shape": "mask", "file": shape.file, "n_z": n_z, "n_x": n_x, "pixels": pixels}
    return {"shape": type(shape).__name__.lower(), **dataclasses.asdict(shape)}


def of_points(points: Iterable[Place], images: Iterable[Image]) -> list[dict[str, Any]]:
    """The spot near each place in each image."""
    images = list(images)
    return [{"x": x, "z": z, "spots": [_of_spot(image, (x, z)) for image in images]} for x, z in points]


def _of_spot(image: Image, place: Place) -> dict[str, Any]:
    """Figures and cross-sections of a spot; or why it has none in this image."""
    try:
        spot = psf.measure(image, place)
    except (MeasurementError, ConfigError) as error:
        return {"problem": str(error)}
    sections = {
        name: {"position": section.position.tolist(), "level_db": section.level_db.tolist()}
        for name, section in (("lateral", spot.lateral), ("axial", spot.axial))
    }
    return _plain({name: getattr(spot, name) for name in SPOT_FIGURES}) | sections | {"warnings": list(spot.warnings)}


def _plain(value: Any) -> Any:
    """Settings as JSON has them: numbers that it lacks are null, anything else is text."""
    if isinstance(value, Mapping):
        return {printable(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else printable(str(value))
