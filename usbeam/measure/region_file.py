"""Files of regions: TOML, with masks as PNG beside it. The format is described in `usbeam.measure.roi`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import reprlib
import tomllib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from usbeam.errors import ConfigError, FileAccessError, FileFormatError, TooLarge, UsbeamError
from usbeam.io.atomic import atomic_write
from usbeam.io.convert.variables import did_you_mean
from usbeam.io.safe import access_error
from usbeam.measure.mask import Mask, Pixels, check_mask_name
from usbeam.measure.shapes import Annulus, Circle, Polygon, Rectangle, RegionPair, Shape
from usbeam.units import parse_quantity, parse_range

MAX_BYTES = 2**20
"""Longest file of regions that is read."""
MAX_MASK_PIXELS = 2**26
"""Largest mask that is read."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MODES = ("1", "L", "P", "RGB")
"""Kinds of PNG that have one meaning of white: 8 bits, no transparency."""


def load(path: str | os.PathLike[str]) -> dict[str, RegionPair]:
    """Read a file of regions.

    Parameters
    ----------
    path
        The TOML file; masks are looked for beside it.

    Returns
    -------
    dict
        Name -> `RegionPair`, in the file's order.

    Raises
    ------
    FileAccessError
        If the file or a mask cannot be reached.
    ConfigError
        If it is no TOML, has unknown or missing keys, or a shape that cannot be.
    FileFormatError, TooLarge, UsbeamError
        If a mask is no 8-bit PNG, or too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise access_error(error, path) from error
    try:
        return {name: _pair(name, table, Path(path).parent) for name, table in _tables(content).items()}
    except ConfigError as error:
        error.path = os.fspath(path)
        raise


def save(pairs: Mapping[str, RegionPair], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a file of regions, and its masks beside it.

    Parameters
    ----------
    pairs
        Name -> `RegionPair`; the names become the names of the tables.
    path
        The TOML file to be written.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    OutputExists, FileAccessError
        If a file is there, or cannot be written.
    ConfigError
        If there is no pair.
    """
    text = dumps(pairs)
    shapes = [shape for pair in pairs.values() for shape in (pair.inside, pair.outside)]
    masks = {shape.file: shape for shape in shapes if isinstance(shape, Mask)}
    with atomic_write(path, overwrite=overwrite) as temporary:
        for name, mask in masks.items():
            with atomic_write(Path(path).parent / name, overwrite=overwrite) as picture:
                PIL.Image.fromarray(np.where(mask.pixels, 255, 0).astype(np.uint8)).save(picture, format="PNG")
        temporary.write_text(text, encoding="utf-8")


def dumps(pairs: Mapping[str, RegionPair]) -> str:
    """The text of a file of regions, from which `load` gives the same pairs to the last bit.

    Parameters
    ----------
    pairs
        Name -> `RegionPair`.

    Raises
    ------
    ConfigError
        If there is no pair.

    Examples
    --------
    >>> pair = RegionPair("cyst", Circle(0.0, 20e-3, 3e-3), Annulus(0.0, 20e-3, 4e-3, 6e-3))
    >>> print(dumps({"cyst": pair}))
    [cyst]
    inside = {shape = "circle", x = "0mm", z = "20mm", radius = "3mm"}
    outside = {shape = "annulus", x = "0mm", z = "20mm", inner = "4mm", outer = "6mm"}
    <BLANKLINE>
    """
    if not pairs:
        raise ConfigError("no region to write", location="pairs")
    return "\n".join(
        f"[{_key(name)}]\ninside = {_text(pair.inside)}\noutside = {_text(pair.outside)}\n"
        for name, pair in pairs.items()
    )


def _tables(content: bytes) -> dict[str, Any]:
    """The tables of a TOML file."""
    if len(content) > MAX_BYTES:
        raise ConfigError("too long for regions", expected=f"at most {MAX_BYTES} bytes")
    try:
        tables = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError("not TOML", found=str(error)) from error
    if not tables:
        raise ConfigError(
            "no region in the file", hint='[cyst] with inside = {shape = "circle", ...} and outside = ...'
        )
    return tables


def _length(value: Any) -> float:
    """Metres from TOML's number, or text with a unit."""
    if isinstance(value, str):
        return parse_quantity(value, "length")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError("not a length", expected='for example "3mm"', found=reprlib.repr(value))
    try:
        return float(value)
    except OverflowError as error:
        raise ConfigError("not a length", expected='for example "3mm"', found="a huge number") from error


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, str):
        raise ConfigError("not a range", expected='for example "-3mm:3mm"', found=reprlib.repr(value))
    return parse_range(value, "length")


def _points(value: Any) -> tuple[tuple[float, float], ...]:
    if not (isinstance(value, list) and all(isinstance(point, list) and len(point) == 2 for point in value)):
        raise ConfigError("not a list of points", expected='for example [["-1mm", "10mm"], ...]')
    return tuple((_length(x), _length(z)) for x, z in value)


