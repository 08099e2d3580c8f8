"""zea files (TU Eindhoven; HDF5), of the present layout and of the older one with stored counts.

The layout is that of zea 0.1.8 (``zea.data.spec``): ``raw_data (n_frames, n_tx, n_ax, n_rx, n_ch)``, where two channels
are the real and imaginary part of IQ data; ``scan`` and ``probe`` in SI units. Times count from the firing of the first
element: ``initial_times`` is when sampling starts, ``t0_delays`` when each element fires.

What has to be known to read them right:

- zea mixes IQ data with a phase that is 0 at the first sample of a record; ours is 0 at t = 0.
- ``waveforms_two_way`` are sampled at 250 MHz. Where there are none, the time of the pulse's peak is not known and left
  0 (zea's own beamformer takes ``1 / center_frequency`` then).
- The lens is a layer in front of the elements, within the depth that is counted from them. Straight ahead it delays
  each passage by ``lens_thickness * (1 / lens_sound_speed - 1 / sound_speed)``.
- Older files have the probe's facts in ``scan``, a list of waveforms with an index for each transmit,
  and ``lens_correction`` in wavelengths of one-way delay.

Files that usbeam wrote (`usbeam.io.export.zea`) hold our own header beside all that, and come back as they were.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, FileFormatError
from usbeam.io.convert.variables import describe
from usbeam.io.convert.zea_file import ZeaFile
from usbeam.io.convert.zea_transmits import knows_pulse_peak, read_transmits
from usbeam.io.embedded import GROUP, read_header
from usbeam.io.safe import check_memory, safe_open
from usbeam.probe import PROBE_KINDS, Probe

REQUIRED = (
    "data.raw_data",
    "scan.sampling_frequency",
    "scan.center_frequency",
    "scan.initial_times",
    "scan.t0_delays",
    "scan.tx_apodizations",
)
SOUND_SPEED = 1540.0
"""What zea takes where a file says none [m/s]."""


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds channel data of zea; reads the names in it only."""
    try:
        with ZeaFile(path) as file:
            return {"data.raw_data", "scan.t0_delays"} <= set(file.names())
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read a zea recording.

    Parameters
    ----------
    path
        An HDF5 file with ``raw_data``, ``scan`` and the probe's geometry, packed with Blosc (needs numcodecs) or not.

    Returns
    -------
    Acquisition
        int16 samples stay int16, other real ones become float32, two channels complex64. The kinds of the transmits
        follow from the times at which the elements fired.

    Raises
    ------
    MissingField, BadField
        If fields are absent or do not fit each other, or there is more than one track.
    ConfigError
        If the file is packed with Blosc and numcodecs is not installed.

    Examples
    --------
    >>> read("recording.hdf5").samples.shape  # doctest: +SKIP
    (1, 75, 128, 1527)
    """
    with ZeaFile(path) as file:
        if len(file.tracks) > 1:
            raise BadField(
                "more than one track",
                path=file.path,
                location="tracks",
                found=", ".join(file.tracks),
                hint="with zea, write the track that you want into a file of its own",
            )
        file.require(*REQUIRED)
        recording = _from_fields(file)
        ours = GROUP in file.top_level()
    return _as_written(path, recording) if ours else recording


def _from_fields(file: ZeaFile) -> Acquisition:
    """What zea's own fields say."""
    sound_speed = file.optional("scan.sound_speed") or SOUND_SPEED
    probe = _probe(file, sound_speed)
    start_time = file.vector("scan.initial_times")
    samples, carrier = _samples(file, start_time)
    transmit_times = _transmit_times(file, samples.shape[0], samples.shape[1])
    notes = "; ".join(_notes(file))
    return Acquisition(
        samples=samples,
        kind="iq" if samples.dtype.kind == "c" else "rf",
        sampling_frequency=file.scalar("scan.sampling_frequency"),
        start_time=start_time,
        sound_speed=sound_speed,
        demodulation_frequency=carrier,
        probe=probe,
        transmits=read_transmits(file, probe, sound_speed),
        receive_elements=_receivers(file),
        tgc_applied=_tgc_applied(file),
        frame_times=None if transmit_times is None else transmit_times[:, 0],
        transmit_times=transmit_times,
        title=" ".join(file.text("@description").split()),
        provenance={"notes": notes} if notes else {},
    )


def _as_written(path: str | os.PathLike[str], fields: Acquisition) -> Acquisition:
    """The recording of a file of ours; refuses one of which zea's fields were changed since."""
    with safe_open(path) as file:
        ours = read_header(file, fields.samples.shape, fields.samples.dtype, lambda _: np.asarray(fields.samples))
    same = [
        (ours.sampling_frequency, fields.sampling_frequency),
        (ours.probe.element_positions, fields.probe.element_positions),
        (_firing_to_start(ours), _firing_to_start(fields)),
    ]
    if not all(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in same):
        raise BadField(
            "its times or elements are not those that usbeam wrote beside them",
            path=path,
            location=f"/{GROUP}",
            hint=f"if they were changed on purpose, delete the group /{GROUP}, and zea's fields are read",
        )
    return ours


