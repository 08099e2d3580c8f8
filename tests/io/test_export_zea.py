"""Recordings written as zea files: zea's own reader finds every fact in its place, and they come back as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usbeam as ub
from tests.beamforming.conftest import SPEED, probe, record
from tests.io import zea_library
from tests.io.recordings import small
from usbeam.acquisition import ABSENT, Acquisition
from usbeam.errors import BadField, ConfigError, OutputExists
from usbeam.io import load
from usbeam.io.convert import read, recognise
from usbeam.io.convert.demodulation import demodulate
from usbeam.io.export import WRITERS
from usbeam.io.export.zea import write

GRID = ub.Grid.linear(x=(-5e-3, 5e-3), z=(11e-3, 20e-3), shape=(61, 31))
FOCI = np.array([[1e-3, 0.0, 14e-3], [-3e-3, 0.0, 16e-3]])
SOURCES = np.array([[-2e-3, 0.0, -6e-3], [3e-3, 0.0, -5e-3]])


def recordings() -> dict[str, Acquisition]:
    array = probe()
    transmits = {
        "element": ub.Transmits.elements(array),
        "plane": ub.Transmits.plane(array, [-0.15, 0.0, 0.2], SPEED),
        "centred": ub.Transmits.plane(array, [-0.15, 0.0, 0.2], SPEED, time_zero="center"),
        "focused": ub.Transmits.focused(array, FOCI, SPEED),
        "diverging": ub.Transmits.focused(array, SOURCES, SPEED),
    }
    made = {name: record(each, array) for name, each in transmits.items()}
    wobble = np.random.default_rng(2).uniform(0, 1e-6, (2, array.n_elements))
    custom = ub.Transmits(kind=("custom",) * 2, delays=wobble, apodization=np.ones_like(wobble))
    made["custom"] = record(custom, array)
    made["int16"] = record(transmits["plane"], array, int16=True)
    rf = made["plane"]
    start = np.asarray(rf.start_time) + np.array([0.0, 0.13e-6, 0.31e-6])
    iq = demodulate(np.asarray(rf.samples), 5e6, rf.sampling_frequency, start)
    made["iq"] = rf.replace(samples=iq, kind="iq", demodulation_frequency=5e6, start_time=start)
    return made


@pytest.fixture(scope="module")
def made() -> dict[str, Acquisition]:
    return recordings()


@pytest.mark.parametrize("name", ["element", "plane", "centred", "focused", "diverging", "custom", "int16", "iq"])
def test_round_trip(made: dict[str, Acquisition], name: str, tmp_path: Path) -> None:
    """Identical images; IQ samples are turned and turned back, which rounds them."""
    before = made[name]
    write(before, tmp_path / "a.hdf5")
    assert recognise(tmp_path / "a.hdf5") == "zea"
    after = read(tmp_path / "a.hdf5")
    assert after.samples.dtype == before.samples.dtype
    assert after.transmits.kind == before.transmits.kind
    assert after.provenance["source_format"] == "zea"
    images = [ub.beamform(each, GRID).data for each in (before, after)]
    if name == "iq":
        np.testing.assert_allclose(images[1], images[0], atol=1e-6 * np.abs(images[0]).max())
    else:
        np.testing.assert_array_equal(images[1], images[0])


@pytest.mark.parametrize("name", ["element", "plane", "centred", "focused", "diverging", "custom", "iq"])
def test_without_our_header(made: dict[str, Acquisition], name: str, tmp_path: Path) -> None:
    """zea's fields alone, which is all that is left when zea writes the file anew, give the same image."""
    before = made[name]
    write(before, tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        del file["usbeam"]
    after = read(tmp_path / "a.hdf5")
    assert after.transmits.kind == before.transmits.kind
    np.testing.assert_allclose(after.transmits.pulse_peak_time, before.transmits.pulse_peak_time, atol=0.2e-9)
    assert after.probe.lens_delay == pytest.approx(before.probe.lens_delay, rel=1e-9)
    images = [ub.beamform(each, GRID).data for each in (before, after)]
    # The peak's time is read off a waveform; where a wave passes its focus, all depends on the last bit of a place.
    error = np.abs(images[1] - images[0]) / np.abs(images[0]).max()
    assert np.quantile(error, 0.99) < 0.01


def zea_reads(path: Path) -> dict[str, Any]:
    zea_library.run("read", path, path.with_suffix(".npz"))
    with np.load(path.with_suffix(".npz")) as fields:
        return dict(fields)


def test_zea_reads_every_field(made: dict[str, Acquisition], tmp_path: Path) -> None:
    """zea checks the whole file against its own contract, and gives each fact with its own name and sign."""
    recording = made["iq"]
    recording = recording.replace(
        title="three points",
        transmit_times=np.array([[0.0, 1e-4, 3e-4]]),
        transmits=dataclasses.replace(recording.transmits, delays=recording.transmits.delays - 0.2e-6),
    )
    write(recording, tmp_path / "a.hdf5")
    found = zea_reads(tmp_path / "a.hdf5")
    samples = np.asarray(recording.samples)
    raw = found["raw_data"]
    assert raw.shape == (1, 3, recording.n_samples, 16, 2)
    assert raw.dtype == np.float32
    # Mixed with a phase that is 0 at the first sample.
    start = np.asarray(recording.start_time)
    turned = samples * np.exp(2j * np.pi * 5e6 * start)[:, None, None]
    np.testing.assert_allclose(raw[..., 0] + 1j * raw[..., 1], turned.swapaxes(2, 3), atol=1e-6 * abs(samples).max())
    assert found["scan.sampling_frequency"] == 25e6
    assert found["scan.demodulation_frequency"] == 5e6
    assert found["scan.center_frequency"] == 5e6
    assert found["scan.sound_speed"] == SPEED
    # From the firing of the first element on: 0.2 us later than our t = 0 was.
    np.testing.assert_allclose(found["scan.initial_times"], start + 0.2e-6, rtol=1e-6)
    np.testing.assert_allclose(found["scan.t0_delays"], made["iq"].transmits.delays, atol=1e-12)
    np.testing.assert_array_equal(found["scan.tx_apodizations"], 1)
    np.testing.assert_array_equal(found["scan.focus_distances"], np.inf)
    np.testing.assert_allclose(found["scan.polar_angles"], [-0.15, 0.0, 0.2], atol=1e-7)
    np.testing.assert_array_equal(found["scan.azimuth_angles"], 0)
    np.testing.assert_array_equal(found["scan.transmit_origins"], 0)
    np.testing.assert_allclose(found["scan.time_to_next_transmit"], [[1e-4, 2e-4, 0.0]], rtol=1e-6)
    assert "scan.rx_aperture_indices" not in found
    # zea takes a whole sample of its waveform, 4 ns.
    np.testing.assert_allclose(found["t_peak"], 0.41e-6, atol=2.1e-9)
    np.testing.assert_allclose(found["probe.probe_geometry"], recording.probe.element_positions, rtol=1e-6)
    assert found["probe.type"] == "linear"
    assert found["probe.probe_center_frequency"] == 5e6
    assert found["probe.probe_bandwidth_percent"] == 65
    assert found["probe.element_width"] == pytest.approx(0.3e-3)
    speed, thickness = found["probe.lens_sound_speed"], found["probe.lens_thickness"]
    assert thickness * (1 / speed - 1 / SPEED) == pytest.approx(0.23e-6, rel=1e-5)
    assert found["description"] == "three points"


@pytest.mark.parametrize(("name", "places", "sign"), [("focused", FOCI, 1), ("diverging", SOURCES, -1)])
def test_foci(made: dict[str, Acquisition], name: str, places: Any, sign: int, tmp_path: Path) -> None:
    """A focus is at origin + distance * direction; a virtual source has a negative distance and a beam ahead."""
    write(made[name], tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as file:
        scan = {key: value[()] for key, value in file["tracks/track_0/scan"].items()}
    assert np.all(np.sign(scan["focus_distances"]) == sign)
    polar, azimuth = scan["polar_angles"], scan["azimuth_angles"]
    assert np.all(np.abs(polar) < np.pi / 2)
    beam = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    np.testing.assert_allclose(scan["transmit_origins"] + scan["focus_distances"][:, None] * beam, places, atol=1e-9)


def test_absent_traces(tmp_path: Path) -> None:
    """A half matrix: zea gets an unused element and zeros for what was not recorded; we get it back."""
    whole = small(n_elements=4)
    receivers = np.array([[0, 1, 2, 3], [ABSENT, 1, 2, 3], [ABSENT, ABSENT, 2, 3], [ABSENT, ABSENT, ABSENT, 3]])
    samples = np.where((receivers == ABSENT)[:, :, None], np.float32(0), np.asarray(whole.samples))
    half = whole.replace(samples=samples, receive_elements=receivers)
    write(half, tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as file:
        stored = file["tracks/track_0/scan/rx_aperture_indices"][()]
    np.testing.assert_array_equal(np.sort(stored, axis=1), np.tile(np.arange(4), (4, 1)))
    np.testing.assert_array_equal(stored[receivers != ABSENT], receivers[receivers != ABSENT])
    after = read(tmp_path / "a.hdf5")
    np.testing.assert_array_equal(after.receivers, receivers)
    np.testing.assert_array_equal(after.frame(1), half.frame(1))


def test_everything_else_comes_back(tmp_path: Path) -> None:
    before = small()
    write(before, tmp_path / "a.hdf5")
    after = read(tmp_path / "a.hdf5")
    assert after.title == before.title
    assert after.license == before.license
    assert after.provenance["lab"] == "ours"
    assert after.probe.name == "Müller"
    np.testing.assert_array_equal(after.frame_times, before.frame_times)
    np.testing.assert_array_equal(after.truth.points, before.truth.points)  # type: ignore[union-attr]
    np.testing.assert_array_equal(after.start_time, before.start_time)


def test_changed_by_another_program(made: dict[str, Acquisition], tmp_path: Path) -> None:
    """zea's fields and our header contradict each other: neither is taken silently."""
    for name in ("initial_times", "t0_delays", "sampling_frequency"):
        write(made["plane"], tmp_path / "a.hdf5", overwrite=True)
        with h5py.File(tmp_path / "a.hdf5", "r+") as file:
            node = file[f"tracks/track_0/scan/{name}"]
            node[()] = node[()] * 1.01 + 1e-8
        with pytest.raises(BadField, match="usbeam wrote") as caught:
            read(tmp_path / "a.hdf5")
        assert caught.value.hint is not None
        assert "delete the group" in caught.value.hint


def test_refusals(made: dict[str, Acquisition], tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    recording = made["plane"]
    late = recording.replace(transmits=dataclasses.replace(recording.transmits, pulse_peak_time=1.0))
    with pytest.raises(ConfigError, match="too late"):
        write(late, path)
    samples = np.array(recording.samples)
    samples[0, 1, 2, 3] = np.nan
    with pytest.raises(BadField, match="not finite"):
        write(recording.replace(samples=samples), path)
    assert list(tmp_path.iterdir()) == []
    write(recording, path)
    with pytest.raises(OutputExists):
        WRITERS["zea"].write(recording, path)


def test_a_recording_on_disk(tmp_path: Path) -> None:
    """Frame by frame, from a file."""
    before = small()
    before.save(tmp_path / "a.h5")
    write(load(tmp_path / "a.h5"), tmp_path / "a.hdf5")
    np.testing.assert_array_equal(read(tmp_path / "a.hdf5").samples[:], np.asarray(before.samples))
