"""Writing UFF: pyuff reads it, USTB's sum finds the point, and it comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.recordings import plane_waves, small
from tests.io.uff_files import (
    CENTER,
    POINT,
    PROBE,
    SAMPLING,
    SPEED,
    error_at_point,
    recorded,
    ustb_level,
    write_pyuff,
)
from usbeam import Acquisition, Grid, Probe, Transmits, beamform
from usbeam.acquisition import ABSENT
from usbeam.errors import BadField, FileFormatError, GeometryError, OutputExists, UsbeamError
from usbeam.io import save
from usbeam.io.convert import read
from usbeam.io.convert import uff as reader
from usbeam.io.convert.demodulation import demodulate
from usbeam.io.export import WRITERS, uff
from usbeam.simulate import Phantom, record

STARTS = np.array([6.3e-6, 5.93e-6, 6.17e-6])
"""Apart by no whole number of periods: the phase of IQ would hide in them."""


def simulated(kind: str, *, start: Any = STARTS, mixed: bool = False) -> Acquisition:
    """Three waves as our simulator makes them: first element at t = 0, with pulse peak and lens."""
    transmits = {
        "element": Transmits.elements(PROBE, [2, 13, 29]),
        "plane": Transmits.plane(PROBE, [-0.2, 0.1, 0.25], SPEED),
        "diverging": Transmits.focused(PROBE, [[-4e-3, 0, -6e-3], [1e-3, 0, -5e-3], [5e-3, 0, -7e-3]], SPEED),
        "focused": Transmits.focused(PROBE, [[-1e-3, 0, 6e-3], [0.3e-3, 0, 7e-3], [1.5e-3, 0, 6.5e-3]], SPEED),
    }[kind]
    made = record(
        Phantom(positions=np.array([[POINT[0], 0, POINT[1]]]), amplitudes=np.ones(1)),
        PROBE,
        replace(transmits, pulse_peak_time=np.array([0.4e-6, 0.3e-6, 0.35e-6])),
        sampling_frequency=SAMPLING,
        depth=(9e-3, 13e-3),
        sound_speed=SPEED,
        start_time=start,
    )
    if not mixed:
        return made
    iq = demodulate(np.asarray(made.samples), CENTER, SAMPLING, np.asarray(made.start_time))
    return made.replace(samples=iq, kind="iq", demodulation_frequency=CENTER)


@pytest.mark.parametrize("mixed", [False, True], ids=["rf", "iq"])
@pytest.mark.parametrize("kind", ["element", "plane", "diverging", "focused"])
def test_ustb_and_we_find_the_point(kind: str, mixed: bool, tmp_path: Path) -> None:
    """Peak, lens, start time and the phase of IQ: what USTB adds up there is nearly all that was heard."""
    recording = simulated(kind, mixed=mixed)
    path = tmp_path / "a.uff"
    WRITERS["uff"].write(recording, path)
    assert ustb_level(path) > 0.9
    with h5py.File(path, "r+") as file:  # what another program makes of it, without our header
        del file["usbeam"]
    plain = read(path)
    assert plain.transmits.kind == (kind,) * 3
    assert error_at_point(plain) < 0.05


def assert_same(one: Acquisition, other: Acquisition) -> None:
    """All that is in a recording, bit by bit."""
    for index in range(one.n_frames):
        np.testing.assert_array_equal(other.frame(index), one.frame(index))
    assert other.samples.dtype == one.samples.dtype
    for name in ("delays", "apodization", "pulse_peak_time", "direction", "focus", "origin", "waveform", "kind"):
        np.testing.assert_array_equal(getattr(other.transmits, name), getattr(one.transmits, name), name)
    for name in ("start_time", "sampling_frequency", "demodulation_frequency", "receive_elements", "sound_speed"):
        np.testing.assert_array_equal(np.asarray(getattr(other, name)), np.asarray(getattr(one, name)), name)
    for name in ("scale", "offset", "tgc_applied", "frame_times", "transmit_times", "title", "license"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name), name)
    for name in ("element_positions", "lens_delay", "center_frequency", "bandwidth", "name", "kind", "manufacturer"):
        np.testing.assert_array_equal(getattr(other.probe, name), getattr(one.probe, name), name)
    assert (other.truth is None) == (one.truth is None)
    assert other.provenance == one.provenance


def half_matrix() -> Acquisition:
    samples = np.array(small().samples)
    receivers = np.tile(np.arange(4), (4, 1))
    for t in range(4):
        receivers[t, :t] = ABSENT
        samples[:, t, :t] = 0
    return small(samples=samples, receive_elements=receivers, start_time=1e-6)  # as reciprocity wants it


def moving_aperture() -> Acquisition:
    receivers = np.array([[1, 0], [1, 2], [3, 2], [2, 0]])
    return small(samples=np.array(small().samples)[:, :, :2], receive_elements=receivers)


def int16() -> Acquisition:
    samples = np.random.default_rng(2).integers(-32768, 32767, (2, 4, 4, 32), np.int16)
    return small(samples=samples, scale=0.25e-3, offset=1.5)


def iq(start: Any) -> Acquisition:
    rng = np.random.default_rng(3)
    samples = (rng.standard_normal((2, 4, 4, 32)) + 1j * rng.standard_normal((2, 4, 4, 32))).astype(np.complex64)
    return small(samples=samples, kind="iq", demodulation_frequency=4.7e6, start_time=start)


RECORDINGS = {
    "elements": small,
    "plane": plane_waves,
    "half matrix": half_matrix,
    "moving aperture": moving_aperture,
    "some receivers": lambda: small(samples=np.array(small().samples)[:, :, :2], receive_elements=np.array([3, 1])),
    "int16": int16,
    "iq": lambda: iq(1e-6),
    "iq at different times": lambda: iq(np.array([1e-6, 1.03e-6, 2e-6, 1.7e-6])),
    "one wave": lambda: plane_waves(
        samples=np.ones((1, 1, 4, 32), np.float32), transmits=Transmits.plane(Probe.linear(4, 0.3e-3, 5e6), [0.1], 1540)
    ),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    recording = RECORDINGS[name]()
    uff.write(recording, tmp_path / "a.uff")
    back = reader.read(tmp_path / "a.uff")
    assert_same(recording, back)
    save(back, tmp_path / "a.h5")  # what came back is a valid recording
    grid = Grid.linear(x=(-0.5e-3, 0.5e-3), z=(1e-3, 2e-3), shape=(9, 5))
    images = [beamform(each, grid, method="das").data for each in (recording, back)]
    np.testing.assert_array_equal(images[1], images[0])


def test_pyuff_reads_it(tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb")
    recording = simulated("diverging", mixed=True, start=6e-6)
    uff.write(recording, tmp_path / "a.uff")
    data = pyuff.Uff(str(tmp_path / "a.uff")).read("channel_data")
    np.testing.assert_array_equal(data.data.T, recording.samples)
    assert isinstance(data.probe, pyuff.LinearArray)
    assert (data.probe.N, data.probe.pitch) == (32, pytest.approx(0.3e-3))
    np.testing.assert_array_equal(data.probe.xyz, PROBE.element_positions)
    assert np.all(data.probe.width == PROBE.element_width)
    assert (data.sampling_frequency, data.modulation_frequency, data.sound_speed) == (SAMPLING, CENTER, SPEED)
    assert (data.pulse.center_frequency, data.pulse.fractional_bandwidth) == (CENTER, 0.6)
    assert data.initial_time == 6e-6
    for t, wave in enumerate(data.sequence):
        assert wave.wavefront == pyuff.Wavefront.spherical
        np.testing.assert_allclose(wave.source.xyz, np.asarray(recording.transmits.focus)[t], atol=1e-15)
        assert (wave.event, wave.sound_speed) == (t + 1, SPEED)


def test_pyuff_reads_planes_apodization_and_integers(tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb")
    recording = plane_waves(title="x", samples=np.arange(256, dtype=np.int16).reshape(1, 2, 4, 32))
    weights = np.array([[1, 0.5, 0.5, 1], [1, 1, 1, 1.0]])
    recording = recording.replace(transmits=replace(recording.transmits, apodization=weights))
    uff.write(recording, tmp_path / "a.uff")
    data = pyuff.Uff(str(tmp_path / "a.uff")).read("channel_data")
    assert data.name is None
    np.testing.assert_array_equal(data.data.T, recording.samples[0] if data.data.ndim == 3 else recording.samples)
    assert [wave.wavefront for wave in data.sequence] == [pyuff.Wavefront.plane] * 2
    np.testing.assert_allclose([float(wave.source.azimuth) for wave in data.sequence], [-0.1, 0.1])
    np.testing.assert_array_equal(np.ravel(data.sequence[0].apodization.apodization_vector), weights[0])
    assert data.sequence[1].apodization is None


def test_a_curved_array_goes_back(tmp_path: Path) -> None:
    """Also without our header: the elements look where they looked."""
    angle = np.array([-0.4, -0.1, 0.2, 0.5])
    normals = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    probe = Probe(element_positions=normals * 40e-3, center_frequency=5e6, element_normals=normals, kind="curved")
    uff.write(small(probe=probe), tmp_path / "a.uff")
    with h5py.File(tmp_path / "a.uff", "r+") as file:
        del file["usbeam"]
    back = read(tmp_path / "a.uff").probe
    np.testing.assert_allclose(back.normals, normals, atol=1e-15)
    np.testing.assert_array_equal(back.element_positions, probe.element_positions)


def test_elevation_goes_back(tmp_path: Path) -> None:
    """Waves that leave the image plane, without our header: the same firing but for when t = 0 is."""
    x, y = np.meshgrid([-1e-3, 0, 1e-3], [-1e-3, 1e-3])
    probe = Probe(
        element_positions=np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3), center_frequency=5e6, kind="matrix"
    )
    direction = np.array([[0.3, 0.4, np.sqrt(0.75)], [0, 0, 1.0]])
    focus = np.array([[0, 0, 1.0], [1e-3, -2e-3, -5e-3]])
    delays = np.stack(
        [probe.element_positions @ direction[0], np.linalg.norm(probe.element_positions - focus[1], axis=1)]
    )
    transmits = Transmits(
        kind=("plane", "diverging"), delays=delays / 1540, apodization=np.ones((2, 6)), direction=direction, focus=focus
    )
    samples = np.ones((1, 2, 6, 32), np.float32)
    uff.write(plane_waves(probe=probe, transmits=transmits, samples=samples), tmp_path / "a.uff")
    with h5py.File(tmp_path / "a.uff", "r+") as file:
        del file["usbeam"]
    back = read(tmp_path / "a.uff").transmits
    assert back.kind == transmits.kind
    later = back.delays - transmits.delays
    np.testing.assert_allclose(later - later[:, :1], 0, atol=1e-15)
    np.testing.assert_allclose(np.asarray(back.direction)[0], direction[0], atol=1e-15)
    np.testing.assert_allclose(np.asarray(back.focus)[1], focus[1], atol=1e-15)


def test_photoacoustic_waves_go_back(tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb")
    made = replace(recorded("plane"), wavefront=2)
    recording = reader.read(write_pyuff(tmp_path / "a.uff", made, made.samples))
    uff.write(recording, tmp_path / "b.uff")
    waves = pyuff.Uff(str(tmp_path / "b.uff")).read("channel_data").sequence
    assert {wave.wavefront for wave in waves} == {pyuff.Wavefront.photoacoustic}
    assert_same(recording, reader.read(tmp_path / "b.uff"))


def test_own_delays_are_refused(tmp_path: Path) -> None:
    probe = Probe.linear(4, 0.3e-3, 5e6)
    transmits = Transmits(
        kind=("custom",) * 2, delays=np.array([[0, 1, 0, 1], [1, 1, 0, 0]]) * 1e-7, apodization=np.ones((2, 4))
    )
    with pytest.raises(GeometryError, match="no UFF wave") as caught:
        uff.write(plane_waves(probe=probe, transmits=transmits), tmp_path / "a.uff")
    assert "zea" in str(caught.value.hint)
    behind = Transmits.focused(probe, [[0, 0, -5e-3]] * 2, 1540.0)
    wrong = replace(behind, kind=("focused",) * 2, delays=-behind.delays)
    with pytest.raises(GeometryError, match="takes otherwise"):
        uff.write(plane_waves(probe=probe, transmits=wrong), tmp_path / "a.uff")
    against = replace(behind, delays=behind.delays[:, ::-1] + np.linspace(0, 1e-6, 4))
    with pytest.raises(GeometryError, match="contradict its focus"):
        uff.write(plane_waves(probe=probe, transmits=against), tmp_path / "a.uff")
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.uff"
    uff.write(small(), path)
    with pytest.raises(OutputExists):
        uff.write(plane_waves(), path)
    spoilt = np.array(small().samples)
    spoilt[1, 2, 3, 4] = np.nan
    with pytest.raises(BadField, match="not finite"):
        uff.write(small(samples=spoilt), path, overwrite=True)
    assert_same(small(), reader.read(path))
    assert list(tmp_path.iterdir()) == [path]
    uff.write(plane_waves(), path, overwrite=True)
    assert read(path).n_tx == 2


def test_two_truths_in_one_file_are_not_guessed(tmp_path: Path) -> None:
    """Someone corrects a delay with another program: our header beside it is no longer true."""
    path = tmp_path / "a.uff"
    for name, change in {
        "channel_data/initial_time": 1e-7,
        "channel_data/sequence/sequence_0002/delay": 1e-9,
        "channel_data/sequence/sequence_0002/source/azimuth": 0.01,
    }.items():
        uff.write(plane_waves(), path, overwrite=True)
        with h5py.File(path, "r+") as file:
            file[name][...] += change
        with pytest.raises(BadField, match="wrote beside them") as caught:
            read(path)
        assert "delete" in str(caught.value.hint)
    with h5py.File(path, "r+") as file:
        del file["usbeam"]
    assert read(path).n_tx == 2


@pytest.mark.parametrize("spoil", ["probe", "receive/element_index", "samples", "transmit/delays", None])
def test_a_damaged_header_is_refused(spoil: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.uff"
    uff.write(half_matrix(), path)
    with h5py.File(path, "r+") as file:
        if spoil is None:
            del file["usbeam"]
            file["usbeam"] = np.zeros(3)
            file["usbeam"].attrs["format"] = "usbeam-channel-data"
        else:
            del file[f"usbeam/{spoil}"]
            if spoil == "receive/element_index":
                file[f"usbeam/{spoil}"] = np.full((4, 4), 9, np.int32)
    with pytest.raises(FileFormatError) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_damaged_files_raise_only_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.uff"
    uff.write(half_matrix(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(8)
    refused = 0
    for trial in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + trial % 9):
            damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read(path, format="uff")
        except UsbeamError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 10
