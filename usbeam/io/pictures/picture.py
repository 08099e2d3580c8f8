"""From the pixels of a picture to an image: where they lie, and how many decibels lie between black and white."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from usbeam.errors import BadField, ConfigError, FileFormatError, GeometryError, TooLarge, UsbeamError, printable
from usbeam.grid import Grid
from usbeam.image import Image, State
from usbeam.io import safe
from usbeam.io.pictures.notes import Notes

DEFAULT_RANGE_DB = 60.0
"""Between black and white of a picture, where nobody says it."""
SPACINGS = (1e-6, 1e-2)
"""Smallest and largest pixel [m] of an ultrasound image."""
TINT = 2 / 255
"""Share of white by which red, green and blue of a grey pixel may differ: what a JPEG's colour space rounds."""

_log = logging.getLogger("usbeam")


@dataclass(frozen=True)
class Asked:
    """What the caller says of a picture; it goes before what the file says.

    Parameters
    ----------
    path
        The file.
    spacing : (z, x), optional
        Size of a pixel [m].
    dynamic_range
        Between black and white [dB].
    frame
        Which of several.
    """

    path: Path
    spacing: tuple[float, float] | None = None
    dynamic_range: float | None = None
    frame: int = 0


@dataclass(frozen=True)
class Picture:
    """What a reader finds in a file.

    Parameters
    ----------
    values : (n_z, n_x)
        Grey from 0 to 1; the image's own values for a state.
    state
        db or envelope, if the values are the image's own.
    spacing, first : (z, x), optional
        Size of a pixel and position of the first one [m], if the file says it.
    no_spacing
        Why there is no pixel size.
    notes
        What usbeam noted of the image.
    """

    values: npt.NDArray[np.float32]
    state: State | None = None
    spacing: tuple[float, float] | None = None
    first: tuple[float, float] | None = None
    no_spacing: str = "the file does not say how large a pixel is"
    notes: Notes = field(default_factory=Notes)


@contextmanager
def guarded(path: str | os.PathLike[str], kind: str) -> Generator[None]:
    """Turn whatever a library raises about a picture into an error of `usbeam.errors`.

    Parameters
    ----------
    path
        The picture.
    kind
        Name of its format.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        try:
            yield
        except UsbeamError:
            raise
        except (PIL.Image.DecompressionBombWarning, PIL.Image.DecompressionBombError, MemoryError) as error:
            raise TooLarge("too large a picture", path=path, found=str(error)) from error
        except OSError as error:
            if error.errno is not None:
                raise safe.access_error(error, path) from error
            raise _damaged(path, kind, error) from error
        except Exception as error:
            raise _damaged(path, kind, error) from error


def _damaged(path: str | os.PathLike[str], kind: str, error: Exception) -> FileFormatError:
    return FileFormatError(f"no {kind} picture, or a damaged one", path=path, found=str(error)[:200])


def refuse_claim(nbytes: int, path: Path) -> None:
    """Refuse what a picture says it unpacks to, if the file cannot hold that or the memory cannot.

    Raises
    ------
    TooLarge
        In either case.
    """
    stored = path.stat().st_size
    allowed = max(safe.SMALL, safe.MAX_RATIO * stored)
    if nbytes > allowed:
        raise TooLarge(
            f"claims {nbytes / 1e9:.3g} GB in a file of {stored} bytes",
            path=path,
            expected=f"at most {allowed / 1e9:.3g} GB",
        )
    safe.check_memory(4 * nbytes, path=str(path), location="pixels")


def one_channel(pixels: npt.NDArray[Any], white: int, path: Path) -> npt.NDArray[np.float32]:
    """Grey from 0 to 1 of pixels that are grey, or red, green and blue that agree.

    Parameters
    ----------
    pixels : (n_z, n_x) or (n_z, n_x, 3)
        From 0 to `white`.
    white
        Largest value that a pixel can have.
    path
        For the error.

    Raises
    ------
    BadField
        If the picture is coloured.
    """
    if pixels.ndim == 2:
        return pixels.astype(np.float32) / np.float32(white)
    coloured = np.count_nonzero(np.ptp(pixels.astype(np.int32), axis=2) > TINT * white)
    if coloured:
        raise BadField(
            "the picture is coloured, and a colour is no echo strength",
            path=path,
            expected="grey",
            found=f"{coloured} of {pixels[..., 0].size} pixels coloured",
            hint="crop it to the grey image, without marks, colour bars and Doppler",
        )
    return pixels[..., 1].astype(np.float32) / np.float32(white)


def image_of(picture: Picture, asked: Asked, kind: str) -> Image:
    """The image that a picture shows, in dB unless the picture holds an envelope.

    Where the first pixel lies is what the file says; otherwise the picture's upper edge is at the array, and its middle
    at x = 0. Rows that are not in front of the array are left out.

    Raises
    ------
    ConfigError
        If nobody says how large a pixel is, or for a dynamic range that cannot be.
    BadField
        If what the file says cannot be.
    """
    notes = picture.notes
    spacing = asked.spacing or notes.spacing or picture.spacing
    if spacing is None:
        raise ConfigError(picture.no_spacing, path=asked.path, location="spacing", hint=_HINT)
    first = None if asked.spacing else notes.first or picture.first
    z, x = _axes(picture.values.shape, spacing, first, asked.path)
    try:
        grid = Grid(x, z[z > 0])
    except GeometryError as error:
        raise BadField(error.what, path=asked.path, location=error.location, found=error.found) from error
    values = picture.values[z > 0]
    if not np.isfinite(values).all():
        raise BadField("pixels that are no numbers", path=asked.path, location="pixels")
    settings = (
        {"method": f"read from {kind}", "spacing_z_x_m": list(spacing)} if notes.settings is None else notes.settings
    )
    source = {"file": printable(asked.path.name)} if notes.source is None else notes.source
    if picture.state == "envelope":
        return Image(values, grid, "envelope", settings=settings, source=source)
    level = _range(asked, notes)
    values = (values - 1) * np.float32(level) if picture.state is None else np.clip(values, -level, 0)
    return Image(values.astype(np.float32), grid, "db", level, settings, source)


_HINT = "give it: spacing=0.1e-3 (m), or --spacing 0.1mm"


def _axes(
    shape: tuple[int, ...], spacing: tuple[float, float], first: tuple[float, float] | None, path: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Depths and lateral positions of the pixels' centres."""
    if not all(SPACINGS[0] <= step <= SPACINGS[1] for step in spacing):
        raise BadField(
            "no pixel size of an ultrasound image",
            path=path,
            location="spacing",
            expected=f"{SPACINGS[0]:g} to {SPACINGS[1]:g} m",
            found=f"{spacing[0]:.6g} x {spacing[1]:.6g} m",
            hint=_HINT,
        )
    first = first or (spacing[0] / 2, -spacing[1] * (shape[1] - 1) / 2)
    counts = (np.arange(count, dtype=np.float64) for count in shape)
    z, x = (start + step * count for start, step, count in zip(first, spacing, counts, strict=True))
    return z, x


def _range(asked: Asked, notes: Notes) -> float:
    """Decibels between black and white; what nobody says is assumed aloud."""
    level = asked.dynamic_range or notes.dynamic_range_db
    if level is None:
        name = printable(asked.path.name)
        _log.warning("%s: taken for %g dB between black and white, as it does not say", name, DEFAULT_RANGE_DB)
        return DEFAULT_RANGE_DB
    return float(level)
