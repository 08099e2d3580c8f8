"""Quantities as people write them (``40mm``, ``7.5MHz``, ``39.3us``) to and from SI numbers."""

from __future__ import annotations

import math
import re

from usbeam.errors import ConfigError

_UNITS: dict[str, dict[str, float]] = {
    "length": {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9},
    "frequency": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "speed": {"m/s": 1.0, "mm/us": 1e3, "mm/µs": 1e3, "km/s": 1e3},
    "angle": {"rad": 1.0, "deg": math.pi / 180},
    "ratio": {"%": 1e-2},
    "size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9},
}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]\S*)?\s*")


def parse_quantity(text: str, dimension: str) -> float:
    """Read one quantity as an SI number; a bare number is SI already.

    Parameters
    ----------
    text
        For example ``"40mm"``, ``"-7.5 MHz"``, ``"1540"``.
    dimension
        One of ``length``, ``time``, ``frequency``, ``speed``, ``angle``, ``ratio``, ``size``.

    Raises
    ------
    ConfigError
        If the text is no finite number with a unit of that dimension.

    Examples
    --------
    >>> parse_quantity("40mm", "length")
    0.04
    >>> parse_quantity("7.5MHz", "frequency")
    7500000.0
    """
    units = _UNITS[dimension]
    match = _NUMBER.fullmatch(text)
    if match and (match[2] is None or match[2] in units):
        scale = 1.0 if match[2] is None else units[match[2]]
        # Divide by the exact inverse where there is one: 40 / 1000 rounds once, 40 * 1e-3 twice.
        number = float(match[1])
        value = number / round(1 / scale) if scale < 1 and dimension != "angle" else number * scale
        if math.isfinite(value):
            return value
    raise ConfigError(
        f"cannot read {text!r} as a {dimension}",
        expected=f"a number with one of the units {', '.join(units)}",
        hint=f"for example 1.5{next(iter(units))}; a bare number is SI",
    )


def parse_range(text: str, dimension: str) -> tuple[float, float]:
    """Read ``"5mm:45mm"`` as ``(0.005, 0.045)``.

    Raises
    ------
    ConfigError
        If there are not two quantities in rising order.

    Examples
    --------
    >>> parse_range("-20mm:20mm", "length")
    (-0.02, 0.02)
    """
    parts = text.split(":")
    if len(parts) != 2:
        raise ConfigError(f"cannot read {text!r} as a range", expected="START:STOP, for example 5mm:45mm")
    start, stop = (parse_quantity(part, dimension) for part in parts)
    if not start < stop:
        raise ConfigError(f"the range {text!r} is inverted or empty", expected="START below STOP")
    return start, stop


def format_quantity(value: float, unit: str) -> str:
    """Write an SI value with the prefix that reads best.

    Examples
    --------
    >>> format_quantity(7.5e6, "Hz"), format_quantity(6.25e-4, "m"), format_quantity(1540.0, "m/s")
    ('7.5 MHz', '625 µm', '1540 m/s')
    """
    prefixes = {
        "Hz": ("", "k", "M", "G"),
        "m": ("", "m", "µ"),
        "s": ("", "m", "µ", "n"),
        "B": ("", "k", "M", "G"),
    }
    step = 1e-3 if unit in ("Hz", "B") else 1e3
    scaled = value
    chosen = ""
    for prefix in prefixes.get(unit, ("",)):
        scaled, chosen = (scaled if not prefix else scaled * step), prefix
        if value == 0 or (1 <= abs(scaled) < 1000):
            break
    return f"{scaled:.6g} {chosen}{unit}"
