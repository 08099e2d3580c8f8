"""Time zero: each time enters once with its own sign, and transmits that contradict themselves are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import usbeam as ub
from usbeam.beamforming.delays import Legs, receive_legs, transmit_legs
from usbeam.errors import GeometryError
from usbeam.kernels.conventions import FOCUSED, PLANE, SPHERICAL

SPEED = 1540.0
LENS, PEAK, START = 0.23e-6, 0.41e-6, 3.1e-6
ARRAY = ub.Probe.linear(8, 0.6e-3, 5e6, lens_delay=LENS)


def recording(transmits: ub.Transmits, array: ub.Probe = ARRAY, start: float = START) -> ub.Acquisition:
    return ub.Acquisition(
        samples=np.zeros((1, len(transmits), array.n_elements, 16), np.float32),
        kind="rf",
        sampling_frequency=25e6,
        start_time=start,
        sound_speed=SPEED,
        probe=array,
        transmits=dataclasses.replace(transmits, pulse_peak_time=PEAK),
    )


def arrival(legs: Legs, i: int, point: np.ndarray, speed: float = SPEED) -> float:
    """Time of leg i at a point, from the definition of its shape."""
    sources = slice(int(legs.first[i]), int(legs.first[i + 1]))
    offset = point - legs.position[sources]
    along = offset @ legs.axis[i]
    distance = np.linalg.norm(offset, axis=1)
    path = {SPHERICAL: distance, PLANE: along, FOCUSED: np.copysign(distance, along)}[int(legs.shape[i])]
    return float(np.min(legs.time[sources] + path / speed))


def legs_of(transmits: ub.Transmits, speed: float = SPEED, array: ub.Probe = ARRAY) -> Legs:
    return transmit_legs(recording(transmits, array), np.arange(len(transmits)), speed)


OFFSET = PEAK + LENS - START
points = st.tuples(st.floats(-5e-3, 5e-3), st.just(0.0), st.floats(1e-3, 60e-3)).map(np.array)


@given(points)
def test_element_waves_spread_from_their_element(point: np.ndarray) -> None:
    fired = ub.Transmits.elements(ARRAY, [5, 2])
    fired = dataclasses.replace(fired, delays=fired.delays + np.array([[1e-7], [2e-7]]))
    legs = transmit_legs(recording(fired), np.array([1]), SPEED)
    way = np.linalg.norm(point - ARRAY.element_positions[2]) / SPEED
    assert arrival(legs, 0, point) == pytest.approx(way + 2e-7 + OFFSET, abs=1e-15)


@given(points, st.floats(-0.5, 0.5), st.sampled_from(["first", "center"]))
def test_a_plane_wave_passes_its_elements_when_they_fire(point: np.ndarray, angle: float, zero) -> None:
    fired = ub.Transmits.plane(ARRAY, [angle], SPEED, time_zero=zero)
    legs = legs_of(fired)
    assert legs.shape.tolist() == [PLANE]
    for element in (0, 7):
        position = ARRAY.element_positions[element]
        assert arrival(legs, 0, position) == pytest.approx(fired.delays[0, element] + OFFSET, abs=1e-15)
    ahead = (point - position) @ fired.direction[0] / SPEED
    assert arrival(legs, 0, point) == pytest.approx(fired.delays[0, 7] + ahead + OFFSET, abs=1e-15)


@given(points, st.tuples(st.floats(-4e-3, 4e-3), st.just(0.0), st.floats(-20e-3, -1e-3)))
def test_a_diverging_wave_passes_its_elements_when_they_fire(point: np.ndarray, source) -> None:
    fired = ub.Transmits.focused(ARRAY, [source], SPEED)
    legs = legs_of(fired)
    assert legs.shape.tolist() == [SPHERICAL]
    way = (np.linalg.norm(point - source) - np.linalg.norm(ARRAY.element_positions[3] - source)) / SPEED
    assert arrival(legs, 0, point) == pytest.approx(fired.delays[0, 3] + way + OFFSET, abs=1e-14)


def test_a_focused_wave_comes_from_all_elements_and_turns_at_the_focus() -> None:
    focus = np.array([1e-3, 0, 20e-3])
    fired = ub.Transmits.focused(ARRAY, focus, SPEED)
    legs = legs_of(fired)
    assert legs.shape.tolist() == [FOCUSED]
    at_focus = fired.delays[0] + np.linalg.norm(ARRAY.element_positions - focus, axis=1) / SPEED
    assert np.ptp(at_focus) < 1e-15
    assert arrival(legs, 0, focus) == pytest.approx(at_focus[0] + OFFSET, abs=1e-15)
    beam = focus / np.linalg.norm(focus)
    for step in (-5e-3, -1e-3, 2e-3, 9e-3):
        assert arrival(legs, 0, focus + step * beam) == pytest.approx(at_focus[0] + step / SPEED + OFFSET, abs=1e-14)


@given(points)
def test_a_custom_wave_is_its_first_arrival(point: np.ndarray) -> None:
    delays = np.random.default_rng(0).uniform(0, 2e-6, (1, 8))
    weights = np.array([[1, 0, -1, 0, 0.5, 0, 0, 1.0]])
    fired = ub.Transmits(kind=("custom",), delays=delays, apodization=weights)
    legs = legs_of(fired)
    assert len(legs.position) == 4  # silent elements send nothing
    way = delays[0] + np.linalg.norm(point - ARRAY.element_positions, axis=1) / SPEED
    assert arrival(legs, 0, point) == pytest.approx(way[weights[0] != 0].min() + OFFSET, abs=1e-15)


@pytest.mark.parametrize(("field", "sign"), [("start", -1), ("peak", 1), ("lens", 1)])
def test_every_time_enters_with_its_sign(field: str, sign: int) -> None:
    more = 0.7e-6
    base = recording(ub.Transmits.elements(ARRAY))
    if field == "start":
        changed = base.replace(start_time=np.asarray(base.start_time) + more)
    elif field == "peak":
        changed = base.replace(transmits=dataclasses.replace(base.transmits, pulse_peak_time=PEAK + more))
    else:
        changed = base.replace(probe=dataclasses.replace(ARRAY, lens_delay=LENS + more))
    point, all_ = np.array([1e-3, 0, 12e-3]), np.arange(8)
    before, after = (transmit_legs(a, all_, SPEED) for a in (base, changed))
    assert arrival(after, 3, point) - arrival(before, 3, point) == pytest.approx(sign * more)
    before, after = (receive_legs(a, all_) for a in (base, changed))
    back = more if field == "lens" else 0
    assert arrival(after, 3, point) - arrival(before, 3, point) == pytest.approx(back, abs=1e-15)


def test_each_transmit_has_its_own_start_and_peak() -> None:
    base = recording(ub.Transmits.elements(ARRAY))
    starts, peaks = np.arange(8) * 1e-6, np.arange(8) ** 2 * 1e-8
    changed = base.replace(start_time=starts, transmits=dataclasses.replace(base.transmits, pulse_peak_time=peaks))
    legs = transmit_legs(changed, np.array([6, 1]), SPEED)
    np.testing.assert_allclose(legs.time, peaks[[6, 1]] + LENS - starts[[6, 1]], atol=1e-18)


@given(points)
def test_receive_legs_come_back_through_the_lens(point: np.ndarray) -> None:
    legs = receive_legs(recording(ub.Transmits.elements(ARRAY)), np.array([7, 0]))
    for i, element in enumerate((7, 0)):
        way = np.linalg.norm(point - ARRAY.element_positions[element]) / SPEED
        assert arrival(legs, i, point) == pytest.approx(way + LENS, abs=1e-15)
    np.testing.assert_array_equal(legs.axis, [[0, 0, 1], [0, 0, 1]])


def test_windows_follow_the_elements_normals() -> None:
    tilted = dataclasses.replace(ARRAY, element_normals=np.tile([0.6, 0, 0.8], (8, 1)))
    acquisition = recording(ub.Transmits.elements(tilted), tilted)
    np.testing.assert_array_equal(receive_legs(acquisition, np.array([2])).axis, [[0.6, 0, 0.8]])
    np.testing.assert_array_equal(transmit_legs(acquisition, np.array([2]), SPEED).axis, [[0.6, 0, 0.8]])


@pytest.mark.parametrize("speed", [1440.0, 1640.0])
def test_another_speed_bends_a_plane_wave_by_snell(speed: float) -> None:
    """The elements fire when they fire; the wave's lateral wavenumber stays, its angle does not."""
    fired = ub.Transmits.plane(ARRAY, [0.3], SPEED)
    legs = legs_of(fired, speed)
    assert legs.axis[0, 0] / speed == pytest.approx(np.sin(0.3) / SPEED)
    assert np.linalg.norm(legs.axis[0]) == pytest.approx(1)
    for element in (0, 7):
        found = arrival(legs, 0, ARRAY.element_positions[element], speed)
        assert found == pytest.approx(fired.delays[0, element] + OFFSET, abs=1e-15)


