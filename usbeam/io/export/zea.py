"""Writing zea files, which the Python package zea (0.1 and later) reads.

zea counts time from the firing of the first element, so that delays are not negative there: where ours are, delays and
start times move together. Its IQ data have phase 0 at the first sample. The time of the pulse's peak becomes a pulse in
``waveforms_two_way`` that peaks then (a Gaussian one: zea only asks it for its peak, which cannot lie before the
firing), and the lens a layer with the speed `LENS_SPEED` that delays as much straight ahead. Numbers are stored in
double precision, which zea's reader rounds to its own.

What zea has no field for goes into a group ``/usbeam`` that it passes over: the whole header of the recording
(`usbeam.io.embedded`). With it RF samples and all times come back bit by bit, IQ samples to their rounding.
"""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, ConfigError
from usbeam.io.atomic import atomic_write
from usbeam.io.channel_data import nonfinite
from usbeam.io.convert.zea_transmits import WAVEFORM_FREQUENCY
from usbeam.io.embedded import write_header
from usbeam.io.safe import safe_open

ZEA_VERSION = "0.1.8"
"""The version of zea whose layout this is."""
LENS_SPEED = 1000.0
"""Of the lens [m/s], as zea assumes it where only a delay is known; half the medium's where that is slower."""
ASSUMED_BANDWIDTH = 0.6
"""Of the pulse, where the probe does not state one."""
LONGEST_WAVEFORM = 2**16
"""Samples of a waveform; one of that length peaks after a quarter of a millisecond."""


