"""The delay-and-sum kernel against plain NumPy sums, and the delay tables against their formulas."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbeam.kernels import das_cpu
from usbeam.kernels.conventions import FOCUSED, FRACTION_BITS, MAX_SAMPLES, N_PHASES, PHASE_BITS, PLANE, SPHERICAL

TICK = 1 << FRACTION_BITS
TAPS = (1, 2, 4)


@dataclass
class Work:
    """Arguments of `das` in their order."""

    traces: np.ndarray
    receive: np.ndarray
    first: np.ndarray
    transmit: np.ndarray
    transmit_delay: np.ndarray
    receive_delay: np.ndarray
    transmit_active: np.ndarray
    receive_active: np.ndarray
    transmit_window: np.ndarray | None
    receive_window: np.ndarray | None
    image: np.ndarray
    table: np.ndarray
    column: int
    out: np.ndarray

    def run(self) -> np.ndarray:
        found = self.out.copy()
        das_cpu.das(*(getattr(self, name) for name in list(self.__dataclass_fields__)[:-1]), found)
        return found

    def check(self) -> None:
        wanted = plain_sum(self)
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(self.run(), wanted, atol=2e-5 * scale)


def plain_sum(work: Work) -> np.ndarray:
    """The docstring's formula, one pair and one column at a time, in complex128."""
    out = work.out.astype(np.complex128)
    n_x, n_z = work.transmit_delay.shape[1:]
    n_samples, n_taps = work.traces.shape[1], work.table.shape[1]
    depth = np.arange(n_z)
    for event, t in enumerate(work.transmit):
        heard = np.zeros((n_x, n_z), np.complex128)
        for p in range(work.first[event], work.first[event + 1]):
            r = work.receive[p]
            for c in range(n_x):
                ticks = work.transmit_delay[t, c].astype(np.int64) + work.receive_delay[r, c]
                sample = ticks // TICK
                row = ticks % TICK >> (FRACTION_BITS - PHASE_BITS)
                here = (sample >= 0) & (sample + n_taps <= n_samples)
                for active in (work.transmit_active[t, c], work.receive_active[r, c]):
                    here &= (depth >= active[0]) & (depth < active[1])
                k = np.flatnonzero(here)
                taps = work.traces[p][sample[k, None] + np.arange(n_taps)]
                value = np.sum(work.table[row[k]].astype(np.complex128) * taps, axis=1)
                heard[c, k] += value if work.receive_window is None else value * work.receive_window[r, c, k]
        if work.transmit_window is not None:
            heard *= work.transmit_window[t]
        out[work.image[event], :, work.column : work.column + n_x] += heard.T
    return out


