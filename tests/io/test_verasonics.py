"""Vantage workspaces: a point lands where it was, whatever the sampling mode, and each fact arrives with its sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from tests.io.matlab_files import write_v5, write_v73
from tests.io.vantage_files import (
    FREQUENCY,
    LENS,
    MODES,
    N_ELEMENTS,
    ORDER,
    PEAKS,
    POINT,
    STARTS,
    WAVELENGTH,
    X,
    cells,
    connector,
    echo,
    firing,
    structs,
    times,
    workspace,
)
from usbeam.errors import BadField, MissingField, UsbeamError
from usbeam.io.convert import brain, must, recognise, verasonics
from usbeam.io.convert import read as read_any

WRITERS = {"v5": write_v5, "v7.3": write_v73}


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return lambda variables: WRITERS[request.param](tmp_path / "workspace.mat", variables)


@pytest.fixture
def write_one(tmp_path: Path) -> Any:
    return lambda variables: write_v5(tmp_path / "workspace.mat", variables, compress=False)


def change(variables: dict[str, Any], struct: str, field: str, value: Any) -> dict[str, Any]:
    """Give one field of every struct of an array a value; a list gives each its own."""
    array = variables[struct]
    for index in range(array.size):
        each = value[index] if isinstance(value, list) else value
        array[0, index][field] = each if isinstance(each, str) else np.atleast_2d(np.asarray(each))
    return variables


def without(variables: dict[str, Any], struct: str, field: str) -> dict[str, Any]:
    """Take a field from an array of structs."""
    names = [name for name in variables[struct].dtype.names if name != field]
    variables[struct] = variables[struct][names].astype([(name, object) for name in names])
    return variables


def off(recording: ub.Acquisition, transmit: int) -> tuple[float, float]:
    """How far the point lands from the truth, in wavelengths along x and z, imaged with one transmit."""
    grid = ub.Grid.linear(
        x=(POINT[0] - 1.2e-3, POINT[0] + 1.2e-3), z=(POINT[2] - 0.8e-3, POINT[2] + 0.8e-3), shape=(49, 97)
    )
    spot = ub.psf.measure(ub.beamform(recording, grid, transmits=np.eye(len(ORDER))[transmit]))
    return (spot.x - POINT[0]) / WAVELENGTH, (spot.z - POINT[2]) / WAVELENGTH


@pytest.mark.parametrize("mode", MODES)
def test_the_point_lands_where_it_was(write_one: Any, mode: str) -> None:
    recording = verasonics.read(write_one(workspace(mode)))
    for transmit in range(len(ORDER)):
        assert np.hypot(*off(recording, transmit)) < 0.05


def test_all_versions_and_units_say_the_same(write: Any, write_one: Any) -> None:
    expected = verasonics.read(write_one(workspace()))
    found = verasonics.read(write(workspace(units="mm")))
    np.testing.assert_array_equal(found.frame(0), expected.frame(0))
    np.testing.assert_array_equal(found.start_time, expected.start_time)
    np.testing.assert_allclose(found.probe.element_positions, expected.probe.element_positions, atol=1e-12)
    np.testing.assert_allclose(found.transmits.delays, expected.transmits.delays, atol=1e-15)
    assert found.probe.lens_delay == pytest.approx(expected.probe.lens_delay, rel=1e-12)
    assert found.probe.element_width == pytest.approx(expected.probe.element_width, rel=1e-12)
    assert found.transmits.kind == expected.transmits.kind


def test_each_time_stands_in_its_own_field(write_one: Any) -> None:
    recording = verasonics.read(write_one(workspace()))
    delays, weights = firing()
    np.testing.assert_allclose(recording.start_time, 2 * np.array(STARTS) / FREQUENCY)
    np.testing.assert_allclose(recording.transmits.delays, delays[list(ORDER)] / FREQUENCY)
    np.testing.assert_array_equal(recording.transmits.apodization, weights[list(ORDER)])
    np.testing.assert_allclose(recording.transmits.pulse_peak_time, [PEAKS[tx % 2] / FREQUENCY for tx in ORDER])
    assert recording.probe.lens_delay == pytest.approx(LENS / FREQUENCY)
    assert recording.sampling_frequency == pytest.approx(20e6)
    assert (recording.kind, recording.demodulation_frequency) == ("rf", 0)


def test_the_array(write_one: Any) -> None:
    probe = verasonics.read(write_one(workspace())).probe
    np.testing.assert_allclose(probe.element_positions[:, 0], X, atol=1e-12)
    assert (probe.center_frequency, probe.name, probe.kind) == (FREQUENCY, "L7-4", "linear")
    assert probe.bandwidth == pytest.approx(3 / 5)
    assert probe.element_width == pytest.approx(0.8 * WAVELENGTH)
    assert probe.element_height == pytest.approx(7e-3)


def test_waves_are_what_their_delays_make(write_one: Any) -> None:
    transmits = verasonics.read(write_one(workspace())).transmits
    assert transmits.kind == ("diverging", "plane", "focused")
    np.testing.assert_allclose(transmits.focus[0], [-0.8e-3, 0, -7e-3], atol=1e-8)
    np.testing.assert_allclose(transmits.direction[1], [np.sin(0.12), 0, np.cos(0.12)], atol=1e-8)
    np.testing.assert_allclose(transmits.focus[2], [2.5e-3, 0, 70e-3], atol=1e-6)


def test_a_curved_array_looks_outward(write_one: Any) -> None:
    radius, angle = 130.0, np.linspace(-0.3, 0.3, N_ELEMENTS)
    variables = workspace()
    positions = np.zeros((N_ELEMENTS, 5))
    positions[:, 0], positions[:, 2] = radius * np.sin(angle), radius * np.cos(angle) - radius
    positions[:, 3] = angle
    variables["Trans"] |= {"ElementPos": positions, "type": 1.0}
    change(variables, "TX", "Delay", np.zeros(N_ELEMENTS))
    recording = verasonics.read(write_one(variables))
    assert recording.probe.kind == "curved"
    np.testing.assert_allclose(recording.probe.normals[-1], [np.sin(0.3), 0, np.cos(0.3)], atol=1e-12)
    # All elements at once make a wave from the centre of the circle.
    assert recording.transmits.kind[1] == "diverging"
    np.testing.assert_allclose(recording.transmits.focus[1], [0, 0, -radius * WAVELENGTH], atol=1e-7)


def test_frames_are_in_the_order_in_which_they_were_recorded(write_one: Any) -> None:
    recording = verasonics.read(write_one(workspace()))
    peaks = [np.abs(recording.frame(index)).max() for index in range(recording.n_frames)]
    np.testing.assert_allclose(np.array(peaks) / peaks[0], [1, 2, 3], rtol=1e-2)


@pytest.mark.parametrize("last", [None, 0.0, 3.0])
def test_a_ring_that_has_not_turned_is_in_order(write_one: Any, last: float | None) -> None:
    variables = workspace()
    fields = {"numFrames": 3.0} | ({} if last is None else {"lastFrame": last})
    variables["Resource"]["RcvBuffer"] = structs(1, **fields)
    recording = verasonics.read(write_one(variables))
    stored = variables["RcvData"][0, 0]
    for frame in range(3):
        assert np.abs(recording.frame(frame)).max() == np.abs(stored[..., frame]).max()


def test_elements_are_found_on_their_channels(write_one: Any) -> None:
    variables = workspace()
    data = variables["RcvData"][0, 0]
    recording = verasonics.read(write_one(variables))
    np.testing.assert_array_equal(recording.frame(1)[0], data[: recording.n_samples, connector() - 1, 0].T)
    # Connector, where the system has translated the connector's signals to channels, comes first.
    variables["Trans"]["Connector"] = connector()[::-1].astype(float)
    turned = verasonics.read(write_one(variables))
    np.testing.assert_array_equal(turned.frame(1)[0], recording.frame(1)[0, ::-1])


def test_a_multiplexer_connects_other_elements_for_each_record(write_one: Any) -> None:
    variables = workspace()
    apertures = np.zeros((N_ELEMENTS, 2))
    apertures[:16, 0], apertures[16:, 1] = np.arange(16) + 3, np.arange(16) + 5
    variables["Trans"]["HVMux"] = {"Aperture": apertures}
    receive = variables["Receive"]
    fields = {name: [receive[0, i][name] for i in range(9)] for name in receive.dtype.names}
    variables["Receive"] = structs(9, aperture=[1.0, 2.0, 1.0] * 3, **fields)
    recording = verasonics.read(write_one(variables))
    data = variables["RcvData"][0, 0]
    length = recording.n_samples
    np.testing.assert_array_equal(recording.receivers, [np.arange(16), np.arange(16, 32), np.arange(16)])
    np.testing.assert_array_equal(recording.frame(1)[1], data[length : 2 * length, 4:20, 0].T)


def test_some_elements_listen(write_one: Any) -> None:
    listening = np.ones(N_ELEMENTS)
    listening[:10] = 0
    recording = verasonics.read(write_one(change(workspace(), "Receive", "Apod", listening)))
    assert np.all(recording.receivers == np.arange(10, N_ELEMENTS))


def pairs_and_truth(mode: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """IQ of one record as read, and its definition: the analytic signal, mixed with the carrier from the trigger."""
    recording = verasonics.read(write_v5(path, workspace(mode)))
    element, tx = 20, ORDER[1]
    fine = recording.start_time[1] + np.arange(0, times(mode)[-1] + 2e-6, 1 / (16 * FREQUENCY))
    spectrum = np.fft.fft(echo(fine, tx, element))
    spectrum[len(fine) // 2 :] = 0
    mixed = np.fft.ifft(2 * spectrum) * np.exp(-2j * np.pi * FREQUENCY * fine)
    step = round(16 * FREQUENCY / recording.sampling_frequency)
    return recording.frame(1)[1, element] / 400, mixed[::step][: recording.n_samples]


@pytest.mark.parametrize("mode", ["BS100BW", "BS50BW"])
def test_pairs_are_i_and_minus_q_a_quarter_period_apart(tmp_path: Path, mode: str) -> None:
    found, expected = pairs_and_truth(mode, tmp_path / "a.mat")
    # The system's own band is what BS50BW cannot keep of this pulse.
    np.testing.assert_allclose(found, expected, atol=(0.03 if mode == "BS100BW" else 0.08) * np.abs(expected).max())


def test_demodulated_real_samples_have_the_same_phase(tmp_path: Path) -> None:
    recording = verasonics.read(write_v5(tmp_path / "a.mat", workspace("BS67BW")))
    paired = verasonics.read(write_v5(tmp_path / "b.mat", workspace("BS100BW")))
    assert recording.demodulation_frequency == pytest.approx(FREQUENCY)
    assert recording.sampling_frequency == pytest.approx(4 / 3 * FREQUENCY)
    # Every fourth sample of the one is taken when every third of the other is.
    one, other = recording.frame(0)[1, 20, ::4], paired.frame(0)[1, 20, ::3]
    np.testing.assert_allclose(one, other, atol=0.05 * np.abs(other).max())


def test_without_events_acquisitions_follow_tx(write: Any) -> None:
    variables = workspace()
    del variables["Event"]
    recording = verasonics.read(write(variables))
    np.testing.assert_allclose(recording.transmits.delays, firing()[0] / FREQUENCY)
    variables["TX"] = variables["TX"][:, :2]
    with pytest.raises(MissingField, match="which transmit"):
        verasonics.read(write(variables))


def test_averages_are_one_transmit_but_other_sums_are_refused(write_one: Any) -> None:
    variables = workspace()
    receive, event = variables["Receive"], variables["Event"]
    added = receive[0, 0].copy()
    added["mode"] = np.ones((1, 1))
    variables["Receive"] = np.concatenate([receive, np.array([[added]], receive.dtype)], axis=1)
    again = event[0, 0].copy()
    again["rcv"] = np.full((1, 1), receive.size + 1.0)
    variables["Event"] = np.concatenate([event, np.array([[again]], event.dtype)], axis=1)
    assert verasonics.read(write_one(variables)).n_tx == len(ORDER)
    variables["Event"][0, -1]["tx"] = np.full((1, 1), 1.0)
    with pytest.raises(BadField, match="sum of different transmits"):
        verasonics.read(write_one(variables))


def test_one_of_several_buffers_and_a_note(write: Any) -> None:
    variables = workspace()
    change(variables, "Receive", "bufnum", [1.0] * 8 + [2.0])
    change(variables, "Receive", "framenum", [1.0] * 3 + [2.0] * 3 + [3.0] * 2 + [1.0])
    change(variables, "Event", "rcv", [1.0, 2, 3, 4, 5, 6, 0, 0, 9, 0])
    variables["RcvData"] = cells(variables["RcvData"][0, 0], np.zeros((4, 4), np.int16))
    variables["Resource"]["RcvBuffer"] = structs(2, lastFrame=[2.0, np.zeros((0, 0))])
    recording = verasonics.read(write(variables))
    assert recording.n_frames == 2
    assert recording.provenance["notes"] == "receive buffer 1; left out: 2"


@pytest.mark.parametrize(
    ("struct", "field", "value", "said"),
    [
        ("Receive", "sampleMode", "NS200BWI", "sampling mode"),
        ("Receive", "sampleMode", ["NS200BW", "BS100BW"] * 4 + ["NS200BW"], "sampling mode"),
        ("Receive", "sampleMode", 4.0, "not text"),
        ("Receive", "decimSampleRate", [20.0, 10.0] * 4 + [20.0], "not one positive number"),
        ("Receive", "decimSampleRate", -1.0, "not one positive number"),
        ("Receive", "endSample", [192.0, 384, 575] * 3, "different length"),
        ("Receive", "endSample", [192.0, 384, 577] * 3, "different length"),
        ("Receive", "startSample", 0.0, "outside the buffer"),
        ("Receive", "framenum", 4.0, "does not have"),
        ("Receive", "framenum", 0.0, "does not have"),
        ("Receive", "framenum", np.nan, "not finite"),
        ("Receive", "framenum", 1.5, "whole number"),
        ("Receive", "framenum", [1.0] * 4 + [2.0] * 2 + [3.0] * 3, "different transmits"),
        ("Receive", "Apod", np.ones(5), "wrong length"),
        ("Receive", "Apod", np.zeros(N_ELEMENTS), "not recorded"),
        ("Receive", "startDepth", np.zeros(2), "not a single number"),
        ("TX", "Delay", np.zeros(5), "wrong length"),
        ("TX", "Delay", "none", "not numeric"),
        ("TX", "waveform", 3.0, "no such waveform"),
        ("Event", "tx", 9.0, "no such struct"),
        ("Event", "rcv", 99.0, "no such struct"),
        ("Event", "rcv", 0.0, "no event"),
    ],
)
def test_contradictions_are_refused(write_one: Any, struct: str, field: str, value: Any, said: str) -> None:
    path = write_one(change(workspace(), struct, field, value))
    with pytest.raises(BadField, match=said) as caught:
        verasonics.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("units", "inches", "unknown units"),
        ("frequency", 0.0, "not a positive"),
        ("ElementPos", np.zeros((N_ELEMENTS, 2)), "not element positions"),
        ("ConnectorES", np.ones((N_ELEMENTS, 1)), "same channel"),
        ("ConnectorES", np.full((N_ELEMENTS, 1), 99.0), "not recorded"),
        ("ConnectorES", np.ones((3, 1)), "wrong length"),
        ("ConnectorES", None, "which channel"),
    ],
)
def test_an_array_that_cannot_be_is_refused(write_one: Any, field: str, value: Any, said: str) -> None:
    variables = workspace()
    variables["Trans"][field] = value
    if value is None:
        del variables["Trans"][field]
    with pytest.raises(BadField, match=said):
        verasonics.read(write_one(variables))


def test_half_a_pair_is_refused(write_one: Any) -> None:
    variables = workspace("BS100BW")
    change(variables, "Receive", "endSample", [95.0, 191, 287] * 3)
    with pytest.raises(BadField, match="half a pair"):
        verasonics.read(write_one(variables))
    with pytest.raises(BadField, match="does not fit the sampling rate"):
        verasonics.read(write_one(change(workspace("BS100BW"), "Receive", "demodFrequency", 7.0)))


def test_all_missing_variables_are_named_at_once(write: Any) -> None:
    variables = workspace()
    del variables["Trans"]["units"], variables["RcvData"]
    without(variables, "TX", "Apod")
    with pytest.raises(MissingField, match=r"Trans.units, TX.Apod, RcvData"):
        verasonics.read(write(variables))


def test_whatever_is_missing_only_our_errors_escape(write_one: Any) -> None:
    """Each variable and field taken away or made something else, one at a time."""
    whole = workspace()
    whole["RcvData"] = cells(whole["RcvData"][0, 0][:, :, :1])
    names = [(name, None) for name in whole]
    names += [(name, field) for name in whole if name != "RcvData" for field in fields_of(whole[name])]
    told: list[str] = []
    for name, field in names:
        for value in (None, "text", np.zeros((0, 0)), np.full((2, 3), np.nan), np.full((1, 1), 1e300)):
            path = write_one(spoilt(whole, name, field, value))
            try:
                read_any(path, format="verasonics")
            except UsbeamError as error:
                told.append(str(error))
    assert len(told) > len(names)
    assert all("workspace.mat: " in line for line in told)


def fields_of(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else list(value.dtype.names or ())


def spoilt(variables: dict[str, Any], name: str, field: str | None, value: Any) -> dict[str, Any]:
    """A copy where one variable, or one field of it, is taken away (None) or replaced."""
    made = dict(variables)
    if field is None:
        made.pop(name)
        return made if value is None else made | {name: value}
    if isinstance(made[name], dict):
        made[name] = {key: inner for key, inner in made[name].items() if key != field}
        return made if value is None else made | {name: made[name] | {field: value}}
    if value is None:
        return without(made, name, field)
    made[name] = made[name].copy()
    return change(made, name, field, value)


def test_sniffing(write: Any, tmp_path: Path) -> None:
    path = write(workspace())
    assert verasonics.sniff(path)
    assert not brain.sniff(path)
    assert not must.sniff(path)
    assert recognise(path) == "verasonics"
    assert read_any(path).provenance["source_format"] == "verasonics"
    other = write({"RcvData": np.ones((2, 2)), "Trans": {"frequency": 5.0}})
    assert not verasonics.sniff(other)
    (tmp_path / "a.txt").write_text("RcvData")
    assert not verasonics.sniff(tmp_path / "a.txt")
