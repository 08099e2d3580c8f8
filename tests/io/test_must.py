"""MUST and PyMUST: echoes of a point made by PyMUST's own simulator land where the point was."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pymust
import pytest

import usbeam as ub
from tests.io.matlab_files import write_v5, write_v73
from tests.io.test_brain import HALF, exp_data
from usbeam.errors import BadField, MissingField, UsbeamError
from usbeam.io.convert import brain, must, recognise, verasonics
from usbeam.io.convert import read as read_any

SPEED = 1480.0
POINT = (2e-3, 12e-3)
SKIPPED = 100
"""Samples that are cut from the front, which ``t0`` says."""


def probe(**changes: Any) -> Any:
    """PyMUST's L11-5v with 32 elements, in another medium than its default."""
    param = pymust.getparam("L11-5v")
    param.Nelements, param.fs, param.c = 32, 4 * param.fc, SPEED
    param.update(changes)
    return param


def echoes(delays: np.ndarray, param: Any) -> np.ndarray:
    """RF (sample, element) of the point, from sample `SKIPPED` on."""
    made = pymust.simus(np.array([POINT[0]]), np.array([POINT[1]]), np.ones(1), delays, param.copy())[0]
    return made[SKIPPED:]


def laws(param: Any) -> dict[str, np.ndarray]:
    """PyMUST's delays (1, element) of each kind of wave; the diverging one leaves elements silent."""
    made = {
        "plane": pymust.txdelay(param.copy(), 0.15),
        "focused": pymust.txdelay(3e-3, 45e-3, param.copy()),
        "diverging": pymust.txdelay(-1e-3, -8e-3, param.copy()),
    }
    made["diverging"][0, 24:] = np.nan
    return made


