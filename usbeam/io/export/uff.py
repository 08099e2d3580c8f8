"""Writing UFF channel data, which USTB and ``pyuff_ustb`` read.

The layout is that of USTB's ``+uff/write_object.m`` (file version v1.2.0), as pyuff_ustb 3.0 writes it too. What UFF
has a place for is stored there, in such a way that USTB's beamformer puts every echo where ours does: pulse peak and
lens go into ``wave.delay`` (`usbeam.io.convert.uff_waves`). What it has none for goes into a group ``/usbeam`` that
other programs pass over: the whole header of the recording (`usbeam.io.embedded`). With it, the file comes back as it
was.

A transmit with delays of its own is refused, since there is no wave to describe it. Where not every element received,
UFF wants a channel for each nevertheless; it gets zeros. UFF refers the phase of IQ samples to one time axis for all
waves, so that they are turned where start times differ, and then stored in double precision to be turned back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.errors import BadField
from usbeam.io.atomic import atomic_write
from usbeam.io.channel_data import nonfinite
from usbeam.io.convert.uff import FACTS, FINGERPRINT
from usbeam.io.convert.uff_waves import WAVEFRONTS, Wave, fingerprint, turn
from usbeam.io.embedded import GROUP, write_header
from usbeam.io.export.waves import describe
from usbeam.io.safe import safe_open
from usbeam.io.write import write_attribute
from usbeam.probe import Probe

VERSION = b"v1.2.0"


def write(acquisition: Acquisition, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a recording as UFF channel data, frame by frame.

    Parameters
    ----------
    acquisition
        The recording.
    path
        The file to be written; USTB wants the ending ``.uff``.
    overwrite
        Whether a file that is there may be replaced. It stays whole until the new one is.

    Raises
    ------
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    GeometryError
        If a transmit is no plane, spherical or photoacoustic wave.
    BadField
        If a sample is not finite.

    Examples
    --------
    >>> import usbeam as ub
    >>> write(ub.load("recording.h5"), "recording.uff")  # doctest: +SKIP
    """
    initial_time, waves = describe(acquisition)
    numbers = (acquisition.sampling_frequency, acquisition.sound_speed, acquisition.demodulation_frequency)
    facts = dict(zip(FACTS, numbers, strict=True))
    with atomic_write(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w", rdcc_nbytes=0) as file:
            file.attrs["version"] = np.array([VERSION])  # an array of one text, as USTB's reader takes it
            data = _group(file, "channel_data", "uff.channel_data")
            _numbers(data, initial_time=initial_time, **facts)
            _write_probe(data, acquisition.probe)
            _write_pulse(data, acquisition.probe)
            _write_sequence(data, waves, acquisition)
            _write_samples(data, acquisition, initial_time)
            if len(acquisition.title) > 1:  # pyuff cannot read a text of one character
                _text(data, "name", acquisition.title)
            write_header(file, acquisition)
            write_attribute(file[GROUP], FINGERPRINT, fingerprint(waves, initial_time, *numbers))
        with safe_open(temporary):  # what we could not open again is not left behind
            pass


def _group(parent: h5py.Group, name: str, kind: str, count: int = 1) -> h5py.Group:
    """A UFF object, or an array of several."""
    group = parent.create_group(name)
    attributes = {"class": np.bytes_(kind), "name": np.bytes_(name), "array": int(count > 1), "size": [1, count]}
    for key, value in attributes.items():
        group.attrs[key] = value
    return group


def _array(parent: h5py.Group, name: str, values: npt.NDArray[Any], kind: str) -> None:
    dataset = parent.create_dataset(name, data=values)
    _mark(dataset, name, kind)


def _mark(node: h5py.Dataset | h5py.Group, name: str, kind: str, **flags: int) -> None:
    attributes: Mapping[str, Any] = {"class": np.bytes_(kind), "name": np.bytes_(name), **flags}
    for key, value in {"complex": 0, "imaginary": 0, **attributes}.items():
        node.attrs[key] = value


def _numbers(parent: h5py.Group, **values: float) -> None:
    for name, value in values.items():
        _array(parent, name, np.array([[value]], np.float64), "double")


def _text(parent: h5py.Group, name: str, text: str) -> None:
    codes = np.array([[ord(character)] for character in text if ord(character) < 0xD800], np.uint16)
    _array(parent, name, codes, "char")


def _write_point(parent: h5py.Group, name: str, azimuth: float, elevation: float, distance: float) -> None:
    point = _group(parent, name, "uff.point")
    _numbers(point, azimuth=azimuth, elevation=elevation, distance=distance)


def _write_probe(parent: h5py.Group, probe: Probe) -> None:
    """As a linear array where it is one, for the programs that ask for its pitch; else by its geometry alone."""
    linear = probe.kind == "linear" and probe.pitch is not None
    group = _group(parent, "probe", "uff.linear_array" if linear else "uff.probe")
    x, y, z = probe.normals.T
    sizes = [np.full(probe.n_elements, size or 0.0) for size in (probe.element_width, probe.element_height)]
    geometry = np.stack([*probe.element_positions.T, np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1)), *sizes])
    _array(group, "geometry", geometry, "double")
    _write_point(group, "origin", 0.0, 0.0, 0.0)
    if linear:
        _numbers(group, N=probe.n_elements, pitch=probe.pitch or 0.0)
        given = {"element_width": probe.element_width, "element_height": probe.element_height}
        _numbers(group, **{name: size for name, size in given.items() if size is not None})


