"""The transmits of a mapping: single elements, plane, focused and diverging waves, or delays as programmed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from usbeam.checks import Floats
from usbeam.errors import GeometryError
from usbeam.io.convert.quantities import Section
from usbeam.probe import Probe
from usbeam.transmits import Transmits

_KEYS = {
    "element": ("elements", "first_index"),
    "plane": ("angles", "time_zero", "delays", "apodization"),
    "focused": ("focus", "time_zero", "delays", "apodization"),
    "diverging": ("focus", "time_zero", "delays", "apodization"),
    "custom": ("delays", "apodization"),
}


def read_transmits(section: Section, probe: Probe, sound_speed: float, n_tx: int) -> Transmits:
    """Read ``[transmit]`` of a mapping.

    Parameters
    ----------
    section
        The table.
    probe, sound_speed
        For the delays of plane, focused and diverging waves; where ``delays`` are given, those are taken instead.
    n_tx
        Transmits in the samples.

    Raises
    ------
    ConfigError, GeometryError
        If keys contradict each other, or the transmits cannot be.
    """
    kind = section.choice("kind", *_KEYS)
    section.check_keys("kind", "pulse_peak_time", *_KEYS[kind])
    peak: dict[str, Any] = {}
    if "pulse_peak_time" in section:
        peak["pulse_peak_time"] = section.numbers("pulse_peak_time", "time")
    if kind == "element":
        fired = section.indices("elements") if "elements" in section else np.arange(n_tx)
        return Transmits.elements(probe, fired, **peak)
    if kind == "custom":
        if "delays" not in section:
            raise section.error("missing", "delays")
        weights = {"apodization": np.ones((n_tx, probe.n_elements)), **_programmed(section, probe, n_tx, "apodization")}
        return Transmits(kind=("custom",) * n_tx, **_programmed(section, probe, n_tx, "delays"), **weights, **peak)
    if "delays" in section:
        section.exclude("delays", "time_zero")
    center_first = "delays" not in section and section.choice("time_zero", "first", "center") == "center"
    if kind == "plane":
        angles = np.atleast_1d(section.numbers("angles", "angle"))
        _check_shape(angles, (n_tx,), "transmit/angles")
        transmits = Transmits.plane(probe, angles, sound_speed, time_zero="center" if center_first else "first", **peak)
    else:
        transmits = _spherical(section, kind, probe, sound_speed, n_tx, center_first, peak)
    programmed = {
        **_programmed(section, probe, len(transmits), "delays"),
        **_programmed(section, probe, len(transmits), "apodization"),
    }
    return dataclasses.replace(transmits, **programmed)


def _check_shape(values: Floats, shape: tuple[int, ...], location: str) -> None:
    """Before delays of all waves are made, which may be many."""
    if values.shape != shape:
        raise GeometryError("the waves and the samples disagree", location=location, expected=shape, found=values.shape)


def _spherical(
    section: Section,
    kind: str,
    probe: Probe,
    sound_speed: float,
    n_tx: int,
    center_first: bool,
    peak: dict[str, Any],
) -> Transmits:
    focus = np.atleast_2d(section.numbers("focus", "length"))
    _check_shape(focus, (n_tx, 3), "transmit/focus")
    transmits = Transmits.focused(probe, focus, sound_speed, **peak)
    if set(transmits.kind) != {kind}:
        raise section.error(
            f"a {kind} wave has its focus at z {'> 0' if kind == 'focused' else '< 0'}", "focus", found=transmits.kind
        )
    if not center_first:
        return transmits
    # t = 0 when the wave passes the origin: what an element there would have been delayed by.
    nearest = np.linalg.norm(probe.element_positions - focus[:, None], axis=2)
    sign = -1 if kind == "focused" else 1
    at_origin = sign * np.linalg.norm(focus, axis=1) - (sign * nearest).min(axis=1)
    return dataclasses.replace(transmits, delays=transmits.delays - at_origin[:, None] / sound_speed)


def _programmed(section: Section, probe: Probe, n_tx: int, key: str) -> dict[str, Floats]:
    """Delays or apodization (n_tx, n_elements) where given; one row serves all transmits."""
    if key not in section:
        return {}
    value = section.numbers(key, "time" if key == "delays" else "ratio")
    shape = (n_tx, probe.n_elements)
    if value.shape not in (shape, shape[1:]):
        raise section.error(
            "wrong shape",
            key,
            expected=f"(n_tx, n_elements) = {shape}, or {shape[1:]} for all",
            found=value.shape,
            hint="add transpose = true" if value.shape == shape[::-1] else None,
        )
    return {key: np.broadcast_to(value, shape)}
