"""zea files, written by zea itself and in the older layout: the point lands where zea put it, and no sign can hide."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usbeam as ub
from tests.io import zea_library
from tests.io.zea_library import ANGLES, CENTER, LENS_DELAY, N_ELEMENTS, PEAK, PITCH, POINT, SAMPLING, SPEED, START
from usbeam.acquisition import Acquisition
from usbeam.errors import BadField, FileFormatError, MissingField, UnsafeFile, UsbeamError
from usbeam.io.convert import blosc, read, recognise, zea

WAVELENGTH = SPEED / CENTER
STARTS = START + np.array([0.0, 0.33e-6, 1.13e-6])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a point, simulated and written by zea."""
    folder = tmp_path_factory.mktemp("zea")
    zea_library.run("write", folder)
    return folder


def spot(recording: Acquisition) -> tuple[float, float]:
    """Where the point's image peaks [m]."""
    x, _, z = POINT
    grid = ub.Grid.linear(x=(x - 0.8e-3, x + 0.8e-3), z=(z - 0.8e-3, z + 0.8e-3), shape=(81, 81))
    found = ub.psf.measure(ub.beamform(recording, grid), near=(x, z))
    return found.x, found.z


@cache
def ideal_focused_spot() -> tuple[float, float]:
    """Where three focused beams, each of another angle, have the peak of the point's image: not quite at the point."""
    probe = ub.Probe.linear(N_ELEMENTS, PITCH, CENTER, bandwidth=0.6, element_width=0.25e-3)
    direction = np.stack([np.sin(ANGLES), 0 * ANGLES, np.cos(ANGLES)], axis=1)
    transmits = ub.Transmits.focused(probe, 60e-3 * direction, SPEED)
    phantom = ub.simulate.Phantom(
        positions=np.array([POINT]), amplitudes=np.ones(1), truth=ub.Truth(points=np.array([POINT])), title="a point"
    )
    options: dict[str, Any] = {"sampling_frequency": SAMPLING, "depth": (15e-3, 21e-3), "sound_speed": SPEED}
    return spot(ub.simulate.record(phantom, probe, transmits, **options))


@pytest.mark.parametrize("name", ["plane", "diverging", "focused", "element", "iq"])
def test_a_point_of_zea(written: Path, name: str) -> None:
    """Within 0.05 wavelengths, by zea's own forward model: start time, delays, pulse peak, lens, and IQ's phase."""
    path = written / f"{name}.hdf5"
    assert recognise(path) == "zea"
    recording = read(path)
    assert set(recording.transmits.kind) == {"plane" if name == "iq" else name}
    assert recording.kind == ("iq" if name == "iq" else "rf")
    x, z = spot(recording)
    wanted = ideal_focused_spot()[0] if name == "focused" else POINT[0]
    assert abs(x - wanted) < 0.05 * WAVELENGTH
    assert abs(z - POINT[2]) < 0.05 * WAVELENGTH


def test_every_fact(written: Path) -> None:
    recording = read(written / "plane.hdf5")
    assert recording.samples.shape == (1, 3, N_ELEMENTS, zea_library.N_SAMPLES)
    assert recording.sampling_frequency == SAMPLING
    assert recording.sound_speed == SPEED
    assert recording.demodulation_frequency == 0
    np.testing.assert_allclose(recording.start_time, STARTS, rtol=1e-6)
    np.testing.assert_allclose(recording.transmits.pulse_peak_time, PEAK, atol=0.1e-9)
    np.testing.assert_allclose(recording.transmits.direction[:, 0], np.sin(ANGLES), atol=1e-4)  # type: ignore[index]
    np.testing.assert_allclose(recording.transmit_times, [[0, 1e-4, 2e-4]], rtol=1e-6)  # type: ignore[arg-type]
    probe = recording.probe
    assert probe.lens_delay == pytest.approx(LENS_DELAY, rel=1e-6)
    assert probe.center_frequency == CENTER
    assert probe.pitch == pytest.approx(PITCH)
    assert probe.bandwidth == pytest.approx(0.6)
    assert probe.element_width == pytest.approx(0.25e-3)
    assert (probe.name, probe.kind) == ("made up", "linear")
    assert recording.title == "a point in water"
    assert recording.provenance["source_format"] == "zea"
    assert "notes" not in recording.provenance