@pytest.mark.parametrize("focus", [(1e-3, 0, 25e-3), (-1e-3, 0, -15e-3)])
@pytest.mark.parametrize("speed", [1440.0, 1640.0])
def test_another_speed_moves_a_focus_but_not_the_firing_times(speed: float, focus: tuple[float, ...]) -> None:
    fired = ub.Transmits.focused(ARRAY, focus, SPEED)
    legs = legs_of(fired, speed)
    for element in range(8):
        found = arrival(legs, 0, ARRAY.element_positions[element], speed)
        # Paraxial: exact on the axis, good to a twentieth of a period over this aperture.
        assert found == pytest.approx(fired.delays[0, element] + OFFSET, abs=0.05 / 5e6)


@pytest.mark.parametrize("speed", [SPEED, 1440.0])
def test_longest_bounds_every_delay_in_the_image(speed: float) -> None:
    fired = [
        ub.Transmits.plane(ARRAY, [0.4], SPEED),
        ub.Transmits.focused(ARRAY, [(0, 0, 20e-3)], SPEED),
        ub.Transmits.elements(ARRAY),
    ]
    corners = np.array([(x, 0.0, z) for x in (-5e-3, 5e-3) for z in (1e-3, 40e-3)])
    inside = np.random.default_rng(0).uniform([-5e-3, 0, 1e-3], [5e-3, 0, 40e-3], (100, 3))
    for transmits in fired:
        legs = legs_of(transmits, speed)
        longest = max(abs(arrival(legs, i, p, speed)) for i in range(len(legs)) for p in [*corners, *inside])
        assert longest <= legs.longest(corners, speed) + 1e-15


