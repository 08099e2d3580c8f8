"""UFF: a point lands where it was, whatever wave showed it; and what a file says wrongly is said of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.uff_files import (
    CENTER,
    DELAYS,
    INITIAL,
    POINT,
    PROBE,
    SAMPLING,
    SPEED,
    Recorded,
    error_at_point,
    iq,
    recorded,
    write_matlab,
    write_pyuff,
)
from usbeam import Acquisition, Probe
from usbeam.errors import BadField, ConfigError, FileFormatError, UsbeamError
from usbeam.io import convert, load
from usbeam.io.convert import read, uff
from usbeam.io.convert.uff_waves import Wave, fire

KINDS = ("element", "plane", "diverging", "focused")


@pytest.fixture(scope="module")
def heard() -> dict[str, Recorded]:
    return {kind: recorded(kind) for kind in KINDS}


@pytest.mark.parametrize("mixed", [False, True], ids=["rf", "iq"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_point_lands_where_it_was(kind: str, mixed: bool, heard: dict[str, Recorded], tmp_path: Path) -> None:
    made = heard[kind]
    samples = iq(made.samples) if mixed else made.samples
    recording = read(write_pyuff(tmp_path / "a.uff", made, samples))
    assert recording.transmits.kind == (kind,) * 3
    assert recording.kind == ("iq" if mixed else "rf")
    assert recording.demodulation_frequency == (CENTER if mixed else 0)
    assert error_at_point(recording) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_matlab_and_pyuff_write_the_same(kind: str, heard: dict[str, Recorded], tmp_path: Path) -> None:
    made = heard[kind]
    for samples in (made.samples, iq(made.samples)):
        one = uff.read(write_pyuff(tmp_path / "a.uff", made, samples))
        other = uff.read(write_matlab(tmp_path / "b.uff", made, samples))
        assert one.transmits.kind == other.transmits.kind
        np.testing.assert_allclose(one.transmits.delays, other.transmits.delays, atol=1e-11)
        np.testing.assert_allclose(np.asarray(one.start_time), np.asarray(other.start_time), atol=1e-12)
        np.testing.assert_allclose(one.frame(0), other.frame(0), atol=1e-4 * np.abs(samples).max())
        (tmp_path / "a.uff").unlink()


def test_iq_of_several_waves_adds_up_as_rf_does(heard: dict[str, Recorded], tmp_path: Path) -> None:
    """The phase of IQ refers to a time axis without the waves' delays: else the waves would cancel each other."""
    made = heard["plane"]
    rf, mixed = (
        read(write_pyuff(tmp_path / f"{k}.uff", made, s)) for k, s in enumerate((made.samples, iq(made.samples)))
    )
    peaks = [level(recording) for recording in (rf, mixed)]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.02)


def level(recording: Acquisition) -> float:
    from usbeam import Grid, beamform

    grid = Grid.linear(x=(POINT[0] - 2e-4, POINT[0] + 2e-4), z=(POINT[1] - 2e-4, POINT[1] + 2e-4), shape=(17, 9))
    return float(beamform(recording, grid, method="das").envelope().data.max())


def test_time_axis(heard: dict[str, Recorded], tmp_path: Path) -> None:
    recording = read(write_pyuff(tmp_path / "a.uff", heard["plane"], heard["plane"].samples))
    np.testing.assert_allclose(np.asarray(recording.start_time), INITIAL + DELAYS, atol=1e-15)
    assert recording.sampling_frequency == SAMPLING
    np.testing.assert_array_equal(recording.frame(0), heard["plane"].samples[0])
    assert recording.provenance["author"] == "A; B"
    assert recording.title == "three waves"
    assert recording.provenance["source_format"] == "uff"


def fired(wave: Wave, elements: Any) -> Any:
    probe = Probe(element_positions=elements, center_frequency=CENTER)
    return fire([wave], [None], [None], probe, SPEED)


def test_firing_times_of_a_plane_wave_have_both_signs() -> None:
    """On a plane aperture: later toward +x for a positive azimuth, toward +y for a positive elevation."""
    elements = np.array([[-1e-3, 0, 0], [1e-3, 0, 0], [0, -1e-3, 0], [0, 1e-3, 0], [0, 0, 1e-3]])
    made = fired(Wave("plane", 0.3, 0.2), elements)
    expected = np.array([-np.sin(0.3) * np.cos(0.2), 0, -np.sin(0.2), 0, np.cos(0.3) * np.cos(0.2)])
    expected[1], expected[3] = -expected[0], -expected[2]
    np.testing.assert_allclose(made.delays[0] * SPEED / 1e-3, expected, atol=1e-12)
    same = fired(Wave("spherical", 0.3, 0.2, np.inf), elements)
    np.testing.assert_array_equal(same.delays, made.delays)
    assert same.kind == made.kind == ("plane",)


