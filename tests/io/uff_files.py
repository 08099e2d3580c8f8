"""UFF files for the tests: through pyuff_ustb, and in MATLAB's layout by hand; and what USTB would make of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.signal import hilbert, resample

from usbeam import Acquisition, Grid, Probe, Transmits, beamform, psf
from usbeam.io.convert.demodulation import demodulate
from usbeam.simulate import Phantom, record

SPEED, CENTER, SAMPLING = 1540.0, 5e6, 25e6
WAVELENGTH = SPEED / CENTER
POINT = (0.6e-3, 11e-3)
PROBE = Probe.linear(32, 0.3e-3, CENTER, bandwidth=0.6, element_width=0.27e-3, lens_delay=0.15e-6)
PEAK = 0.4e-6
INITIAL = 6.1e-6
FINER = 8
DELAYS = np.array([-0.83e-6, 0.27e-6, 0.49e-6])
"""Of the three waves [s]: the carrier is at another phase in each."""


@dataclass(frozen=True)
class Recorded:
    """Three waves as a UFF file tells of them, and what was heard.

    Parameters
    ----------
    wavefront
        0 plane, 1 spherical, 2 photoacoustic.
    azimuth, elevation, distance : (3,)
        Of the sources.
    samples : (1, 3, n_elements, n_samples)
        RF, of a point at `POINT`; sample n of wave k was taken `INITIAL` + n / `SAMPLING` + `DELAYS`[k] after the wave
        passed the origin, if the pulse peaked at once and there was no lens.
    """

    wavefront: int
    azimuth: Any
    elevation: Any
    distance: Any
    samples: Any


def recorded(kind: str) -> Recorded:
    """What the simulator makes of waves that pass the origin at t = 0, their firing times written out by hand."""
    elements, zero = PROBE.element_positions, np.zeros(3)
    if kind == "plane":
        azimuth, front, distance, elevation = np.array([-0.2, 0.1, 0.25]), 0, np.full(3, np.inf), zero
        transmits = Transmits.plane(PROBE, azimuth, SPEED, time_zero="center")
    else:
        front = 1
        source = {
            "element": elements[[2, 13, 29]],
            "diverging": np.array([[-4e-3, 0, -6e-3], [1e-3, 0, -5e-3], [5e-3, 0, -7e-3]]),
            "focused": np.array([[-1e-3, 0, 6e-3], [0.3e-3, 0, 7e-3], [1.5e-3, 0, 6.5e-3]]),
        }[kind]
        distance = np.linalg.norm(source, axis=1)
        azimuth, elevation = np.arctan2(source[:, 0], source[:, 2]), zero
        if kind == "element":  # fires when the wave that it stands for arrives there from the origin
            alone = Transmits.elements(PROBE, [2, 13, 29])
            transmits = replace(alone, delays=alone.apodization * distance[:, None] / SPEED)
        else:
            way = np.linalg.norm(elements - source[:, None], axis=2)
            sign = -1 if kind == "focused" else 1
            made = Transmits.focused(PROBE, source, SPEED)
            transmits = replace(made, delays=sign * (way - distance[:, None]) / SPEED)
    start = INITIAL + DELAYS + PEAK + 2 * PROBE.lens_delay
    heard = record(
        Phantom(positions=np.array([[POINT[0], 0.0, POINT[1]]]), amplitudes=np.ones(1)),
        PROBE,
        replace(transmits, pulse_peak_time=PEAK),
        sampling_frequency=SAMPLING,
        depth=(9e-3, 13e-3),
        sound_speed=SPEED,
        start_time=start,
    )
    return Recorded(front, azimuth, elevation, distance, heard.samples)


def iq(samples: Any) -> Any:
    """Mixed as USTB does: with the time axis that all waves share."""
    return demodulate(samples, CENTER, SAMPLING, np.full(samples.shape[1], INITIAL))


def geometry(probe: Probe = PROBE) -> Any:
    """``(7, n_elements)``."""
    rest = np.zeros((4, probe.n_elements))
    rest[2:] = [[probe.element_width or 0], [probe.element_height or 0]]
    return np.concatenate([probe.element_positions.T, rest])


def write_pyuff(path: Path, made: Recorded, samples: Any, location: str = "channel_data", **changes: Any) -> Path:
    """As pyuff_ustb writes it: (time, channel, wave, frame)."""
    pyuff = pytest.importorskip("pyuff_ustb")
    facts = {
        "sampling_frequency": SAMPLING,
        "initial_time": INITIAL,
        "sound_speed": SPEED,
        "modulation_frequency": CENTER if np.iscomplexobj(samples) else 0.0,
        "probe": pyuff.LinearArray(
            N=PROBE.n_elements, pitch=PROBE.pitch, element_width=PROBE.element_width, geometry=geometry()
        ),
        "pulse": pyuff.Pulse(center_frequency=CENTER, fractional_bandwidth=0.6),
        "sequence": [
            pyuff.Wave(
                wavefront=pyuff.Wavefront(made.wavefront),
                source=pyuff.Point(distance=distance, azimuth=azimuth, elevation=elevation),
                delay=delay,
                sound_speed=SPEED,
            )
            for azimuth, elevation, distance, delay in zip(
                made.azimuth, made.elevation, made.distance, DELAYS, strict=True
            )
        ],
        "data": np.asarray(samples).T,
        "name": ["three waves"],
        "author": ["A", "B"],
        **changes,
    }
    pyuff.ChannelData(**facts).write(str(path), location, ignore_missing_compulsory_fields=True)
    return path


def write_matlab(path: Path, made: Recorded, samples: Any, waves: int = 3) -> Path:
    """As USTB's ``write_object.m`` does: single precision, arrays of one number, first axes of length 1 dropped."""
    with h5py.File(path, "w") as file:
        file.attrs["version"] = np.array([b"v1.2.0"])

        def numbers(group: h5py.Group, **values: Any) -> None:
            for name, value in values.items():
                group.create_dataset(name, data=np.atleast_2d(np.float32(value)), chunks=True)
                group[name].attrs.update({"class": "double", "name": name, "complex": 0.0, "imaginary": 0.0})

        def thing(group: h5py.Group, name: str, kind: str, count: int = 1) -> h5py.Group:
            made = group.create_group(name)
            made.attrs.update({"class": kind, "name": name, "size": [1.0, float(count)], "array": float(count > 1)})
            return made

        data = thing(file, "channel_data", "uff.channel_data")
        numbers(data, sampling_frequency=SAMPLING, initial_time=INITIAL, sound_speed=SPEED)
        numbers(data, modulation_frequency=CENTER if np.iscomplexobj(samples) else 0, PRF=5000)
        stored = samples[:, :waves] if waves > 1 else samples[:, 0]
        stored = stored[0] if len(stored) == 1 else stored
        if np.iscomplexobj(samples):
            parts = data.create_group("data")
            parts.attrs.update({"class": "single", "name": "data", "complex": 1.0})
            numbers(parts, real=0, imag=0)
            del parts["real"], parts["imag"]
            parts["real"], parts["imag"] = stored.real, stored.imag
        else:
            data["data"] = stored
            data["data"].attrs.update({"class": "single", "name": "data", "complex": 0.0, "imaginary": 0.0})
        probe = thing(data, "probe", "uff.linear_array")
        numbers(probe, N=32, pitch=0.3e-3, geometry=geometry())
        numbers(thing(data, "pulse", "uff.pulse"), center_frequency=CENTER)
        numbers(data, name=[[ord(letter)] for letter in "by hand"])
        sequence = thing(data, "sequence", "uff.wave", waves)
        for k in range(waves):
            wave = thing(sequence, f"sequence_{k + 1:04d}", "uff.wave") if waves > 1 else sequence
            numbers(wave, wavefront=made.wavefront, delay=DELAYS[k], sound_speed=SPEED, event=k + 1)
            source = thing(wave, "source", "uff.point")
            numbers(source, distance=made.distance[k], azimuth=made.azimuth[k], elevation=made.elevation[k])
            numbers(thing(wave, "origin", "uff.point"), distance=0, azimuth=0, elevation=0)
    return path