def _write_pulse(parent: h5py.Group, probe: Probe) -> None:
    pulse = _group(parent, "pulse", "uff.pulse")
    _numbers(pulse, center_frequency=probe.center_frequency)
    if probe.bandwidth is not None:
        _numbers(pulse, fractional_bandwidth=probe.bandwidth)


def _write_sequence(parent: h5py.Group, waves: list[Wave], acquisition: Acquisition) -> None:
    several = len(waves) > 1
    sequence = _group(parent, "sequence", "uff.wave", len(waves))
    for t, wave in enumerate(waves):
        group = _group(sequence, f"sequence_{t + 1:04d}", "uff.wave") if several else sequence
        _array(group, "wavefront", np.array([[WAVEFRONTS.index(wave.wavefront)]], np.float64), "uff.wavefront")
        _write_point(group, "source", wave.azimuth, wave.elevation, wave.distance)
        _numbers(group, delay=wave.delay, sound_speed=acquisition.sound_speed, event=t + 1)
        weights = acquisition.transmits.apodization[t]
        if np.any(weights != 1) and acquisition.transmits.kind[t] != "element":
            apodization = _group(group, "apodization", "uff.apodization")
            _array(apodization, "apodization_vector", weights[None], "double")


def _write_samples(parent: h5py.Group, acquisition: Acquisition, initial_time: float) -> None:
    """``data`` (n_frames, n_tx, n_elements, n_samples), frame by frame; see the module for what is turned."""
    n_frames, n_tx, _, n_samples = acquisition.samples.shape
    later = np.asarray(acquisition.start_time) - initial_time
    is_iq = acquisition.kind == "iq"
    turned = is_iq and bool(np.any(later))
    dtype = np.dtype("float64" if turned else "float32" if is_iq else acquisition.samples.dtype.name)
    shape = (n_frames, n_tx, acquisition.probe.n_elements, n_samples)
    layout: dict[str, Any] = {
        "shape": shape,
        "dtype": dtype.newbyteorder("<"),
        "chunks": (1, 1, *shape[2:]),
        "compression": "gzip",
        "compression_opts": 1,
        "shuffle": True,
        "fletcher32": True,
    }
    kind = "double" if turned else "single"  # also of integers: USTB's reader knows no other kind of number
    if is_iq:
        data = parent.create_group("data")
        _mark(data, "data", kind, complex=1)
        targets = [data.create_dataset(name, **layout) for name in ("real", "imag")]
        for number, target in enumerate(targets):
            _mark(target, "data", kind, imaginary=number)
    else:
        targets = [parent.create_dataset("data", **layout)]
        _mark(targets[0], "data", kind)
    for index in range(n_frames):
        frame = acquisition.frame(index)
        if nonfinite(frame) is not None:
            raise BadField(
                "samples that are not finite",
                path=acquisition.path,
                location=f"/samples frame {index}",
                hint='load the recording with on_nonfinite="zero" to take them as zero',
            )
        if turned:
            frame = turn(frame[None], -later, acquisition.demodulation_frequency)[0]
        for t, traces in enumerate(_scatter(frame, acquisition)):
            for target, part in zip(targets, (traces.real, traces.imag), strict=False):
                target[index, t] = part


def _scatter(frame: npt.NDArray[Any], acquisition: Acquisition) -> npt.NDArray[Any]:
    """A frame with a trace for every element, 0 where nothing was recorded."""
    n_tx, n_elements, receivers = acquisition.n_tx, acquisition.probe.n_elements, acquisition.receivers
    if acquisition.n_rx == n_elements and np.all(receivers == np.arange(n_elements)):
        return frame
    spread = np.zeros((n_tx, n_elements, acquisition.n_samples), frame.dtype)
    rows, slots = np.nonzero(receivers != ABSENT)
    spread[rows, receivers[rows, slots]] = frame[rows, slots]
    return spread
