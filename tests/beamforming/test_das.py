"""Delay-and-sum against a naive float64 oracle, and the physics that any beamformer must show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.signal

import usbeam as ub
from usbeam.beamforming.traces import pair

from .conftest import POINTS, SPEED, close, error_db, probe, record
from .oracle import delay_and_sum

TOLERANCE = 2e-4


def image(acquisition: ub.Acquisition, grid: ub.Grid, weights=None, **options) -> np.ndarray:
    return ub.beamform(acquisition, grid, transmits=weights, **options).data


def analytic_copy(acquisition: ub.Acquisition) -> ub.Acquisition:
    signal = scipy.signal.hilbert(np.asarray(acquisition.samples), axis=-1).astype(np.complex64)
    return acquisition.replace(samples=signal, kind="iq")


def demodulated_copy(acquisition: ub.Acquisition, frequency: float) -> ub.Acquisition:
    """IQ: the analytic signal mixed with the time after the trigger."""
    signal = scipy.signal.hilbert(np.asarray(acquisition.samples), axis=-1)
    time = acquisition.start_time[:, None, None] + np.arange(acquisition.n_samples) / acquisition.sampling_frequency
    mixed = (signal * np.exp(-2j * np.pi * frequency * time)).astype(np.complex64)
    return acquisition.replace(samples=mixed, kind="iq", demodulation_frequency=frequency)


@pytest.mark.parametrize("upsampling", [1, 2])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_equals_the_oracle(matrix, grid, interpolation, upsampling):
    weights = ub.subsets.all(matrix)
    options = {"interpolation": interpolation, "upsampling": upsampling}
    wanted = delay_and_sum(matrix, grid, weights, **options)
    # Nearest jumps from sample to sample, and a tie may fall either way.
    tolerance = 1e-3 if interpolation == "nearest" else TOLERANCE
    assert close(image(matrix, grid, weights, **options), wanted) < tolerance


@pytest.mark.parametrize("window", ["boxcar", "hann", "hamming", "tukey"])
def test_windows_on_both_legs_equal_the_oracle(matrix, grid, window):
    weights = ub.subsets.random(matrix, 5, seed=1)
    # F-numbers for which no image point lies exactly on the edge of a boxcar.
    options = {"f_number": 1.234, "window": window, "transmit_f_number": 0.876, "transmit_window": "hann"}
    wanted = delay_and_sum(matrix, grid, weights, interpolation="linear", **options)
    assert close(image(matrix, grid, weights, interpolation="linear", upsampling=1, **options), wanted) < TOLERANCE


@pytest.mark.parametrize("kind", ["plane", "plane_centred", "diverging", "focused", "custom"])
def test_every_kind_of_transmit_equals_the_oracle(grid, kind):
    array = probe()
    if kind.startswith("plane"):
        zero = "center" if kind == "plane_centred" else "first"
        fired = ub.Transmits.plane(array, np.deg2rad([-8, 0, 11]), SPEED, time_zero=zero)
    elif kind == "diverging":
        fired = ub.Transmits.focused(array, [[-3e-3, 0, -6e-3], [2e-3, 0, -4e-3]], SPEED)
    elif kind == "focused":
        fired = ub.Transmits.focused(array, [[0, 0, 30e-3], [2e-3, 0, 25e-3]], SPEED)
    else:
        single = ub.Transmits.elements(array, [2, 9])
        delays = single.delays + np.array([[1e-7], [3e-7]])
        fired = dataclasses.replace(single, kind=("custom", "custom"), delays=delays)
    recording = record(fired, array)
    weights = ub.subsets.all(recording)
    wanted = delay_and_sum(recording, grid, weights, interpolation="cubic")
    assert close(image(recording, grid, weights, interpolation="cubic", upsampling=1), wanted) < TOLERANCE


def test_default_interpolation_is_within_40_db_of_eightfold_upsampling(matrix, grid):
    fine = image(matrix, grid, interpolation="cubic", upsampling=8)
    default = ub.Plan(matrix, grid)
    assert error_db(default(matrix.frame(0))[0].data, fine) < -40
    # Nearest neighbour at the same rate is not: the test can tell.
    assert error_db(image(matrix, grid, interpolation="nearest", upsampling=1), fine) > -40


@pytest.mark.parametrize("kind", ["element", "plane"])
def test_points_are_where_they_are(kind):
    """64 x 64, start time, pulse peak and lens all non-zero: peaks within 0.05 wavelength."""
    array = probe(64)
    angles = np.deg2rad(np.linspace(-12, 12, 15))
    fired = ub.Transmits.elements(array) if kind == "element" else ub.Transmits.plane(array, angles, SPEED)
    recording = record(fired, array)
    assert np.all(np.asarray(recording.start_time) > 0)
    wavelength = recording.wavelength
    for x, _, z in POINTS:
        around = ub.Grid.linear(x=(x - 1e-3, x + 1e-3), z=(z - 0.5e-3, z + 0.5e-3), shape=(201, 201))
        envelope = np.abs(image(recording, around))
        i, k = np.unravel_index(np.argmax(envelope), envelope.shape)
        assert np.hypot(around.x[k] - x, around.z[i] - z) < 0.05 * wavelength


def test_lateral_width_is_the_diffraction_limit():
    """-6 dB width of the two-way (tx = rx) aperture: 0.886 lambda z / D for sinc^2 taken as sinc at -3 dB each."""
    array = probe(64)
    recording = record(ub.Transmits.elements(array), array, points=np.array([[0.0, 0.0, 60e-3]]), depth=(58e-3, 62e-3))
    grid = ub.Grid.linear(x=(-2e-3, 2e-3), z=(59.9e-3, 60.1e-3), shape=(3, 801))
    cut = np.abs(image(recording, grid)[1])
    inside = grid.x[cut >= cut.max() / 2]
    width = inside[-1] - inside[0]
    theory = 0.886 * recording.wavelength * 60e-3 / (64 * 0.6e-3)
    assert width == pytest.approx(theory, rel=0.1)


def test_linear_in_transmits(matrix, grid):
    parts = ub.subsets.disjoint(matrix, 3)
    total = sum(image(matrix, grid, part) for part in parts)
    assert close(total, image(matrix, grid)) < 1e-5


def test_weights_scale_and_flip_a_transmit(matrix, grid):
    weights = np.zeros(16)
    weights[3], weights[7] = -2.0, 0.5
    wanted = -2 * image(matrix, grid, ub.subsets.index(matrix, [3])) + 0.5 * image(
        matrix, grid, ub.subsets.index(matrix, [7])
    )
    assert close(image(matrix, grid, weights), wanted) < 1e-5


def test_one_pass_for_several_subsets_equals_each_alone(matrix, grid):
    chosen = [ub.subsets.ends(matrix, 2), ub.subsets.all(matrix), ub.subsets.every(matrix, 3)]
    together = ub.Plan(matrix, grid, transmits=chosen)(matrix.frame(0))
    for weights, made in zip(chosen, together, strict=True):
        assert close(made.data, image(matrix, grid, weights)) < 1e-5


def test_mirror_symmetry(grid):
    array = probe()
    recording = record(ub.Transmits.elements(array), array)
    mirrored = recording.replace(samples=np.asarray(recording.samples)[:, ::-1, ::-1])
    assert close(image(mirrored, grid), image(recording, grid)[:, ::-1]) < 2e-5


def test_zero_in_zero_out(matrix, grid):
    silent = matrix.replace(samples=np.zeros_like(matrix.samples))
    made = ub.beamform(silent, grid)
    assert not made.data.any()
    assert np.all(made.db(60).data == -60)


@pytest.mark.parametrize("window", [None, "hann"])
def test_fold_is_exact(matrix, grid, window):
    rng = np.random.default_rng(0)  # not reciprocal: the fold assumes nothing of the data
    noise = matrix.replace(samples=rng.standard_normal(matrix.samples.shape).astype(np.float32))
    both = (
        {}
        if window is None
        else {"f_number": 1.0, "window": window, "transmit_f_number": 1.0, "transmit_window": window}
    )
    weights = np.linspace(-1, 2, 16)
    folded = ub.Plan(noise, grid, transmits=weights, **both)
    plain = ub.Plan(noise, grid, transmits=weights, fold=False, **both)
    assert folded.settings["folded"]
    assert not plain.settings["folded"]
    assert folded.cost < 0.6 * plain.cost
    assert close(folded(noise.frame(0))[0].data, plain(noise.frame(0))[0].data) < 1e-5


def test_fold_is_not_used_where_it_would_be_wrong(matrix, grid):
    assert not ub.Plan(matrix, grid, f_number=1.0).settings["folded"]
    staggered = matrix.replace(start_time=matrix.start_time + np.arange(16) * 1e-8)
    assert not ub.Plan(staggered, grid).settings["folded"]


def half_of(matrix: ub.Acquisition) -> ub.Acquisition:
    """Store rx >= tx only, as full-matrix capture systems do."""
    tx, rx = np.mgrid[:16, :16]
    stored = rx >= tx
    return matrix.replace(
        samples=np.asarray(matrix.samples) * stored[None, :, :, None], receive_elements=np.where(stored, rx, -1)
    )


@pytest.mark.parametrize("chosen", ["all", "ends:2", "index:3,4,11"])
def test_half_matrix_gives_the_image_of_the_full_matrix(matrix, grid, chosen):
    half = half_of(matrix)
    assert half.is_half_matrix
    weights = ub.subsets.parse(chosen, matrix)
    for fold in (True, False):
        assert close(image(half, grid, weights, fold=fold), image(matrix, grid, weights)) < 1e-5


@pytest.mark.parametrize("options", [{}, {"f_number": 1.0, "window": "hann"}])
def test_tiled_equals_untiled(matrix, grid, options):
    whole = image(matrix, grid, memory_budget=1e9, **options)
    for budget in (1.0, 2e5, 1e6):
        assert close(image(matrix, grid, memory_budget=budget, **options), whole) < 1e-6


@pytest.mark.parametrize("start", ["same", "staggered"])
def test_rf_analytic_and_iq_agree(matrix, grid, start):
    if start == "staggered":  # IQ owes its phase to the time after the trigger, so unequal starts must not matter
        moved = np.asarray(matrix.samples).copy()
        starts = matrix.start_time.copy()
        for t in range(16):
            moved[0, t] = np.roll(moved[0, t], -(t % 3), axis=-1)
            starts[t] += (t % 3) / matrix.sampling_frequency
        matrix = matrix.replace(samples=moved, start_time=starts)
    rf = np.abs(image(matrix, grid, interpolation="cubic"))
    bright = rf > rf.max() * 10 ** (-30 / 20)
    for other in (analytic_copy(matrix), demodulated_copy(matrix, 5e6), demodulated_copy(matrix, 4.6e6)):
        envelope = np.abs(image(other, grid, interpolation="cubic"))
        assert np.abs(envelope - rf)[bright].max() < 0.01 * rf.max()
        assert np.all(np.abs(envelope / np.where(bright, rf, 1) - 1)[bright] < 0.01)


@pytest.mark.parametrize("make", [analytic_copy, lambda a: demodulated_copy(a, 4.7e6)])
def test_complex_samples_equal_the_oracle(matrix, grid, make):
    recording = make(matrix)
    weights = ub.subsets.ends(matrix, 4)
    wanted = delay_and_sum(recording, grid, weights, interpolation="linear", upsampling=2)
    assert close(image(recording, grid, weights, interpolation="linear", upsampling=2), wanted) < TOLERANCE


def test_int16_samples_give_the_float_image(matrix, grid):
    step = float(np.abs(matrix.samples).max()) / 30000
    integers = np.round(np.asarray(matrix.samples) / step).astype(np.int16)
    stored = matrix.replace(samples=integers, scale=step)
    assert error_db(image(stored, grid), image(matrix, grid)) < -70


def test_frames_of_one_plan(matrix, grid):
    samples = np.concatenate([np.asarray(matrix.samples), 3 * np.asarray(matrix.samples)])
    film = matrix.replace(samples=samples)
    plan = ub.Plan(film, grid)
    first, second = (images[0].data for images in plan.frames())
    assert close(second, 3 * first) < 1e-6
    assert np.array_equal(first, image(matrix, grid))


def test_any_memory_layout(matrix, grid):
    frame = matrix.frame(0)
    plan = ub.Plan(matrix, grid)
    wanted = plan(frame)[0].data
    locked = frame.copy()
    locked.flags.writeable = False
    reversed_view = np.ascontiguousarray(frame[:, :, ::-1])[:, :, ::-1]
    for layout in (np.asfortranarray(frame), reversed_view, locked, frame.astype(">f4"), frame.astype(np.float64)):
        assert np.array_equal(plan(layout)[0].data, wanted)


def test_moving_receive_aperture(matrix, grid):
    """Each transmit stores the 8 receivers next to it; equal to the full matrix with the others silenced."""
    first = np.clip(np.arange(16) - 4, 0, 8)
    index = first[:, None] + np.arange(8)
    kept = np.take_along_axis(np.asarray(matrix.samples), index[None, :, :, None], axis=2)
    moving = matrix.replace(samples=kept, receive_elements=index)
    mask = np.zeros((16, 16))
    np.put_along_axis(mask, index, 1, axis=1)
    silenced = matrix.replace(samples=(np.asarray(matrix.samples) * mask[None, :, :, None]).astype(np.float32))
    assert close(image(moving, grid), image(silenced, grid)) < 1e-5


def test_another_sound_speed_moves_the_image(matrix, grid):
    weights = ub.subsets.all(matrix)
    wanted = delay_and_sum(matrix, grid, weights, interpolation="linear", sound_speed=1480.0)
    made = image(matrix, grid, weights, sound_speed=1480.0, interpolation="linear", upsampling=1)
    assert close(made, wanted) < TOLERANCE


def test_nothing_is_made_up_beyond_the_record(matrix):
    deep = ub.Grid.linear(x=(-2e-3, 2e-3), z=(60e-3, 70e-3), shape=(30, 10))
    with pytest.warns(UserWarning, match="the record only"):
        plan = ub.Plan(matrix, deep)
    assert not plan(matrix.frame(0))[0].data.any()


@pytest.mark.parametrize("stored", ["full", "half"])
@pytest.mark.parametrize("fold", [True, False])
def test_cost_counts_the_traces_that_are_visited(matrix, grid, stored, fold):
    recording = half_of(matrix) if stored == "half" else matrix
    for weights in (ub.subsets.all(16), ub.subsets.random(16, 5, seed=2), np.eye(16)[3]):
        pairs = pair(recording, np.float32(weights), np.flatnonzero(weights), fold)
        assert ub.Plan(recording, grid, transmits=weights, fold=fold).cost == grid.size * len(pairs)


def test_a_frame_larger_than_the_budget_leaves_room_for_the_work():
    """192 x 192 x 2800 samples are 413 MB; the default budget holds all tables and the traces of many transmits."""

    class Header:
        shape, dtype = (1, 192, 192, 2800), np.dtype(np.float32)

    array = ub.Probe.linear(192, 0.2e-3, 5e6, bandwidth=0.65)
    recording = ub.Acquisition(
        samples=Header(),
        kind="rf",
        sampling_frequency=40e6,
        start_time=0.0,
        sound_speed=SPEED,
        probe=array,
        transmits=ub.Transmits.elements(array),
    )
    standard = ub.Grid.linear(x=(-20e-3, 20e-3), z=(2e-3, 42e-3), shape=(620, 256))
    work = ub.Plan(recording, standard)._beamformer._domain
    assert len(work.blocks) == 1
    assert work.most_pairs > 10 * 192