def test_blosc_and_gzip_hold_the_same(written: Path) -> None:
    """zea packs with Blosc if not told otherwise; unpacked by HDF5's plug-in and by us, the bytes are the same."""
    with h5py.File(written / "plane.hdf5") as file:
        dataset = file["tracks/track_0/data/raw_data"]
        assert blosc.is_packed(dataset)
        ours = blosc.read(dataset)
    pytest.importorskip("hdf5plugin")
    with h5py.File(written / "plane.hdf5") as file:
        np.testing.assert_array_equal(ours, file["tracks/track_0/data/raw_data"][()])


def test_iq_is_rf_mixed_down_from_time_zero(written: Path) -> None:
    rf, iq = (read(written / f"{name}.hdf5") for name in ("plane", "iq"))
    assert iq.demodulation_frequency == CENTER
    time = np.asarray(iq.start_time)[:, None] + np.arange(iq.n_samples) / SAMPLING
    again = np.real(iq.frame(0) * np.exp(2j * np.pi * CENTER * time)[:, None])
    np.testing.assert_allclose(again, rf.frame(0), atol=0.01 * np.abs(rf.frame(0)).max())


# The flat layout of files before 0.1, written by hand: counts beside the arrays, the probe's facts in `scan`, waveforms
# in a list with an index, the lens in wavelengths.

N_AX, N_TX, N_RX = 20, 2, 4
LATE, EARLY = 0.4e-6, 0.2e-6


def pulse(peak: float) -> Any:
    time = np.arange(200) / zea_library.WAVEFORM_FREQUENCY - peak
    return (np.exp(-((time / 0.1e-6) ** 2)) * np.cos(2 * np.pi * CENTER * time)).astype(np.float32)


def older(path: Path, **changes: Any) -> Path:
    """A file as it was before 0.1; a change to None leaves a dataset out."""
    raw = np.random.default_rng(0).standard_normal((3, N_TX, N_AX, N_RX, 1)).astype(np.float32)
    x = (np.arange(N_RX) - 1.5) * PITCH
    delays = np.stack([0 * x, np.sin(0.1) * x / SPEED])
    values: dict[str, Any] = {
        "data/raw_data": raw,
        "scan/n_ax": N_AX,
        "scan/n_el": N_RX,
        "scan/n_tx": N_TX,
        "scan/n_ch": 1,
        "scan/n_frames": 3,
        "scan/sampling_frequency": np.array([SAMPLING], np.float32),
        "scan/center_frequency": np.array([[CENTER]], np.float32),
        "scan/sound_speed": np.float32(SPEED),
        "scan/initial_times": np.array([1e-6, 2e-6], np.float32),
        "scan/t0_delays": (delays - delays.min(axis=1, keepdims=True)).astype(np.float32),
        "scan/tx_apodizations": np.ones((N_TX, N_RX), np.float32),
        "scan/focus_distances": np.zeros(N_TX, np.float32),
        "scan/polar_angles": np.array([0, 0.1], np.float32),
        "scan/probe_geometry": np.stack([x, 0 * x, 0 * x], axis=1).astype(np.float32),
        "scan/element_width": np.float32(0.2e-3),
        "scan/lens_correction": np.float32(1.5),
        "scan/waveforms_two_way/waveform_000": pulse(LATE),
        "scan/waveforms_two_way/waveform_001": pulse(EARLY)[:150],
        "scan/tx_waveform_indices": np.array([1, 0]),
        "scan/time_to_next_transmit": np.full((3, N_TX), 1e-4, np.float32),
    }
    with h5py.File(path, "w") as file:
        file.attrs["probe"] = "L11-4v"
        for name, value in {**values, **changes}.items():
            if value is not None:
                file[name] = value
    return path


def test_the_older_layout(tmp_path: Path) -> None:
    path = older(tmp_path / "old.hdf5")
    assert recognise(path) == "zea"
    recording = read(path)
    with h5py.File(path) as file:
        raw = file["data/raw_data"][()]
    np.testing.assert_array_equal(recording.frame(2), raw[2, ..., 0].swapaxes(1, 2))
    np.testing.assert_allclose(recording.transmits.pulse_peak_time, [EARLY, LATE], atol=0.2e-9)
    assert recording.probe.lens_delay == pytest.approx(1.5 / CENTER)
    assert recording.probe.element_width == pytest.approx(0.2e-3)
    assert (recording.probe.name, recording.probe.kind) == ("L11-4v", "linear")
    assert recording.transmits.kind == ("plane", "plane")
    np.testing.assert_allclose(recording.transmits.direction[:, 0], [0, np.sin(0.1)], atol=1e-4)  # type: ignore[index]
    np.testing.assert_allclose(recording.start_time, [1e-6, 2e-6])
    np.testing.assert_allclose(recording.frame_times, [0, 2e-4, 4e-4], rtol=1e-6)  # type: ignore[arg-type]


