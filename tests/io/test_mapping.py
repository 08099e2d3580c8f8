"""Mappings: the language, every sign that can be got wrong, demodulation, and the shipped examples."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.matlab_files import write_v5, write_v73
from usbeam.acquisition import Acquisition
from usbeam.errors import BadField, ConfigError, MissingField, UnsupportedVersion, UsbeamError
from usbeam.io.convert import mapping as mappings
from usbeam.io.convert import read
from usbeam.io.convert.demodulation import demodulate, usable_half_band

SHIPPED = Path(__file__).parents[2] / "data_specs" / "mappings"
N_EL, N_TX, N_SAMPLES, N_FRAMES = 6, 4, 50, 3
PITCH, SPEED, FS = 0.5e-3, 1500.0, 20e6

TOP = {
    "format": '"usbeam-mapping"',
    "format_version": '"1.0"',
    "sampling_frequency": "20e6",
    "start_time": "0",
    "sound_speed": "1500",
}
SAMPLES = {"variable": '"rf"', "axes": '["frame", "transmit", "receive", "sample"]'}
PROBE = {"n_elements": "6", "pitch": '"0.5mm"', "center_frequency": '"5MHz"'}
PLANE = {"kind": '"plane"', "angles": '["-10deg", "-5deg", "0deg", "10deg"]', "time_zero": '"first"'}


def toml(table: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in table.items() if value)


@pytest.fixture
def convert(tmp_path: Path) -> Any:
    """Read `arrays` through a mapping whose tables are given as TOML texts; an empty text leaves a key out."""

    def run(
        arrays: dict[str, Any],
        *,
        top: dict[str, str] | None = None,
        samples: dict[str, str] | None = None,
        probe: dict[str, str] | None = None,
        transmit: dict[str, str] | None = None,
        more: str = "",
        container: str = "v5",
    ) -> Acquisition:
        path = tmp_path / {"v5": "a.mat", "v7.3": "a.mat", "npz": "a.npz", "h5": "a.h5"}[container]
        if container == "npz":
            np.savez(path, **arrays)
        elif container == "h5":
            with h5py.File(path, "w") as file:
                for name, value in arrays.items():
                    file[name.replace(".", "/")] = value
        else:
            (write_v5 if container == "v5" else write_v73)(path, arrays)
        text = (
            toml({**TOP, **(top or {})})
            + "[samples]\n"
            + toml({**SAMPLES, **(samples or {})})
            + "[probe]\n"
            + toml(PROBE if probe is None else probe)
            + "[transmit]\n"
            + toml(PLANE if transmit is None else transmit)
            + more
        )
        (tmp_path / "m.toml").write_text(text)
        return read(path, mapping=tmp_path / "m.toml")

    return run


def rf(dtype: Any = np.float32) -> np.ndarray:
    shape = (N_FRAMES, N_TX, N_EL, N_SAMPLES)
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


# Samples


@pytest.mark.parametrize("container", ["v5", "v7.3", "npz", "h5"])
def test_any_axis_order_from_any_container(convert: Any, container: str) -> None:
    for axes in (("sample", "receive", "transmit", "frame"), ("receive", "frame", "sample", "transmit")):
        order = [("frame", "transmit", "receive", "sample").index(axis) for axis in axes]
        names = "[" + ", ".join(f'"{axis}"' for axis in axes) + "]"
        found = convert({"rf": rf().transpose(order)}, samples={"axes": names}, container=container)
        np.testing.assert_array_equal(found.samples, rf())
        assert found.samples.dtype == np.float32
        assert found.samples.flags.c_contiguous


def test_axes_that_are_not_named_have_length_one(convert: Any) -> None:
    one = {**PLANE, "angles": "0"}
    found = convert({"rf": rf()[0, 0]}, samples={"axes": '["receive", "sample"]'}, transmit=one)
    np.testing.assert_array_equal(found.samples, rf()[:1, :1])
    # MATLAB drops a last axis of length 1, and shows a vector as a matrix.
    found = convert({"rf": rf()[0, 0].T}, samples={"axes": '["sample", "receive", "frame"]'}, transmit=one)
    np.testing.assert_array_equal(found.samples, rf()[:1, :1])


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_a_cell_for_each_transmit_or_frame(convert: Any, container: str) -> None:
    cells = np.empty((N_TX, 1), object)
    for t in range(N_TX):
        cells[t, 0] = rf(np.int16)[0, t].T
    found = convert(
        {"rf": cells}, samples={"cells": '"transmit"', "axes": '["sample", "receive"]'}, container=container
    )
    np.testing.assert_array_equal(found.samples, rf(np.int16)[:1])
    assert found.samples.dtype == np.int16
    single = np.empty((1, 1), object)
    single[0, 0] = rf()
    np.testing.assert_array_equal(convert({"rf": single}, container=container).samples, rf())


def test_int16_keeps_its_type_and_gets_a_scale(convert: Any) -> None:
    found = convert({"rf": rf(np.int16)}, samples={"scale": "0.25"})
    assert (found.samples.dtype, found.scale) == (np.int16, 0.25)
    found = convert({"rf": rf(np.uint16)}, samples={"scale": "0.25"})
    assert (found.samples.dtype, found.scale) == (np.float32, 1.0)
    np.testing.assert_allclose(found.samples, rf() * 0.25)


def test_bytes_around_their_mean(convert: Any) -> None:
    found = convert({"rf": rf(np.uint8)}, samples={"subtract": '"mean"', "scale": "2"})
    np.testing.assert_allclose(found.samples, 2 * (rf() - rf().mean(dtype=np.float64)), rtol=1e-5, atol=1e-4)
    found = convert({"rf": rf(np.uint8)}, samples={"subtract": '"trace mean"'})
    np.testing.assert_allclose(found.samples, rf() - rf().mean(axis=-1, keepdims=True), atol=1e-4)
    assert found.samples.dtype == np.float32


def test_complex_samples_are_iq(convert: Any) -> None:
    iq = (rf() + 1j * rf()[..., ::-1]).astype(np.complex128)
    found = convert({"rf": iq}, samples={"demodulation_frequency": '"4.5MHz"'})
    assert (found.kind, found.demodulation_frequency, found.samples.dtype) == ("iq", 4.5e6, np.complex64)
    np.testing.assert_array_equal(found.samples, iq)
    split = {"rf": iq.real, "q": iq.imag}
    keys = {"demodulation_frequency": "0", "imaginary": '{ variable = "q" }'}
    np.testing.assert_array_equal(convert(split, samples=keys).samples, iq)
    with pytest.raises(ConfigError, match="demodulation_frequency: missing"):
        convert({"rf": iq})


# Quantities


def test_numbers_from_variables_with_units(convert: Any) -> None:
    arrays = {"rf": rf(), "p": {"fs": np.uint8([[40]]), "t": np.uint8([[40]]), "c": np.array([[1.48]]), "n": 6.0}}
    found = convert(
        arrays,
        top={
            "sampling_frequency": '{ variable = "p.fs", unit = "MHz" }',
            "start_time": '{ sum = [{ variable = "p.t", unit = "us" }, "-0.7us", { variable = "p.t", unit = "1ns" }] }',
            "sound_speed": '{ variable = "p.c", unit = "mm/us" }',
            "frame_rate": '"10kHz"',
        },
        probe={**PROBE, "n_elements": '{ variable = "p.n" }', "bandwidth": '"65%"', "element_width": '"0.4mm"'},
    )
    assert found.sampling_frequency == 40e6
    np.testing.assert_allclose(found.start_time, 39.34e-6, rtol=1e-12)
    assert found.sound_speed == pytest.approx(1480)
    assert (found.probe.bandwidth, found.probe.element_width) == (0.65, 0.4e-3)
    np.testing.assert_allclose(found.frame_times, [0, 1e-4, 2e-4])


def test_a_unit_may_be_any_quantity(convert: Any) -> None:
    steps = {"rf": rf(), "first": np.array([[100, 101, 102, 103]], np.uint16)}
    found = convert(steps, top={"start_time": '{ variable = "first", unit = "0.05us", sign = -1 }'})
    np.testing.assert_allclose(found.start_time, -np.arange(100, 104) * 0.05e-6)


def test_a_stored_time_axis_gives_start_and_rate(convert: Any) -> None:
    time = 5.2 + np.arange(N_SAMPLES)[:, None] * 0.04
    no_constants = {"start_time": "", "sampling_frequency": ""}
    found = convert({"rf": rf(), "t": time}, top={**no_constants, "time_axis": '{ variable = "t", unit = "us" }'})
    np.testing.assert_allclose(found.start_time, 5.2e-6)
    assert found.sampling_frequency == pytest.approx(25e6)
    with pytest.raises(ConfigError, match="does not go together"):
        convert({"rf": rf(), "t": time}, top={"time_axis": '{ variable = "t", unit = "us" }'})


def test_times_are_kept_apart(convert: Any) -> None:
    found = convert(
        {"rf": rf()},
        top={"start_time": '"3.1us"'},
        probe={**PROBE, "lens_delay": '"80ns"'},
        transmit={**PLANE, "pulse_peak_time": '"0.4us"'},
    )
    np.testing.assert_allclose(found.start_time, 3.1e-6)
    np.testing.assert_allclose(found.transmits.pulse_peak_time, 0.4e-6)
    assert found.probe.lens_delay == pytest.approx(80e-9)


# Probe


def test_elements_by_position(convert: Any) -> None:
    x = np.linspace(-2, 2, N_EL)
    positions = np.stack([x, 0 * x, -0.1 * x**2], axis=1)
    normals = np.stack([0.2 * x, 0 * x, np.ones(N_EL)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    arrays = {"rf": rf(), "p": positions, "n": normals.T, "x": x[:, None], "z": positions[None, :, 2]}
    common = {"center_frequency": '"5MHz"', "kind": '"curved"'}
    keys = {"positions": '{ variable = "p", unit = "mm" }', "normals": '{ variable = "n", transpose = true }'}
    found = convert(arrays, probe={**common, **keys})
    np.testing.assert_allclose(found.probe.element_positions, positions * 1e-3)
    np.testing.assert_allclose(found.probe.normals, normals)
    assert found.probe.kind == "curved"
    keys = {"x": '{ variable = "x", unit = "mm" }', "z": '{ variable = "z", unit = "mm" }'}
    found = convert(arrays, probe={**common, **keys})
    np.testing.assert_allclose(found.probe.element_positions, positions * 1e-3)


# Transmits


def test_elements_fire_in_the_order_that_is_stored(convert: Any) -> None:
    arrays = {"rf": rf(), "tx": np.array([[6, 1, 3, 2]], np.uint8)}
    keys = {"kind": '"element"', "elements": '{ variable = "tx" }', "first_index": "1"}
    found = convert(arrays, transmit=keys)
    np.testing.assert_array_equal(found.transmits.element_index, [5, 0, 2, 1])
    found = convert({"rf": rf()}, transmit={"kind": '"element"'})
    np.testing.assert_array_equal(found.transmits.element_index, range(N_TX))
    with pytest.raises(BadField, match="out of range"):
        convert(arrays, transmit={**keys, "first_index": "0"})
    with pytest.raises(ConfigError, match="first_index: missing"):
        convert(arrays, transmit={**keys, "first_index": ""})


@pytest.mark.parametrize("sign", [1, -1])
def test_plane_waves_travel_toward_positive_x_for_positive_angles(convert: Any, sign: int) -> None:
    degrees = np.array([[-10.0, -5.0, 0.0, 10.0]])
    stored = {"rf": rf(), "angles": degrees * sign}
    angles = f'{{ variable = "angles", unit = "deg", sign = {sign} }}'
    found = convert(stored, transmit={**PLANE, "angles": angles}).transmits
    np.testing.assert_allclose(found.direction[:, 0], np.sin(np.deg2rad(degrees[0])), atol=1e-12)
    # The wave of -10 degrees starts at the right, where the last element fires first.
    assert found.delays[0].argmin() == N_EL - 1
    assert found.delays[3].argmin() == 0


@pytest.mark.parametrize("time_zero", ["first", "center"])
def test_time_zero_of_plane_waves(convert: Any, time_zero: str) -> None:
    found = convert({"rf": rf()}, transmit={**PLANE, "time_zero": f'"{time_zero}"'})
    # A plane wave passes every element when that fires, so also the origin at this time:
    at_origin = found.transmits.delays - found.transmits.direction @ found.probe.element_positions.T / SPEED
    half = (N_EL - 1) / 2 * PITCH
    expected = np.abs(half * found.transmits.direction[:, 0]) / SPEED if time_zero == "first" else np.zeros(N_TX)
    np.testing.assert_allclose(at_origin, np.broadcast_to(expected[:, None], (N_TX, N_EL)), atol=1e-15)


@pytest.mark.parametrize("time_zero", ["first", "center"])
@pytest.mark.parametrize(("kind", "depth"), [("focused", 20e-3), ("diverging", -15e-3)])
def test_focused_and_diverging_waves(convert: Any, kind: str, depth: float, time_zero: str) -> None:
    focus = np.array([[-4e-3, 0, depth], [0, 0, depth], [1e-3, 0, depth], [3e-3, 0, depth]])
    keys = {"kind": f'"{kind}"', "focus": '{ variable = "f", unit = "mm" }', "time_zero": f'"{time_zero}"'}
    found = convert({"rf": rf(), "f": focus * 1e3}, transmit=keys)
    assert set(found.transmits.kind) == {kind}
    np.testing.assert_allclose(found.transmits.focus, focus)
    travel = np.linalg.norm(found.probe.element_positions - focus[:, None], axis=2) / SPEED
    # Every element's wave is at the focus at one time; a diverging wave comes from it.
    meeting = found.transmits.delays + travel if kind == "focused" else found.transmits.delays - travel
    np.testing.assert_allclose(meeting, np.broadcast_to(meeting[:, :1], meeting.shape), atol=1e-14)
    if time_zero == "first":
        np.testing.assert_allclose(found.transmits.delays.min(axis=1), 0, atol=1e-15)
    else:
        from_origin = np.linalg.norm(focus, axis=1) / SPEED
        np.testing.assert_allclose(meeting[:, 0], from_origin if kind == "focused" else -from_origin, atol=1e-14)
    wrong = {**keys, "kind": '"diverging"' if kind == "focused" else '"focused"'}
    with pytest.raises(ConfigError, match="has its focus at z"):
        convert({"rf": rf(), "f": focus * 1e3}, transmit=wrong)


def test_programmed_delays(convert: Any) -> None:
    delays = np.random.default_rng(2).uniform(-1, 1, (N_TX, N_EL))
    weights = np.ones((N_TX, N_EL))
    weights[:, 0] = 0
    arrays = {"rf": rf(), "d": delays.T, "w": weights}
    keys = {
        "kind": '"custom"',
        "delays": '{ variable = "d", unit = "us", transpose = true }',
        "apodization": '{ variable = "w" }',
    }
    found = convert(arrays, transmit=keys)
    np.testing.assert_allclose(found.transmits.delays, delays * 1e-6)
    np.testing.assert_array_equal(found.transmits.apodization, weights)
    with pytest.raises(ConfigError) as caught:
        convert(arrays, transmit={**keys, "delays": '{ variable = "d", unit = "us" }'})
    assert caught.value.hint == "add transpose = true"
    given = {"kind": '"plane"', "angles": "[0, 0, 0, 0]", "delays": "[3e-7, 3e-7, 3e-7, 3e-7, 3e-7, 3e-7]"}
    np.testing.assert_array_equal(convert({"rf": rf()}, transmit=given).transmits.delays, 3e-7)


def test_receiving_elements(convert: Any) -> None:
    rows = np.array([[1, 2], [2, 3], [3, 4], [4, 6]])
    found = convert(
        {"rf": rf()[:, :, :2], "rx": rows},
        more='[receive]\nelements = { variable = "rx" }\nfirst_index = 1\n',
    )
    np.testing.assert_array_equal(found.receivers, rows - 1)


# Demodulation


def pulse(time: np.ndarray, arrival: float, frequency: float) -> tuple[np.ndarray, np.ndarray]:
    """RF samples of a Gaussian pulse and its true IQ signal, whose phase counts from t = 0."""
    envelope = np.exp(-(((time - arrival) / 1.6e-6) ** 2))
    rf = envelope * np.cos(2 * np.pi * frequency * (time - arrival))
    return rf, envelope * np.exp(-2j * np.pi * frequency * arrival)


@pytest.mark.parametrize("sampling_frequency", [20e6 / 3, 7.3e6, 6.1e6, 12.5e6, 31.25e6])
def test_demodulation_of_undersampled_pulses(sampling_frequency: float) -> None:
    start = np.array([9.95e-6, 11.3e-6])
    time = start[:, None] + np.arange(600) / sampling_frequency
    real, true = pulse(time, 20.222e-6, 5e6)
    found = demodulate(real[None, :, None, :], 5e6, sampling_frequency, start)[0, :, 0]
    np.testing.assert_allclose(found, true, atol=1e-3)
    back = (found * np.exp(2j * np.pi * 5e6 * time)).real
    np.testing.assert_allclose(back, real, atol=1e-3)


def test_undersampled_data_are_not_read_at_their_alias() -> None:
    # Mixing with the alias (1.67 MHz) would leave a mirrored spectrum; the pulse's phase tells them apart.
    fs, f0 = 20e6 / 3, 5e6
    time = np.arange(300)[None] / fs
    real, true = pulse(time, 20.02e-6, f0)
    wrong = demodulate(real[None, :, None, :], fs - f0, fs, np.zeros(1))[0, :, 0]
    assert np.abs(wrong - true).max() > 0.5


def test_the_band_that_is_kept() -> None:
    fs, f0, n = 40e6, 5e6, 4000
    time = np.arange(n) / fs

    def gain(offset: float) -> float:
        tone = np.cos(2 * np.pi * (f0 + offset) * time)[None, None, None]
        return float(np.abs(demodulate(tone, f0, fs, np.zeros(1), 1e6)[0, 0, 0, n // 2]))

    assert gain(0) == pytest.approx(1, abs=1e-3)
    assert gain(0.3e6) == pytest.approx(1, abs=2e-2)
    assert gain(0.5e6) == pytest.approx(0.5, abs=2e-2)
    assert gain(-0.5e6) == pytest.approx(0.5, abs=2e-2)
    assert gain(0.8e6) < 1e-2


def test_bands_that_fold() -> None:
    samples = np.zeros((1, 1, 1, 100), np.float32)
    assert usable_half_band(5e6, 5e6) == 0
    with pytest.raises(ConfigError, match="folds"):
        demodulate(samples, 5e6, 10e6, np.zeros(1))
    with pytest.raises(ConfigError, match="mirror"):
        demodulate(samples, 5e6, 20e6 / 3, np.zeros(1), 3e6)


def test_demodulation_through_a_mapping(convert: Any) -> None:
    fs = 20e6 / 3
    time = 2e-6 + np.arange(200) / fs
    real, true = pulse(time, 15e-6, 5e6)
    one = {
        "top": {"sampling_frequency": f"{fs!r}", "start_time": '"2us"'},
        "transmit": {**PLANE, "angles": "0"},
    }
    samples = {"axes": '["receive", "sample"]'}
    arrays = {"rf": np.round(np.tile(1000 * real, (N_EL, 1))).astype(np.int16)}
    for demodulated in ("true", '"5MHz"'):
        found = convert(arrays, samples={**samples, "demodulate": demodulated, "scale": "0.001"}, **one)
        assert (found.kind, found.demodulation_frequency, found.scale) == ("iq", 5e6, 1.0)
        np.testing.assert_allclose(found.samples[0, 0, 2], true, atol=2e-3)
    with pytest.raises(ConfigError, match="below twice the centre frequency") as caught:
        convert(arrays, samples=samples, **one)
    assert "demodulate = true" in str(caught.value)


# Errors


@pytest.mark.parametrize(
    ("tables", "said", "hint"),
    [
        ({"top": {"sound_sped": "1"}}, "sound_sped: unknown key", "sound_speed"),
        ({"samples": {"axis": '["sample"]'}}, "samples.axis: unknown key", "axes"),
        ({"probe": {**PROBE, "pich": '"1mm"'}}, "probe.pich: unknown key", "pitch"),
        ({"transmit": {**PLANE, "time_zro": '"first"'}}, "transmit.time_zro: unknown key", "time_zero"),
        ({"transmit": {**PLANE, "time_zero": ""}}, "transmit.time_zero: missing", None),
        ({"transmit": {**PLANE, "kind": '"plan"'}}, "unknown choice", "plane"),
        ({"transmit": {"kind": '"element"', "angles": "0"}}, "transmit.angles: unknown key", None),
        ({"top": {"start_time": '{ variable = "rf", units = "us" }'}}, "start_time.units: unknown key", "unit"),
        ({"top": {"start_time": '"3mm"'}}, "cannot read '3mm' as a time", None),
        ({"top": {"start_time": "true"}}, "not a quantity", None),
        ({"top": {"start_time": "nan"}}, "not finite", None),
        ({"top": {"start_time": "{ sum = [1, [2, 3], [4, 5, 6]] }"}}, "do not fit each other", None),
        ({"top": {"sampling_frequency": "0"}}, "not a positive number", None),
        ({"top": {"sampling_frequency": ""}}, "sampling_frequency: missing", None),
        ({"top": {"sound_speed": '"1540 m"'}}, "as a speed", None),
        ({"probe": {**PROBE, "n_elements": "2.5"}}, "not a whole number", None),
        ({"probe": {**PROBE, "n_elements": "-3"}}, "not a number of elements", None),
        ({"probe": {**PROBE, "pitch": ""}}, "where are the elements", None),
        ({"probe": {**PROBE, "x": "[1, 2]"}}, "does not go together", None),
        ({"samples": {"axes": '["sample", "channel"]'}}, "not an axis", None),
        ({"samples": {"axes": '["receive"]'}}, "no axis of samples", None),
        ({"samples": {"cells": '"frame"'}}, "no cell array", None),
        ({"samples": {"variable": ""}}, "samples.variable: missing", None),
        ({"samples": {"subtract": '"median"'}}, "unknown choice", None),
        ({"samples": {"bandwidth": "0.2"}}, "is for samples that are demodulated", None),
        ({"samples": {"demodulation_frequency": "5e6"}}, "is for complex samples", None),
        ({"top": {"format": '"other"'}}, "not a mapping", None),
        ({"more": "[time]\n"}, "time: unknown key", None),
        ({"more": "[receive]\nelements = [0, 1]\nfirst_index = 2\n"}, "not a way to count", None),
    ],
)
def test_mistakes_in_the_mapping(convert: Any, tmp_path: Path, tables: Any, said: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        convert({"rf": rf()}, **tables)
    assert said in str(caught.value)
    assert str(tmp_path / "m.toml") in str(caught.value)
    if hint:
        assert hint in str(caught.value.hint)


def test_all_missing_variables_are_named_at_once(convert: Any) -> None:
    with pytest.raises(MissingField) as caught:
        convert(
            {"rff": rf(), "fs": 1.0},
            top={"start_time": '{ sum = [{ variable = "t0" }, 0] }'},
            more='[provenance]\nvariable = "not one"\n',
        )
    assert "t0, rf" in str(caught.value)
    assert "rff" in str(caught.value)
    assert "fs" in str(caught.value)


def test_data_that_do_not_fit_the_mapping(convert: Any) -> None:
    for arrays, tables, said in (
        ({"rf": rf()[0]}, {"samples": {"axes": '["receive", "sample"]'}}, "not as many axes"),
        ({"rf": "text"}, {}, "no samples"),
        ({"rf": rf()[:, :, :4]}, {}, "which elements received"),
        ({"rf": rf()[:, :3]}, {}, "disagree"),
        ({"rf": rf(), "t": np.zeros((1, 2))}, {"top": {"start_time": '{ variable = "t" }'}}, "wrong shape"),
        (
            {"rf": rf(), "t": np.zeros((1, 2))},
            {"top": {"start_time": '{ variable = "t" }'}, "samples": {"demodulate": "true"}},
            "fits neither",
        ),
    ):
        with pytest.raises(BadField, match=said) as caught:
            convert(arrays, **tables)
        assert "a.mat" in str(caught.value)
    uneven = np.empty((2, 1), object)
    uneven[0, 0], uneven[1, 0] = np.ones((5, 2)), np.ones((6, 2))
    with pytest.raises(BadField, match="different shape"):
        convert({"rf": uneven}, samples={"cells": '"transmit"', "axes": '["sample", "receive"]'})
    with pytest.raises(ConfigError, match="needs the name of the axis"):
        convert({"rf": uneven})


def test_mappings_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    for content, error in (
        (b"a = ", ConfigError),
        (b"\xff\xfe", ConfigError),
        (b"a = " + b"[" * 5000, ConfigError),
        (b"#" * (2**20 + 1), ConfigError),
        (b'format = "usbeam-mapping"\nformat_version = "2.0"', UnsupportedVersion),
        (b'format = "usbeam-mapping"', UnsupportedVersion),
    ):
        path.write_bytes(content)
        with pytest.raises(error):
            mappings.load_mapping(path)
    with pytest.raises(UsbeamError):
        mappings.load_mapping(tmp_path)


# Shipped examples


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_mappings_are_mappings(path: Path) -> None:
    table = mappings.load_mapping(path)
    assert table["title"]
    assert table["provenance"]["source"].startswith("https://")


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    (tmp_path / "m.toml").write_text(example, encoding="utf-8")
    assert tomllib.loads(example)["format"] == "usbeam-mapping"
    n_tx, n_el, n_samples, n_frames = 3, 8, 64, 2
    scan = {
        "rf": np.full((n_samples, n_el, n_tx, n_frames), 130, np.uint8),
        "fs": np.uint8([[40]]),
        "t0": np.array([[12.5]]),
        "angles": np.array([[-5.0, 0.0, 5.0]]),
        "prf": np.array([[2000.0]]),
        "x": (np.arange(n_el)[:, None] - 3.5) * 0.3,
    }
    recording = read(write_v73(tmp_path / "a.mat", {"scan": scan}), mapping=tmp_path / "m.toml")
    assert recording.samples.shape == (n_frames, n_tx, n_el, n_samples)
    np.testing.assert_allclose(recording.start_time, 11.8e-6)


@pytest.mark.real_data
def test_water_pins(real_data: Path) -> None:
    found = read(real_data / "sta_water_pins" / "ArraySteelPins.mat", mapping=SHIPPED / "water_pins.toml")
    assert (found.samples.shape, found.samples.dtype) == ((1, 32, 32, 1750), np.float32)
    assert (found.sampling_frequency, found.sound_speed, found.probe.center_frequency) == (50e6, 1480, 3.5e6)
    np.testing.assert_allclose(found.start_time, 39.3e-6)
    assert found.probe.pitch == pytest.approx(1e-3)
    np.testing.assert_array_equal(found.transmits.element_index, range(32))
    # Reciprocity tells that the cells are transmits and the columns receivers, in the same order.
    a, b = (found.frame(0)[i, j, 200:].astype(float) for i, j in ((4, 20), (20, 4)))
    assert np.corrcoef(a, b)[0, 1] > 0.9


@pytest.mark.real_data
def test_plane_wave_disk(real_data: Path) -> None:
    found = read(real_data / "planewave_disk" / "PWI_disk.mat", mapping=SHIPPED / "planewave_disk.toml")
    assert (found.samples.shape, found.samples.dtype) == ((32, 1, 128, 334), np.complex64)
    assert (found.kind, found.demodulation_frequency, found.sound_speed) == ("iq", 5e6, 1480)
    assert found.sampling_frequency == pytest.approx(20e6 / 3)
    np.testing.assert_allclose(found.start_time, 9.95e-6)
    assert found.probe.pitch == pytest.approx(0.298e-3)
    assert found.frame_times[1] == pytest.approx(1e-4)
    # Demodulated to zero: the spectrum lies around 0 and nowhere else.
    power = np.abs(np.fft.fft(found.frame(0), axis=-1)).mean(axis=(0, 1)) ** 2
    frequency = np.fft.fftfreq(334, 3 / 20)
    assert power[np.abs(frequency) < 0.6].sum() > 0.99 * power.sum()


@pytest.mark.real_data
def test_plane_wave_fibres(real_data: Path) -> None:
    found = read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=SHIPPED / "planewave_fibres.toml")
    assert (found.samples.shape, found.samples.dtype) == ((1, 7, 128, 2688), np.float32)
    assert (found.sampling_frequency, found.sound_speed) == (20e6, 1540)
    assert np.all(found.start_time == 0)
    assert found.probe.pitch == pytest.approx(0.298e-3)
    angles = np.arctan2(found.transmits.direction[:, 0], found.transmits.direction[:, 2])
    np.testing.assert_allclose(np.rad2deg(angles), np.arange(-3, 4) / 2, atol=1e-6)
    np.testing.assert_allclose(found.transmits.delays.min(axis=1), 0, atol=1e-15)
    assert abs(found.frame(0).mean()) < 1e-3


def test_angles_and_foci_are_one_for_each_transmit(convert: Any) -> None:
    """Said before delays of all of them are made, which may be more than fit into memory."""
    angles = {"kind": '"plane"', "angles": '{variable = "a", unit = "deg"}', "time_zero": '"first"'}
    focus = {"kind": '"focused"', "focus": '{variable = "a", unit = "mm"}', "time_zero": '"first"'}
    for transmit, shape in ((angles, (2, 4)), (angles, (1, 5)), (focus, (5, 3)), (focus, (4, 2))):
        with pytest.raises(BadField, match="the waves and the samples disagree"):
            convert({"rf": rf(), "a": np.ones(shape)}, transmit=transmit)