def work(
    seed: int = 0,
    *,
    n_x: int = 5,
    n_z: int = 40,
    n_samples: int = 60,
    n_taps: int = 2,
    counts: tuple[int, ...] = (3, 1, 0, 4),
    n_legs: int = 5,
    n_images: int = 1,
    windows: tuple[bool, bool] = (False, False),
) -> Work:
    """Random traces and delays; some delays before the record, past it, and exactly on either edge."""
    rng = np.random.default_rng(seed)
    n_pairs = sum(counts)

    def noise(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    def delays() -> np.ndarray:
        return rng.integers(-6 * TICK, (n_samples // 2 + 6) * TICK, (n_legs, n_x, n_z), np.int32)

    def active() -> np.ndarray:
        return np.sort(rng.integers(0, n_z + 1, (n_legs, n_x, 2)), axis=-1).astype(np.int32)

    transmit_delay, receive_delay = delays(), delays()
    # Sums that hit the edges: the first and last readable tick of each end, one tick beyond, and the extremes.
    last = (n_samples - n_taps + 1) * TICK
    edges = np.array([0, -1, last - 1, last, last - TICK, 2 * (MAX_SAMPLES - 1) * TICK, -2 * MAX_SAMPLES * TICK])
    for leg, column, k in itertools.product(range(n_legs), range(n_x), range(0, n_z, 3)):
        edge = edges[(leg + column + k) % len(edges)]
        transmit_delay[leg, column, k] = edge // 2
        receive_delay[:, column, k] = edge - edge // 2
    transmit_active, receive_active = active(), active()
    transmit_active[0, 0], receive_active[0] = (0, n_z), (0, n_z)  # at least one is whole
    transmit_active[-1], receive_active[-1, 0] = (n_z, 0), (0, 0)  # and one empty, as `leg_tables` writes it
    window = [rng.random((n_legs, n_x, n_z), np.float32) if given_ else None for given_ in windows]
    return Work(
        traces=noise(n_pairs, n_samples),
        receive=rng.integers(0, n_legs, n_pairs).astype(np.int32),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        transmit=rng.integers(0, n_legs, len(counts)).astype(np.int32),
        transmit_delay=transmit_delay,
        receive_delay=receive_delay,
        transmit_active=transmit_active,
        receive_active=receive_active,
        transmit_window=window[0],
        receive_window=window[1],
        image=rng.integers(0, n_images, len(counts)),
        table=noise(N_PHASES, n_taps),
        column=0,
        out=np.zeros((n_images, n_z, n_x), np.complex64),
    )


@pytest.mark.parametrize("n_taps", TAPS)
def test_equals_a_plain_sum(n_taps: int) -> None:
    made = work(n_taps=n_taps)
    assert np.abs(made.run()).max() > 1
    made.check()


@pytest.mark.parametrize("windows", [(True, False), (False, True), (True, True)])
def test_windows_on_either_leg(windows: tuple[bool, bool]) -> None:
    work(1, windows=windows).check()


@pytest.mark.parametrize(("n_x", "n_z"), [(1, 1), (1, 700), (17, 1), (16, 640), (33, 1281)])
def test_sizes_that_are_no_multiple_of_the_tile(n_x: int, n_z: int) -> None:
    work(2, n_x=n_x, n_z=n_z, counts=(2, 1)).check()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_x=st.integers(1, 20),
    n_z=st.integers(1, 60),
    n_samples=st.integers(1, 40),
    n_taps=st.sampled_from(TAPS),
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple),
    n_images=st.integers(1, 4),
)
def test_any_sizes(**sizes) -> None:
    work(**sizes).check()


@pytest.mark.parametrize("n_taps", TAPS)
@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 5])
def test_records_about_as_short_as_the_taps(n_taps: int, n_samples: int) -> None:
    made = work(3, n_samples=n_samples, n_taps=n_taps)
    made.transmit_delay //= 8
    made.check()
    if n_samples < n_taps:
        assert not made.run().any()