def test_what_older_files_do_not_say(tmp_path: Path) -> None:
    """Their IQ data are mixed with the centre frequency; what is not known is noted."""
    iq = np.random.default_rng(1).standard_normal((1, N_TX, N_AX, N_RX, 2)).astype(np.float32)
    bare = {f"scan/{name}": None for name in ("tx_waveform_indices", "sound_speed", "time_to_next_transmit")}
    waveforms = {f"scan/waveforms_two_way/waveform_00{index}": None for index in range(2)}
    recording = read(older(tmp_path / "old.hdf5", **{"data/raw_data": iq}, **bare, **waveforms))
    assert recording.demodulation_frequency == CENTER
    turn = np.exp(-2j * np.pi * CENTER * np.asarray(recording.start_time))[:, None, None]
    wanted = (iq[0, ..., 0] + 1j * iq[0, ..., 1]).swapaxes(1, 2) * turn
    np.testing.assert_allclose(recording.frame(0), wanted, atol=1e-5)
    assert recording.sound_speed == 1540
    assert np.all(np.asarray(recording.transmits.pulse_peak_time) == 0)
    assert "peak" in recording.provenance["notes"]
    assert "1540" in recording.provenance["notes"]


def test_integers_and_sub_apertures(tmp_path: Path) -> None:
    raw = np.arange(2 * N_TX * N_AX * 3).reshape(2, N_TX, N_AX, 3, 1).astype(np.int16)
    aperture = np.array([[0, 1, 2], [1, 2, 3]])
    changes = {"data/raw_data": raw, "scan/rx_aperture_indices": aperture, "scan/tgc_gain_curve": np.arange(N_AX) + 1.0}
    recording = read(older(tmp_path / "old.hdf5", **changes, **{"scan/time_to_next_transmit": np.full(3, 1e-4)}))
    assert recording.samples.dtype == np.int16
    np.testing.assert_array_equal(recording.receivers, aperture)
    np.testing.assert_array_equal(recording.frame(1), raw[1, ..., 0].swapaxes(1, 2))
    assert recording.tgc_applied is True
    np.testing.assert_allclose(recording.transmit_times, [[0, 1e-4], [2e-4, 3e-4]])  # type: ignore[arg-type]


