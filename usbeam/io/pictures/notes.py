"""What usbeam writes about an image into the text of a picture, and reads back: all of it that is not its pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image


@dataclass(frozen=True)
class Notes:
    """What is noted of an image; None where nothing is.

    Parameters
    ----------
    state
        As it was written; to be checked.
    spacing, first : (z, x)
        Size of a pixel and position of the first one [m].
    dynamic_range_db
        Of a dB image.
    settings, source
        The image's own.
    """

    state: str | None = None
    spacing: tuple[float, float] | None = None
    first: tuple[float, float] | None = None
    dynamic_range_db: float | None = None
    settings: Mapping[str, Any] | None = None
    source: Mapping[str, str] | None = None


def notes_of(image: Image) -> dict[str, Any]:
    """All of an image that is not its pixels, in plain types."""
    return {
        "format": "usbeam-picture 1.0",
        "shape_z_x": list(image.grid.shape),
        "spacing_z_x_m": list(steps(image.grid)),
        "first_pixel_z_x_m": [float(image.grid.z[0]), float(image.grid.x[0])],
        "state": image.state,
        "dynamic_range_db": image.dynamic_range_db,
        "settings": dict(image.settings),
        "source": dict(image.source),
    }


def read_text(text: object, shape: tuple[int, ...]) -> Notes:
    """What `notes_of` gave, from JSON; nothing of what is not that. See `read`."""
    try:
        return read(json.loads(text), shape) if isinstance(text, str) else Notes()
    except (ValueError, RecursionError):
        return Notes()


def read(noted: object, shape: tuple[int, ...]) -> Notes:
    """What `notes_of` gave; nothing if the picture was cropped or resized since, or somebody else's."""
    if not isinstance(noted, dict) or noted.get("shape_z_x") != list(shape):
        return Notes()
    state, settings, source = (noted.get(key) for key in ("state", "settings", "source"))
    level = noted.get("dynamic_range_db")
    return Notes(
        state=state if isinstance(state, str) else None,
        spacing=_pair(noted.get("spacing_z_x_m")),
        first=_pair(noted.get("first_pixel_z_x_m")),
        dynamic_range_db=float(level) if _is_number(level) and level > 0 else None,
        settings=settings if isinstance(settings, dict) else {},
        source={str(key): str(value) for key, value in source.items()} if isinstance(source, dict) else {},
    )


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _pair(value: object) -> tuple[float, float] | None:
    match value:
        case [z, x] if _is_number(z) and _is_number(x):
            return float(z), float(x)
        case _:
            return None


def steps(grid: Grid) -> tuple[float, float]:
    """Distance between pixels ``(z, x)`` [m].

    Raises
    ------
    ConfigError
        If they are not equally spaced.
    """
    for name, axis in (("z", grid.z), ("x", grid.x)):
        apart = np.diff(axis)
        if not apart.size or np.ptp(apart) > 1e-3 * apart.mean():
            raise ConfigError(
                "the pixels of a picture are equally spaced",
                location=f"grid.{name}",
                found="one position" if not apart.size else f"steps of {apart.min():.6g} to {apart.max():.6g} m",
                hint="save as .h5 or .zarr, or beamform on a uniform grid",
            )
    return grid.spacing