def error_at_point(recording: Acquisition, point: tuple[float, float] = POINT) -> float:
    """Distance between the image of a point and the truth, in wavelengths, by delay and sum of all transmits."""
    grid = Grid.linear(
        x=(point[0] - 0.8e-3, point[0] + 0.8e-3), z=(point[1] - 0.6e-3, point[1] + 0.6e-3), shape=(33, 33)
    )
    spot = psf.measure(beamform(recording, grid, method="das").envelope(), point)
    return float(np.hypot(spot.x - point[0], spot.z - point[1])) / WAVELENGTH


def ustb_level(path: Path, point: tuple[float, float] = POINT) -> float:
    """What USTB's ``midprocess.das`` adds up at a point, over the sum of the envelopes' maxima; read through pyuff.

    Arrival minus ``wave.delay``, on the time axis without it; the phase of IQ is turned by the same time.
    """
    pyuff = pytest.importorskip("pyuff_ustb")
    data: Any = pyuff.Uff(str(path)).read("channel_data")
    x, z = point
    samples = np.asarray(data.data).reshape(data.N_samples, data.probe.N_elements, -1, data.N_frames)[..., 0]
    carrier = float(data.modulation_frequency)
    if not carrier:
        samples = hilbert(samples, axis=0)
    back = np.hypot(data.probe.x - x, data.probe.z - z) / data.sound_speed
    samples = resample(samples, FINER * len(samples), axis=0)  # for linear interpolation, which USTB does
    time = data.initial_time + np.arange(len(samples)) / data.sampling_frequency / FINER
    total, largest = 0j, 0.0
    for k, wave in enumerate(data.sequence if isinstance(data.sequence, list) else [data.sequence]):
        azimuth, distance = wave.source.azimuth, wave.source.distance
        if wave.wavefront == pyuff.Wavefront.photoacoustic:
            out = 0.0
        elif wave.wavefront == pyuff.Wavefront.plane:
            out = z * np.cos(azimuth) + x * np.sin(azimuth)
        else:
            source = distance * np.sin(azimuth), distance * np.cos(azimuth)
            out = np.hypot(x - source[0], z - source[1]) * (-1 if z < source[1] else 1)
            out += -distance if source[1] < -1e-3 else distance
        delay = out / wave.sound_speed - wave.delay + back
        for channel in range(samples.shape[1]):
            trace = samples[:, channel, k]
            at = np.interp(delay[channel], time, trace.real) + 1j * np.interp(delay[channel], time, trace.imag)
            total += at * np.exp(2j * np.pi * carrier * delay[channel])
            largest += np.abs(trace).max()
    return float(abs(total) / largest)