def _firing_to_start(recording: Acquisition) -> Floats:
    """``(n_tx, n_elements)``: from the firing of each element to the first sample, whatever is called t = 0 [s]."""
    return np.asarray(recording.start_time)[:, None] - recording.transmits.delays


def _notes(file: ZeaFile) -> Iterator[str]:
    """What the file does not say and a reader should know."""
    if not knows_pulse_peak(file):
        yield "no waveforms_two_way: the pulse is taken to peak when it is fired"
    if not file.first("scan.sound_speed"):
        yield f"no sound_speed: taken to be {SOUND_SPEED:g} m/s"


def _samples(file: ZeaFile, start_time: Floats) -> tuple[npt.NDArray[Any], float]:
    """``(n_frames, n_tx, n_rx, n_samples)`` and the frequency that was mixed to zero [Hz]."""
    raw = file.array("data.raw_data")
    is_real = raw.dtype.kind in "fiu" and raw.size > 0
    if not is_real or raw.ndim != 5 or raw.shape[-1] not in (1, 2) or raw.shape[1] != start_time.size:
        raise BadField(
            "not channel data",
            path=file.path,
            location="data.raw_data",
            expected=f"(n_frames, n_tx={start_time.size}, n_samples, n_rx, 1 or 2)",
            found=describe(raw),
        )
    n_frames, n_tx, n_samples, n_rx, n_channels = raw.shape
    dtype = np.complex64 if n_channels == 2 else np.int16 if raw.dtype == np.int16 else np.float32
    check_memory(n_frames * n_tx * n_rx * n_samples * 8, path=file.path, location="data.raw_data")
    samples = np.empty((n_frames, n_tx, n_rx, n_samples), dtype)
    if n_channels == 1:
        samples[...] = raw[..., 0].swapaxes(2, 3)
        return samples, 0.0
    samples.real, samples.imag = raw[..., 0].swapaxes(2, 3), raw[..., 1].swapaxes(2, 3)
    name = file.first("scan.demodulation_frequency", "scan.center_frequency") or ""
    carriers = file.vector(name)
    if np.any(carriers != carriers[0]):
        raise BadField(
            "transmits mixed with different frequencies",
            path=file.path,
            location=name,
            expected="one frequency",
            found=f"{carriers.min():.6g}..{carriers.max():.6g} Hz",
        )
    carrier = float(carriers[0])
    # Their phase counts from the first sample, ours from t = 0.
    samples *= np.exp(-2j * np.pi * ((carrier * start_time) % 1)).astype(np.complex64)[:, None, None]
    return samples, carrier


def _probe(file: ZeaFile, sound_speed: float) -> Probe:
    center = float(np.mean(file.vector("scan.center_frequency")))
    geometry = file.first("probe.probe_geometry", "scan.probe_geometry") or "probe.probe_geometry"
    probe = Probe(
        element_positions=file.array(geometry).astype(np.float64),
        center_frequency=center,
        bandwidth=_bandwidth(file, center),
        element_width=file.optional("probe.element_width", "scan.element_width"),
        element_height=file.optional("probe.element_height", "scan.element_height"),
        lens_delay=_lens_delay(file, sound_speed, center),
        name=file.text("probe.name") or file.text("@probe"),
    )
    kind = file.text("probe.type").lower()
    return dataclasses.replace(probe, kind=kind if kind in PROBE_KINDS else "linear" if probe.pitch else "custom")


def _bandwidth(file: ZeaFile, center: float) -> float | None:
    """Of the probe, as a fraction; None where its band lies elsewhere than what was sent."""
    percent = file.optional("probe.probe_bandwidth_percent")
    nominal = file.optional("probe.probe_center_frequency") or center
    return None if percent is None or abs(nominal - center) > 0.01 * center else percent / 100


def _lens_delay(file: ZeaFile, sound_speed: float, center: float) -> float:
    """Of one passage [s]."""
    thickness, lens_speed = file.optional("probe.lens_thickness"), file.optional("probe.lens_sound_speed")
    if thickness and lens_speed:
        return thickness * (1 / lens_speed - 1 / sound_speed)
    return (file.optional("scan.lens_correction") or 0.0) / center


def _receivers(file: ZeaFile) -> npt.NDArray[np.int64] | None:
    name = file.first("scan.rx_aperture_indices")
    return None if name is None else file.array(name).astype(np.int64)


def _tgc_applied(file: ZeaFile) -> bool | None:
    name = file.first("scan.tgc_gain_curve")
    return None if name is None else bool(np.ptp(file.vector(name)) > 0)


def _transmit_times(file: ZeaFile, n_frames: int, n_tx: int) -> Floats | None:
    """``(n_frames, n_tx)``: from the first transmit to each [s]; the file has the time to the next."""
    name = file.first("scan.time_to_next_transmit")
    if name is None:
        return None
    steps = file.array(name).astype(np.float64).ravel()
    count = n_frames * n_tx
    if steps.size not in (count, count - 1):
        raise BadField(
            "wrong size",
            path=file.path,
            location=name,
            expected=f"(n_frames={n_frames}, n_tx={n_tx})",
            found=steps.size,
        )
    return np.concatenate([[0.0], np.cumsum(steps[: count - 1])]).reshape(n_frames, n_tx)
