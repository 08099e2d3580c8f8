"""Arrays, transmits and depths that the Fourier beamformer can take, and the refusal of all others."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.line import depth_step, line_of, wave_kind
from usbeam.errors import GeometryError

PITCH, SPEED, WAVELENGTH = 0.3e-3, 1540.0, 1540.0 / 5e6
SMALL = WAVELENGTH / 250
"""An error of place that does not matter; twice as much does."""


def recording(positions: np.ndarray, fired: ub.Transmits | None = None, **facts: Any) -> ub.Acquisition:
    probe = ub.Probe(element_positions=positions, center_frequency=5e6, **facts)
    transmits = ub.Transmits.elements(probe) if fired is None else fired
    return ub.Acquisition(
        samples=np.zeros((1, len(transmits), len(positions), 4), np.float32),
        kind="rf",
        sampling_frequency=25e6,
        start_time=0.0,
        sound_speed=SPEED,
        probe=probe,
        transmits=transmits,
        path="recording.h5",
    )


def places(slots: Any, x: float = -1e-3, z: float = 0.0) -> np.ndarray:
    """Elements so many pitches from `x`."""
    return np.stack([x + PITCH * np.asarray(slots, float), np.zeros(len(slots)), np.full(len(slots), z)], axis=1)


# Accepted


@pytest.mark.parametrize(
    "slots",
    [range(16), range(15, -1, -1), [0, 1, 2, 4, 5, 9], [3, 0, 2, 1], [0, 1]],
    ids=["in order", "reversed", "gaps", "shuffled", "two"],
)
def test_places_on_a_line(slots: Any) -> None:
    line = line_of(recording(places(slots, x=-2e-3, z=1e-3)))
    np.testing.assert_array_equal(line.slot, slots)
    assert line.slot.dtype == np.int64
    assert (line.pitch, line.origin, line.depth) == pytest.approx((PITCH, -2e-3, 1e-3))
    assert line.ends == pytest.approx((-2e-3, -2e-3 + PITCH * max(slots)))


def test_a_single_element() -> None:
    line = line_of(recording(places([0], x=0.7e-3)))
    assert (line.origin, line.pitch, list(line.slot)) == (pytest.approx(0.7e-3), pytest.approx(WAVELENGTH / 2), [0])
    assert line.ends == pytest.approx((0.7e-3, 0.7e-3))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_places_may_be_a_little_off(axis: int) -> None:
    positions = places(range(16))
    positions[5, axis] += SMALL
    np.testing.assert_array_equal(line_of(recording(positions)).slot, range(16))


@pytest.mark.parametrize("slots", [[0, 1, 3], [0, 2, 4, 5], [0, 3, 6, 7, 8, 11, 14]])
def test_places_may_be_empty(slots: list[int]) -> None:
    np.testing.assert_array_equal(line_of(recording(places(slots))).slot, slots)


def test_places_rounded_to_micrometres_do_not_add_up() -> None:
    """Most steps are 0.300 mm, the pitch is 0.3004 mm."""
    line = line_of(recording(places(np.round(np.arange(200) * 300.4) / 300)))
    np.testing.assert_array_equal(line.slot, range(200))
    assert line.pitch == pytest.approx(0.3004e-3, rel=1e-4)


# Refused

NORMALS = np.tile([0.0, 0.0, 1.0], (16, 1))
NORMALS[7] = [0.1, 0, np.sqrt(0.99)]


def moved(element: Any, axis: int, by: Any) -> np.ndarray:
    positions = places(range(16))
    positions[element, axis] += by
    return positions


NO_LINE: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "deeper": (moved(3, 2, 2 * SMALL), {}, "the array is not flat"),
    "raised": (moved(3, 2, -2 * SMALL), {}, "the array is not flat"),
    "slanted": (moved(slice(None), 2, np.linspace(0, 1e-3, 16)), {}, "the array is not flat"),
    "beside": (moved(3, 1, 2 * SMALL), {}, "elements lie off the image plane"),
    "all beside": (moved(slice(None), 1, -1e-3), {}, "elements lie off the image plane"),
    "one tilted": (places(range(16)), {"element_normals": NORMALS}, "elements are tilted"),
    "uneven": (moved(5, 0, 3 * SMALL), {}, "the pitch is not uniform"),
    "no common pitch": (places([0, 1, 2, 2.4, 3, 4]), {}, "the pitch is not uniform"),
    "growing": (places(np.arange(16) ** 1.1), {}, "the pitch is not uniform"),
    "dense": (places(np.arange(16) / 300), {}, "elements lie on top of each other"),
    "two in one place": (places([0, 1, 2, 3, 3 + 1e-3, 4]), {}, "elements lie on top of each other"),
}


@pytest.mark.parametrize("name", NO_LINE)
def test_arrays_that_are_no_line_are_refused(name: str) -> None:
    positions, facts, what = NO_LINE[name]
    with pytest.raises(GeometryError, match=what) as caught:
        line_of(recording(positions, **facts))
    assert caught.value.path == "recording.h5"
    assert (caught.value.location or "").startswith("probe/")
    assert "method='das'" in (caught.value.hint or "")
    assert caught.value.found


def test_a_tilted_element_is_shown() -> None:
    with pytest.raises(GeometryError) as caught:
        line_of(recording(places(range(16)), element_normals=NORMALS))
    assert caught.value.location == "probe/element_normals"
    assert "0.1" in str(caught.value.found)


def mixed(probe: ub.Probe) -> ub.Transmits:
    return dataclasses.replace(
        ub.Transmits.elements(probe),
        kind=("element",) * 15 + ("plane",),
        apodization=np.vstack([np.eye(16)[:15], np.ones(16)]),
        direction=np.tile([0.0, 0.0, 1.0], (16, 1)),
    )


def steered(probe: ub.Probe) -> ub.Transmits:
    direction = np.array([[0, 0.05, np.sqrt(1 - 0.05**2)]])
    return dataclasses.replace(ub.Transmits.plane(probe, [0.0], SPEED), direction=direction)


LINE = ub.Probe(element_positions=places(range(16)), center_frequency=5e6)
TRANSMITS = {
    "focused": (ub.Transmits.focused(LINE, [[0, 0, 30e-3]], SPEED), "transmit/kind", "focused"),
    "diverging": (ub.Transmits.focused(LINE, [[0, 0, -5e-3]], SPEED), "transmit/kind", "diverging"),
    "custom": (dataclasses.replace(ub.Transmits.elements(LINE), kind=("custom",) * 16), "transmit/kind", "custom"),
    "mixed": (mixed(LINE), "transmit/kind", "element, plane"),
    "out of plane": (steered(LINE), "transmit/direction", "0.05"),
}


@pytest.mark.parametrize("name", TRANSMITS)
def test_transmits_without_an_exact_form_are_refused(name: str) -> None:
    fired, location, found = TRANSMITS[name]
    with pytest.raises(GeometryError) as caught:
        wave_kind(recording(places(range(16)), fired))
    assert (caught.value.location, caught.value.found, caught.value.path) == (location, found, "recording.h5")
    assert "method='das'" in (caught.value.hint or "")


def test_single_elements_and_plane_waves_have_an_exact_form() -> None:
    assert wave_kind(recording(places(range(16)))) == "element"
    assert wave_kind(recording(places(range(16)), ub.Transmits.plane(LINE, [-0.2, 0.1], SPEED))) == "plane"


# Depths


ANY = recording(places(range(4)))


def test_depth_steps() -> None:
    x = np.zeros(1)
    assert depth_step(ANY, ub.Grid(x, np.linspace(1e-3, 2e-3, 11))) == pytest.approx(0.1e-3)
    assert depth_step(ANY, ub.Grid(x, np.array([1e-3, 4e-3]))) == pytest.approx(3e-3)
    assert depth_step(ANY, ub.Grid(x, np.array([1e-3]))) == pytest.approx(WAVELENGTH / 4)
    rounded = np.round(np.linspace(1e-3, 2e-3, 30), 6)  # by half a micrometre
    assert depth_step(ANY, ub.Grid(x, rounded)) == pytest.approx(1e-3 / 29)


@pytest.mark.parametrize("z", [[1e-3, 2e-3, 4e-3], [1e-3, 1.1e-3, 1.2e-3 + 3 * SMALL], np.geomspace(1e-3, 1e-2, 20)])
def test_uneven_depths_are_refused(z: Any) -> None:
    with pytest.raises(GeometryError, match=r"grid\.z: Fourier beamforming needs equal steps in depth") as caught:
        depth_step(ANY, ub.Grid(np.zeros(1), np.asarray(z)))
    assert "method='das'" in (caught.value.hint or "")
