"""The wavenumber algorithm's CUDA kernels, both forms, against the loops that the CPU's are held to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.test_fourier_cpu import (
    N_CELLS,
    N_N,
    TABLE,
    Recording,
    blackboard_full_matrix,
    blackboard_plane_waves,
    matrix_tables,
    wave_tables,
)
from usbeam.kernels.backend import backend

FORMS = ("values", "rows")
Tables = dict[str, np.ndarray]
every_form = pytest.mark.parametrize("form", FORMS)


def on_device(*arrays: np.ndarray) -> list[Any]:
    return [backend("gpu").asarray(array) for array in arrays]


def full_matrix(form: str, recording: Recording, tables: Tables, at_once: int = 9, before: complex = 0) -> np.ndarray:
    shape = int(tables["reach"].sum(axis=1).max()) + 1, N_CELLS, 2
    spectrum, *pairs, table, out = on_device(
        recording.spectrum,
        recording.first,
        recording.receive,
        recording.transmit,
        TABLE,
        np.full(shape, before, np.complex64),
    )
    kernels, legs = backend("gpu").fourier, on_device(*tables.values())
    kernels._full_matrix(form, spectrum, pairs, legs, recording.period, table, at_once, out)
    return out.get()


def plane_waves(form: str, recording: Recording, tables: Tables, at_once: int = 9, before: complex = 0) -> np.ndarray:
    transmit, *waves = on_device(*tables.values())
    spectrum, first, receive, table, out = on_device(
        recording.spectrum, recording.first, recording.receive, TABLE, np.full((N_N, N_CELLS), before, np.complex64)
    )
    pairs = (first, receive, transmit)
    backend("gpu").fourier._plane_waves(form, spectrum, pairs, waves, recording.period, table, at_once, out)
    return out.get()


def near(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@every_form
@pytest.mark.parametrize(
    ("period", "slots", "reaches"),
    [
        (20, 12, [(3, 3), (4, 4), (2, 2)]),
        (14, 12, [(2, 6), (5, 1), (0, 3)]),
        (15, 40, [(3, 2), (2, 4), (4, 4)]),
        (8, 30, [(6, 6), (4, 9), (3, 4)]),
        (1, 5, [(2, 1), (0, 0), (1, 2)]),
    ],
    ids=["equal legs", "unequal legs", "slots past the period", "wavenumbers past the period", "period 1"],
)
def test_full_matrix_equals_the_blackboard(
    gpu: Any, form: str, period: int, slots: int, reaches: list[tuple[int, int]]
) -> None:
    """Also for a period that the CPU's transforms do not take, and a last chunk of fewer blocks."""
    recording = Recording(period, slots)
    tables = matrix_tables(recording, reaches)
    wanted = blackboard_full_matrix(recording, tables)
    for at_once in (1, 2, 9):
        near(full_matrix(form, recording, tables, at_once), wanted)


@every_form
@pytest.mark.parametrize(("period", "slots"), [(20, 12), (15, 40), (7, 9), (1, 3)])
def test_plane_waves_equal_the_blackboard(gpu: Any, form: str, period: int, slots: int) -> None:
    recording = Recording(period, slots)
    tables = wave_tables(recording)
    wanted = blackboard_plane_waves(recording, tables)
    for at_once in (1, 2, 9):
        near(plane_waves(form, recording, tables, at_once), wanted)


def long_recording() -> Recording:
    """More blocks of frequencies than a block of threads takes, and enough waves that its threads have several."""
    return Recording(15, 12, n_blocks=10, counts=(3, 6, 0, 1, 4, *[1] * 30))


def rising(heights: np.ndarray, axis: int) -> np.ndarray:
    """Heights in order, in steps from a part of a cell to more cells than there are taps."""
    return np.sort(heights, axis=axis) ** 2 / heights.max()


def test_rows_of_a_full_matrix_equal_values(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads walk along waves that rise, as real ones do; also where the shared cells are few or one."""
    recording = long_recording()
    tables = matrix_tables(recording, [(9, 9)] * 5 + [(20, 31)] * 5)
    tables["lowest"] = np.array([4, 0, 2, 5, 5, 6, 7, 8, 3, 9])
    tables["height"] = rising(tables["height"], 1)
    wanted = full_matrix("values", recording, tables)
    near(wanted, blackboard_full_matrix(recording, tables))
    for room in (24 << 10, 7 * 16, 16):
        monkeypatch.setattr(backend("gpu").fourier, "_ROOM", room)
        near(full_matrix("rows", recording, tables), wanted)


def test_rows_of_plane_waves_equal_values(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = long_recording()
    tables = wave_tables(recording, n_waves=40)
    tables["transmit"] = np.random.default_rng(0).permutation(40)[: len(recording.counts)]
    tables["lowest"] = np.array([4, 0, 2, 5, 5, 6, 7, 4, 3, 5])
    tables["height"] = rising(tables["height"], 1)
    wanted = plane_waves("values", recording, tables)
    near(wanted, blackboard_plane_waves(recording, tables))
    for room in (24 << 10, 7 * 8, 8):
        monkeypatch.setattr(backend("gpu").fourier, "_ROOM", room)
        near(plane_waves("rows", recording, tables), wanted)


@every_form
def test_both_add_to_what_is_there(gpu: Any, form: str) -> None:
    recording = Recording(12, 9)
    for grid, tables in (
        (full_matrix, matrix_tables(recording, [(2, 3), (1, 1), (3, 2)])),
        (plane_waves, wave_tables(recording)),
    ):
        more = grid(form, recording, tables, 2, before=3 + 2j)
        near(more - (3 + 2j), grid(form, recording, tables, 2))


@every_form
def test_what_is_not_a_number_stays_so(gpu: Any, form: str) -> None:
    """A recording with NaN gives NaN where it counts, and nowhere an error."""
    recording = Recording(12, 9)
    tables = matrix_tables(recording, [(2, 3), (1, 1), (3, 2)])
    recording.spectrum[1, 0, 5] = np.nan
    found = full_matrix(form, recording, tables)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(blackboard_full_matrix(recording, tables)))


def test_no_pairs_add_nothing(gpu: Any) -> None:
    recording = Recording(12, 9, counts=(0, 0, 0, 0, 0))
    assert not full_matrix("rows", recording, matrix_tables(recording, [(2, 3), (1, 1), (3, 2)])).any()
    assert not plane_waves("rows", recording, wave_tables(recording)).any()
