"""The one place where time zero is applied.

The echo of a point p that transmit t sends out and element e receives peaks in the recording at sample

    n = (arrival_t(p) + |p - e| / c + pulse_peak_time_t + 2 lens_delay - start_time_t) * sampling_frequency

where ``arrival_t(p)`` is when the wave front reaches p, in time after the trigger. The sum is split in two legs, so
that each needs one table only: the transmit leg carries arrival, pulse peak, one passage of the lens and the start
time; the receive leg the way back and the other passage of the lens.

``arrival_t`` follows from the stored firing times, whatever event the scanner calls t = 0: a plane wave with unit
vector d satisfies ``delays[e] = d . e / c + constant``, and the same constant holds at p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import GeometryError
from usbeam.kernels.conventions import FOCUSED, PLANE, SPHERICAL


@dataclass(frozen=True, eq=False)
class Legs:
    """Wave fronts, as plain arrays for the kernels.

    Parameters
    ----------
    shape : (n,) int8
        SPHERICAL (first arrival from its sources), PLANE or FOCUSED.
    first : (n + 1,) int64
        Leg i has the sources ``first[i]:first[i + 1]``.
    position : (n_sources, 3)
        [m].
    time : (n_sources,)
        When the source starts, relative to sample 0 of its record [s].
    axis : (n, 3)
        Direction of the plane wave or beam; an element's normal.
    """

    shape: npt.NDArray[np.int8]
    first: npt.NDArray[np.int64]
    position: Floats
    time: Floats
    axis: Floats

    def __len__(self) -> int:
        return len(self.shape)

    def longest(self, corners: Floats, sound_speed: float) -> float:
        """Bound on the magnitude of any delay [s] within the convex hull of `corners` (n, 3)."""
        distance = np.linalg.norm(corners[:, None] - self.position, axis=2).max(axis=0)
        return float(np.max(np.abs(self.time) + distance / sound_speed, initial=0.0))


def receive_legs(acquisition: Acquisition, elements: npt.NDArray[np.int64]) -> Legs:
    """From an image point to each of the given elements, lens included.

    Parameters
    ----------
    acquisition
        The recording.
    elements : (n,)
        Element indices.
    """
    probe = acquisition.probe
    count = len(elements)
    return Legs(
        shape=np.zeros(count, np.int8),
        first=np.arange(count + 1),
        position=np.array(probe.element_positions[elements]),
        time=np.full(count, probe.lens_delay),
        axis=np.array(probe.normals[elements]),
    )


def transmit_legs(acquisition: Acquisition, transmits: npt.NDArray[np.int64], sound_speed: float) -> Legs:
    """From sample 0 of the record to the arrival of the wave at an image point, pulse peak and lens included.

    Parameters
    ----------
    acquisition
        The recording.
    transmits : (n,)
        Transmit indices.
    sound_speed
        Speed to image with [m/s]. Firing times are what the scanner did, so another speed than the recording's bends
        a plane wave (Snell) and moves a focus or virtual source along its axis (to first order).

    Raises
    ------
    GeometryError
        If a transmit's direction or focus contradicts its delays.
    """
    fields = acquisition.transmits
    positions, times, shapes, axes, counts = [], [], [], [], []
    # One array for all: dataclass fields that __post_init__ has broadcast to one value per transmit.
    shift = np.asarray(fields.pulse_peak_time) + acquisition.probe.lens_delay - np.asarray(acquisition.start_time)
    for t in transmits:
        source, time, shape, axis = _wavefront(acquisition, int(t), sound_speed)
        positions.append(source)
        times.append(time + shift[t])
        shapes.append(shape)
        axes.append(axis)
        counts.append(len(source))
    return Legs(
        shape=np.array(shapes, np.int8),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        position=np.concatenate(positions),
        time=np.concatenate(times),
        axis=np.array(axes),
    )


def _wavefront(acquisition: Acquisition, t: int, sound_speed: float) -> tuple[Floats, Floats, int, Floats]:
    """Sources (n, 3), their times after the trigger (n,), shape and axis of one transmit."""
    fields, probe = acquisition.transmits, acquisition.probe
    fired = np.flatnonzero(fields.apodization[t])
    elements, delays = probe.element_positions[fired], fields.delays[t, fired]
    kind = fields.kind[t]
    if kind in ("element", "custom"):
        axis = probe.normals[fired].mean(axis=0)
        return elements, delays, SPHERICAL, axis / max(float(np.linalg.norm(axis)), 1e-12)
    nominal = acquisition.sound_speed
    origin = elements.mean(axis=0) if fields.origin is None else fields.origin[t]
    if kind == "plane":
        direction = np.asarray(fields.direction)[t]
        constant = _agree(delays - elements @ direction / nominal, acquisition, t, "direction")
        lateral = direction[:2] * sound_speed / nominal
        bent = np.array([*lateral, np.sqrt(max(0.0, 1 - lateral @ lateral))])
        return np.zeros((1, 3)), constant, PLANE, bent
    point = np.asarray(fields.focus)[t]
    sign = 1.0 if kind == "diverging" else -1.0
    constant = _agree(delays - sign * np.linalg.norm(elements - point, axis=1) / nominal, acquisition, t, "focus")
    moved = origin + (point - origin) * nominal / sound_speed
    # The wave passes the aperture's centre when it did; only its curvature depends on the speed assumed.
    distance = float(np.linalg.norm(point - origin))
    constant = constant + sign * (distance / nominal - np.linalg.norm(moved - origin) / sound_speed)
    axis = sign * (origin - point) / max(distance, 1e-12)
    return moved[None], constant, SPHERICAL if kind == "diverging" else FOCUSED, axis


def _agree(constants: Floats, acquisition: Acquisition, t: int, field: str) -> Floats:
    """The mean of what must be one constant over the elements; refuses a spread over a quarter period."""
    spread = float(np.ptp(constants))
    quarter = 0.25 / acquisition.probe.center_frequency
    if spread > quarter:
        raise GeometryError(
            f"the firing delays of transmit {t} contradict its {field} by {spread * 1e6:.3g} us",
            path=acquisition.path,
            location=f"transmit/{field}",
            expected=f"agreement within a quarter period, {quarter * 1e6:.3g} us",
            hint="check the sign of the angle, its unit, the sound speed of the delays, and which element is first",
        )
    return np.array([constants.mean()])