def test_a_band_elsewhere_is_not_taken_for_that_of_the_pulse(tmp_path: Path) -> None:
    band = {"probe/probe_bandwidth_percent": 67.0}
    assert read(older(tmp_path / "a.hdf5", **band)).probe.bandwidth == pytest.approx(0.67)
    band["probe/probe_center_frequency"] = 7.5e6
    assert read(older(tmp_path / "b.hdf5", **band)).probe.bandwidth is None


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"scan/t0_delays": None, "scan/initial_times": None}, FileFormatError, "format not recognised"),
        ({"scan/initial_times": None, "scan/center_frequency": None}, MissingField, "scan.center_frequency, scan.init"),
        ({"scan/probe_geometry": None}, MissingField, "probe.probe_geometry"),
        ({"scan/t0_delays": np.zeros((N_RX, N_TX))}, BadField, r"scan\.t0_delays: not of the right shape"),
        ({"scan/tx_apodizations": np.zeros((N_TX, N_RX))}, BadField, "no element fires"),
        ({"scan/initial_times": np.zeros(3)}, BadField, "not channel data"),
        ({"scan/initial_times": np.array([np.nan, 0])}, BadField, "start_time"),
        ({"data/raw_data": np.zeros((3, N_TX, N_AX, N_RX))}, BadField, "not channel data"),
        ({"data/raw_data": np.zeros((3, N_TX, N_AX, N_RX, 3))}, BadField, "not channel data"),
        ({"data/raw_data": np.zeros((3, N_TX, N_AX, N_RX, 1), complex)}, BadField, "not channel data"),
        ({"data/raw_data": np.zeros((3, N_TX, N_AX, 3, 1))}, BadField, "which elements received"),
        ({"data/raw_data": "text"}, BadField, "not numeric"),
        ({"scan/sampling_frequency": np.zeros(2)}, BadField, "not a single number"),
        ({"scan/tx_waveform_indices": np.array([0, 2])}, BadField, "no such waveform"),
        ({"scan/tx_waveform_indices": np.array([-1, 0])}, BadField, "no such waveform"),
        ({"scan/time_to_next_transmit": np.zeros((2, 2))}, BadField, "wrong size"),
        ({"scan/sound_speed": -1.0}, BadField, "sound_speed"),
        (
            {
                "data/raw_data": np.ones((1, N_TX, N_AX, N_RX, 2)),
                "scan/demodulation_frequency": np.array([5e6, 6e6]),
                "scan/time_to_next_transmit": None,
            },
            BadField,
            "different frequencies",
        ),
        (
            {"probe/lens_thickness": 1e-3, "probe/lens_sound_speed": 2000.0},
            BadField,
            "lens_delay",
        ),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, changes: dict[str, Any], kind: type[UsbeamError], said: str
) -> None:
    path = older(tmp_path / "old.hdf5", **changes)
    with pytest.raises(kind, match=said) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_several_tracks(tmp_path: Path) -> None:
    path = older(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        for name in ("tracks/track_0", "tracks/track_1"):
            file.copy("data", file, f"{name}/data")
            file.copy("scan", file, f"{name}/scan")
        del file["data"], file["scan"]
    assert zea.sniff(path)
    with pytest.raises(BadField, match=r"more than one track.*track_0, track_1"):
        read(path)


def damaged_chunk(path: Path, change: Callable[[bytearray], bytearray]) -> None:
    """Spoil the packed bytes of the samples' first chunk."""
    with h5py.File(path, "r+") as file:
        dataset = file["tracks/track_0/data/raw_data"]
        offset = (0,) * dataset.ndim
        _, packed = dataset.id.read_direct_chunk(offset)
        dataset.id.write_direct_chunk(offset, bytes(change(bytearray(packed))))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda packed: packed[:4] + (2**31 - 1).to_bytes(4, "little") + packed[8:], "another size"),
        (lambda packed: packed[:4] + (8).to_bytes(4, "little") + packed[8:], "another size"),
        (lambda packed: packed[: len(packed) // 2], "cannot be read"),
        (lambda packed: packed[:9], "another size"),
        (lambda packed: packed[:100] + bytes(len(packed) - 100), "cannot be read"),
    ],
)
def test_damaged_packing(written: Path, tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "a.hdf5"
    path.write_bytes((written / "plane.hdf5").read_bytes())
    damaged_chunk(path, change)
    with pytest.raises(FileFormatError, match=said) as caught:
        read(path)
    assert "raw_data" in str(caught.value)


def test_other_filters_and_links_stay_refused(tmp_path: Path) -> None:
    path = older(tmp_path / "a.hdf5", **{"data/raw_data": None})
    with h5py.File(path, "r+") as file:
        file["data/raw_data"] = h5py.ExternalLink("/etc/passwd", "/x")
    assert not zea.sniff(path)
    with pytest.raises(UnsafeFile, match="another file"):
        read(path)
    path = older(tmp_path / "b.hdf5", **{"data/raw_data": None})
    with h5py.File(path, "r+") as file:
        shape = (1, N_TX, N_AX, N_RX, 1)
        file.create_dataset("data/raw_data", shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(UnsafeFile, match="another file"):
        read(path)


def test_damaged_files_raise_errors_of_ours_only(written: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "a.hdf5"
    refused = 0
    for whole in ((written / "element.hdf5").read_bytes(), older(tmp_path / "old.hdf5").read_bytes()):
        for trial in range(60):
            damaged = bytearray(whole)
            for _ in range(1 + trial % 5):
                # Most of what a file is made of is at its beginning; the samples would swallow the damage.
                damaged[rng.integers(min(len(whole), 20_000))] = rng.integers(256)
            path.write_bytes(damaged[: rng.integers(len(whole))] if trial % 4 == 0 else damaged)
            try:
                read(path, format="zea")
            except UsbeamError as error:
                assert str(path) in str(error)  # noqa: PT017
                refused += 1
    assert refused > 40