@pytest.mark.parametrize(
    ("source", "kind", "at_first", "at_second"),
    [
        # source; then firing times x speed at (0, 0, 0) and (3 mm, 0, 0), in mm
        ((0, 0, -4e-3), "diverging", 0.0, 1.0),
        ((0, 0, 4e-3), "focused", 0.0, -1.0),
        ((3e-3, 0, 4e-3), "focused", 0.0, 1.0),
        ((3e-3, 0, -4e-3), "diverging", 0.0, -1.0),
        ((4e-3, 0, 0), "diverging", 8.0, 5.0),  # in the plane of the array: it reaches the origin first
        ((3e-3, 0, 0), "element", 0.0, 3.0),
    ],
)
def test_firing_times_of_spherical_waves(source: Any, kind: str, at_first: float, at_second: float) -> None:
    x, _, z = source
    wave = Wave("spherical", float(np.arctan2(x, z)), 0.0, float(np.hypot(x, z)))
    made = fired(wave, np.array([[0.0, 0, 0], [3e-3, 0, 0]]))
    assert made.kind == (kind,)
    np.testing.assert_allclose(made.delays[0] * SPEED * 1e3, [at_first, at_second], atol=1e-9)


def test_an_element_of_a_curved_array_fires_before_the_passage_of_the_origin() -> None:
    """USTB's beamformer takes a source below z = -1 mm for one behind the array, an element too."""
    elements = np.array([[0.0, 0, 0], [8e-3, 0, -6e-3]])
    wave = Wave("spherical", float(np.arctan2(8, -6)), 0.0, 10e-3)
    made = fired(wave, elements)
    assert made.kind == ("element",)
    np.testing.assert_allclose(made.delays[0] * SPEED * 1e3, [0, -10], atol=1e-9)


def test_photoacoustic_waves_are_heard_once(tmp_path: Path) -> None:
    """The point sounds at t = 0, so that the way is that to the elements alone."""
    way = np.hypot(PROBE.element_positions[:, 0] - POINT[0], POINT[1])
    time = INITIAL - 2e-6 + np.arange(300) / SAMPLING
    later = time + DELAYS[:, None, None] - (way / SPEED)[:, None]
    samples = (np.exp(-((later / 0.2e-6) ** 2)) * np.cos(2 * np.pi * CENTER * later)).astype(np.float32)[None]
    made = Recorded(2, np.zeros(3), np.zeros(3), np.zeros(3), samples)
    path = write_pyuff(tmp_path / "a.uff", made, samples, initial_time=INITIAL - 2e-6)
    convert(path, tmp_path / "a.h5")
    recording = load(tmp_path / "a.h5")
    assert recording.transmits.kind == ("plane",) * 3
    assert "photoacoustic" in recording.provenance["notes"]
    assert error_at_point(recording) < 0.05


