"""Delay-and-sum's CUDA kernels, every form of them, against the plain NumPy sum; their tables against the CPU's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.kernels.test_das_cpu import EDGES, SOURCES, SPEED, TILTED, TIMES, UNITS, Work, X, Z, plain_sum, work
from usbeam.kernels import das_cpu
from usbeam.kernels.backend import backend
from usbeam.kernels.conventions import FOCUSED, FRACTION_BITS, MAX_SAMPLES, PLANE, SPHERICAL

TICK = 1 << FRACTION_BITS
FORMS = ("das", "das_shared", "das_frames")


def several(made: Work, n_frames: int, *, half: bool = False) -> Work:
    """The same work on several frames of other traces, on samples that halves can hold."""
    rng = np.random.default_rng(7)
    parts = rng.standard_normal((n_frames, *made.traces.shape, 2)).astype(np.float16 if half else np.float32)
    traces = parts if half else parts.view(np.complex64)[..., 0]
    return replace(made, traces=traces, out=np.zeros((n_frames, *made.out.shape), np.complex64))


def wanted(made: Work) -> np.ndarray:
    """The plain sum of every frame."""
    traces = made.traces
    if traces.dtype == np.float16:
        traces = traces.astype(np.float32).view(np.complex64)[..., 0]
    if traces.ndim == 2:
        return plain_sum(made)
    each = zip(traces, made.out, strict=True)
    return np.stack([plain_sum(replace(made, traces=frame, out=out)) for frame, out in each])


def arguments(made: Work) -> list[Any]:
    """Of `das`, on the device."""
    here = backend("gpu").asarray
    found = [getattr(made, name) for name in Work.__dataclass_fields__]
    return [here(each) if isinstance(each, np.ndarray) else each for each in found]


def by_form(made: Work, form: str) -> np.ndarray:
    """What one form of the sum finds, also where `das` would take another."""
    kernels = backend("gpu").das
    traces, receive, first, transmit, td, rd, ta, ra, tw, rw, image, table, column, out = arguments(made)
    legs = (td, ta, tw, rd, ra, rw)
    traces = traces if made.out.ndim == 4 else traces[None]
    kernels._sum(form, traces, receive, first, transmit, image, table, td.shape[1:], column, out, legs)
    return out.get()


def run(made: Work) -> np.ndarray:
    """What `das` finds."""
    given = arguments(made)
    backend("gpu").das.das(*given)
    return given[-1].get()


def check(found: np.ndarray, made: Work) -> None:
    expected = wanted(made)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("n_taps", [1, 2, 4])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_and_variant_equals_a_plain_sum(gpu: Any, form: str, n_taps: int, half: bool) -> None:
    for n_frames in (3, 16) if form == "das_frames" else (2,):
        made = several(work(n_taps=n_taps, n_images=3, windows=(True, True)), n_frames, half=half)
        check(by_form(made, form), made)


@pytest.mark.parametrize("windows", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("form", FORMS)
def test_windows_on_either_leg(gpu: Any, form: str, windows: tuple[bool, bool]) -> None:
    made = work(1, windows=windows)
    check(by_form(made, form), made)


@pytest.mark.parametrize(("n_x", "n_z"), [(1, 1), (1, 70), (17, 1), (16, 32), (33, 19)])
@pytest.mark.parametrize("form", FORMS)
def test_sizes_that_are_no_multiple_of_a_block(gpu: Any, form: str, n_x: int, n_z: int) -> None:
    made = work(2, n_x=n_x, n_z=n_z, counts=(2, 1), n_samples=30)
    made.transmit_active[:], made.receive_active[:] = (0, n_z), (0, n_z)
    check(by_form(made, form), made)


@pytest.mark.parametrize("n_frames", [7, 8, 33, 66])
def test_few_and_many_frames(gpu: Any, n_frames: int) -> None:
    """Up to more than the lanes of a warp; more pairs than a block holds taps of."""
    made = several(work(3, n_x=3, n_z=9, counts=(20, 1), n_images=2), n_frames)
    check(run(made), made)


def test_frames_that_are_neighbours_in_memory_are_read_where_they_are(gpu: Any) -> None:
    made = several(work(4), 10)
    given = arguments(made)
    held = gpu.ascontiguousarray(gpu.moveaxis(given[0], 0, -1))
    backend("gpu").das.das(gpu.moveaxis(held, -1, 0), *given[1:])
    check(given[-1].get(), made)


def test_several_axes_of_frames(gpu: Any) -> None:
    made = several(work(5), 6)
    found = run(replace(made, traces=made.traces.reshape(2, 3, 8, 60), out=made.out.reshape(2, 3, 1, 40, 5)))
    check(found.reshape(made.out.shape), made)


@pytest.mark.parametrize("half", [False, True])
def test_the_twin_sums_frames_and_halves_alike(gpu: Any, half: bool) -> None:
    made = several(work(6, n_images=2), 3, half=half)
    check(made.run(), made)
    check(run(made), made)


@pytest.mark.parametrize("n_taps", [1, 2, 4])
@pytest.mark.parametrize("form", FORMS)
def test_records_about_as_short_as_the_taps(gpu: Any, form: str, n_taps: int) -> None:
    for n_samples in (1, 3, 5):
        made = work(3, n_samples=n_samples, n_taps=n_taps)
        made.transmit_delay //= 8
        found = by_form(made, form)
        np.testing.assert_allclose(found, plain_sum(made), atol=1e-4)
        assert found.any() == (n_samples >= n_taps)


@pytest.mark.parametrize("form", FORMS)
def test_samples_that_are_no_numbers_stay_where_they_are_read(gpu: Any, form: str) -> None:
    """A trace of NaN, guards around all traces, and delays beyond the record, which read neither."""
    made = work(6, n_taps=4, counts=(2, 2))
    n_pairs, n_samples = made.traces.shape
    guarded = np.full(n_pairs * n_samples + 64, np.nan, np.complex64)
    guarded[32:-32] = made.traces.ravel()
    last = (n_samples - 4) * TICK + TICK - 1
    made.transmit_delay[:], made.receive_delay[:] = last, 0
    made.receive_delay[:, :, 1::2] = 1
    made.receive[:] = [0, 0, 0, 1]
    made.transmit_active[:], made.receive_active[:] = (0, 40), (0, 40)
    made.receive_active[1] = (40, 0)  # nothing is heard by this leg
    guarded[32 + 3 * n_samples : 32 + 4 * n_samples] = np.nan
    held = backend("gpu").asarray(guarded)[32:-32].reshape(n_pairs, n_samples)
    _, receive, first, transmit, td, rd, ta, ra, _, _, image, table, column, out = arguments(made)
    legs = (td, ta, None, rd, ra, None)
    backend("gpu").das._sum(form, held[None], receive, first, transmit, image, table, (5, 40), column, out, legs)
    found = out.get()
    assert np.isfinite(found).all()
    assert found[:, 0::2].any()
    assert not found[:, 1::2].any()
    made.traces[3] = 0
    np.testing.assert_allclose(found, plain_sum(made), atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_adds_to_columns_of_wider_images(gpu: Any, form: str) -> None:
    made = work(8, n_images=2)
    made = replace(made, column=2, out=np.full((2, 40, 8), 3 - 1j, np.complex64))
    found = by_form(made, form)
    check(found, made)
    np.testing.assert_array_equal(found[:, :, [0, 1, 7]], 3 - 1j)


@pytest.mark.parametrize("counts", [(), (0, 0)])
@pytest.mark.parametrize("form", FORMS)
def test_no_pair_adds_nothing(gpu: Any, form: str, counts: tuple[int, ...]) -> None:
    assert not by_form(work(counts=counts), form).any()


# Tables, and the sum without them

SHAPES = {"spherical": ([SPHERICAL] * 4, [0, 1, 2, 3, 4]), "several": ([SPHERICAL, SPHERICAL], [0, 1, 4])}
SHAPES |= {"plane": ([PLANE, PLANE], [0, 1, 2]), "focused": ([FOCUSED, FOCUSED], [2, 3, 4])}
WINDOWS = [(2.0, 0.0, 0.0), (0.7, 0.0, 0.0), (0.7, 0.5, 0.08), (1.0, 1.0, 0.0)]


def leg(name: str, window: tuple[float, float, float]) -> list[Any]:
    """Arguments of `leg_tables`, on the host, without the weights."""
    shape, first = SHAPES[name]
    axis = np.array([[0, 0, 1.0], TILTED] * 2)[: len(shape)]
    return [np.array(shape, np.int8), np.array(first), SOURCES, TIMES, axis, EDGES, X, Z, SPEED, UNITS, *window]


def on_device(arguments: list[Any]) -> list[Any]:
    return [backend("gpu").asarray(each) if isinstance(each, np.ndarray) else each for each in arguments]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_tables_are_those_of_the_cpu(gpu: Any, shape: str, window: tuple[float, float, float]) -> None:
    given = leg(shape, window)
    weights = np.full((len(given[0]), len(X), len(Z)), np.nan, np.float32)
    delay, active = das_cpu.leg_tables(*given, weights)
    held = gpu.asarray(np.full_like(weights, np.nan))
    found_delay, found_active = backend("gpu").das.leg_tables(*on_device(given), held)
    assert np.abs(found_delay.get() - delay).max() <= 1
    np.testing.assert_array_equal(found_active.get(), active)
    np.testing.assert_allclose(held.get(), weights, atol=1e-6)
    _, short = backend("gpu").das.leg_tables(*on_device(given), gpu.empty((0, 0, 0), np.float32))
    np.testing.assert_array_equal(short.get(), active)


def test_delays_beyond_the_table_are_clipped(gpu: Any) -> None:
    given = leg("plane", WINDOWS[0])
    given[3] = np.array([1.0, -1.0, 0.0, 0.0])
    delay, _ = backend("gpu").das.leg_tables(*on_device(given), gpu.empty((0, 0, 0), np.float32))
    np.testing.assert_array_equal(delay[0].get(), EDGES[1])
    np.testing.assert_array_equal(delay[1].get(), EDGES[0])
    assert EDGES[1] == MAX_SAMPLES * TICK - 1


@pytest.mark.parametrize("n_taps", [1, 2, 4])
@pytest.mark.parametrize(("shape", "windows"), [("plane", (0, 2)), ("focused", (0, 1)), ("several", (2, 2))])
def test_direct_is_the_sum_with_tables(gpu: Any, shape: str, windows: tuple[int, int], n_taps: int) -> None:
    legs = [on_device(leg(name, WINDOWS[i])) for name, i in zip((shape, "spherical"), windows, strict=True)]
    kernels, tables = backend("gpu").das, []
    for each in legs:
        weights = gpu.empty((len(each[0]), len(X), len(Z)), np.float32)
        tables.append((*kernels.leg_tables(*each, weights), weights))
    made = work(9, n_x=len(X), n_z=len(Z), n_taps=n_taps, n_images=2, n_legs=2, n_samples=500)
    given = arguments(several(made, 2))
    out = gpu.zeros((2, 2, len(Z), len(X)), np.complex64)
    (td, ta, tw), (rd, ra, rw) = tables
    kernels.das(*given[:4], td, rd, ta, ra, tw, rw, *given[10:13], out)
    assert np.abs(out.get()).max() > 1
    found = gpu.zeros_like(out)
    kernels.Direct(*legs)(*given[:4], *given[10:13], found)
    np.testing.assert_allclose(found.get(), out.get(), atol=1e-5 * np.abs(out.get()).max())


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.complex64])
def test_weighted_rows_of_frames(gpu: Any, dtype: type) -> None:
    rng = np.random.default_rng(10)
    rows = (100 * rng.standard_normal((3, 6, 130)) + (20j if dtype is np.complex64 else 0)).astype(dtype)
    source = np.array([[0, -1], [5, 2], [3, 3], [1, -1], [2, 0]])
    weight = rng.standard_normal((5, 2)).astype(np.float32)
    kind = np.complex64 if dtype is np.complex64 else np.float32
    on_cpu, on_gpu = np.empty((3, 5, 130), kind), gpu.empty((3, 5, 130), kind)
    das_cpu.weighted_sums(rows, source, weight, on_cpu)
    backend("gpu").das.weighted_sums(*map(gpu.asarray, (rows, source, weight)), on_gpu)
    second = np.where(source[:, 1] >= 0, weight[:, 1], 0)[:, None]
    expected = weight[:, :1] * rows[:, source[:, 0]].astype(np.complex128) + second * rows[:, source[:, 1]]
    for found in (on_cpu, on_gpu.get()):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
