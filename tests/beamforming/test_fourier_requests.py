"""What the Fourier beamformer is given: any storage, timing and grid that it can do, and the refusal of the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import usbeam as ub
from usbeam.beamforming.apodization import Window
from usbeam.errors import BadField

from .conftest import (
    BAND,
    NARROW,
    SPEED,
    WIDE,
    cone,
    correlation,
    fine_das,
    fine_probe,
    record,
    worst_db,
)
from .shot_profile import shot_profiles

TARGETS = np.array([[0.0, 0.0, 15e-3], [-3e-3, 0.0, 12e-3], [3.1e-3, 0.0, 19e-3]])
CONE = cone(WIDE, NARROW)
RECEIVE_CONE = {name: value for name, value in CONE.items() if not name.startswith("transmit")}
SAME = -90
"""What float32 leaves of equality [dB]."""
SAMPLED = -50
"""The same echoes sampled at other instants, or by a record of another length [dB]."""
GRIDDED = -55
"""Grids that differ share neither period nor gridding cells [dB]."""


def image(acquisition: ub.Acquisition, grid: ub.Grid, weights: Any = None, **options: Any) -> np.ndarray:
    settings = {**CONE, "band": BAND, **options}
    return ub.beamform(acquisition, grid, method="fourier", transmits=weights, **settings).data


def made(array: ub.Probe, fired: ub.Transmits | None = None, **options: Any) -> ub.Acquisition:
    return record(ub.Transmits.elements(array) if fired is None else fired, array, points=TARGETS, **options)


@pytest.fixture(scope="module")
def matrix() -> ub.Acquisition:
    """Full matrix, 16 x 16."""
    return made(fine_probe(16))


@pytest.fixture(scope="module")
def wanted(matrix, grid) -> np.ndarray:
    """Its image."""
    return image(matrix, grid)


# Storage


def test_transmits_in_any_order(matrix, grid):
    order = np.random.default_rng(0).permutation(16)
    shuffled = matrix.replace(
        samples=np.asarray(matrix.samples)[:, order], transmits=ub.Transmits.elements(matrix.probe, order)
    )
    fields = dataclasses.replace(shuffled.transmits, pulse_peak_time=matrix.transmits.pulse_peak_time[0])
    weights = ub.subsets.random(matrix, 5, seed=1)
    found = image(shuffled.replace(transmits=fields), grid, weights[order])
    assert worst_db(found, image(matrix, grid, weights)) < SAME


def test_elements_stored_from_right_to_left(matrix, grid, wanted):
    probe = dataclasses.replace(matrix.probe, element_positions=matrix.probe.element_positions[::-1])
    fields = dataclasses.replace(ub.Transmits.elements(probe), pulse_peak_time=matrix.transmits.pulse_peak_time)
    samples = np.asarray(matrix.samples)[:, ::-1, ::-1]
    assert worst_db(image(matrix.replace(probe=probe, transmits=fields, samples=samples), grid), wanted) < SAME


@pytest.mark.parametrize("windows", [cone(WIDE, WIDE), CONE], ids=["one window", "two windows"])
def test_several_subsets_equal_each_alone(matrix, grid, windows):
    chosen = [
        ub.subsets.ends(matrix, 2),
        ub.subsets.all(matrix),
        np.linspace(-1, 2, 16),
        *np.random.default_rng(0).normal(size=(30, 16)),
    ]
    together = ub.Plan(matrix, grid, method="fourier", transmits=chosen, band=BAND, **windows)(matrix.frame(0))
    for weights, found in list(zip(chosen, together, strict=True))[:5]:
        assert worst_db(found.data, image(matrix, grid, weights, **windows)) < SAME


@pytest.mark.parametrize("chosen", ["all", "ends:2", "index:3,4,11"])
@pytest.mark.parametrize("windows", [cone(WIDE, WIDE), CONE], ids=["one window", "two windows"])
def test_half_matrix_gives_the_image_of_the_full_matrix(matrix, grid, chosen, windows):
    tx, rx = np.mgrid[:16, :16]
    half = matrix.replace(
        samples=np.asarray(matrix.samples) * (rx >= tx)[None, :, :, None],
        receive_elements=np.where(rx >= tx, rx, -1),
    )
    weights = ub.subsets.parse(chosen, matrix)
    assert worst_db(image(half, grid, weights, **windows), image(matrix, grid, weights, **windows)) < SAME


@pytest.mark.parametrize("kept", ["moving", "fixed"])
def test_receivers_that_did_not_record_are_silent(matrix, grid, kept):
    """8 of 16 receivers: those next to each transmit, or always the same, not in order."""
    if kept == "moving":
        index = np.clip(np.arange(16) - 4, 0, 8)[:, None] + np.arange(8)
    else:
        index = np.tile([2, 3, 15, 7, 8, 9, 14, 0], (16, 1))
    samples = np.asarray(matrix.samples)
    few = matrix.replace(
        samples=np.take_along_axis(samples, index[None, :, :, None], axis=2),
        receive_elements=index if kept == "moving" else index[0],
    )
    mask = np.zeros((16, 16), np.float32)
    np.put_along_axis(mask, index, 1, axis=1)
    silenced = matrix.replace(samples=samples * mask[None, :, :, None])
    assert worst_db(image(few, grid), image(silenced, grid)) < SAME


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_int16_samples_give_the_float_image(matrix, grid, wanted, offset):
    peak = float(np.abs(matrix.samples).max())
    step = peak / 20000
    integers = np.round((np.asarray(matrix.samples) - offset * peak) / step).astype(np.int16)
    stored = matrix.replace(samples=integers, scale=step, offset=offset * peak)
    assert worst_db(image(stored, grid), wanted) < -65


def mixed(acquisition: ub.Acquisition, frequency: float, every: int) -> ub.Acquisition:
    """The analytic signal, mixed with the time after the trigger if `frequency` is not 0, every n-th sample kept."""
    signal = scipy.signal.hilbert(np.asarray(acquisition.samples), axis=-1)
    time = acquisition.start_time[:, None, None] + np.arange(acquisition.n_samples) / acquisition.sampling_frequency
    signal = signal * np.exp(-2j * np.pi * frequency * time)
    return acquisition.replace(
        samples=signal[..., ::every].astype(np.complex64),
        kind="iq",
        demodulation_frequency=frequency,
        sampling_frequency=acquisition.sampling_frequency / every,
    )


@pytest.mark.parametrize(("frequency", "every"), [(0.0, 1), (5e6, 1), (4.6e6, 1), (5e6, 3)])
def test_iq_gives_the_image_of_rf(matrix, grid, wanted, frequency, every):
    """Mixed and kept at a third of the rate, as scanners store it, too."""
    assert worst_db(image(mixed(matrix, frequency, every), grid), wanted) < -45


def test_frames_of_one_plan(matrix, grid, wanted):
    samples = np.asarray(matrix.samples)
    film = matrix.replace(samples=np.concatenate([samples, -3 * samples]))
    plan = ub.Plan(film, grid, method="fourier", band=BAND, **CONE)
    first, second = (images[0].data for images in plan.frames())
    assert np.array_equal(first, wanted)
    assert worst_db(second, -3 * first) < SAME


def test_any_memory_layout(matrix, grid, wanted):
    frame = matrix.frame(0)
    plan = ub.Plan(matrix, grid, method="fourier", band=BAND, **CONE)
    for layout in (np.asfortranarray(frame), frame.astype(">f4"), frame.astype(np.float64)):
        assert np.array_equal(plan(layout)[0].data, wanted)


def test_zero_in_zero_out(matrix, grid):
    assert not image(matrix.replace(samples=np.zeros_like(matrix.samples)), grid).any()


def test_nan_in_is_refused(matrix, grid):
    samples = np.asarray(matrix.samples).copy()
    samples[0, 3, 5, 100] = np.nan
    with pytest.raises(BadField, match=r"\(3, 5, 100\)"):
        image(matrix.replace(samples=samples), grid)


# Times

TIMINGS: dict[str, Callable[[ub.Probe], tuple[ub.Probe, dict[str, Any]]]] = {
    "firing delays": lambda array: (array, {"delays": np.linspace(-1e-6, 2e-6, 16)[:, None] + np.zeros((1, 16))}),
    "pulse peaks": lambda array: (array, {"pulse_peak_time": np.linspace(0, 0.7e-6, 16)}),
    "lens": lambda array: (dataclasses.replace(array, lens_delay=0.77e-6), {}),
}


@pytest.mark.parametrize("windows", [cone(WIDE, WIDE), CONE], ids=["one window", "two windows"])
@pytest.mark.parametrize("what", TIMINGS)
def test_delays_move_the_echoes_and_not_the_image(matrix, grid, what, windows):
    array, facts = TIMINGS[what](fine_probe(16))
    fired = dataclasses.replace(ub.Transmits.elements(array), **{"pulse_peak_time": 0.41e-6, **facts})
    phantom = ub.simulate.Phantom(positions=TARGETS, amplitudes=np.ones(3))
    moved = ub.simulate.record(phantom, array, fired, sampling_frequency=25e6, depth=(10e-3, 21e-3), sound_speed=SPEED)
    assert worst_db(image(moved, grid, **windows), image(matrix, grid, **windows)) < SAMPLED


@pytest.mark.parametrize("windows", [cone(WIDE, WIDE), CONE], ids=["one window", "two windows"])
def test_staggered_start_times(matrix, grid, windows):
    late = np.arange(16) % 3 * 7
    samples = np.stack([np.asarray(matrix.samples)[:, t, :, n : n - 14 or None] for t, n in enumerate(late)], axis=1)
    starts = matrix.start_time + late / matrix.sampling_frequency
    staggered = matrix.replace(samples=samples, start_time=starts)
    assert worst_db(image(staggered, grid, **windows), image(matrix, grid, **windows)) < SAMPLED


def test_a_longer_record_changes_nothing(matrix, grid, wanted):
    """Echoes from elsewhere, before and behind, do not come into the image."""
    far = np.concatenate([TARGETS, [[0, 0, 4e-3], [1e-3, 0, 45e-3]]])
    array = fine_probe(16)
    long = record(ub.Transmits.elements(array), array, points=far, depth=(3e-3, 46e-3))
    small = ub.Grid(grid.x, grid.z[20:])  # the near point's side lobes lie above
    only = image(record(ub.Transmits.elements(array), array, points=far[3:], depth=(3e-3, 46e-3)), small)
    assert worst_db(image(long, small) - only, image(matrix, small)) < SAMPLED


def test_a_short_record_does_not_wrap_around(matrix):
    """Points whose echoes come before the first or after the last sample are dark, as the oracle has them."""
    first, last = 60, 200
    short = matrix.replace(
        samples=np.asarray(matrix.samples)[..., first:last],
        start_time=matrix.start_time + first / matrix.sampling_frequency,
    )
    tall = ub.Grid.linear(x=(-5e-3, 5e-3), z=(5e-3, 33e-3), shape=(5, 11))
    windows = {"transmit_window": WIDE, "receive_window": NARROW}
    shots = shot_profiles(short, tall, band=BAND, padding=12, **windows)
    with pytest.warns(UserWarning, match="the record only"):
        found = image(short, tall)
    # The cut makes the band's edges ring, and these frequencies are sampled otherwise here and there.
    assert worst_db(found, shots.sum(axis=0)) < SAMPLED


def test_another_sound_speed_moves_the_image(matrix, grid):
    found = image(matrix, grid, sound_speed=1480.0)
    assert correlation(found, fine_das(matrix, grid, sound_speed=1480.0, **CONE)).real > 0.999


# Grids


def test_part_of_a_grid_is_part_of_its_image(matrix, grid, wanted):
    rows, columns = slice(7, 40), slice(11, 30)
    assert worst_db(image(matrix, ub.Grid(grid.x[columns], grid.z)), wanted[:, columns]) < GRIDDED
    assert worst_db(image(matrix, ub.Grid(grid.x, grid.z[rows])), wanted[rows]) < GRIDDED
    assert worst_db(image(matrix, ub.Grid(grid.x, grid.z[:-1])), wanted[:-1]) < GRIDDED  # an even number of rows
    scattered = np.sort(np.random.default_rng(0).choice(41, 13, replace=False))
    assert worst_db(image(matrix, ub.Grid(grid.x[scattered], grid.z)), wanted[:, scattered]) < GRIDDED


@pytest.mark.parametrize("shape", [(1, 41), (2, 41), (101, 1), (1, 1)])
def test_the_smallest_grids(matrix, grid, wanted, shape):
    rows, columns = np.arange(101)[44 : 44 + shape[0]], np.arange(41)[20 - shape[1] // 2 :][: shape[1]]
    found = image(matrix, ub.Grid(grid.x[columns], grid.z[rows]))
    assert np.abs(found - wanted[np.ix_(rows, columns)]).max() < 10 ** (GRIDDED / 20) * np.abs(wanted).max()


def test_a_grid_wider_than_the_array(matrix):
    """Three apertures wide: neighbouring periods of the array do not come in."""
    wide = ub.Grid.linear(x=(-8e-3, 8e-3), z=(10.5e-3, 20.5e-3), shape=(60, 65))
    assert correlation(image(matrix, wide), fine_das(matrix, wide, **CONE)).real > 0.999


@pytest.mark.parametrize(
    ("target", "window", "weighting"),
    [(2.5e-3, WIDE, "das"), (2.5e-3, WIDE, "adjoint"), (70e-3, NARROW, "das")],
    ids=["shallow", "shallow, adjoint", "deep"],
)
def test_shallow_and_deep(target, window, weighting):
    array = fine_probe(16)
    point = np.array([[1e-3, 0, target]])
    recording = record(ub.Transmits.elements(array), array, points=point, depth=(target - 1e-3, target + 1e-3))
    grid = ub.Grid.linear(x=(-1e-3, 3e-3), z=(target - 0.5e-3, target + 0.5e-3), shape=(3, 9))
    shots = shot_profiles(
        recording, grid, transmit_window=window, receive_window=NARROW, band=BAND, weighting=weighting, padding=4
    )
    found = image(recording, grid, weighting=weighting, **cone(window, NARROW))
    assert worst_db(found, shots.sum(axis=0)) < GRIDDED


@pytest.mark.parametrize("pitch", [0.08e-3, 0.7e-3])
def test_fine_and_coarse_pitch(pitch):
    """A quarter and 2.3 wavelengths: grating lobes come as they are, not folded into each other."""
    array = dataclasses.replace(fine_probe(16), element_positions=ub.Probe.linear(16, pitch, 5e6).element_positions)
    recording = made(array)
    grid = ub.Grid.linear(x=(-9e-3, 9e-3), z=(11e-3, 19e-3), shape=(3, 25))
    shots = shot_profiles(recording, grid, transmit_window=WIDE, receive_window=NARROW, band=BAND)
    assert worst_db(image(recording, grid), shots.sum(axis=0)) < GRIDDED


def test_a_raised_array(matrix, grid, wanted):
    """Elements at a depth of their own: the image moves with them."""
    move = np.array([0.7e-3, 0, 2e-3])
    raised = dataclasses.replace(matrix.probe, element_positions=matrix.probe.element_positions + move)
    found = image(matrix.replace(probe=raised), ub.Grid(grid.x + move[0], grid.z + move[2]))
    assert worst_db(found, wanted) < SAME


# Plane waves


@pytest.mark.parametrize("zero", ["first", "center"])
def test_plane_waves_equal_the_oracle_and_delay_and_sum(grid, zero):
    array = fine_probe(32)
    fired = ub.Transmits.plane(array, np.deg2rad([-8, 0, 5, 11]), SPEED, time_zero=zero)
    recording = made(array, fired)
    options = {"transmit_f_number": None, "transmit_window": "boxcar", **RECEIVE_CONE}
    few = ub.Grid.linear(x=(-3e-3, 3e-3), z=(12e-3, 19e-3), shape=(3, 13))
    shots = shot_profiles(recording, few, transmit_window=NARROW, receive_window=NARROW, band=BAND)
    for weights in (np.ones(4), [0, 0, 1, 0], [1, -0.5, 0, 2]):
        oracle = np.tensordot(weights, shots, 1)
        assert worst_db(image(recording, few, weights, **options), oracle) < GRIDDED
        found, wanted = image(recording, grid, weights, **options), fine_das(recording, grid, weights, **RECEIVE_CONE)
        assert correlation(found, wanted).real > 0.995
        assert np.linalg.norm(found) / np.linalg.norm(wanted) == pytest.approx(1, abs=0.01)


# Defaults


def test_two_transmitters_leave_no_blind_triangle_by_default():
    """Without f-numbers, points that one of the two outermost elements sees at a flat angle only are still there."""
    array = fine_probe(64)
    near = np.array([[-8e-3, 0, 8e-3], [0, 0, 6e-3], [7e-3, 0, 9e-3]])
    recording = record(ub.Transmits.elements(array), array, points=near, depth=(5e-3, 12e-3))
    grid = ub.Grid.linear(x=(-9e-3, 9e-3), z=(5.5e-3, 10e-3), shape=(91, 145))
    weights = ub.subsets.ends(recording, 2)
    found = np.abs(ub.beamform(recording, grid, method="fourier", transmits=weights).data)
    all_angles = np.abs(fine_das(recording, grid, weights))
    for x, _, z in near:
        spot = np.ix_(np.abs(grid.z - z) < 0.3e-3, np.abs(grid.x - x) < 0.4e-3)
        assert found[spot].max() > 0.1 * all_angles[spot].max()
    # Narrow windows on transmit do: the test can tell.
    blind = np.abs(image(recording, grid, weights, **cone(Window(0.35, 0.3), WIDE)))
    assert blind[np.abs(grid.z - 6e-3) < 0.3e-3].max() < 0.01 * all_angles.max()


def test_settings_say_what_was_done(matrix, grid):
    settings = ub.beamform(matrix, grid, method="fourier", **CONE).settings
    assert settings["method"] == "fourier"
    assert settings["weighting"] == "das"
    low, high = settings["band"]
    assert 0 < low < 5e6 < high < 12.5e6


@pytest.mark.parametrize("method", ["das", "fourier"])
def test_a_transmit_without_receivers_is_dark(method):
    array = fine_probe(8)
    receivers = np.tile(np.arange(8), (3, 1))
    receivers[1] = -1
    fired = ub.Transmits.plane(array, np.array([-0.1, 0, 0.1]), SPEED)
    recording = ub.Acquisition(
        samples=np.ones((1, 3, 8, 400), np.float32),
        kind="rf",
        sampling_frequency=25e6,
        start_time=0.0,
        sound_speed=SPEED,
        probe=array,
        transmits=fired,
        receive_elements=receivers,
    )
    near = ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 8e-3), shape=(30, 5))
    assert not ub.beamform(recording, near, method=method, transmits=[0, 1, 0]).data.any()
    assert ub.beamform(recording, near, method=method, transmits=[1, 0, 0]).data.any()
