"""Delay-and-sum on the GPU gives the CPU's images, whatever the samples and however the work is divided."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.das import DelayAndSum
from usbeam.beamforming.sampling import Interpolation
from usbeam.kernels.backend import CPU, Backend, backend

from .conftest import SPEED, probe, record
from .test_das import analytic_copy, demodulated_copy

OPEN, TAPERED = Window(), Window(0.6, 0.5, 0.08)
PLENTY = 1e9


@pytest.fixture(scope="module")
def small() -> ub.Acquisition:
    """Full matrix, 8 x 8."""
    array = probe(8)
    return record(ub.Transmits.elements(array), array)


@pytest.fixture(scope="module")
def field() -> ub.Grid:
    return ub.Grid.linear(x=(-3e-3, 3e-3), z=(11e-3, 19e-3), shape=(37, 19))


def das(acquisition: ub.Acquisition, grid: ub.Grid, where: Backend, **options: Any) -> DelayAndSum:
    facts: dict[str, Any] = {
        "transmit_window": OPEN,
        "receive_window": OPEN,
        "receive_weights": np.ones(acquisition.probe.n_elements, np.float32),
        "interpolation": Interpolation("linear", 1),
        "fold": True,
        "sound_speed": SPEED,
        "memory_budget": PLENTY,
        **options,
    }
    return DelayAndSum(acquisition, grid, np.arange(acquisition.n_tx), backend=where, **facts)


def images(made: DelayAndSum, acquisition: ub.Acquisition, subsets: Any = None, *, n_frames: int = 1) -> np.ndarray:
    """What a beamformer makes of the recording's frame and of others, on the host."""
    weights = np.ones((1, acquisition.n_tx), np.float32) if subsets is None else np.array(subsets, np.float32)
    first = acquisition.frame(0)
    frames = np.stack(
        [
            np.roll(first, 3 * i, axis=-1) // (i + 1)
            if first.dtype == np.int16
            else np.roll(first, 3 * i, axis=-1) / np.float32(i + 1)
            for i in range(n_frames)
        ]
    )
    return made.backend.numpy(made(made.backend.asarray(frames), weights))


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def check(acquisition: ub.Acquisition, grid: ub.Grid, subsets: Any = None, *, n_frames: int = 1, **options: Any):
    """The GPU's images equal the CPU's; returns the GPU's beamformer."""
    on_gpu = das(acquisition, grid, backend("gpu"), **options)
    wanted = images(das(acquisition, grid, CPU, **options), acquisition, subsets, n_frames=n_frames)
    same(images(on_gpu, acquisition, subsets, n_frames=n_frames), wanted)
    return on_gpu


def integers(acquisition: ub.Acquisition) -> ub.Acquisition:
    samples = np.asarray(acquisition.samples)
    return acquisition.replace(samples=np.round(samples / np.abs(samples).max() * 30000).astype(np.int16))


def half_matrix(acquisition: ub.Acquisition) -> ub.Acquisition:
    """Transmit t stores the receivers t and up."""
    tx, rx = np.mgrid[:8, :8]
    return acquisition.replace(receive_elements=np.where(rx >= tx, rx, -1))


COPIES = {
    "rf": lambda recording: recording,
    "analytic": analytic_copy,
    "demodulated": lambda recording: demodulated_copy(recording, 4.7e6),
    "int16": integers,
    "half": half_matrix,
}


@pytest.mark.parametrize("copy", COPIES)
def test_any_samples(gpu: Any, small: ub.Acquisition, field: ub.Grid, copy: str) -> None:
    check(COPIES[copy](small), field)


@pytest.mark.parametrize("interpolation", [("nearest", 1), ("linear", 2), ("cubic", 1)])
def test_any_interpolation(gpu: Any, small: ub.Acquisition, field: ub.Grid, interpolation: tuple[str, int]) -> None:
    check(small, field, interpolation=Interpolation(*interpolation))


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("windows", [(TAPERED, TAPERED), (OPEN, Window(0.5)), (Window(0.4), TAPERED)])
def test_windows_and_the_fold(
    gpu: Any, small: ub.Acquisition, field: ub.Grid, windows: tuple[Window, Window], fold: bool
) -> None:
    check(small, field, transmit_window=windows[0], receive_window=windows[1], fold=fold)


@pytest.mark.parametrize("n_frames", [3, 9])
def test_several_subsets_of_several_frames(gpu: Any, small: ub.Acquisition, field: ub.Grid, n_frames: int) -> None:
    rows = [np.ones(8), np.eye(8)[3], [0, 1, -0.5, 0, 2, 0, 0, 1], np.zeros(8)]
    made = check(small, field, rows, n_frames=n_frames)
    same(images(made, small, rows[1:2]), images(das(small, field, CPU), small, rows[1:2]))  # other subsets, one frame


def test_waves(gpu: Any, field: ub.Grid) -> None:
    array = probe(8)
    for transmits in (
        ub.Transmits.plane(array, [-0.1, 0.0, 0.2], SPEED),
        ub.Transmits.focused(array, np.array([[0.0, 0.0, 15e-3], [1e-3, 0.0, 14e-3]]), SPEED),
    ):
        check(record(transmits, array), field, receive_window=TAPERED)


@pytest.mark.parametrize("n_frames", [1, 9])
def test_blocks_of_columns_and_runs_of_transmits(
    gpu: Any, small: ub.Acquisition, field: ub.Grid, n_frames: int
) -> None:
    wanted = images(das(small, field, CPU), small, n_frames=n_frames)
    for budget in (1, 60_000):
        made = das(small, field, backend("gpu"), memory_budget=budget)
        assert len(made._domain.blocks) > 1
        assert made._domain.most_pairs < 36
        same(images(made, small, n_frames=n_frames), wanted)


@pytest.mark.parametrize("windows", [(OPEN, OPEN), (TAPERED, Window(0.5))])
def test_with_and_without_tables(
    gpu: Any, small: ub.Acquisition, field: ub.Grid, windows: tuple[Window, Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way where it is said to be the faster one; another number of frames is measured anew."""
    options = {"transmit_window": windows[0], "receive_window": windows[1]}
    for times in ([1.0, 2.0], [2.0, 1.0]):
        measured = iter(2 * times)
        monkeypatch.setattr("usbeam.beamforming.das.milliseconds", lambda work, left=measured: next(left))
        made = check(small, field, **options)
        assert (made._kept is not None) == (times[0] < times[1])
        images(made, small, n_frames=2)
        images(made, small, n_frames=2)
        assert not list(measured)


def test_the_choice_is_logged(
    gpu: Any, small: ub.Acquisition, field: ub.Grid, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "usbeam"):
        made = das(small, field, backend("gpu"))
        images(made, small)
        images(made, small)
    (line,) = [each.getMessage() for each in caplog.records if "delays" in each.getMessage()]
    assert "tables" in line
    assert " ms" in line
