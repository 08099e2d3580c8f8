"""Reading PNG and TIFF, by Pillow: grey of 8 or 16 bits, colour that is grey, and usbeam's own float TIFFs.

The size of a pixel: what usbeam noted; else the file's resolution, unless it is one that editors, screens and printers
write into every file; ImageJ says the unit in the description.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import PIL.Image

from usbeam.errors import ConfigError, FileFormatError
from usbeam.image import State
from usbeam.io.pictures import notes, png, tiff
from usbeam.io.pictures.picture import Asked, Picture, guarded, one_channel, refuse_claim

_INCH = 0.0254
_USUAL_DPI = (
    72,
    75,
    90,
    96,
    100,
    110,
    120,
    144,
    150,
    180,
    192,
    200,
    220,
    240,
    288,
    300,
    350,
    360,
    400,
    600,
    1200,
    2400,
)
_TIFF_UNITS = {2: _INCH, 3: 1e-2}
_IMAGEJ_UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "inch": _INCH}
_IMAGEJ_UNIT = re.compile(r"^unit=(\S+)$", re.MULTILINE)
_WHITE = {"1": 1, "L": 255, "I;16": 65535, "I;16L": 65535, "I;16B": 65535, "RGB": 255}
_DESCRIPTION, _PHOTOMETRIC, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 270, 262, 282, 283, 296


def read_png(asked: Asked) -> Picture:
    """The pixels of a PNG, and what it says of their size. Raises what `read_tiff` raises."""
    return _read(asked, "PNG")


def read_tiff(asked: Asked) -> Picture:
    """The pixels of a page of a TIFF, and what it says of their size.

    Raises
    ------
    ConfigError
        If there is no such frame.
    TooLarge, FileFormatError, BadField, FileAccessError
        If it unpacks to too much, is damaged or of a kind that is not read, is coloured or transparent, or cannot be
        reached.
    """
    return _read(asked, "TIFF")


def _read(asked: Asked, kind: str) -> Picture:
    with guarded(asked.path, kind), PIL.Image.open(asked.path, formats=[kind]) as opened:
        count = int(getattr(opened, "n_frames", 1))
        if asked.frame >= count:
            raise ConfigError(
                "no such frame", path=asked.path, location="frame", expected=f"within 0..{count - 1}", found=asked.frame
            )
        named = _imagej_unit(opened)  # on the first page only
        opened.seek(asked.frame)
        refuse_claim(4 * opened.width * opened.height, asked.path)
        noted = _notes(opened, kind)
        spacing, no_spacing = _spacing(opened, named) if kind == "TIFF" else _png_spacing(opened)
        values, state = _values(opened, noted, asked)
        return Picture(values, state, spacing=spacing, no_spacing=no_spacing, notes=noted)


def _notes(opened: PIL.Image.Image, kind: str) -> notes.Notes:
    shape = (opened.height, opened.width)
    if kind == "TIFF":
        return notes.read_text(_tag(opened, tiff.NOTES_TAG), shape)
    texts = {
        key.removeprefix(png.PREFIX): value
        for key, value in opened.info.items()
        if isinstance(key, str) and key.startswith(png.PREFIX) and isinstance(value, str)
    }
    try:
        return notes.read({key: json.loads(value) for key, value in texts.items() if key not in _PLAIN}, shape)
    except (ValueError, RecursionError):
        return notes.Notes()


_PLAIN = ("format", "state")


def _values(opened: PIL.Image.Image, noted: notes.Notes, asked: Asked) -> tuple[Any, State | None]:
    """Grey from 0 to 1, or the image's own values and their state."""
    if opened.mode == "F" and noted.state in ("db", "envelope"):
        return np.array(opened, np.float32), noted.state
    if "transparency" in opened.info or opened.mode in ("LA", "PA", "RGBA"):
        _refuse_transparent(opened, asked)
    shown = opened.convert("RGB") if opened.mode in ("P", "PA", "RGBA") else opened
    shown = shown.convert("L") if shown.mode == "LA" else shown
    if shown.mode not in _WHITE:
        raise FileFormatError(
            "pixels whose black and white are not known",
            path=asked.path,
            expected="grey of 8 or 16 bits",
            found=f"mode {opened.mode}",
            hint="save it as 8-bit grey",
        )
    grey = one_channel(np.asarray(shown), _WHITE[shown.mode], asked.path)
    # Pillow turns pixels of 8 bits over by itself where 0 is white.
    inverted = shown.mode.startswith("I") and _tag(opened, _PHOTOMETRIC) == 0
    return 1 - grey if inverted else grey, None


def _refuse_transparent(opened: PIL.Image.Image, asked: Asked) -> None:
    if np.asarray(opened.convert("RGBA"))[..., 3].min() < 255:
        raise FileFormatError(
            "the picture is transparent in places", path=asked.path, hint="save it without transparency"
        )


def _tag(opened: PIL.Image.Image, number: int) -> Any:
    return getattr(opened, "tag_v2", {}).get(number)


def _png_spacing(opened: PIL.Image.Image) -> tuple[tuple[float, float] | None, str]:
    dots = opened.info.get("dpi")
    return (None, _SILENT) if dots is None else _meant(dots[0] / _INCH, dots[1] / _INCH)


def _imagej_unit(opened: PIL.Image.Image) -> float | None:
    """The unit [m] that ImageJ names in the description."""
    description = _tag(opened, _DESCRIPTION)
    if not (isinstance(description, str) and description.startswith("ImageJ=")):
        return None
    named = _IMAGEJ_UNIT.search(description)
    return None if named is None else _IMAGEJ_UNITS.get(named[1].replace("\\u00B5", "µ"))


def _spacing(opened: PIL.Image.Image, named: float | None) -> tuple[tuple[float, float] | None, str]:
    across, down = (_tag(opened, number) for number in (_X_RESOLUTION, _Y_RESOLUTION))
    unit = named or _TIFF_UNITS.get(_tag(opened, _UNIT) or 2)  # an inch where it is not said
    if across is None or down is None or unit is None:
        return None, _SILENT
    return _meant(float(across) / unit, float(down) / unit)


_SILENT = "the file does not say how large a pixel is"


def _meant(across: float, down: float) -> tuple[tuple[float, float] | None, str]:
    """The spacing ``(z, x)`` of so many dots per metre, or why it is not taken."""
    if not (across > 0 and down > 0):
        return None, _SILENT
    dpi = across * _INCH
    if across == down and any(abs(dpi - usual) < 0.02 for usual in _USUAL_DPI):
        return None, f"the file says {dpi:.0f} dots per inch, as editors and screens do, and not how large a pixel is"
    return (1 / down, 1 / across), ""