def test_a_curved_array_looks_outward(heard: dict[str, Recorded], tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb")
    angle = np.linspace(-0.5, 0.5, 32)
    around = np.stack([40e-3 * np.sin(angle), 0 * angle, 40e-3 * (np.cos(angle) - 1)])
    shape = np.concatenate([around, [angle, 0 * angle, 0 * angle + 1e-3, 0 * angle + 9e-3]])
    probe = pyuff.CurvilinearArray(N=32, pitch=1.3e-3, radius=40e-3, geometry=shape)
    recording = read(write_pyuff(tmp_path / "a.uff", heard["plane"], heard["plane"].samples, probe=probe))
    np.testing.assert_allclose(recording.probe.element_positions, around.T)
    outward = around.T + np.array([0, 0, 40e-3])
    np.testing.assert_allclose(recording.probe.normals, outward / 40e-3, atol=1e-12)
    assert (recording.probe.kind, recording.probe.element_width, recording.probe.element_height) == (
        "curved",
        1e-3,
        9e-3,
    )


def test_what_a_file_may_leave_out_or_name_otherwise(heard: dict[str, Recorded], tmp_path: Path) -> None:
    made = heard["focused"]
    alone = uff.read(write_matlab(tmp_path / "one.uff", made, made.samples, waves=1))
    assert alone.samples.shape == (1, 1, *made.samples.shape[2:])
    frames = np.concatenate([made.samples, 2 * made.samples])
    several = uff.read(write_matlab(tmp_path / "frames.uff", made, frames))
    np.testing.assert_array_equal(several.frame(1), frames[1])
    whole = (made.samples / np.abs(made.samples).max() * 3e4).astype(np.int16)
    path = write_pyuff(tmp_path / "other.uff", made, whole, location="phantom_7", pulse=None)
    assert uff.sniff(path)
    recording = read(path)
    assert recording.samples.dtype == np.int16
    assert recording.probe.center_frequency == pytest.approx(CENTER, rel=0.1)
    assert "mean frequency" in recording.provenance["notes"]


def test_weights_of_a_wave(heard: dict[str, Recorded], tmp_path: Path) -> None:
    path = write_pyuff(tmp_path / "a.uff", heard["focused"], heard["focused"].samples)
    weights = np.r_[np.zeros(10), np.hanning(16), np.zeros(6)]
    with h5py.File(path, "r+") as file:
        file["channel_data/sequence/sequence_0002/apodization/apodization_vector"] = weights[None]
    transmits = read(path).transmits
    np.testing.assert_array_equal(transmits.apodization[1], weights)
    assert np.all(transmits.apodization[[0, 2]] == 1)
    fired = PROBE.element_positions[weights != 0].mean(axis=0)
    np.testing.assert_allclose(np.asarray(transmits.origin)[1], fired, atol=1e-12)


def replaced(name: str, value: Any) -> Any:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value

    return change


WAVE = "channel_data/sequence/sequence_0002"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("channel_data/initial_time", None), "initial_time"),
        (replaced("channel_data/probe/geometry", None), "geometry"),
        (replaced("channel_data/sequence", None), "sequence"),
        (replaced(WAVE, None), "not as many waves"),
        (replaced(f"{WAVE}/wavefront", 3), "unknown kind of wave"),
        (replaced(f"{WAVE}/wavefront", 0.5), "unknown kind of wave"),
        (replaced(f"{WAVE}/delay", np.nan), "not a finite number"),
        (replaced(f"{WAVE}/delay", np.inf), "not a finite number"),
        (replaced(f"{WAVE}/source/azimuth", "left"), "not numeric"),
        (replaced(f"{WAVE}/source/distance", np.nan), "not a finite number"),
        (replaced(f"{WAVE}/sound_speed", 1480.0), "differ in the speed of sound"),
        (replaced(f"{WAVE}/apodization/apodization_vector", np.ones(31)), "not a weight for each element"),
        (replaced(f"{WAVE}/apodization/apodization_vector", np.zeros(32)), "no element fires"),
        (replaced("channel_data/modulation_frequency", 5e6), "these are real"),
        (replaced("channel_data/data", np.zeros((3, 400, 32), np.float32)), "transposed"),
        (replaced("channel_data/data", np.zeros((2, 32, 400), np.float32)), "not as many waves"),
        (replaced("channel_data/data", np.zeros(0)), "no samples"),
        (replaced("channel_data/probe/geometry", np.zeros((32, 7))), "transposed"),
        (replaced("channel_data/probe/geometry", np.zeros((7, 32))), "same place"),
        (replaced("channel_data/sampling_frequency", 0.0), "sampling_frequency"),
        (replaced("channel_data/sampling_frequency", np.ones(2)), "not a single number"),
        (replaced("channel_data/sound_speed", -1.0), "sound_speed"),
    ],
)
def test_contradictions_are_said_of_the_file(
    change: Any, said: str, heard: dict[str, Recorded], tmp_path: Path
) -> None:
    path = write_pyuff(tmp_path / "a.uff", heard["plane"], heard["plane"].samples)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FileFormatError) as caught:
        read(path, format="uff")
    assert str(path) in str(caught.value)
    assert said in f"{caught.value} {caught.value.hint}"


def test_real_and_imaginary_part_must_fit(heard: dict[str, Recorded], tmp_path: Path) -> None:
    path = write_pyuff(tmp_path / "a.uff", heard["plane"], iq(heard["plane"].samples))
    with h5py.File(path, "r+") as file:
        replaced("channel_data/data/imag", np.zeros((3, 32, 4)))(file)
    with pytest.raises(BadField, match="do not fit"):
        read(path)


def test_several_channel_data_are_not_guessed(heard: dict[str, Recorded], tmp_path: Path) -> None:
    made = heard["plane"]
    path = write_pyuff(tmp_path / "a.uff", made, made.samples, location="one")
    write_pyuff(path, made, made.samples, location="two")
    with pytest.raises(BadField, match="several channel data"):
        read(path)
    write_pyuff(path, made, made.samples)
    assert read(path).n_tx == 3


def test_damaged_files_raise_only_our_errors(heard: dict[str, Recorded], tmp_path: Path) -> None:
    made = heard["element"]
    path = write_pyuff(tmp_path / "a.uff", made, made.samples[..., :8])
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for trial in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + trial % 5):
            damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole))] if trial % 4 == 0 else damaged)
        try:
            read(path, format="uff")
        except UsbeamError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 15


def test_formats_are_told_apart(heard: dict[str, Recorded], tmp_path: Path) -> None:
    path = write_matlab(tmp_path / "a.uff", heard["plane"], heard["plane"].samples)
    assert uff.sniff(path)
    with pytest.raises(ConfigError, match="unknown format"):
        read(path, format="ufff")
    (tmp_path / "a.txt").write_text("uff.channel_data")
    assert not uff.sniff(tmp_path / "a.txt")
