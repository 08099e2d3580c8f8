"""What UFF says of a transmit, a *wave*, and what our transmits say of it.

A wave has a front and a source, but no firing delays. Its time zero is when the front passes the origin of coordinates;
so USTB's beamformer (``midprocess.das``) computes the arrival at a point p, and so do we:

==============  =================================================================================================
plane           ``p . d / c``, with d = (sin a cos e, sin e, cos a cos e) of the source's azimuth a and elevation e
spherical       ``(|p - s| - |s|) / c`` for a source s behind the array (below `BEHIND`): it passes the origin later
spherical       ``(|s| + |p - s|) / c`` for any other source and points deeper than it, ``(|s| - |p - s|) / c`` for
                points before it: it passes the origin on its way to s. For a single element at s this is one that
                fires at ``|s| / c``
photoacoustic   0: the medium itself sounds at t = 0
==============  =================================================================================================

The firing delays follow by taking p at the elements. ``wave.delay`` is the time from that zero to the zero of the time
axis of the samples, so that sample n was taken at ``initial_time + n / sampling_frequency + delay``. The property
``wave.origin`` does not move time zero.

The phase of IQ samples refers to the time axis *without* ``delay``: USTB mixes with ``exp(-2j pi f t)`` for
t = ``initial_time + n / sampling_frequency``, and we with the time since t = 0; see `turn`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.probe import Probe
from usbeam.transmits import Transmits

WAVEFRONTS = ("plane", "spherical", "photoacoustic")
"""In the order of USTB's enumeration, which counts from 0."""
BEHIND = -1e-3
"""A spherical source below this z [m] lies behind the array, to USTB's beamformer."""
ROUNDING = 1e-6
"""Lengths below this [m] are 0, since USTB stores single precision: a source so near to an element is that element."""
ALONG_Y = (0.0, 1.0, 0.0)
"""A photoacoustic wave as a plane wave: one that runs along y reaches all points of the image plane at t = 0.

It does so at the recording's own speed of sound; a lower one would bend it into the image plane."""


@dataclass(frozen=True)
class Wave:
    """A ``uff.wave``.

    Parameters
    ----------
    wavefront
        One of `WAVEFRONTS`.
    azimuth, elevation : float
        Of the source, or of the plane wave's direction [rad].
    distance : float
        From the origin to the source [m]; infinite for a plane wave.
    delay : float
        From the passage of the origin to the zero of the samples' time axis [s].
    """

    wavefront: str
    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = np.inf
    delay: float = 0.0

    @property
    def is_plane(self) -> bool:
        """Whether the front is flat: also that of a spherical source at infinity."""
        return self.wavefront == "plane" or (self.wavefront == "spherical" and np.isinf(self.distance))

    @property
    def direction(self) -> Floats:
        """``(3,)``: unit vector from the origin to the source, and of a plane wave's travel."""
        a, e = self.azimuth, self.elevation
        return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])

    @property
    def source(self) -> Floats:
        """``(3,)``: position of the source [m]."""
        return self.distance * self.direction

    @property
    def is_ahead(self) -> bool:
        """Whether the source lies in front of the array, so that the wave converges."""
        return bool(self.source[2] > ROUNDING)

    @property
    def lead(self) -> float:
        """Way [m] from the passage of the origin to the source; negative if the wave was at the source before."""
        return -self.distance if self.source[2] < BEHIND else self.distance


def fire(
    waves: list[Wave], weights: list[Floats | None], origins: list[Floats | None], probe: Probe, sound_speed: float
) -> Transmits:
    """What the elements did to make these waves, t = 0 being a wave's passage of the origin of coordinates.

    Parameters
    ----------
    waves
        As stored; their `Wave.delay` is not used: it belongs to the samples' start time.
    weights
        ``(n_elements,)`` where a wave states its apodization, else None: all elements fire alike.
    origins
        ``(3,)`` centre of the active aperture [m] where a wave states it.
    probe, sound_speed
        The array and the speed [m/s] of the delays.
    """
    elements = probe.element_positions
    n_tx, n_elements = len(waves), len(elements)
    kinds: list[str] = []
    delays, apodization = np.zeros((n_tx, n_elements)), np.ones((n_tx, n_elements))
    direction, focus, origin = np.tile([0.0, 0.0, 1.0], (n_tx, 1)), np.zeros((n_tx, 3)), np.zeros((n_tx, 3))
    for t, (wave, weight, stated) in enumerate(zip(waves, weights, origins, strict=True)):
        if weight is not None:
            apodization[t] = weight
        if wave.is_plane or wave.wavefront == "photoacoustic":
            kinds.append("plane")
            direction[t] = wave.direction if wave.is_plane else ALONG_Y
            delays[t] = elements @ direction[t] / sound_speed
        else:
            source = wave.source
            path = np.linalg.norm(elements - source, axis=1)
            nearest = int(np.argmin(path))
            if path[nearest] < ROUNDING and (weight is None or np.count_nonzero(weight) == 1):
                kinds.append("element")
                apodization[t] = np.arange(n_elements) == nearest
                delays[t, nearest] = wave.lead / sound_speed
            else:
                kinds.append("focused" if wave.is_ahead else "diverging")
                focus[t] = source
                delays[t] = (wave.lead + (-path if wave.is_ahead else path)) / sound_speed
        fired = apodization[t] != 0
        # Where nothing fires, `Transmits` says so.
        origin[t] = stated if stated is not None else elements[fired].mean(axis=0) if fired.any() else 0.0
    return Transmits(
        kind=tuple(kinds), delays=delays, apodization=apodization, direction=direction, focus=focus, origin=origin
    )


def turn(samples: npt.NDArray[Any], times: Floats, frequency: float) -> npt.NDArray[Any]:
    """IQ samples ``(n_frames, n_tx, n_rx, n_samples)``, their phase referred to a zero `times` (n_tx,) [s] earlier.

    Reading turns by ``wave.delay``: samples mixed with ``exp(-2j pi f (t - delay))`` become samples mixed with
    ``exp(-2j pi f t)``.
    """
    return samples * np.exp(-2j * np.pi * ((frequency * times) % 1))[:, None, None]


def fingerprint(waves: list[Wave], *facts: float) -> str:
    """SHA-256 of the waves and further numbers, as stored: by it, a file of ours is known to be as we wrote it."""
    digest = hashlib.sha256()
    for wave in waves:
        numbers = (wave.azimuth, wave.elevation, wave.distance, wave.delay)
        digest.update(wave.wavefront.encode() + np.array(numbers, "<f8").tobytes())
    digest.update(np.array(facts, "<f8").tobytes())
    return digest.hexdigest()