def test_one_trace_at_one_point() -> None:
    made = work(n_x=1, n_z=1, counts=(1,), n_legs=1, n_samples=9)
    made.transmit_active[:], made.receive_active[:] = (0, 1), (0, 1)
    made.transmit_delay[:], made.receive_delay[:] = 3 * TICK, TICK + TICK // 2
    wanted = np.sum(made.table[N_PHASES // 2] * made.traces[0, 4:6])
    np.testing.assert_allclose(made.run(), [[[wanted]]], rtol=1e-5)


def test_no_pair_adds_nothing() -> None:
    made = work(counts=(0, 0))
    assert not made.run().any()


def test_adds_to_what_is_there() -> None:
    made = work(4, n_images=2)
    added = made.run()
    made.out[:] = 3 - 1j
    np.testing.assert_allclose(made.run(), added + made.out, atol=1e-4)


@pytest.mark.parametrize("windows", [(False, False), (True, False)])
@pytest.mark.parametrize("image", [[0, 0, 1, 1], [2, 0, 0, 2], [1, 1, 1, 1]])
def test_each_transmit_adds_to_its_image(image: list[int], windows: tuple[bool, bool]) -> None:
    made = work(5, n_images=3, windows=windows)
    made.image[:] = image
    made.check()
    assert not any(found.any() for i, found in enumerate(made.run()) if i not in image)


def test_columns_of_wider_images() -> None:
    made = work(6, n_images=2)
    wanted = made.run()
    made.column, made.out = 2, np.zeros((2, 40, 8), np.complex64)
    found = made.run()
    np.testing.assert_array_equal(found[:, :, 2:7], wanted)
    assert not found[:, :, [0, 1, 7]].any()


def test_a_delay_beyond_the_last_sample_reads_nothing_beyond_it() -> None:
    """A NaN right behind the last trace would show."""
    made = work(6, n_taps=4)
    n_pairs, n_samples = made.traces.shape
    guarded = np.full(n_pairs * n_samples + 64, np.nan, np.complex64)
    guarded[32:-32] = made.traces.ravel()
    made.traces = guarded[32:-32].reshape(n_pairs, n_samples)
    last = (n_samples - 4) * TICK + TICK - 1
    made.transmit_delay[:], made.receive_delay[:] = last, 0
    made.receive_delay[:, :, 1::2] = 1
    made.transmit_active[:], made.receive_active[:] = (0, 40), (0, 40)
    found = made.run()
    assert np.isfinite(found).all()
    assert found[:, 0::2].any()
    assert not found[:, 1::2].any()


# Delay tables

X, Z = np.array([-3e-3, 0.0, 0.4e-3, 2e-3]), np.linspace(-0.5e-3, 12e-3, 23)
SPEED, UNITS = 1540.0, 25e6 * TICK
EDGES = np.array([-MAX_SAMPLES * TICK, MAX_SAMPLES * TICK - 1])
SOURCES = np.array([[0.5e-3, 0.3e-3, 0.0], [-1e-3, 0.0, 1e-3], [2e-3, 0.0, -4e-3], [0.4e-3, 0.0, 6e-3]])
TIMES = np.array([0.1e-6, -0.4e-6, 0.7e-6, 1.3e-6])
TILTED = np.array([0.6, 0.0, 0.8])


@dataclass
class Found:
    delay: np.ndarray
    active: np.ndarray
    weights: np.ndarray


def tables(shape: list[int], first: list[int], axis: np.ndarray, *, window=(2.0, 0.0, 0.0), full=True) -> Found:
    n = len(shape)
    weights = np.full((n, len(X), len(Z)) if full else (0, 0, 0), np.nan, np.float32)
    delay, active = das_cpu.leg_tables(
        np.array(shape, np.int8),
        np.array(first),
        SOURCES,
        TIMES,
        np.atleast_2d(axis),
        EDGES,
        X,
        Z,
        SPEED,
        UNITS,
        *map(float, window),
        weights,
    )
    return Found(delay, active, weights)


def offsets(source: int) -> np.ndarray:
    points = np.stack(np.broadcast_arrays(X[:, None], 0.0, Z[None]), axis=-1)
    return points - SOURCES[source]


def assert_delay(found: np.ndarray, seconds: np.ndarray) -> None:
    np.testing.assert_allclose(found, seconds * UNITS, atol=0.51, rtol=1e-12)


def test_spherical_waves_of_one_and_of_several_sources() -> None:
    found = tables([SPHERICAL, SPHERICAL], [0, 1, 4], np.tile([0, 0, 1.0], (2, 1)))
    arrivals = [TIMES[s] + np.linalg.norm(offsets(s), axis=-1) / SPEED for s in range(4)]
    assert_delay(found.delay[0], arrivals[0])
    assert_delay(found.delay[1], np.min(arrivals[1:], axis=0))
    assert len({int(np.argmin([a.ravel()[i] for a in arrivals[1:]])) for i in range(arrivals[0].size)}) > 1


def test_a_plane_wave() -> None:
    found = tables([PLANE], [1, 2], TILTED)
    assert_delay(found.delay[0], TIMES[1] + offsets(1) @ TILTED / SPEED)


def test_a_focused_wave_turns_its_sign_at_the_focus() -> None:
    found = tables([FOCUSED], [3, 4], TILTED)
    ahead = np.where(offsets(3) @ TILTED >= 0, 1, -1)
    assert {-1, 1} == set(np.unique(ahead))
    assert_delay(found.delay[0], TIMES[3] + ahead * np.linalg.norm(offsets(3), axis=-1) / SPEED)


def test_without_a_window_every_depth_is_active() -> None:
    found = tables([SPHERICAL, PLANE, FOCUSED], [0, 1, 2, 3], np.tile([0, 0, 1.0], (3, 1)))
    np.testing.assert_array_equal(found.active, np.tile([0, len(Z)], (3, len(X), 1)))
    np.testing.assert_array_equal(found.weights, 1)


def expected_window(source: int, axis: np.ndarray, window: tuple[float, float, float]) -> np.ndarray:
    max_sine, taper, pedestal = window
    along = offsets(source) @ axis
    sine = np.sqrt(np.clip(1 - (along / np.linalg.norm(offsets(source), axis=-1)) ** 2, 0, None))
    u = sine / max_sine
    fall = np.clip((u - (1 - taper)) / max(taper, 1e-12), 0, 1)
    weight = np.where(u <= 1 - taper, 1.0, pedestal + (1 - pedestal) * np.cos(np.pi / 2 * fall) ** 2)
    return np.where((along > 0) & (u <= 1), weight, 0)


@pytest.mark.parametrize("axis", [np.array([0, 0, 1.0]), TILTED])
@pytest.mark.parametrize(
    "window", [(0.7, 0.0, 0.0), (0.7, 1.0, 0.0), (0.5, 1.0, 0.08), (0.9, 0.5, 0.0), (1.0, 0.3, 0.0)]
)
def test_windows_follow_the_angle_to_the_axis(axis: np.ndarray, window: tuple[float, float, float]) -> None:
    found = tables([SPHERICAL], [0, 1], axis, window=window)
    wanted = expected_window(0, axis, window)
    np.testing.assert_allclose(found.weights[0], wanted, atol=1e-6)
    assert 0 < np.count_nonzero(wanted) < wanted.size
    for column, (start, stop) in enumerate(found.active[0]):
        used = np.flatnonzero(wanted[column])
        assert (start, stop) == ((used[0], used[-1] + 1) if used.size else (len(Z), 0))


def test_nothing_is_heard_behind_an_element() -> None:
    found = tables([SPHERICAL], [0, 1], np.array([0, 0, 1.0]), window=(1.0, 0.0, 0.0))
    np.testing.assert_array_equal(found.weights[0] > 0, np.tile(Z > 0, (len(X), 1)))
    away = tables([SPHERICAL], [0, 1], np.array([0, 0, -1.0]), window=(1.0, 0.0, 0.0))
    np.testing.assert_array_equal(away.weights[0] > 0, np.tile(Z < 0, (len(X), 1)))


@given(st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 0.5))
@settings(deadline=None)
def test_weights_lie_between_0_and_1_and_fall_with_the_angle(max_sine: float, taper: float, pedestal: float) -> None:
    found = tables([SPHERICAL], [0, 1], np.array([0, 0, 1.0]), window=(max_sine, taper, pedestal))
    weights, ahead = found.weights[0].ravel(), (offsets(0)[..., 2] > 0).ravel()
    assert np.all((weights >= 0) & (weights <= 1))
    sine = np.linalg.norm(offsets(0)[..., :2], axis=-1) / np.linalg.norm(offsets(0), axis=-1)
    order = np.argsort(sine.ravel()[ahead])
    assert np.all(np.diff(weights[ahead][order]) <= 1e-6)


def test_weights_are_only_written_where_they_are_wanted() -> None:
    window = (0.7, 0.0, 0.0)
    short = tables([SPHERICAL], [0, 1], np.array([0, 0, 1.0]), window=window, full=False)
    full = tables([SPHERICAL], [0, 1], np.array([0, 0, 1.0]), window=window)
    np.testing.assert_array_equal(short.active, full.active)
    np.testing.assert_array_equal(short.delay, full.delay)


def test_delays_beyond_the_table_are_clipped_and_their_sum_still_counts() -> None:
    times = np.array([1.0, -1.0])
    delay, _ = das_cpu.leg_tables(
        np.zeros(2, np.int8),
        np.arange(3),
        SOURCES[:2],
        times,
        np.tile([0, 0, 1.0], (2, 1)),
        EDGES,
        X,
        Z,
        SPEED,
        UNITS,
        2.0,
        0.0,
        0.0,
        np.zeros((0, 0, 0), np.float32),
    )
    np.testing.assert_array_equal(delay[0], EDGES[1])
    np.testing.assert_array_equal(delay[1], EDGES[0])
    assert 2 * int(EDGES[1]) < 2**31
    assert 2 * int(EDGES[0]) >= -(2**31)
