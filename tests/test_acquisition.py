"""Recordings hold facts that fit each other, or are refused with the place named."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbeam import Acquisition, Probe, Transmits
from usbeam.errors import BadField, ConfigError, GeometryError, UsbeamError

SPEED = 1540.0
PROBE = Probe.linear(4, 0.3e-3, 5e6)
nan, inf = float("nan"), float("inf")


def acquisition(**changes: Any) -> Acquisition:
    facts: dict[str, Any] = {
        "samples": np.arange(2 * 4 * 4 * 8, dtype=np.float32).reshape(2, 4, 4, 8),
        "kind": "rf",
        "sampling_frequency": 20e6,
        "start_time": 1e-6,
        "sound_speed": SPEED,
        "probe": PROBE,
        "transmits": Transmits.elements(PROBE),
    }
    return Acquisition(**{**facts, **changes})


# Probe


@given(st.integers(2, 256), st.floats(1e-5, 1e-2))
def test_a_linear_probe_is_centred_and_uniform(n_elements: int, pitch: float) -> None:
    probe = Probe.linear(n_elements, pitch, 5e6)
    assert probe.n_elements == n_elements
    assert probe.pitch == pytest.approx(pitch)
    assert probe.aperture == pytest.approx((n_elements - 1) * pitch, abs=1e-12)
    assert abs(probe.element_positions[:, 0].mean()) < 1e-9
    assert not probe.element_positions[:, 1:].any()


def test_pitch_is_none_where_there_is_no_single_one() -> None:
    x = np.array([0, 1, 2.5, 3.5]) * 1e-3
    assert Probe(element_positions=np.stack([x, 0 * x, 0 * x], 1), center_frequency=5e6).pitch is None
    x = np.arange(4) * 1e-3
    assert Probe(element_positions=np.stack([x, 0 * x, x**2], 1), center_frequency=5e6, kind="curved").pitch is None
    assert Probe(element_positions=np.stack([0 * x, 0 * x, x], 1), center_frequency=5e6).pitch is None
    assert Probe(element_positions=np.zeros((1, 3)), center_frequency=5e6).pitch is None
    assert Probe(element_positions=np.stack([-x, 0 * x, 0 * x], 1), center_frequency=5e6).pitch == pytest.approx(1e-3)


def test_normals_point_down_unless_given() -> None:
    np.testing.assert_array_equal(PROBE.normals, np.tile([0, 0, 1], (4, 1)))
    tilted = np.tile([0.6, 0, 0.8], (4, 1))
    np.testing.assert_array_equal(dataclasses.replace(PROBE, element_normals=tilted).normals, tilted)


POSITIONS = PROBE.element_positions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"element_positions": np.zeros((0, 3))}, "no element"),
        ({"element_positions": POSITIONS.T}, "probe/element_positions: wrong shape"),
        ({"element_positions": POSITIONS[[0, 1, 1, 2]]}, "two elements at the same place"),
        ({"element_positions": np.where(POSITIONS > 4e-4, nan, POSITIONS)}, r"non-finite value\(s\), the first at"),
        ({"center_frequency": 0}, "probe/center_frequency: not a positive number"),
        ({"center_frequency": nan}, "probe/center_frequency: not a positive number"),
        ({"bandwidth": -0.1}, "probe/bandwidth"),
        ({"element_width": inf}, "probe/element_width"),
        ({"element_height": 0}, "probe/element_height"),
        ({"lens_delay": -1e-9}, "probe/lens_delay"),
        ({"lens_delay": nan}, "probe/lens_delay"),
        ({"kind": "round"}, "probe/kind: unknown probe kind"),
        ({"element_normals": np.ones((4, 3))}, "row 0 is no unit vector"),
        ({"element_normals": np.ones((3, 3))}, "probe/element_normals: wrong shape"),
    ],
)
def test_probes_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        dataclasses.replace(PROBE, **changes)


# Transmits


def test_elements_fire_alone() -> None:
    fired = Transmits.elements(PROBE, [2, 0])
    assert fired.kind == ("element", "element")
    np.testing.assert_array_equal(fired.element_index, [2, 0])
    np.testing.assert_array_equal(fired.apodization, [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(fired.origin, PROBE.element_positions[[2, 0]])
    assert len(Transmits.elements(PROBE)) == 4


@given(st.floats(-1.2, 1.2), st.sampled_from(["first", "center"]))
def test_plane_wave_delays_follow_the_direction(angle: float, zero: Any) -> None:
    fired = Transmits.plane(PROBE, [angle], SPEED, time_zero=zero)
    np.testing.assert_allclose(fired.direction, [[np.sin(angle), 0, np.cos(angle)]], atol=1e-15)
    # Positive angles steer toward +x: elements at smaller x fire first.
    steps = np.diff(fired.delays[0])
    np.testing.assert_allclose(steps, 0.3e-3 * np.sin(angle) / SPEED, atol=1e-18)
    if zero == "first":
        assert fired.delays.min() == 0
    else:
        assert fired.delays.mean() == pytest.approx(0, abs=1e-18)


def test_focused_waves_arrive_together_and_diverging_ones_leave_together() -> None:
    focus = np.array([[0.2e-3, 0, 5e-3], [0.1e-3, 0, -2e-3]])
    fired = Transmits.focused(PROBE, focus, SPEED)
    assert fired.kind == ("focused", "diverging")
    distance = np.linalg.norm(PROBE.element_positions - focus[:, None], axis=2) / SPEED
    np.testing.assert_allclose(np.ptp(fired.delays[0] + distance[0]), 0, atol=1e-18)
    np.testing.assert_allclose(np.ptp(fired.delays[1] - distance[1]), 0, atol=1e-18)
    np.testing.assert_array_equal(fired.delays.min(axis=1), 0)


def test_pulse_peak_time_is_one_number_or_one_per_transmit() -> None:
    np.testing.assert_array_equal(Transmits.elements(PROBE, pulse_peak_time=1e-7).pulse_peak_time, [1e-7] * 4)
    np.testing.assert_array_equal(
        Transmits.elements(PROBE, pulse_peak_time=np.arange(4.0)).pulse_peak_time, np.arange(4)
    )


ONE = Transmits.elements(PROBE, [1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": ()}, "no transmit"),
        ({"kind": ("spiral",)}, "unknown kind of transmit 0"),
        ({"delays": np.zeros((2, 4))}, "transmit/delays: wrong shape"),
        ({"delays": np.full((1, 4), nan)}, r"4 non-finite value\(s\), the first at index \(0, 0\)"),
        ({"apodization": np.zeros((1, 4))}, "no element fires in transmit 0"),
        ({"apodization": np.zeros((1, 3))}, "transmit/apodization: wrong shape"),
        ({"apodization": np.ones((1, 4))}, "of kind element fires 4 elements"),
        ({"pulse_peak_time": nan}, "transmit/pulse_peak_time"),
        ({"pulse_peak_time": np.zeros(5)}, "transmit/pulse_peak_time"),
        ({"pulse_peak_time": np.zeros((4, 1))}, "transmit/pulse_peak_time"),
        ({"kind": ("plane",)}, "transmit/direction: missing"),
        ({"kind": ("plane",), "direction": np.zeros((1, 3))}, "row 0 is no unit vector"),
        ({"kind": ("plane",), "direction": [[1.0, 0, 1.0]]}, "row 0 is no unit vector"),
        ({"kind": ("focused",)}, "transmit/focus: missing"),
        ({"kind": ("diverging",)}, "transmit/focus: missing"),
        ({"focus": np.zeros((2, 3))}, "transmit/focus: wrong shape"),
        ({"origin": np.full((1, 3), inf)}, "transmit/origin"),
    ],
)
def test_transmits_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        dataclasses.replace(ONE, **changes)


def test_nan_delays_are_explained() -> None:
    with pytest.raises(GeometryError) as caught:
        dataclasses.replace(ONE, delays=[[nan, 0, nan, nan]])
    assert caught.value.hint == "a silent element has transmit apodization 0, never a NaN delay"


def test_angles_in_degrees_are_recognised() -> None:
    with pytest.raises(GeometryError, match="angle beyond pi") as caught:
        Transmits.plane(PROBE, [-10, 10], SPEED)
    assert caught.value.hint == "these look like degrees"


@pytest.mark.parametrize("index", [[4], [-1], [0, 9]])
def test_transmitting_element_out_of_range(index: list[int]) -> None:
    with pytest.raises(GeometryError, match=r"transmit/element: .* out of range \(expected 0\.\.3"):
        Transmits.elements(PROBE, index)


def test_an_unused_direction_may_hold_anything() -> None:
    mixed = Transmits(
        kind=("plane", "custom"),
        delays=np.zeros((2, 4)),
        apodization=np.ones((2, 4)),
        direction=np.array([[0, 0, 1.0], [nan, nan, nan]]),
    )
    np.testing.assert_array_equal(mixed.direction, [[0, 0, 1], [0, 0, 1]])


# Acquisition


def test_counts_and_derived_values() -> None:
    recording = acquisition()
    assert (recording.n_frames, recording.n_tx, recording.n_rx, recording.n_samples) == (2, 4, 4, 8)
    assert recording.wavelength == pytest.approx(SPEED / 5e6)
    np.testing.assert_array_equal(recording.start_time, [1e-6] * 4)
    np.testing.assert_array_equal(recording.receivers, np.tile(np.arange(4), (4, 1)))
    assert not recording.is_half_matrix


def test_half_matrix_is_recognised() -> None:
    tx, rx = np.mgrid[:4, :4]
    half = np.where(rx >= tx, rx, -1)
    assert acquisition(receive_elements=half).is_half_matrix
    plane = Transmits.plane(PROBE, [0.0] * 4, SPEED)
    assert not acquisition(receive_elements=half, transmits=plane).is_half_matrix


def test_frames_count_from_either_end() -> None:
    recording = acquisition()
    np.testing.assert_array_equal(recording.frame(1), recording.samples[1])
    np.testing.assert_array_equal(recording.frame(-2), recording.samples[0])
    for index in (2, -3):
        with pytest.raises(ConfigError, match=r"no such frame \(expected 0\.\.1"):
            recording.frame(index)


def test_arrays_are_locked_copies() -> None:
    delays = np.zeros((4, 4))
    fired = dataclasses.replace(Transmits.elements(PROBE), delays=delays)
    delays[0, 0] = 1
    assert not fired.delays.any()
    for array in (fired.delays, PROBE.element_positions, acquisition().start_time, acquisition().receive_elements):
        assert array is not None
        assert not np.asarray(array).flags.writeable


def test_replace_checks_again() -> None:
    assert acquisition().replace(sound_speed=1480).sound_speed == 1480
    with pytest.raises(GeometryError, match="sound_speed"):
        acquisition().replace(sound_speed=-1)
    with pytest.raises(ConfigError, match="Acquisition has no field speed, velocity"):
        acquisition().replace(velocity=1, speed=2)


IQ = np.zeros((2, 4, 4, 8), np.complex64)
BAD: list[tuple[dict[str, Any], type[UsbeamError], str]] = [
    ({"samples": np.zeros((4, 4, 8), np.float32)}, BadField, "wrongly shaped samples"),
    *[
        ({"samples": np.zeros(np.where(np.arange(4) == axis, 0, (2, 4, 4, 8)), np.float32)}, BadField, "empty")
        for axis in range(4)
    ],
    ({"samples": np.zeros((2, 4, 4, 8), np.float64)}, BadField, "sample type not supported"),
    ({"samples": np.zeros((2, 4, 4, 8), np.uint8)}, BadField, "sample type not supported"),
    ({"kind": "audio"}, ConfigError, "unknown kind of samples"),
    ({"kind": "iq"}, BadField, "kind iq with float32 samples"),
    ({"samples": IQ}, BadField, "kind rf with complex64 samples"),
    ({"demodulation_frequency": 5e6}, BadField, "RF samples are not demodulated"),
    ({"samples": IQ, "kind": "iq", "demodulation_frequency": -1.0}, GeometryError, "not a frequency >= 0"),
    *[
        ({name: bad}, GeometryError, f"{name}: not a positive number")
        for name in ("sampling_frequency", "sound_speed")
        for bad in (0, -1.0, nan, inf)
    ],
    ({"scale": 0.0}, BadField, "scale and offset must be finite"),
    ({"scale": nan}, BadField, "scale and offset must be finite"),
    ({"offset": inf}, BadField, "scale and offset must be finite"),
    ({"transmits": Transmits.elements(PROBE, [0, 1])}, GeometryError, "the samples and the transmits disagree"),
    ({"transmits": Transmits.elements(Probe.linear(5, 3e-4, 5e6), range(4))}, GeometryError, "transmit/delays"),
    ({"start_time": [0.0, 1.0]}, GeometryError, "start_time: wrong shape"),
    ({"start_time": nan}, GeometryError, "start_time"),
    ({"samples": np.zeros((1, 4, 3, 8), np.float32)}, GeometryError, "do not say which elements received"),
    ({"receive_elements": [0, 1, 2]}, GeometryError, "receive/element_index: wrong shape"),
    ({"receive_elements": [0, 1, 2, 4]}, GeometryError, "receiving element out of range"),
    ({"receive_elements": [-2, 1, 2, 3]}, GeometryError, "receiving element out of range"),
    ({"receive_elements": [0, 1, 1, 3]}, GeometryError, "an element appears twice in row 0"),
]


@pytest.mark.parametrize(("changes", "kind", "message"), BAD)
def test_parts_that_do_not_fit(changes: dict[str, Any], kind: type[UsbeamError], message: str) -> None:
    with pytest.raises(kind) as caught:
        acquisition(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def custom(rows: int, columns: int) -> Transmits:
    return Transmits(kind=("custom",) * rows, delays=np.zeros((rows, columns)), apodization=np.ones((rows, columns)))


def test_transposed_delays_are_recognised() -> None:
    samples = np.zeros((1, 3, 4, 8), np.float32)
    assert acquisition(samples=samples, transmits=custom(3, 4)).n_tx == 3
    with pytest.raises(GeometryError, match="the samples and the transmits disagree") as caught:
        acquisition(samples=samples, transmits=custom(4, 3))
    assert caught.value.hint == "transmit/delays and transmit/apodization look transposed"
    with pytest.raises(GeometryError, match="the samples and the transmits disagree") as caught:
        acquisition(samples=samples, transmits=custom(2, 4))
    assert caught.value.hint is None
    with pytest.raises(GeometryError, match=r"expected \(n_tx=3, n_elements=4\), found \(3, 3\)"):
        acquisition(samples=samples, transmits=custom(3, 3))


@pytest.mark.parametrize(
    ("make", "location"),
    [
        (lambda: Transmits.plane(PROBE, [[0.1]], 1540.0), "transmit/angles"),
        (lambda: Transmits.plane(PROBE, [nan], 1540.0), "transmit/angles"),
        (lambda: Transmits.plane(PROBE, [0.1], 0.0), "sound_speed"),
        (lambda: Transmits.focused(PROBE, [[0.0, 0.02]], 1540.0), "transmit/focus"),
        (lambda: Transmits.focused(PROBE, [[0.0, 0.0, inf]], 1540.0), "transmit/focus"),
        (lambda: Transmits.focused(PROBE, [[0.0, 0.0, 0.02]], nan), "sound_speed"),
    ],
)
def test_waves_that_cannot_be(make: Any, location: str) -> None:
    with pytest.raises(GeometryError) as caught:
        make()
    assert caught.value.location == location
