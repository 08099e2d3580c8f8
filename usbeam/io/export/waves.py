"""Which UFF wave each of our transmits is; `usbeam.io.convert.uff_waves` says what a wave is, and when."""

from __future__ import annotations

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import GeometryError
from usbeam.io.convert.uff_waves import Wave

AGREEMENT = 0.25
"""Periods of the centre frequency by which firing delays may differ from those of their wave."""


def describe(acquisition: Acquisition) -> tuple[float, list[Wave]]:
    """The time axis and the waves that make USTB's beamformer put every echo where ours puts it.

    UFF knows neither the pulse's peak nor the lens; as USTB's own examples do, both go into `Wave.delay`.

    Parameters
    ----------
    acquisition
        The recording.

    Returns
    -------
    initial_time : float
        The start time of the first transmit [s].
    waves : list of Wave
        One for each transmit.

    Raises
    ------
    GeometryError
        If a transmit is no such wave, or contradicts its own delays.
    """
    speed, lens_delay = acquisition.sound_speed, acquisition.probe.lens_delay
    start_time = np.asarray(acquisition.start_time)
    # UFF has the record's zero relative to the wave, not to the trigger, and as if the pulse peaked at once.
    until_peak = np.asarray(acquisition.transmits.pulse_peak_time) + 2 * lens_delay
    initial_time = float(start_time[0])
    waves: list[Wave] = []
    for t, kind in enumerate(acquisition.transmits.kind):
        wave, passage = _plane(acquisition, t) if kind == "plane" else _spherical(acquisition, t, speed)
        delay = start_time[t] - passage - until_peak[t] - initial_time
        waves.append(Wave(wave.wavefront, wave.azimuth, wave.elevation, wave.distance, float(delay)))
    return initial_time, waves


def _plane(acquisition: Acquisition, t: int) -> tuple[Wave, float]:
    """A wave, and when it passes the origin after the trigger [s]."""
    x, y, z = direction = np.asarray(acquisition.transmits.direction)[t]
    path = acquisition.probe.element_positions @ direction
    passage = _same(acquisition, t, path / acquisition.sound_speed, "direction")
    if abs(y) > 1 - 1e-12:
        return Wave("photoacoustic"), passage
    return Wave("plane", float(np.arctan2(x, z)), float(np.arcsin(y))), passage


def _spherical(acquisition: Acquisition, t: int, speed: float) -> tuple[Wave, float]:
    """A wave, and when it passes the origin after the trigger [s]."""
    fields, elements = acquisition.transmits, acquisition.probe.element_positions
    kind, fired = fields.kind[t], np.flatnonzero(fields.apodization[t])
    if kind == "custom" and fired.size > 1:
        raise GeometryError(
            f"transmit {t} has delays of its own, which no UFF wave describes",
            path=acquisition.path,
            location="transmit/kind",
            expected="element, plane, focused or diverging",
            found=kind,
            hint="keep the usbeam-channel-data file, or write zea, which stores delays",
        )
    alone = fired.size == 1 and kind in ("custom", "element")
    source = elements[fired[0]] if alone else np.asarray(fields.focus)[t]
    wave = _from(source)
    if not alone and (kind == "focused") != wave.is_ahead:
        raise GeometryError(
            f"the {kind} transmit {t} has its source at z = {source[2]:g} m, which UFF takes otherwise",
            path=acquisition.path,
            location="transmit/focus",
            expected="z > 0 for focused, z <= 0 for diverging",
        )
    path = np.linalg.norm(elements - source, axis=1)
    at_source = _same(acquisition, t, (-path if kind == "focused" else path) / speed, "focus")
    return wave, at_source - wave.lead / speed


def _from(source: Floats) -> Wave:
    x, y, z = source
    distance = float(np.linalg.norm(source))
    elevation = float(np.arcsin(y / distance)) if distance else 0.0
    return Wave("spherical", float(np.arctan2(x, z)), elevation, distance)


def _same(acquisition: Acquisition, t: int, arrival: Floats, field: str) -> float:
    """What all delays have in common beyond the arrival of the wave at the elements [s]."""
    beyond = (acquisition.transmits.delays[t] - arrival)[acquisition.transmits.apodization[t] != 0]
    allowed = AGREEMENT / acquisition.probe.center_frequency
    if np.ptp(beyond) > allowed:
        raise GeometryError(
            f"the firing delays of transmit {t} contradict its {field} by {np.ptp(beyond) * 1e6:.3g} us",
            path=acquisition.path,
            location=f"transmit/{field}",
            expected=f"agreement within a quarter period, {allowed * 1e6:.3g} us",
        )
    return float(beyond.mean())
