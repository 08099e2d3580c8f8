"""The kernel of angular components against plain NumPy sums, and its bins against their formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbeam.kernels.backend import CPU, Backend
from usbeam.kernels.conventions import FRACTION_BITS, MAX_SAMPLES, N_PHASES, PHASE_BITS, PLANE, SPHERICAL

TICK = 1 << FRACTION_BITS
N_BINS = 8


@dataclass
class Work:
    """Arguments of `angular` in their order."""

    traces: np.ndarray
    receive: np.ndarray
    first: np.ndarray
    transmit: np.ndarray
    transmit_delay: np.ndarray
    receive_delay: np.ndarray
    transmit_active: np.ndarray
    receive_active: np.ndarray
    transmit_weight: np.ndarray
    receive_weight: np.ndarray
    transmit_bin: np.ndarray
    receive_bin: np.ndarray
    table: np.ndarray
    column: int
    out: np.ndarray

    def run(self, backend: Backend = CPU) -> np.ndarray:
        given = (getattr(self, name) for name in self.__dataclass_fields__)
        *others, out = (backend.asarray(each.copy()) if isinstance(each, np.ndarray) else each for each in given)
        backend.angular.angular(*others, out)
        return backend.numpy(out)

    def check(self, backend: Backend = CPU) -> None:
        frames = np.ndindex(self.traces.shape[:-2])
        each = [plain_sum(replace(self, traces=self.traces[frame], out=self.out[frame])) for frame in frames]
        wanted = np.reshape(each, self.out.shape)
        assert np.abs(self.run(backend) - wanted).max() < 1e-5 * max(1.0, np.abs(wanted).max())


def plain_sum(work: Work) -> np.ndarray:
    """The docstring's formula, one image point at a time, in complex128."""
    out = work.out.astype(np.complex128)
    n_samples, n_taps = work.traces.shape[1], work.table.shape[1]
    for event, t in enumerate(work.transmit):
        for p in range(work.first[event], work.first[event + 1]):
            r = work.receive[p]
            for c, k in np.ndindex(*work.receive_delay.shape[1:]):
                ticks = int(work.transmit_delay[t, c, k]) + int(work.receive_delay[r, c, k])
                sample, row = ticks // TICK, ticks % TICK >> (FRACTION_BITS - PHASE_BITS)
                active = (work.transmit_active[t, c], work.receive_active[r, c])
                if not (0 <= sample <= n_samples - n_taps and all(start <= k < stop for start, stop in active)):
                    continue
                taps = work.traces[p, sample : sample + n_taps].astype(np.complex128)
                component = work.transmit_bin[t, c, k] + work.receive_bin[r, c, k]
                weight = work.transmit_weight[t, c, k] * work.receive_weight[r, c, k]
                out[component, k, work.column + c] += taps @ work.table[row] * weight
    return out


