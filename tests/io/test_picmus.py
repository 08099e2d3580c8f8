"""PICMUS: the waves' angles, the time axis, and what a modulation frequency of 0 means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.signal import hilbert

from usbeam import Acquisition, Grid, Probe, Transmits, beamform, psf
from usbeam.errors import FileFormatError, UsbeamError
from usbeam.io.convert import picmus, read, recognise
from usbeam.io.convert.demodulation import demodulate
from usbeam.simulate import Phantom, record

CENTER, SAMPLING, SPEED = picmus.CENTER_FREQUENCY, 4 * picmus.CENTER_FREQUENCY, 1540.0
ANGLES = np.array([-0.2, 0.07, 0.25])
POINT = (0.7e-3, 11e-3)
INITIAL = 5.7e-6
PROBE = Probe.linear(32, 0.3e-3, CENTER, bandwidth=0.6, element_width=0.27e-3)


@pytest.fixture(scope="module")
def samples() -> Any:
    """RF of a point; the pulse peaks as it fires, because PICMUS does not say otherwise."""
    point = Phantom(positions=np.array([[POINT[0], 0, POINT[1]]]), amplitudes=np.ones(1))
    transmits = Transmits.plane(PROBE, ANGLES, SPEED, time_zero="center")
    limits: Any = {"sampling_frequency": SAMPLING, "depth": (9e-3, 13e-3), "sound_speed": SPEED}
    return record(point, PROBE, transmits, start_time=INITIAL, **limits).samples[0]


def write(path: Path, samples: Any, modulation_frequency: float, **changes: Any) -> Path:
    """In the challenge's layout."""
    fields = {
        "angles": ANGLES.astype(np.float32),
        "data/real": samples.real,
        "data/imag": samples.imag,
        "initial_time": np.array([INITIAL], np.float32),
        "modulation_frequency": np.array([modulation_frequency], np.float32),
        "sampling_frequency": np.array([SAMPLING], np.float32),
        "sound_speed": np.array([SPEED], np.float32),
        "probe_geometry": PROBE.element_positions.T.astype(np.float32),
        "PRF": np.array([100.0], np.float32),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, value in fields.items():
            if value is not None:
                file[f"US/US_DATASET0000/{name}"] = value
        file["US/US_DATASET0000"].attrs.update({"type": "US", "signal_format": "RF", "version": "v.0.0.40"})
    return path


def iq(samples: Any) -> Any:
    return demodulate(samples[None], CENTER, SAMPLING, np.full(len(samples), INITIAL))[0]


def image(recording: Acquisition) -> Any:
    x, z = POINT
    grid = Grid.linear(x=(x - 0.8e-3, x + 0.8e-3), z=(z - 0.6e-3, z + 0.6e-3), shape=(33, 33))
    return beamform(recording, grid, method="das").envelope()


def error(recording: Acquisition) -> float:
    """In wavelengths."""
    spot = psf.measure(image(recording), POINT)
    return float(np.hypot(spot.x - POINT[0], spot.z - POINT[1])) / (SPEED / CENTER)


KINDS = {
    # samples from RF, modulation frequency in the file, kind, demodulation frequency, what is noted
    "rf": (lambda rf: rf, 0.0, "rf", 0.0, None),
    "rf with its carrier": (lambda rf: rf, CENTER, "rf", 0.0, None),
    "iq": (iq, CENTER, "iq", CENTER, None),
    "iq without its carrier": (iq, 0.0, "iq", CENTER, "although the samples are demodulated"),
    "analytic": (lambda rf: hilbert(rf, axis=-1), 0.0, "iq", 0.0, "analytic signal"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_point_lands_where_it_was(name: str, samples: Any, tmp_path: Path) -> None:
    made, stated, kind, carrier, note = KINDS[name]
    path = write(tmp_path / "a.hdf5", made(samples), stated)
    assert recognise(path) == "picmus"
    recording = read(path)
    assert recording.kind == kind
    assert recording.demodulation_frequency == pytest.approx(carrier)
    assert recording.probe.center_frequency == pytest.approx(CENTER)
    assert error(recording) < 0.05
    assert recording.provenance.get("notes", "").endswith(note or "") or note in recording.provenance["notes"]
    plain = image(read(write(tmp_path / "b.hdf5", samples, 0.0))).data.max()
    assert image(recording).data.max() == pytest.approx(plain, rel=0.02)  # the waves add up in phase


def test_physical_facts(samples: Any, tmp_path: Path) -> None:
    recording = read(write(tmp_path / "a.hdf5", samples, 0.0))
    assert np.all(np.asarray(recording.start_time) == pytest.approx(INITIAL, rel=1e-6))
    np.testing.assert_array_equal(recording.frame(0), samples)
    slopes = np.array(
        [np.polyfit(recording.probe.element_positions[:, 0], d, 1)[0] for d in recording.transmits.delays]
    )
    np.testing.assert_allclose(slopes * SPEED, np.sin(ANGLES), rtol=1e-5)
    # As of the passage of the origin: half of the elements fire before.
    np.testing.assert_allclose(recording.transmits.delays.mean(axis=1), 0, atol=1e-12)


def test_one_wave_and_no_imaginary_part(samples: Any, tmp_path: Path) -> None:
    one = write(tmp_path / "a.hdf5", samples, 0.0, **{"angles": ANGLES[:1], "data/real": samples[0], "data/imag": None})
    assert read(one).samples.shape == (1, 1, *samples.shape[1:])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sound_speed": None}, "sound_speed"),
        ({"data/real": None}, "data.real"),
        ({"angles": ANGLES[:2]}, "do not fit angles"),
        ({"angles": np.degrees(ANGLES)}, "degrees"),
        ({"probe_geometry": PROBE.element_positions}, "transposed"),
        ({"data/imag": np.ones((3, 32, 4))}, "does not fit the real one"),
        ({"data/real": np.zeros((2, 3, 32, 9))}, "no samples"),
        ({"initial_time": np.array([np.nan])}, "start_time"),
        ({"sampling_frequency": np.array([1.0, 2.0])}, "not a single number"),
    ],
)
def test_contradictions_are_said_of_the_file(changes: Any, said: str, samples: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", samples, 0.0, **changes)
    with pytest.raises(FileFormatError) as caught:
        read(path, format="picmus")
    assert str(path) in str(caught.value)
    assert said in f"{caught.value} {caught.value.hint}"


def test_scans_and_phantoms_are_not_recordings(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.hdf5", "w") as file:
        file["US/US_DATASET0000/x_axis"] = np.arange(3.0)
    assert not picmus.sniff(tmp_path / "scan.hdf5")
    with pytest.raises(FileFormatError, match="not recognised"):
        recognise(tmp_path / "scan.hdf5")


def test_damaged_files_raise_only_our_errors(samples: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", samples[..., :8], 0.0)
    whole = path.read_bytes()
    rng = np.random.default_rng(6)
    refused = 0
    for trial in range(100):
        damaged = bytearray(whole)
        for _ in range(1 + trial % 5):
            damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole))] if trial % 4 == 0 else damaged)
        try:
            read(path, format="picmus")
        except UsbeamError as problem:
            assert str(path) in str(problem)  # noqa: PT017
            refused += 1
    assert refused > 20