def write(acquisition: Acquisition, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a recording as a zea file, frame by frame.

    Parameters
    ----------
    acquisition
        The recording.
    path
        The file to be written; zea wants the ending ``.hdf5``.
    overwrite
        Whether a file that is there may be replaced. It stays whole until the new one is.

    Raises
    ------
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    ConfigError
        If there are more receive slots than elements, or the pulse peaks too late for a waveform.
    BadField
        If a sample is not finite.

    Examples
    --------
    >>> import usbeam as ub
    >>> write(ub.load("recording.h5"), "recording.hdf5")  # doctest: +SKIP
    """
    scan = _scan(acquisition)
    with atomic_write(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w", rdcc_nbytes=0) as file:
            file.attrs["zea_version"] = ZEA_VERSION
            if acquisition.title:
                file.attrs["description"] = acquisition.title
            track = file.create_group("tracks/track_0")
            track["transmit_only"] = False
            _put(track.create_group("scan"), scan)
            _put(file.create_group("probe"), _probe(acquisition))
            _write_samples(track.create_group("data"), acquisition)
            write_header(file, acquisition)
        with safe_open(temporary):  # what we could not open again is not left behind
            pass


def _put(group: h5py.Group, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is not None:
            group[name] = value


def _scan(acquisition: Acquisition) -> dict[str, Any]:
    """The fields of ``scan`` by name."""
    transmits = acquisition.transmits
    center = acquisition.probe.center_frequency
    earliest = np.minimum(transmits.delays.min(axis=1), 0.0)
    origin, distance, polar, azimuth = _beams(acquisition)
    return {
        "sampling_frequency": acquisition.sampling_frequency,
        "center_frequency": center,
        # Of RF data it is the frequency that they are to be mixed with.
        "demodulation_frequency": acquisition.demodulation_frequency if acquisition.kind == "iq" else center,
        "sound_speed": acquisition.sound_speed,
        "initial_times": np.asarray(acquisition.start_time) - earliest,
        "t0_delays": transmits.delays - earliest[:, None],
        "tx_apodizations": transmits.apodization,
        "focus_distances": distance,
        "transmit_origins": origin,
        "polar_angles": polar,
        "azimuth_angles": azimuth,
        "waveforms_two_way": _waveforms(acquisition),
        "rx_aperture_indices": _receivers(acquisition),
        "time_to_next_transmit": _time_to_next(acquisition.transmit_times),
    }


def _beams(acquisition: Acquisition) -> tuple[Floats, Floats, Floats, Floats]:
    """Origin (n_tx, 3), distance of the focus along the beam, polar and azimuthal angle (n_tx,).

    The distance is infinite for what zea images by the first arrival: plane waves, single elements, custom delays.
    """
    transmits = acquisition.transmits
    fired = transmits.apodization != 0
    aperture = fired @ acquisition.probe.element_positions / fired.sum(axis=1, keepdims=True)
    origin = aperture if transmits.origin is None else np.array(transmits.origin)
    ahead = np.tile([0.0, 0.0, 1.0], (len(transmits), 1))
    distance = np.full(len(transmits), np.inf)
    for t, kind in enumerate(transmits.kind):
        if kind == "plane" and transmits.direction is not None:
            ahead[t] = transmits.direction[t]
        elif kind in ("focused", "diverging") and transmits.focus is not None:
            sign = 1.0 if kind == "focused" else -1.0
            way = transmits.focus[t] - origin[t]
            distance[t] = sign * max(float(np.linalg.norm(way)), 1e-12)
            ahead[t] = way / distance[t]
    x, y, z = ahead.T
    side = np.where(x < 0, -1.0, 1.0)  # toward -x by a negative polar angle, as where there is no azimuth
    return origin, distance, np.arctan2(side * np.hypot(x, y), z), np.arctan2(side * y, side * x)


def _waveforms(acquisition: Acquisition) -> npt.NDArray[np.float32]:
    """``(n_tx, n)``: two-way pulses whose envelopes are largest at the time of the pulse's peak."""
    probe, peak = acquisition.probe, np.asarray(acquisition.transmits.pulse_peak_time)[:, None]
    # A Gaussian of this width falls to half its amplitude at both edges of the band.
    width = np.sqrt(2 * np.log(2)) / (np.pi * (probe.bandwidth or ASSUMED_BANDWIDTH) * probe.center_frequency)
    count = int((max(float(peak.max()), 0.0) + 5 * width) * WAVEFORM_FREQUENCY) + 1
    if count > LONGEST_WAVEFORM:
        raise ConfigError(
            "the pulse peaks too late for a waveform of zea's",
            path=acquisition.path,
            location="transmit/pulse_peak_time",
            expected=f"at most {LONGEST_WAVEFORM / WAVEFORM_FREQUENCY:g} s",
            found=f"{peak.max():g} s",
        )
    time = np.arange(count) / WAVEFORM_FREQUENCY - peak
    carrier = np.cos(2 * np.pi * probe.center_frequency * time)
    return (np.exp(-((time / width) ** 2) / 2) * carrier).astype(np.float32)


def _receivers(acquisition: Acquisition) -> npt.NDArray[np.int32] | None:
    """``(n_tx, n_rx)``: the element behind each slot; None where slot n is element n."""
    receivers, n_elements = np.array(acquisition.receivers, np.int32), acquisition.probe.n_elements
    if receivers.shape[1] == n_elements and np.all(receivers == np.arange(n_elements)):
        return None
    if receivers.shape[1] > n_elements:
        raise ConfigError(
            "more receive slots than elements",
            path=acquisition.path,
            location="receive/element_index",
            expected=f"at most {n_elements}",
            found=receivers.shape[1],
        )
    for row in receivers:  # zea knows no absent trace: its slot, with zeros in it, is given an element that has none
        unused = np.setdiff1d(np.arange(n_elements), row)
        row[row == ABSENT] = unused[: np.count_nonzero(row == ABSENT)]
    return receivers


def _time_to_next(times: Floats | None) -> Floats | None:
    """``(n_frames, n_tx)``: from each transmit to the next [s]; 0 after the last."""
    return None if times is None else np.append(np.diff(times.ravel()), 0.0).reshape(times.shape)


def _probe(acquisition: Acquisition) -> dict[str, Any]:
    """The fields of ``probe`` by name."""
    probe, speed = acquisition.probe, acquisition.sound_speed
    lens_speed = LENS_SPEED if speed > LENS_SPEED else speed / 2
    lens = {
        "lens_sound_speed": lens_speed,
        "lens_thickness": probe.lens_delay / (1 / lens_speed - 1 / speed),
    }
    return {
        "name": probe.name or None,
        "type": probe.kind,
        "probe_geometry": probe.element_positions,
        "probe_center_frequency": probe.center_frequency,
        "probe_bandwidth_percent": None if probe.bandwidth is None else 100 * probe.bandwidth,
        "element_width": probe.element_width,
        "element_height": probe.element_height,
        **(lens if probe.lens_delay else {}),
    }


def _write_samples(group: h5py.Group, acquisition: Acquisition) -> None:
    """``raw_data (n_frames, n_tx, n_samples, n_rx, n_channels)``, a chunk for each transmit."""
    n_frames, n_tx, n_rx, n_samples = acquisition.samples.shape
    is_iq = acquisition.kind == "iq"
    shape = (n_frames, n_tx, n_samples, n_rx, 2 if is_iq else 1)
    raw = group.create_dataset(
        "raw_data",
        shape=shape,
        dtype="<f4" if is_iq else acquisition.samples.dtype.newbyteorder("<"),
        chunks=(1, 1, *shape[2:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    turns = (acquisition.demodulation_frequency * np.asarray(acquisition.start_time)) % 1
    for index in range(n_frames):
        frame: Any = acquisition.frame(index)
        if nonfinite(frame) is not None:
            raise BadField(
                "samples that are not finite",
                path=acquisition.path,
                location=f"/samples frame {index}",
                hint='load the recording with on_nonfinite="zero" to take them as zero',
            )
        if is_iq:  # our phase counts from t = 0, zea's from the first sample
            frame = frame * np.exp(2j * np.pi * turns)[:, None, None]
        parts = (frame.real, frame.imag) if is_iq else (frame,)
        for t in range(n_tx):
            raw[index, t] = np.stack([part[t].T for part in parts], axis=-1)
