"""What was fired, from a zea file: its ``scan`` has one row for each transmit.

``t0_delays`` say when each element fired, and the wave follows from them (`usbeam.io.convert.wavefront`). Angles, focus
distances and origins, which say the same once more, are not read: old files have distances in wavelengths, and plane
waves are marked by infinity in some and by 0 in others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.wavefront import transmits_of
from usbeam.io.convert.zea_file import ZeaFile
from usbeam.probe import Probe
from usbeam.transmits import Transmits

WAVEFORM_FREQUENCY = 250e6
"""Sampling frequency of waveforms [Hz]."""


def read_transmits(file: ZeaFile, probe: Probe, sound_speed: float) -> Transmits:
    """Read firing times, weights and the time of the pulse's peak.

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
    return transmits_of(
        probe,
        file.matrix("scan.t0_delays", n_tx, probe.n_elements),
        file.matrix("scan.tx_apodizations", n_tx, probe.n_elements),
        sound_speed,
        pulse_peak_time=_pulse_peak_time(file, n_tx),
    )


def knows_pulse_peak(file: ZeaFile) -> bool:
    """Whether the file says when the pulse peaks."""
    return bool(_listed_waveforms(file) or file.first("scan.waveforms_two_way"))


def _listed_waveforms(file: ZeaFile) -> list[str]:
    """In files before 0.1 each waveform is a dataset of its own."""
    return sorted(name for name in file.names() if name.startswith("scan.waveforms_two_way."))


def _stacked_waveforms(file: ZeaFile) -> list[Floats]:
    """Rows of one dataset, which may be a single one."""
    name = "scan.waveforms_two_way"
    shape = file.array(name).shape
    return list(file.matrix(name, *shape[:2])) if len(shape) > 1 else [file.vector(name)]


def _pulse_peak_time(file: ZeaFile, n_tx: int) -> Floats | float:
    """From firing to the largest envelope of the two-way pulse [s]."""
    if not knows_pulse_peak(file):
        return 0.0
    waveforms = [file.vector(name) for name in _listed_waveforms(file)] or _stacked_waveforms(file)
    peaks = np.array([_peak_time(each) for each in waveforms])
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