def test_a_flipped_angle_contradicts_its_delays() -> None:
    fired = ub.Transmits.plane(ARRAY, [0.0, 0.2], SPEED)
    assert fired.direction is not None
    flipped = dataclasses.replace(fired, direction=fired.direction * [-1, 1, 1])
    assert len(legs_of(dataclasses.replace(flipped, kind=("plane", "custom")))) == 2
    with pytest.raises(GeometryError, match="firing delays of transmit 1 contradict its direction by") as caught:
        legs_of(flipped)
    assert "quarter period, 0.05 us" in str(caught.value)
    assert "sign of the angle" in (caught.value.hint or "")


def test_a_wrong_focus_contradicts_its_delays() -> None:
    wide = ub.Probe.linear(32, 0.6e-3, 5e6)
    fired = ub.Transmits.focused(wide, [(0, 0, 20e-3)], SPEED)
    for wrong in ((0, 0, 40e-3), (4e-3, 0, 20e-3)):
        with pytest.raises(GeometryError, match=r"transmit/focus: .*contradict its focus"):
            legs_of(dataclasses.replace(fired, focus=np.array([wrong])), array=wide)


def test_only_the_elements_that_fire_must_agree() -> None:
    fired = ub.Transmits.plane(ARRAY, [0.2], SPEED)
    delays, weights = fired.delays.copy(), fired.apodization.copy()
    delays[0, 0], weights[0, 0] = 1.0, 0
    legs = legs_of(dataclasses.replace(fired, delays=delays, apodization=weights))
    assert arrival(legs, 0, ARRAY.element_positions[3]) == pytest.approx(fired.delays[0, 3] + OFFSET, abs=1e-15)
