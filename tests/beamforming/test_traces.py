"""Which stored trace makes which pair: full and half matrices, moving apertures, the fold, chunks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import usbeam as ub
from usbeam.beamforming.traces import Pairs, pair, same_timing, source_table
from usbeam.errors import GeometryError

N = 5
PROBE = ub.Probe.linear(N, 0.3e-3, 5e6)
RNG = np.random.default_rng(0)


def recording(receivers: np.ndarray | None = None, fires: list[int] | None = None, **facts) -> ub.Acquisition:
    fired = ub.Transmits.elements(PROBE, fires)
    n_rx = N if receivers is None else receivers.shape[-1]
    samples = RNG.standard_normal((1, len(fired), n_rx, 6)).astype(np.float32)
    return ub.Acquisition(
        **{"samples": samples, "kind": "rf", "start_time": 0.0, "transmits": fired, **facts},
        sampling_frequency=20e6,
        sound_speed=1540.0,
        probe=PROBE,
        receive_elements=receivers,
    )


def half() -> np.ndarray:
    tx, rx = np.mgrid[:N, :N]
    return np.where(rx >= tx, rx, -1)


def total(acquisition: ub.Acquisition, pairs: Pairs) -> dict[frozenset[int], np.ndarray]:
    """Sum of traces by unordered (transmitting, receiving) element: what an image with equal legs is made of."""
    traces = pairs.traces(acquisition.frame(0), slice(0, len(pairs)))
    fires = acquisition.transmits.element_index
    owner = np.repeat(pairs.transmits, np.diff(pairs.first))
    sums: dict[frozenset[int], np.ndarray] = {}
    for t, element, trace in zip(owner, pairs.element, traces, strict=True):
        key = frozenset((int(fires[t]), int(element)))
        sums[key] = sums.get(key, np.zeros(6)) + trace
    return sums


def assert_same(one: dict[frozenset[int], np.ndarray], other: dict[frozenset[int], np.ndarray]) -> None:
    for key in one.keys() | other.keys():
        np.testing.assert_allclose(one.get(key, np.zeros(6)), other.get(key, np.zeros(6)), atol=1e-5)


def test_full_matrix() -> None:
    np.testing.assert_array_equal(source_table(recording()), np.arange(N * N).reshape(N, N))


def test_slots_may_hold_any_element() -> None:
    receivers = np.array([[3, 1], [0, -1], [2, 4], [4, 3], [1, 0]])
    table = source_table(recording(receivers, transmits=ub.Transmits.plane(PROBE, [0.0] * N, 1540.0)))
    wanted = np.full((N, N), -1)
    wanted[0, 3], wanted[0, 1], wanted[1, 0], wanted[2, 2], wanted[2, 4] = 0, 1, 2, 4, 5
    wanted[3, 4], wanted[3, 3], wanted[4, 1], wanted[4, 0] = 6, 7, 8, 9
    np.testing.assert_array_equal(table, wanted)


def test_half_matrix_borrows_from_reciprocity() -> None:
    table = source_table(recording(half()))
    full = np.arange(N * N).reshape(N, N)
    np.testing.assert_array_equal(table, np.where(half() >= 0, full, full.T))


def test_an_element_that_never_fires_lends_nothing() -> None:
    receivers = np.array([[0, 1, 2, 3, 4], [-1, -1, 2, 3, 4]])
    table = source_table(recording(receivers, [0, 2]))
    np.testing.assert_array_equal(table, [[0, 1, 2, 3, 4], [2, -1, 7, 8, 9]])


@pytest.mark.parametrize("field", ["start_time", "delays", "pulse_peak_time"])
def test_half_matrix_with_unlike_transmits_is_refused(field: str) -> None:
    whole = recording(half())
    if field == "start_time":
        broken = whole.replace(start_time=np.arange(N) * 1e-7)
    else:
        value = np.eye(N) * np.arange(N) * 1e-7 if field == "delays" else np.arange(N) * 1e-7
        broken = whole.replace(transmits=dataclasses.replace(whole.transmits, **{field: value}))
    assert not same_timing(broken)
    with pytest.raises(GeometryError, match="needs the same timing in all transmits"):
        source_table(broken)


def test_same_timing() -> None:
    assert same_timing(recording())
    assert same_timing(recording(fires=[3, 1]))
    assert not same_timing(recording(fires=[3, 1, 3]))
    assert not same_timing(recording(transmits=ub.Transmits.plane(PROBE, [0.0] * N, 1540.0)))
    silent_elsewhere = np.full((N, N), 5e-6)
    np.fill_diagonal(silent_elsewhere, 0)
    fired = dataclasses.replace(ub.Transmits.elements(PROBE), delays=silent_elsewhere)
    assert same_timing(recording(transmits=fired))


weight_vectors = st.lists(st.sampled_from([0.0, 1.0, -0.5, 2.0]), min_size=N, max_size=N).filter(any)


@given(weight_vectors, st.sampled_from(["full", "half", "moving"]))
@settings(deadline=None)  # the first example may compile
def test_the_fold_keeps_the_sum_of_every_pair(weights: list[float], layout: str) -> None:
    moving = np.clip(np.arange(N)[:, None] - 1, 0, N - 3) + np.arange(3)
    receivers = {"full": None, "half": half(), "moving": moving}[layout]
    acquisition = recording(receivers)
    vector = np.array(weights, np.float32)
    active = np.flatnonzero(vector)
    plain, folded = (pair(acquisition, vector, active, fold=fold) for fold in (False, True))
    assert_same(total(acquisition, plain), total(acquisition, folded))
    assert len(folded) <= len(plain)
    assert (plain.source[:, 1] == -1).all()


@given(weight_vectors, weight_vectors, st.sampled_from(["full", "half", "moving"]))
def test_receive_weights_multiply_the_traces_of_their_elements(
    weights: list[float], receive: list[float], layout: str
) -> None:
    moving = np.clip(np.arange(N)[:, None] - 1, 0, N - 3) + np.arange(3)
    acquisition = recording({"full": None, "half": half(), "moving": moving}[layout])
    vector, gains = np.array(weights, np.float32), np.array(receive, np.float32)
    active = np.flatnonzero(vector)
    every = pair(acquisition, vector, active, fold=False)
    plain, folded = (pair(acquisition, vector, active, fold, gains) for fold in (False, True))
    kept = gains[every.element] != 0
    np.testing.assert_array_equal(plain.source, every.source[kept])
    np.testing.assert_allclose(plain.weight[:, 0], (every.weight[:, 0] * gains[every.element])[kept])
    assert_same(total(acquisition, plain), total(acquisition, folded))


def test_the_fold_of_a_full_matrix_is_nearly_half() -> None:
    folded = pair(recording(), None, np.arange(N), fold=True)
    assert len(folded) == N * (N + 1) // 2
    assert np.count_nonzero(folded.source[:, 1] >= 0) == N * (N - 1) // 2


def test_pairs_are_in_the_order_of_their_transmits() -> None:
    receivers = np.array([[0, 1, 2, 3, 4], [-1, -1, -1, -1, -1], [1, 0, -1, -1, -1], [4, -1, -1, -1, -1]])
    acquisition = recording(receivers, list(range(4)), transmits=ub.Transmits.plane(PROBE, [0.0] * 4, 1540.0))
    pairs = pair(acquisition, None, np.array([1, 2, 3]), fold=False)
    np.testing.assert_array_equal(pairs.first, [0, 0, 2, 3])
    np.testing.assert_array_equal(pairs.element, [0, 1, 4])
    frame = acquisition.frame(0)
    np.testing.assert_array_equal(pairs.traces(frame, slice(0, 3)), [frame[2, 1], frame[2, 0], frame[3, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32, np.complex64])
def test_traces_are_floats_and_leave_the_frame_alone(dtype: type) -> None:
    frame = (100 * RNG.standard_normal((N, N, 6))).astype(dtype)
    before = frame.copy()
    pairs = pair(recording(), np.array([1, -2, 0.5, 1, 1], np.float32), np.arange(N), fold=True)
    traces = pairs.traces(frame, slice(2, 9))
    assert traces.dtype == (np.complex64 if dtype is np.complex64 else np.float32)
    np.testing.assert_array_equal(frame, before)
    rows = frame.reshape(-1, 6).astype(np.complex128)
    for found, source, weight in zip(traces, pairs.source[2:9], pairs.weight[2:9], strict=True):
        second = rows[source[1]] * weight[1] if source[1] >= 0 else 0
        np.testing.assert_allclose(found, rows[source[0]] * weight[0] + second, rtol=1e-5)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(1, 20))
def test_chunks_cover_all_transmits_once_within_the_limit(counts: list[int], most: int) -> None:
    first = np.concatenate([[0], np.cumsum(counts)])
    empty = np.zeros((int(first[-1]), 2), np.int64)
    pairs = Pairs(np.arange(len(counts)), first, empty[:, 0], empty, empty.astype(np.float32))
    chunks = list(pairs.chunks(most))
    assert [chunk.start for chunk in chunks] == [0, *[chunk.stop for chunk in chunks[:-1]]]
    assert chunks[-1].stop == len(counts)
    for chunk in chunks:
        assert first[chunk.stop] - first[chunk.start] <= most or chunk.stop - chunk.start == 1
