"""What was fired, from a zea file: its ``scan`` has one row for each transmit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.zea_file import ZeaFile
from usbeam.probe import Probe
from usbeam.transmits import Transmits

OWN = "custom.usbeam"
"""Where usbeam keeps what zea has no field for."""
WAVEFORM_FREQUENCY = 250e6
"""Sampling frequency of waveforms [Hz]."""


def read_transmits(file: ZeaFile, probe: Probe, sound_speed: float) -> Transmits:
    """Read delays, weights, the shape of the waves and the time of the pulse's peak.

    Parameters
    ----------
    file
        Open.
    probe, sound_speed
        The array, and the speed for which the delays were made [m/s].

    Raises
    ------
    MissingField, BadField
        If fields are absent or do not fit each other.
    """
    n_tx = file.vector("scan.initial_times").size
    polar = file.matrix("scan.polar_angles", n_tx)
    azimuth = file.matrix("scan.azimuth_angles", n_tx) if file.first("scan.azimuth_angles") else np.zeros(n_tx)
    origins = file.first("scan.transmit_origins", "scan.origin")
    origin = np.zeros((n_tx, 3)) if origins is None else file.matrix(origins, n_tx, 3)
    distance = _focus_distances(file, n_tx, sound_speed / probe.center_frequency)
    direction = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    focus = origin + distance[:, None] * direction
    delays = file.matrix("scan.t0_delays", n_tx, probe.n_elements)
    apodization = file.matrix("scan.tx_apodizations", n_tx, probe.n_elements)
    if file.first(f"{OWN}.kind"):  # the same facts before they became angles and distances
        kinds = file.text(f"{OWN}.kind").split()
        direction, focus = (file.matrix(f"{OWN}.{name}", n_tx, 3) for name in ("direction", "focus"))
    else:
        # The limit at which beamforming refuses a direction or a focus that contradicts the delays.
        tolerance = 0.25 * sound_speed / probe.center_frequency
        kinds: list[str] = []
        for row, fired in enumerate(apodization != 0):
            at, way = probe.element_positions[fired], sound_speed * delays[row, fired]
            kinds.append(_kind(at, way, distance[row], direction[row], focus[row], tolerance))
    return Transmits(
        kind=tuple(kinds),
        delays=delays,
        apodization=apodization,
        direction=direction,
        focus=focus,
        origin=origin,
        pulse_peak_time=_pulse_peak_time(file, n_tx),
    )


def _kind(at: Floats, way: Floats, distance: float, direction: Floats, focus: Floats, tolerance: float) -> str:
    """Kind of a transmit whose elements at `at` (n, 3) fire when sound has gone so many metres, `way` (n,)."""
    if len(at) < 2:
        return "element"
    kind = "plane" if distance == 0 else "focused" if distance > 0 else "diverging"
    path = at @ direction if kind == "plane" else -np.sign(distance) * np.linalg.norm(at - focus, axis=1)
    return kind if np.ptp(way - path) <= tolerance else "custom"


def _focus_distances(file: ZeaFile, n_tx: int, wavelength: float) -> Floats:
    """From origin to focus [m]; 0 for plane waves."""
    distance = file.matrix("scan.focus_distances", n_tx)
    distance[np.isinf(distance)] = 0
    # Files before 0.1 may have them in wavelengths; no focus lies beyond a metre.
    old = file.find("@zea_version") is None
    return distance * wavelength if old and np.any(distance >= 1) else distance


def knows_pulse_peak(file: ZeaFile) -> bool:
    """Whether the file says when the pulse peaks."""
    listed = any(name.startswith("scan.waveforms_two_way.") for name in file.names())
    return listed or file.first(f"{OWN}.pulse_peak_time", "scan.waveforms_two_way") is not None


def _pulse_peak_time(file: ZeaFile, n_tx: int) -> Floats | float:
    """From firing to the largest envelope of the two-way pulse [s]."""
    if file.first(f"{OWN}.pulse_peak_time"):
        return file.matrix(f"{OWN}.pulse_peak_time", n_tx)
    if not knows_pulse_peak(file):
        return 0.0
    listed = sorted(name for name in file.names() if name.startswith("scan.waveforms_two_way."))
    waveforms = [file.vector(name) for name in listed] or list(np.atleast_2d(file.array("scan.waveforms_two_way")))
    peaks = np.array([_peak_time(waveform) for waveform in waveforms])
    if not file.first("scan.tx_waveform_indices"):
        return peaks
    index = file.matrix("scan.tx_waveform_indices", n_tx)
    if not np.all((index >= 0) & (index < len(peaks))):
        raise BadField(
            "no such waveform",
            path=file.path,
            location="scan.tx_waveform_indices",
            expected=f"0..{len(peaks) - 1}",
            found=f"{index.min():g}..{index.max():g}",
        )
    return peaks[index.astype(np.int64)]


def _peak_time(waveform: npt.NDArray[Any]) -> float:
    """When the envelope of a waveform (n_samples,) is largest, between samples too [s]."""
    from scipy.signal import hilbert

    if not waveform.size:
        return 0.0
    # Zeros behind it keep the end from leaking into the beginning.
    envelope = np.abs(np.asarray(hilbert(waveform.astype(np.float64), 2 * waveform.size)))[: waveform.size]
    top = int(np.argmax(envelope))
    shift = 0.0
    if 0 < top < envelope.size - 1:
        before, at, after = envelope[top - 1 : top + 2]
        curvature = before - 2 * at + after
        shift = 0.5 * float((before - after) / curvature) if curvature else 0.0
    return (top + shift) / WAVEFORM_FREQUENCY