def _file(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError("not the name of a file", found=reprlib.repr(value))
    return check_mask_name(value)


_KINDS: dict[str, tuple[Callable[..., Shape], dict[str, Callable[[Any], Any]]]] = {
    "circle": (Circle, {"x": _length, "z": _length, "radius": _length}),
    "annulus": (Annulus, {"x": _length, "z": _length, "inner": _length, "outer": _length}),
    "rectangle": (Rectangle, {"x": _range, "z": _range}),
    "polygon": (Polygon, {"points": _points}),
    "mask": (Mask, {"file": _file}),
}
"""Name in the file -> the shape, and how each of its keys is read."""


def _pair(name: str, table: Any, folder: Path) -> RegionPair:
    _check_keys(table, ("inside", "outside"), name)
    return RegionPair(name, *(_shape(table[side], folder, f"{name}.{side}") for side in ("inside", "outside")))


def _shape(table: Any, folder: Path, location: str) -> Shape:
    kind = table.get("shape") if isinstance(table, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigError(
            "unknown shape",
            location=location,
            expected=", ".join(_KINDS),
            found=None if kind is None else reprlib.repr(kind),
        )
    make, fields = _KINDS[kind]
    _check_keys(table, ("shape", *fields), location)
    read = {name: _field(table[name], reader, f"{location}.{name}") for name, reader in fields.items()}
    if kind == "mask":
        read["pixels"] = _mask_pixels(folder / read["file"])
    try:
        return make(**read)
    except ConfigError as error:
        error.location = f"{location}.{error.location}"
        raise


def _field(value: Any, reader: Callable[[Any], Any], location: str) -> Any:
    try:
        return reader(value)
    except ConfigError as error:
        error.location = location
        raise


def _check_keys(table: Any, known: tuple[str, ...], location: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(
            "not a table", location=location, expected=f"a table with {', '.join(known)}", found=reprlib.repr(table)
        )
    for key in table:
        if key not in known:
            raise ConfigError(
                "unknown key",
                location=f"{location}.{key}",
                expected=", ".join(known),
                hint=did_you_mean(key, list(known)),
            )
    missing = [key for key in known if key not in table]
    if missing:
        raise ConfigError(f"{', '.join(missing)} missing", location=location, expected=", ".join(known))


def _mask_pixels(path: Path) -> Pixels:
    """White of an 8-bit PNG (n_z, n_x); grey belongs to the nearer of black and white."""
    if path.is_dir():
        raise FileAccessError("is a folder, not a file", path=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # our own limit is below
            with PIL.Image.open(path, formats=["PNG"]) as picture:
                if picture.width * picture.height > MAX_MASK_PIXELS:
                    raise TooLarge(
                        "too large for a mask",
                        path=path,
                        expected=f"at most {MAX_MASK_PIXELS} pixels",
                        found=f"{picture.height} x {picture.width}",
                    )
                if picture.mode not in _MODES or "transparency" in picture.info:
                    raise FileFormatError(
                        "a mask is grey and opaque",
                        path=path,
                        found=f"mode {picture.mode}",
                        hint="save it as 8-bit grey PNG without transparency",
                    )
                return np.asarray(picture.convert("L")) >= 128
    except UsbeamError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise TooLarge("too large for a mask", path=path, expected=f"at most {MAX_MASK_PIXELS} pixels") from error
    except (PIL.UnidentifiedImageError, SyntaxError, EOFError) as error:
        raise FileFormatError("not a PNG picture", path=path) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise access_error(error, path) from error
        raise FileFormatError("a damaged PNG picture", path=path, found=str(error)) from error


def _text(shape: Shape) -> str:
    """A shape as TOML's inline table."""
    if isinstance(shape, Polygon):
        points = ", ".join(f"[{_written(x)}, {_written(z)}]" for x, z in shape.points)
        return f'{{shape = "polygon", points = [{points}]}}'
    if isinstance(shape, Mask):
        return f'{{shape = "mask", file = {_quoted(shape.file)}}}'
    if isinstance(shape, Rectangle):
        fields = {name: _quoted(":".join(_exact(end) for end in getattr(shape, name))) for name in ("x", "z")}
    else:
        fields = {field.name: _written(getattr(shape, field.name)) for field in dataclasses.fields(shape)}
    kind = type(shape).__name__.lower()
    return f'{{shape = "{kind}", ' + ", ".join(f"{name} = {text}" for name, text in fields.items()) + "}"


def _written(length: float) -> str:
    return _quoted(_exact(length))


def _exact(length: float) -> str:
    """The shortest text in mm that reads back to the same float, or else in metres; no minus before 0."""
    for digits in (6, 15, 16, 17):
        text = f"{length * 1e3 + 0.0:.{digits}g}mm"
        if parse_quantity(text, "length") == length:
            return text
    return f"{length!r}m"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """TOML's basic string: JSON's, but that DEL is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