@pytest.fixture(scope="module")
def recorded() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Delays and RF of each kind of wave."""
    return {kind: (delays, echoes(delays, probe())) for kind, delays in laws(probe()).items()}


def fields(delays: np.ndarray, **changes: Any) -> dict[str, Any]:
    """``param`` as a struct of plain values."""
    param = probe()
    kept = {**param, "t0": SKIPPED / param.fs, "TXdelay": delays, **changes}
    return {name: value for name, value in kept.items() if value is not None}


def to_npz(path: Path, variables: dict[str, Any]) -> Path:
    """As ``np.savez(path, RF=RF, **param)``."""
    flat = {name: value for name, value in variables.items() if name != "param"}
    np.savez(path.with_suffix(".npz"), **flat, **variables.get("param", {}))
    return path.with_suffix(".npz")


WRITERS = {"v5": write_v5, "v7.3": write_v73, "npz": to_npz}


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return lambda variables: WRITERS[request.param](tmp_path / "must.mat", variables)


@pytest.fixture
def write_one(tmp_path: Path) -> Any:
    return lambda variables: write_v5(tmp_path / "must.mat", variables, compress=False)


def off(recording: ub.Acquisition, transmit: int = 0, point: tuple[float, float] = POINT) -> float:
    """How far the point lands from the truth, in wavelengths, imaged with one transmit."""
    grid = ub.Grid.linear(
        x=(point[0] - 1e-3, point[0] + 1e-3), z=(point[1] - 0.6e-3, point[1] + 0.6e-3), shape=(49, 97)
    )
    spot = ub.psf.measure(ub.beamform(recording, grid, transmits=np.eye(recording.n_tx)[transmit]))
    return float(np.hypot(spot.x - point[0], spot.z - point[1]) / recording.wavelength)


@pytest.mark.parametrize("kind", ["plane", "focused", "diverging"])
def test_the_point_lands_where_it_was(write_one: Any, recorded: Any, kind: str) -> None:
    delays, rf = recorded[kind]
    recording = must.read(write_one({"RF": rf, "param": fields(delays)}))
    assert recording.transmits.kind == (kind,)
    assert off(recording) < 0.05


def test_a_convex_array(write_one: Any) -> None:
    param = probe(radius=30e-3)
    delays = pymust.txdelay(param.copy(), -0.1)
    recording = must.read(write_one({"RF": echoes(delays, param), "param": fields(delays, radius=30e-3)}))
    x, z, angle, _ = param.getElementPositions()
    np.testing.assert_allclose(recording.probe.element_positions[:, 0], x[0], atol=1e-12)
    np.testing.assert_allclose(recording.probe.element_positions[:, 2], z[0], atol=1e-12)
    np.testing.assert_allclose(recording.probe.normals[:, 0], np.sin(angle[0]), atol=1e-12)
    assert (recording.probe.kind, recording.transmits.kind) == ("curved", ("plane",))
    assert off(recording) < 0.05


def test_iq_of_rf2iq(write_one: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    param = fields(delays)
    iq = pymust.rf2iq(rf, pymust.utils.Param(param))
    recording = must.read(write_one({"IQ": iq, "param": param}))
    assert (recording.kind, recording.demodulation_frequency) == ("iq", param["fc"])
    assert off(recording) < 0.05
    # The envelope does not see the carrier's phase; the mixed transmits of a recording do.
    expected = must.read(write_one({"RF": rf, "param": param}))
    grid = ub.Grid.linear(x=(1.5e-3, 2.5e-3), z=(11.7e-3, 12.3e-3), shape=(25, 49))
    one, other = ub.beamform(recording, grid).data, ub.beamform(expected, grid).data
    assert abs(np.angle(np.vdot(other, one))) < 0.1


def test_rf_sampled_below_twice_its_carrier(write_one: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    # Every third of four samples a period: 4/3, the spectrum mirrored around a third of the carrier.
    narrow = pymust.getparam("L11-5v").fc
    time = np.arange(len(rf)) / (4 * narrow)
    band = np.abs(np.fft.fftfreq(len(rf), time[1])) / narrow
    kept = np.fft.ifft(np.fft.fft(rf, axis=0) * (np.abs(band - 1) < 0.2)[:, None], axis=0).real
    param = fields(delays, fs=4 / 3 * narrow)
    recording = must.read(write_one({"RF": kept[2::3], "param": param | {"t0": (SKIPPED + 2) / (4 * narrow)}}))
    assert (recording.kind, recording.demodulation_frequency) == ("iq", narrow)
    assert off(recording) < 0.05


def test_physical_facts(write: Any, recorded: Any) -> None:
    delays, rf = recorded["diverging"]
    weights = np.linspace(0.5, 1, 32)
    recording = must.read(write({"RF": rf, "param": fields(delays, TXapodization=weights[None])}))
    param = probe()
    assert recording.samples.shape == (1, 1, 32, len(rf))
    np.testing.assert_array_equal(recording.frame(0)[0], rf.T.astype(np.float32))
    assert recording.sampling_frequency == param.fs
    assert recording.sound_speed == SPEED
    np.testing.assert_allclose(recording.start_time, SKIPPED / param.fs)
    np.testing.assert_array_equal(recording.transmits.delays[0, :24], delays[0, :24])
    np.testing.assert_array_equal(recording.transmits.apodization[0], np.where(np.arange(32) < 24, weights, 0))
    assert np.all(np.asarray(recording.transmits.pulse_peak_time) == 0)
    assert recording.probe.lens_delay == 0
    assert recording.probe.center_frequency == param.fc
    assert recording.probe.bandwidth == pytest.approx(0.77)
    assert recording.probe.pitch == pytest.approx(0.3e-3)
    assert recording.probe.element_width == pytest.approx(0.27e-3)
    assert recording.probe.element_height == pytest.approx(5e-3)


def test_what_is_absent_is_as_must_has_it(write: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    needed = {name: value for name, value in fields(delays).items() if name in (*must.REQUIRED, "kerf")}
    recording = must.read(write({"RF": rf, "param": needed}))
    assert recording.sound_speed == 1540
    assert np.all(recording.start_time == 0)
    assert recording.probe.kind == "linear"
    assert recording.probe.element_width == pytest.approx(0.27e-3)
    assert recording.probe.bandwidth is None


def test_fields_in_any_case(write: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    shouted = {name.upper(): value for name, value in fields(delays).items()}
    assert must.read(write({"RF": rf, "param": shouted})).sound_speed == SPEED


def test_rows_of_delays_are_transmits(write: Any, recorded: Any) -> None:
    three = [recorded[kind] for kind in ("plane", "focused", "diverging")]
    length = min(len(rf) for _, rf in three)
    rf = np.stack([each[:length] for _, each in three], axis=2)
    param = fields(np.concatenate([delays for delays, _ in three]), t0=np.arange(3.0)[None])
    recording = must.read(write({"RF": rf, "param": param}))
    assert recording.samples.shape == (1, 3, 32, length)
    assert recording.transmits.kind == ("plane", "focused", "diverging")
    np.testing.assert_array_equal(recording.start_time, [0, 1, 2])
    np.testing.assert_array_equal(recording.frame(0)[2], rf[..., 2].T.astype(np.float32))
    frames = must.read(write({"RF": np.stack([rf, 2 * rf], axis=3), "param": param}))
    assert frames.samples.shape == (2, 3, 32, length)
    np.testing.assert_array_equal(frames.frame(1), 2 * recording.frame(0))


def test_one_row_of_delays_is_one_transmit_of_many_frames(write: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    recording = must.read(write({"RF": np.stack([rf, 2 * rf], axis=2), "param": fields(delays)}))
    assert recording.samples.shape == (2, 1, 32, len(rf))
    np.testing.assert_array_equal(recording.frame(1), 2 * recording.frame(0))


@pytest.mark.parametrize("writer", [write_v5, write_v73])
def test_cells_are_transmits(tmp_path: Path, recorded: Any, writer: Any) -> None:
    made = [recorded["plane"], recorded["focused"]]
    rf, delays = np.empty((1, 2), object), np.empty((1, 2), object)
    length = min(len(each) for _, each in made)
    for index, (law, each) in enumerate(made):
        rf[0, index], delays[0, index] = each[:length], law
    recording = must.read(writer(tmp_path / "a.mat", {"RF": rf, "param": fields(delays)}))
    assert recording.transmits.kind == ("plane", "focused")
    np.testing.assert_array_equal(recording.frame(0)[1], rf[0, 1].T.astype(np.float32))


def test_places_of_elements(write: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    x = np.cumsum(np.linspace(0.2e-3, 0.4e-3, 32)) - 5e-3
    given = {"RF": rf, "param": fields(delays, elements=np.stack([x, x**2]))}
    positions = must.read(write(given)).probe.element_positions
    np.testing.assert_allclose(positions[:, 0], x)
    np.testing.assert_allclose(positions[:, 2], x**2)
    given["param"]["elements"] = x[None]
    assert np.all(must.read(write(given)).probe.element_positions[:, 2] == 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fs": 0.0}, "not a positive"),
        ({"fc": np.nan}, "not a"),
        ({"c": -1540.0}, "not a positive"),
        ({"Nelements": 31.5}, "number of elements"),
        ({"Nelements": 1e9}, "number of elements"),
        ({"Nelements": 31}, "wrong shape"),
        ({"radius": 1e-5}, "smaller than half the pitch"),
        ({"radius": np.nan}, "not a number"),
        ({"RXdelay": np.full((1, 32), 1e-7)}, "shifted on reception"),
        ({"TXdelay": np.zeros((2, 32))}, "rows of TXdelay"),
        ({"TXdelay": np.zeros((1, 31))}, "wrong shape"),
        ({"TXdelay": np.full((1, 32), np.inf)}, "non-finite"),
        ({"TXdelay": np.full((1, 32), np.nan)}, "no element fires"),
        ({"TXapodization": np.ones((1, 31))}, "wrong shape"),
        ({"t0": np.zeros((1, 2))}, "one time"),
        ({"elements": np.zeros((3, 32))}, "places"),
        ({"bandwidth": "wide"}, "not numeric"),
    ],
)
def test_contradictions_are_refused(write_one: Any, recorded: Any, changes: dict[str, Any], said: str) -> None:
    delays, rf = recorded["plane"]
    with pytest.raises(BadField, match=said):
        read_any(write_one({"RF": rf, "param": fields(delays, **changes)}))


@pytest.mark.parametrize("samples", [np.ones(8), np.ones((32, 8)), np.ones((8, 32), np.uint8), "RF"])
def test_samples_of_another_shape_are_refused(write_one: Any, recorded: Any, samples: Any) -> None:
    with pytest.raises(BadField, match="not samples of this array") as caught:
        must.read(write_one({"RF": samples, "param": fields(recorded["plane"][0])}))
    assert caught.value.hint == ("the array looks transposed" if np.shape(samples) == (32, 8) else None)


def test_all_missing_fields_are_named_at_once(write: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    with pytest.raises(MissingField, match=r"param.pitch, param.TXdelay"):
        must.read(write({"RF": rf, "param": fields(delays, pitch=None, TXdelay=None)}))
    with pytest.raises(MissingField, match="no samples"):
        must.read(write({"param": fields(delays)}))


def test_whatever_is_missing_only_our_errors_escape(write_one: Any, recorded: Any) -> None:
    delays, rf = recorded["plane"]
    for name in fields(delays):
        for value in (None, "text", np.zeros((0, 0)), np.full((2, 3), np.nan), np.full((1, 1), 1e300), {"a": 1.0}):
            with contextlib.suppress(UsbeamError):
                read_any(write_one({"RF": rf, "param": fields(delays, **{name: value})}), format="must")


def test_sniffing(write: Any, recorded: Any, tmp_path: Path) -> None:
    delays, rf = recorded["plane"]
    path = write({"RF": rf, "param": fields(delays)})
    assert must.sniff(path)
    assert not brain.sniff(path)
    assert not verasonics.sniff(path)
    assert recognise(path) == "must"
    assert read_any(path).provenance["source_format"] == "must"
    assert not must.sniff(write({"RF": rf, "param": {"fs": 1.0}}))
    assert not must.sniff(write_v5(tmp_path / "brain.mat", exp_data(HALF)))
    (tmp_path / "a.txt").write_text("RF param")
    assert not must.sniff(tmp_path / "a.txt")


@pytest.mark.real_data
def test_the_rotating_disk(real_data: Path) -> None:
    """PWI_disk.mat, which comes with the toolbox: one plane wave, sampled below twice its carrier."""
    path = real_data / "planewave_disk" / "PWI_disk.mat"
    assert recognise(path) == "must"
    recording = must.read(path)
    assert recording.samples.shape == (32, 1, 128, 334)
    assert recording.transmits.kind == ("plane",)
    assert recording.demodulation_frequency == 5e6
    np.testing.assert_allclose(recording.start_time, 9.95e-6)
