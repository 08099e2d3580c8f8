"""BRAIN files: traces land where they belong, and every physical fact arrives with its unit and sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.io.matlab_files import write_v5, write_v73
from usbeam.acquisition import ABSENT
from usbeam.errors import BadField, MissingField, TooLarge
from usbeam.io.convert import brain

N_ELEMENTS, N_SAMPLES, PITCH = 5, 40, 0.6e-3
START, STEP, SPEED = 5e-6, 40e-9, 6300.0
WRITERS = {"v5": write_v5, "v7.3": write_v73}


def code(tx: Any, rx: Any) -> Any:
    """A trace that tells its 0-based transmitter and receiver."""
    return 100.0 * tx + rx + np.arange(N_SAMPLES)[:, None] / 64


def exp_data(pairs: list[tuple[int, int]], **changes: Any) -> dict[str, Any]:
    tx, rx = np.array(pairs).T
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH
    zero = np.zeros(N_ELEMENTS)
    data: dict[str, Any] = {
        "time_data": code(tx[None], rx[None]),
        "tx": (tx + 1.0)[None],
        "rx": (rx + 1.0)[None],
        "time": (START + np.arange(N_SAMPLES) * STEP)[:, None],
        "ph_velocity": np.array([[SPEED]]),
        "array": {
            "el_xc": x[None],
            "el_yc": zero[None],
            "el_zc": zero[None],
            "el_x1": x[None] + 0.2e-3,
            "el_y1": zero[None],
            "el_z1": zero[None],
            "el_x2": x[None],
            "el_y2": zero[None] + 6e-3,
            "el_z2": zero[None],
            "centre_freq": np.array([[5e6]]),
        },
    }
    array = changes.pop("array", {})
    data.update(changes)
    data["array"].update(array)
    return {"exp_data": {key: value for key, value in data.items() if value is not None}}


FULL = [(t, r) for t in range(N_ELEMENTS) for r in range(N_ELEMENTS)]
HALF = [(t, r) for t, r in FULL if r >= t]


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return lambda variables: WRITERS[request.param](tmp_path / "exp_data.mat", variables)


def test_half_matrix(write: Any) -> None:
    recording = brain.read(write(exp_data(HALF)))
    assert recording.is_half_matrix
    assert recording.samples.shape == (1, N_ELEMENTS, N_ELEMENTS, N_SAMPLES)
    assert recording.samples.dtype == np.float32
    samples = recording.frame(0)
    for t, r in FULL:
        stored = (t, r) in HALF
        assert recording.receivers[t, r] == (r if stored else ABSENT)
        np.testing.assert_array_equal(samples[t, r], code(t, r)[:, 0] if stored else 0)


def test_full_matrix_with_traces_in_any_order(write: Any) -> None:
    shuffled = [FULL[k] for k in np.random.default_rng(1).permutation(len(FULL))]
    recording = brain.read(write(exp_data(shuffled)))
    assert not recording.is_half_matrix
    assert np.all(recording.receivers == np.arange(N_ELEMENTS))
    for t, r in FULL:
        np.testing.assert_array_equal(recording.frame(0)[t, r], code(t, r)[:, 0])


def test_some_transmitters_and_receivers_only(write: Any) -> None:
    recording = brain.read(write(exp_data([(3, 4), (3, 2), (1, 2), (1, 4)])))
    np.testing.assert_array_equal(recording.transmits.element_index, [1, 3])
    np.testing.assert_array_equal(recording.receivers, [[2, 4], [2, 4]])
    np.testing.assert_array_equal(recording.frame(0)[1, 0], code(3, 2)[:, 0])


def test_physical_facts(write: Any) -> None:
    recording = brain.read(write(exp_data(HALF)))
    np.testing.assert_allclose(recording.start_time, START, rtol=1e-12)
    assert recording.sampling_frequency == pytest.approx(1 / STEP, rel=1e-9)
    assert recording.sound_speed == SPEED
    assert recording.probe.center_frequency == 5e6
    assert recording.probe.pitch == pytest.approx(PITCH)
    assert recording.probe.kind == "linear"
    assert recording.probe.element_width == pytest.approx(0.4e-3)  # el_x1 is the edge, half a width off the centre
    assert recording.probe.element_height == pytest.approx(12e-3)
    assert np.all(recording.transmits.delays == 0)


def test_rows_and_columns_are_the_same(write: Any) -> None:
    turned = exp_data(HALF)
    for name in ("tx", "rx", "time"):
        turned["exp_data"][name] = turned["exp_data"][name].T
    turned["exp_data"]["array"]["el_xc"] = turned["exp_data"]["array"]["el_xc"].T
    expected = brain.read(write(exp_data(HALF)))
    found = brain.read(write(turned))
    np.testing.assert_array_equal(found.frame(0), expected.frame(0))
    np.testing.assert_array_equal(found.probe.element_positions, expected.probe.element_positions)


def test_elements_keep_their_order_and_place(write: Any) -> None:
    x = np.array([[2e-3, 1e-3, 0.0, -1e-3, -5e-3]])
    z = np.array([[0.0, 0.1e-3, 0.2e-3, 0.1e-3, 0.0]])
    recording = brain.read(write(exp_data(HALF, array={"el_xc": x, "el_zc": z})))
    np.testing.assert_array_equal(recording.probe.element_positions[:, 0], x[0])
    np.testing.assert_array_equal(recording.probe.element_positions[:, 2], z[0])
    assert recording.probe.kind == "custom"


def test_an_array_along_y_is_turned_so_that_x_is_lateral(write: Any) -> None:
    array = exp_data(HALF)["exp_data"]["array"]
    turned = {f"el_x{s}": array[f"el_y{s}"] for s in "c12"} | {f"el_y{s}": array[f"el_x{s}"] for s in "c12"}
    recording = brain.read(write(exp_data(HALF, array=turned)))
    np.testing.assert_array_equal(recording.probe.element_positions[:, 0], array["el_xc"][0])
    assert np.all(recording.probe.element_positions[:, 1:] == 0)
    assert recording.probe.element_width == pytest.approx(0.4e-3)
    assert recording.probe.element_height == pytest.approx(12e-3)


def test_speed_from_the_material(write: Any) -> None:
    material = {"vel_spherical_harmonic_coeffs": np.array([[5900.0, 0.0]])}
    assert brain.read(write(exp_data(HALF, ph_velocity=None, material=material))).sound_speed == 5900
    material = {"vel_spherical_harmonic_coeffs": np.array([[5900.0, 12.0]])}
    with pytest.raises(BadField, match="anisotropic"):
        brain.read(write(exp_data(HALF, ph_velocity=None, material=material)))
    with pytest.raises(MissingField, match="speed"):
        brain.read(write(exp_data(HALF, ph_velocity=None)))


def test_all_missing_fields_are_named_at_once(write: Any) -> None:
    with pytest.raises(MissingField) as caught:
        brain.read(write(exp_data(HALF, time=None, rx=None)))
    assert "exp_data.rx, exp_data.time" in str(caught.value)
    assert "exp_data.time_data" in str(caught.value)  # among those present


@pytest.mark.parametrize(
    ("pairs", "changes", "said"),
    [
        ([*HALF, HALF[3]], {}, "twice"),
        (HALF, {"time_data": code(*np.array(HALF).T[:, None]).T}, "do not fit"),
        (HALF, {"time_data": code(*np.array(HALF).T[:, None]) * 1j}, "do not fit"),
        (HALF, {"tx": np.zeros((1, len(HALF)))}, "not an element"),
        (HALF, {"rx": np.full((1, len(HALF)), N_ELEMENTS + 1.0)}, "not an element"),
        (HALF, {"rx": np.full((1, len(HALF)), 1.5)}, "not an element"),
        (HALF, {"rx": np.full((1, len(HALF)), np.nan)}, "not an element"),
        (HALF, {"rx": np.ones((1, 3))}, "do not fit"),
        (HALF, {"time": np.full((1, N_SAMPLES), 1e-6)}, "not a time axis"),
        (HALF, {"time": -np.arange(N_SAMPLES)[None] * 1e-8}, "not a time axis"),
        (HALF, {"time": np.arange(N_SAMPLES)[None] ** 2 * 1e-8}, "not a time axis"),
        (HALF, {"time": np.full((1, N_SAMPLES), np.nan)}, "not a time axis"),
        (HALF, {"time": "soon"}, "not numeric"),
        (HALF, {"array": {"el_zc": np.zeros((1, 3))}}, "different length"),
        (HALF, {"ph_velocity": np.array([[6300.0, 1.0]])}, "anisotropic"),
    ],
)
def test_contradictions_are_refused(
    write: Any, pairs: list[tuple[int, int]], changes: dict[str, Any], said: str
) -> None:
    path = write(exp_data(pairs, **changes))
    with pytest.raises(BadField, match=said) as caught:
        brain.read(path)
    assert str(path) in str(caught.value)


def test_a_transposed_matrix_gets_a_hint(write: Any) -> None:
    with pytest.raises(BadField) as caught:
        brain.read(write(exp_data(HALF, time_data=code(*np.array(HALF).T[:, None]).T)))
    assert caught.value.hint is not None
    assert "transposed" in caught.value.hint


def test_a_sparse_matrix_of_pairs_may_not_fill_the_memory(tmp_path: Path) -> None:
    n = 60_000
    data = exp_data([(0, 0)])["exp_data"]
    data["array"] = {"el_xc": np.arange(n)[None] * 1e-5, "centre_freq": np.array([[5e6]])}
    data |= {"tx": np.arange(n)[None] + 1.0, "rx": np.arange(n)[None] + 1.0, "time_data": np.zeros((N_SAMPLES, n))}
    with pytest.raises(TooLarge):
        brain.read(write_v5(tmp_path / "a.mat", {"exp_data": data}, compress=False))


def test_sniffing(write: Any, tmp_path: Path) -> None:
    assert brain.sniff(write(exp_data(HALF)))
    assert not brain.sniff(write({"RF": np.ones((2, 2))}))
    (tmp_path / "a.txt").write_text("exp_data")
    assert not brain.sniff(tmp_path / "a.txt")


@pytest.mark.real_data
def test_the_notch_recording(real_data: Path) -> None:
    recording = brain.read(real_data / "fmc_aluminium_notch" / "contact_notch_aluminium.mat")
    assert recording.samples.shape == (1, 64, 64, 750)
    assert recording.is_half_matrix
    assert np.count_nonzero(recording.receivers != ABSENT) == 2080
    assert all(np.all(row[:t] == ABSENT) and np.all(row[t:] >= t) for t, row in enumerate(recording.receivers))
    assert np.all(recording.start_time == 0)
    assert recording.sampling_frequency == pytest.approx(25e6, rel=1e-6)
    assert (recording.sound_speed, recording.probe.center_frequency) == (6300, 5e6)
    assert recording.probe.pitch == pytest.approx(0.30e-3)
    assert recording.probe.element_width == pytest.approx(0.20e-3)
    assert recording.probe.element_height == pytest.approx(15e-3)


@pytest.mark.real_data
def test_both_versions_of_one_recording_agree(real_data: Path) -> None:
    folder = real_data / "fmc_aluminium_small"
    old, new = (brain.read(folder / name) for name in ("exp_data.mat7.mat", "exp_data.mat73.mat"))
    for recording in (old, new):
        assert recording.samples.shape == (1, 64, 64, 300)
        np.testing.assert_allclose(recording.start_time, 5e-6, rtol=1e-9)
        assert recording.sound_speed == 6300
        assert recording.probe.pitch == pytest.approx(0.63e-3)
    np.testing.assert_array_equal(old.frame(0), new.frame(0))
    np.testing.assert_array_equal(old.receivers, new.receivers)
    np.testing.assert_array_equal(old.probe.element_positions, new.probe.element_positions)
    assert old.sampling_frequency == new.sampling_frequency
    assert old.probe.element_width == new.probe.element_width
