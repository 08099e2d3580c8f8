"""UFF channel data, the files of the UltraSound ToolBox (USTB) and of ``pyuff_ustb``.

An HDF5 file with a group of the class ``uff.channel_data``, usually ``/channel_data``: ``data`` (frame, wave, channel,
time), plain or as ``real`` and ``imag``; ``sampling_frequency``, ``initial_time``, ``sound_speed`` and
``modulation_frequency`` as arrays of one number; ``probe.geometry`` (7, n_elements) with x, y, z, azimuth, elevation,
width and height; ``sequence`` with the waves; perhaps ``pulse.center_frequency``. MATLAB drops last axes of length 1,
which are first here. `usbeam.io.convert.uff_waves` says what a wave is, and when.

UFF does not state when the pulse peaks nor a lens: in files made with care both are in ``wave.delay``, so that
`Transmits.pulse_peak_time` and `Probe.lens_delay` are left 0. A file that `usbeam.io.export.uff` wrote has its own
header beside the UFF part and comes back as it was.

The layout is that of USTB's ``+uff/write_object.m`` (file version v1.2.0) and of pyuff_ustb 3.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, FileFormatError
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.spectrum import center_of_spectrum
from usbeam.io.convert.uff_fields import (
    finite,
    number,
    read_aperture,
    read_probe,
    read_samples,
    read_text,
    read_wave,
    read_weights,
)
from usbeam.io.convert.uff_waves import Wave, fingerprint, fire, turn
from usbeam.io.convert.variables import Variables
from usbeam.io.embedded import GROUP, read_header
from usbeam.io.safe import safe_open

CLASS = "uff.channel_data"
REQUIRED = ("sampling_frequency", "initial_time", "sound_speed", "probe.geometry")
FACTS = ("sampling_frequency", "sound_speed", "modulation_frequency")
FINGERPRINT = "x_uff"
"""Attribute of our header: of what the file said in UFF when both were written."""
TEXTS = ("name", "author", "reference", "version", "info")
PHOTOACOUSTIC = "photoacoustic: the transmits stand for sound that starts at t = 0; image with the stored sound speed"
SAME_SPEED = 1e-3
"""Relative difference up to which the speeds of a wave and of the recording are the same."""


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds UFF channel data; reads the classes of the outermost groups only."""
    try:
        with open_variables(path) as variables:
            return bool(_channel_data(variables))
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read UFF channel data.

    Parameters
    ----------
    path
        An HDF5 file.

    Returns
    -------
    Acquisition
        Samples ``(n_frames, n_waves, n_elements, n_samples)``: int16 or float32 RF, complex64 IQ. t = 0 is the passage
        of the origin of coordinates, from which the firing delays are computed (`uff_waves.fire`).

    Raises
    ------
    MissingField, BadField
        If fields are absent or do not fit each other, and for a centre frequency that the file neither states nor
        shows.
    """
    with open_variables(path) as variables:
        names = _channel_data(variables)
        if len(names) != 1 and "channel_data" not in names:
            raise BadField(
                "no channel data" if not names else "several channel data",
                path=variables.path,
                expected="one group of class uff.channel_data, or one of them named channel_data",
                found=", ".join(names) or "none",
            )
        root = "channel_data" if "channel_data" in names else names[0]
        variables.require(*(f"{root}.{name}" for name in REQUIRED))
        stored = [read_wave(variables, name) for name in _sequence(variables, root)]
        samples = read_samples(variables, root, len(stored))
        initial_time = finite(variables, f"{root}.initial_time")
        if variables.find(f"{GROUP}@format") is not None:
            return _as_written(variables, root, initial_time, stored, samples)
        return _plain(variables, root, initial_time, stored, samples)


def _plain(
    variables: Variables, root: str, initial_time: float, waves: list[Wave], samples: npt.NDArray[Any]
) -> Acquisition:
    sampling_frequency = finite(variables, f"{root}.sampling_frequency")
    sound_speed = finite(variables, f"{root}.sound_speed")
    carrier = number(variables, f"{root}.modulation_frequency", 0.0)
    is_iq = samples.dtype.kind == "c"
    if carrier and not is_iq:
        raise BadField(
            "demodulated samples are complex, and these are real",
            path=variables.path,
            location=f"{root}.modulation_frequency",
            expected="0 for RF",
            found=f"{carrier:g} Hz",
        )
    provenance = {name: read_text(variables, f"{root}.{name}") for name in TEXTS}
    notes = [PHOTOACOUSTIC] if any(wave.wavefront == "photoacoustic" for wave in waves) else []
    center = number(variables, f"{root}.pulse.center_frequency", 0.0) or carrier
    if not center:
        center = abs(center_of_spectrum(samples, sampling_frequency))
        notes.append(f"no pulse.center_frequency: the mean frequency of the samples, {center:.6g} Hz, is taken")
    probe = read_probe(variables, f"{root}.probe", center)
    if samples.shape[2] != probe.n_elements:
        raise BadField(
            "a channel for each element is needed",
            path=variables.path,
            location=f"{root}.data",
            expected=f"(n_frames, n_waves={len(waves)}, n_elements={probe.n_elements}, n_samples)",
            found=samples.shape,
            hint="the array looks transposed" if samples.shape[3] == probe.n_elements else None,
        )
    names = _sequence(variables, root)
    for name in names:
        speed = number(variables, f"{name}.sound_speed", sound_speed)
        if not abs(speed - sound_speed) <= SAME_SPEED * sound_speed:
            raise BadField(
                "a wave and the recording differ in the speed of sound",
                path=variables.path,
                location=f"{name}.sound_speed",
                expected=f"{sound_speed:g} m/s as in {root}.sound_speed",
                found=f"{speed:g} m/s",
                hint="USTB would use one on the way out and the other on the way back; write the true one into both",
            )
    delays = np.array([wave.delay for wave in waves])
    return Acquisition(
        samples=_turned(samples, delays, carrier),
        kind="iq" if is_iq else "rf",
        sampling_frequency=sampling_frequency,
        demodulation_frequency=carrier,
        start_time=initial_time + delays,
        sound_speed=sound_speed,
        probe=probe,
        transmits=fire(
            waves,
            [read_weights(variables, name, probe.n_elements) for name in names],
            [read_aperture(variables, name) for name in names],
            probe,
            sound_speed,
        ),
        title=provenance.pop("name") or os.path.basename(variables.path),
        provenance={name: text for name, text in {**provenance, "notes": "; ".join(notes)}.items() if text},
    )


def _as_written(
    variables: Variables, root: str, initial_time: float, waves: list[Wave], samples: npt.NDArray[Any]
) -> Acquisition:
    """The recording of a file of ours; refuses one whose UFF part was changed since."""
    facts = [finite(variables, f"{root}.{name}") for name in FACTS]
    if variables.find(f"{GROUP}@{FINGERPRINT}") != fingerprint(waves, initial_time, *facts):
        raise BadField(
            "its times or waves are not those that usbeam wrote beside them",
            path=variables.path,
            location=f"/{GROUP}",
            hint=f"if they were changed on purpose, delete the group /{GROUP}, and the UFF part is read",
        )

    def ours(header: Mapping[str, Any]) -> npt.NDArray[Any]:
        later = header["/start_time"] - initial_time
        own = _gather(samples, header["/receive/element_index"])
        return _turned(own, later, header["/demodulation_frequency"])

    with safe_open(variables.path) as file:
        dtype = np.complex64 if samples.dtype.kind == "c" else samples.dtype
        return read_header(file, samples.shape, dtype, ours)


def _turned(samples: npt.NDArray[Any], times: Floats, frequency: float) -> npt.NDArray[Any]:
    """IQ samples with the phase that `turn` gives them, as complex64; RF as it is."""
    if samples.dtype.kind != "c":
        return samples
    return (turn(samples, times, frequency) if np.any(times) else samples).astype(np.complex64, copy=False)


def _gather(samples: npt.NDArray[Any], receivers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """From a trace for every element to one for every receive slot; 0 where nothing was recorded."""
    if receivers.ndim == 1 and np.array_equal(receivers, np.arange(samples.shape[2])):
        return samples
    index = np.broadcast_to(np.atleast_2d(receivers), (samples.shape[1], receivers.shape[-1]))
    rows = np.arange(samples.shape[1])[:, None]
    return np.where((index == ABSENT)[:, :, None], samples.dtype.type(0), samples[:, rows, index])


def _channel_data(variables: Variables) -> list[str]:
    """Names of the outermost groups that are channel data."""
    return [name for name in variables.top_level() if variables.find(f"{name}@class") == CLASS]


def _sequence(variables: Variables, root: str) -> list[str]:
    """Names of the waves; a sequence of one wave is that wave itself."""
    alone, names = f"{root}.sequence", list[str]()
    if variables.find(f"{alone}.source.azimuth") is not None:
        return [alone]
    while variables.find(f"{alone}.sequence_{len(names) + 1:04d}.source.azimuth") is not None:
        names.append(f"{alone}.sequence_{len(names) + 1:04d}")
    if not names:
        variables.require(f"{alone}.source.azimuth")
    return names