def work(
    seed: int = 0,
    *,
    n_x: int = 5,
    n_z: int = 40,
    n_taps: int = 2,
    counts: tuple[int, ...] = (3, 1, 0, 4),
    n_samples: int = 60,
    n_legs: int = 5,
) -> Work:
    """Random traces, bins and delays; some delays before the record, past it, and exactly on either edge."""
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    def delays() -> np.ndarray:
        return rng.integers(-6 * TICK, (n_samples // 2 + 6) * TICK, (n_legs, n_x, n_z), np.int32)

    def active() -> np.ndarray:
        rows = np.sort(rng.integers(0, n_z + 1, (n_legs, n_x, 2)), axis=-1).astype(np.int32)
        rows[0], rows[-1] = (0, n_z), (n_z, 0)  # one whole, one empty as `bins` writes it
        return rows

    def bins() -> np.ndarray:
        return rng.integers(0, N_BINS, (n_legs, n_x, n_z), np.int8)

    transmit_delay, receive_delay = delays(), delays()
    last = (n_samples - n_taps + 1) * TICK
    edges = np.array([0, -1, last - 1, last, last - TICK, 2 * (MAX_SAMPLES - 1) * TICK, -2 * MAX_SAMPLES * TICK])
    for k in range(0, n_z, 3):
        edge = edges[k // 3 % len(edges)]
        transmit_delay[..., k] = edge // 2
        receive_delay[..., k] = edge - edge // 2
    weight = rng.random((2, n_legs, n_x, n_z), np.float32)
    return Work(
        traces=noise(sum(counts), n_samples),
        receive=rng.integers(0, n_legs, sum(counts)).astype(np.int32),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        transmit=rng.integers(0, n_legs, len(counts)).astype(np.int32),
        transmit_delay=transmit_delay,
        receive_delay=receive_delay,
        transmit_active=active(),
        receive_active=active(),
        transmit_weight=weight[0],
        receive_weight=weight[1],
        transmit_bin=bins(),
        receive_bin=bins(),
        table=noise(N_PHASES, n_taps),
        column=0,
        out=np.zeros((2 * N_BINS - 1, n_z, n_x), np.complex64),
    )


@pytest.mark.parametrize("n_taps", [1, 2, 4])
def test_equals_a_plain_sum(n_taps: int) -> None:
    made = work(n_taps=n_taps)
    assert np.count_nonzero(made.run().any(axis=(1, 2))) == len(made.out)
    made.check()


def test_adds_to_what_is_there_from_a_column_on() -> None:
    made = work()
    wide = np.random.default_rng(1).standard_normal((15, 40, 12)).astype(np.complex64)
    made = replace(made, column=4, out=wide)
    made.check()
    found = made.run()
    np.testing.assert_array_equal(found[..., :4], wide[..., :4])
    np.testing.assert_array_equal(found[..., 9:], wide[..., 9:])


@pytest.mark.parametrize(("n_x", "n_z"), [(1, 1), (4, 128), (5, 129), (9, 300)])
def test_tiles_of_any_size(n_x: int, n_z: int) -> None:
    work(n_x=n_x, n_z=n_z, counts=(2, 3)).check()


def several_frames() -> Work:
    """Of one recording: two by three, with the same tables."""
    frames = [work(seed, n_x=3, n_z=15) for seed in range(6)]
    traces, out = (np.stack([getattr(frame, name) for frame in frames]) for name in ("traces", "out"))
    return replace(frames[0], traces=traces.reshape(2, 3, *traces.shape[1:]), out=out.reshape(2, 3, *out.shape[1:]))


def test_several_frames_share_the_tables() -> None:
    several_frames().check()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_taps=st.sampled_from([1, 2, 4]))
def test_any_delays(seed: int, n_taps: int) -> None:
    work(seed, n_taps=n_taps, n_x=3, n_z=15).check()


def test_records_shorter_than_the_taps_add_nothing() -> None:
    assert not work(n_samples=3, n_taps=4).run().any()


# The bins

X, Z = np.linspace(-6e-3, 6e-3, 25), np.linspace(2e-3, 20e-3, 31)
PITCH, MAX_SINE, TAPER = 0.5e-3, 0.35, 0.15
LINE = np.stack([(np.arange(16) - 7.5) * PITCH, np.zeros(16), np.zeros(16)], axis=1)
DOWN = np.tile([0.0, 0.0, 1.0], (16, 1))


def cut(
    position: np.ndarray = LINE, normal: np.ndarray = DOWN, array: np.ndarray | None = None, backend: Backend = CPU
) -> tuple[np.ndarray, ...]:
    own, looks, x, z = map(backend.asarray, (position, normal, X, Z))
    whole = own if array is None else backend.asarray(array)
    reached = backend.angular.reach(whole, looks, PITCH / 2, x, z, MAX_SINE)
    found = backend.angular.bins(own, looks, x, z, reached, MAX_SINE, N_BINS, TAPER)
    return tuple(map(backend.numpy, (reached, *found)))


def check_bins(reached: np.ndarray, index: np.ndarray, weight: np.ndarray, active: np.ndarray) -> None:
    """Of the whole line of elements."""
    for c, k in np.ndindex(len(X), len(Z)):

        def sine(e: float, x: float = X[c], z: float = Z[k]) -> float:
            return float((e - x) / np.hypot(e - x, z))

        low, high = max(-MAX_SINE, sine(-8 * PITCH)), min(MAX_SINE, sine(8 * PITCH))
        if low < high:
            assert reached[c, k] == pytest.approx((low, high))
        else:
            assert reached[c, k, 0] >= reached[c, k, 1]
        for i, (e, _, _) in enumerate(LINE):
            u = (sine(e) - low) / (high - low) if high > low else -1.0
            rim = np.clip(min(u, 1 - u) / TAPER, 0, 1)
            wanted = 0.5 - 0.5 * np.cos(np.pi * rim) if abs(sine(e)) <= MAX_SINE else 0.0
            assert weight[i, c, k] == pytest.approx(wanted, abs=1e-6)
            if wanted > 0:
                assert index[i, c, k] == min(int(N_BINS * u), N_BINS - 1)
                assert active[i, c, 0] <= k < active[i, c, 1]


def test_bins_are_their_formula() -> None:
    check_bins(*cut())


def test_mirrored_arrays_have_mirrored_bins() -> None:
    _, index, weight, active = cut()
    np.testing.assert_allclose(weight[::-1, ::-1], weight, atol=1e-6)
    seen = weight > 0
    # A bin's lower rim belongs to it, its upper one does not: what lies on a rim differs.
    differs = (N_BINS - 1 - index[::-1, ::-1] != index) & seen
    assert np.count_nonzero(differs) < 0.01 * np.count_nonzero(seen)
    np.testing.assert_array_equal(active[::-1, ::-1], active)


def test_every_bin_is_used_where_the_array_reaches() -> None:
    _, index, weight, _ = cut()
    centre, bottom = len(X) // 2, len(Z) - 1
    assert set(index[weight[:, centre, bottom] > 0, centre, bottom]) == set(range(N_BINS))


def test_points_beyond_the_aperture_hear_nothing() -> None:
    _, _, weight, active = cut()
    far = np.abs(X) > 8 * PITCH + Z[0] * MAX_SINE / np.sqrt(1 - MAX_SINE**2)
    assert far.any()
    assert not weight[:, far, 0].any()
    assert np.all(active[:, far, 0] > 0)


def test_elements_that_look_away_hear_nothing() -> None:
    normal = DOWN.copy()
    normal[3] *= -1
    reached, _, weight, active = cut(normal=normal)
    assert not weight[3].any()
    assert np.all(active[3] == (len(Z), 0))
    assert weight[4].any()
    assert not np.any(reached != cut()[0])  # one in the middle reaches no further
    none, _, nothing, _ = cut(normal=-DOWN)
    assert np.all(none[..., 0] >= none[..., 1])
    assert not nothing.any()


# The bins of waves


def arriving(
    shape: int, x: np.ndarray, reached: np.ndarray, n_bins: int = N_BINS, backend: Backend = CPU
) -> np.ndarray:
    """Of waves whose directions have these sines, or that come from virtual sources at these places, 8 mm behind."""
    shapes, none = np.full(len(x), shape, np.int8), np.zeros_like(x)
    position = np.stack([none if shape == PLANE else x, none, np.full_like(x, -8e-3)], axis=1)
    axis = np.stack([x, none, np.sqrt(1 - x**2)], axis=1)
    given = map(backend.asarray, (shapes, position, axis, X, Z, reached))
    return backend.numpy(backend.angular.wave_bins(*given, n_bins))


STEERED = np.sin(np.radians([-24.0, -9.0, -1.0, 2.0, 5.0, 16.0]))
BEHIND = np.array([-7e-3, -2e-3, -0.4e-3, 1e-3, 3.3e-3])


def check_wave_bins(shape: int, places: np.ndarray, n_bins: int, backend: Backend = CPU) -> None:
    reached, *_ = cut()
    found = arriving(shape, places, reached, n_bins, backend)
    half, nothing = n_bins // 2, 0
    for c, k in np.ndindex(len(X), len(Z)):
        low, high = reached[c, k]
        if not low < high:
            assert not found[:, c, k].any()
            nothing += 1
            continue
        # A wave that travels to larger x comes from smaller x.
        sine = -places if shape == PLANE else (places - X[c]) / np.hypot(places - X[c], Z[k] + 8e-3)
        offset = np.floor((sine - sine.mean()) / ((high - low) / n_bins) + 0.5)
        np.testing.assert_array_equal(found[:, c, k], np.clip(offset, -half, half) + half)
    assert nothing > 0
    assert len(np.unique(found)) == 2 * half + 1


@pytest.mark.parametrize("n_bins", [7, 8])
@pytest.mark.parametrize(("shape", "places"), [(PLANE, STEERED), (SPHERICAL, BEHIND)])
def test_bins_of_waves_are_their_formula(shape: int, places: np.ndarray, n_bins: int) -> None:
    check_wave_bins(shape, places, n_bins)


def test_waves_of_nearly_one_direction_share_the_middle_bin() -> None:
    reached, *_ = cut()
    seen = reached[..., 0] < reached[..., 1]
    for steered in ([0.3], [-0.2, -0.2], 0.25 + np.array([-1e-3, 0.0, 1e-3])):
        found = arriving(PLANE, np.array(steered), reached)
        narrow = np.ptp(reached, axis=-1) < 0.02
        assert np.all(found[:, seen & ~narrow] == N_BINS // 2)


def test_mirrored_waves_have_mirrored_bins() -> None:
    reached, *_ = cut()
    found, mirrored = arriving(SPHERICAL, BEHIND, reached), arriving(SPHERICAL, -BEHIND, reached)[:, ::-1]
    seen = reached[..., 0] < reached[..., 1]
    np.testing.assert_array_equal(N_BINS - mirrored[:, seen], found[:, seen])
