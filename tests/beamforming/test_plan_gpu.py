"""Plans on a GPU: the same images as on the CPU, where the samples are, of many frames, and in little memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import usbeam as ub
from usbeam.beamforming import plan as plans
from usbeam.errors import BadField, ConfigError, DeviceOutOfMemory

from .conftest import close, probe, record

GRID = ub.Grid.linear(x=(-4.5e-3, 4.5e-3), z=(11e-3, 16e-3), shape=(41, 12))
METHODS = ("das", "fourier")


def both(recording: ub.Acquisition, **options: Any) -> tuple[ub.Plan, ub.Plan]:
    """On the GPU and on the CPU."""
    return ub.Plan(recording, GRID, device="gpu", **options), ub.Plan(recording, GRID, device="cpu", **options)


def film(matrix: ub.Acquisition, n_frames: int) -> ub.Acquisition:
    """Frames of different brightness and sign."""
    factors = np.arange(1, n_frames + 1, dtype=np.float32) * (-1) ** np.arange(n_frames)
    return matrix.replace(samples=factors[:, None, None, None].astype(np.float32) * matrix.samples[:1])


@pytest.mark.parametrize("method", METHODS)
def test_images_of_several_subsets(gpu: Any, matrix: ub.Acquisition, method: str) -> None:
    subsets = [ub.subsets.all(matrix), ub.subsets.ends(matrix, 2), ub.subsets.first(matrix, 5)]
    there, here = both(matrix, method=method, transmits=subsets)
    assert there.device == "gpu"
    for found, wanted in zip(there(matrix.frame(0)), here(matrix.frame(0)), strict=True):
        assert type(found.data) is np.ndarray
        assert close(found.data, wanted.data) < 1e-4
        assert found.settings == {**wanted.settings, "device": "gpu"}


def test_many_subsets_are_compounded_of_parts(gpu: Any, matrix: ub.Acquisition) -> None:
    subsets = [ub.subsets.random(matrix, 8, seed) for seed in range(40)]
    there, here = both(matrix, transmits=subsets)
    assert there.settings["compounded"]
    for found, wanted in zip(there(matrix.frame(0)), here(matrix.frame(0)), strict=True):
        assert close(found.data, wanted.data) < 1e-4


def test_images_of_single_transmits(gpu: Any, matrix: ub.Acquisition) -> None:
    there, here = both(matrix)
    found, wanted = (plan.transmit_images(matrix.frame(0)) for plan in (there, here))
    assert close(found.data, wanted.data) < 1e-4
    weights = ub.subsets.every(matrix, 3)
    assert close(found.image(weights).data, ub.beamform(matrix, GRID, transmits=weights).data) < 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_frames_come_one_after_the_other(
    gpu: Any, matrix: ub.Acquisition, method: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "FRAMES_AT_ONCE", at_once)
    recording = film(matrix, 5)
    there, here = both(recording, method=method)
    for (found,), (wanted,) in zip(there.frames([3, 0, 4]), here.frames([3, 0, 4]), strict=True):
        assert close(found.data, wanted.data) < 1e-4
    assert len(list(there.frames())) == 5


@pytest.mark.parametrize("method", METHODS)
def test_arrays_stay_where_they_are(gpu: Any, matrix: ub.Acquisition, method: str) -> None:
    recording = film(matrix, 2)
    there, here = both(recording, method=method, transmits=[ub.subsets.all(matrix), ub.subsets.first(matrix, 4)])
    found = there.arrays(gpu.asarray(np.asarray(recording.samples)))
    assert isinstance(found, gpu.ndarray)
    assert found.dtype == np.complex64
    assert found.shape == (2, 2, *GRID.shape)
    wanted = here.arrays(recording.samples)
    assert type(wanted) is np.ndarray
    assert close(found.get(), wanted) < 1e-4
    for number, frame in enumerate(wanted):
        assert close(frame, np.stack([image.data for image in here(recording.frame(number))])) < 1e-6


def test_a_tensor_of_the_host_is_imaged_on_the_cpu(matrix: ub.Acquisition) -> None:
    plan = ub.Plan(matrix, GRID, device="cpu")
    tensor = torch.from_numpy(matrix.frame(0))
    np.testing.assert_array_equal(plan(tensor)[0].data, plan(matrix.frame(0))[0].data)


def test_samples_on_the_gpu_are_no_samples_for_the_cpu(gpu: Any, matrix: ub.Acquisition) -> None:
    with pytest.raises(ConfigError, match="GPU") as caught:
        ub.Plan(matrix, GRID, device="cpu")(gpu.asarray(matrix.frame(0)))
    assert caught.value.hint


def test_scaled_int16_with_an_offset(gpu: Any, matrix: ub.Acquisition) -> None:
    scale = float(np.abs(matrix.samples).max()) / 3e4
    stored = np.round(np.asarray(matrix.samples) / scale).astype(np.int16) + np.int16(100)
    recording = matrix.replace(samples=stored, scale=scale, offset=-100 * scale)
    there, here = both(recording)
    (found,), (wanted,) = there(recording.frame(0)), here(recording.frame(0))
    assert close(found.data, wanted.data) < 1e-4
    assert close(found.data, ub.beamform(matrix, GRID).data) < 1e-3


@pytest.mark.parametrize("streamed", [False, True])
def test_samples_that_are_not_finite_are_named(gpu: Any, matrix: ub.Acquisition, streamed: bool) -> None:
    recording = film(matrix, 2)
    recording.samples[1, 3, 7, 200] = np.nan
    plan = ub.Plan(recording, GRID, device="gpu")
    with pytest.raises(BadField, match=r"1 sample\(s\) are NaN.*first at \(transmit, receive, sample\) \(3, 7, 200\)"):
        list(plan.frames()) if streamed else plan(recording.frame(1))


@pytest.mark.parametrize("frame", [np.zeros((16, 16), np.float32), np.zeros((16, 16, 5), np.float32)])
def test_other_samples_are_refused(gpu: Any, matrix: ub.Acquisition, frame: np.ndarray) -> None:
    with pytest.raises(BadField, match="wrong shape"):
        ub.Plan(matrix, GRID, device="gpu")(frame)


def test_little_memory_takes_more_pieces(gpu: Any, matrix: ub.Acquisition) -> None:
    there, here = both(matrix, memory_budget=150_000)
    assert close(there(matrix.frame(0))[0].data, here(matrix.frame(0))[0].data) < 1e-4


def test_where_memory_runs_out_smaller_pieces_are_tried_once(
    gpu: Any, matrix: ub.Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beamformer that says when it is called, and fails where it would take more than there is."""
    plan, wanted = ub.Plan(matrix, GRID, device="gpu", memory_budget=8e8), ub.beamform(matrix, GRID, device="cpu")
    make, budgets, room = plan._make, list[float](), 3e8

    def small(memory_budget: float) -> Any:
        budgets.append(memory_budget)
        return make(memory_budget=memory_budget)

    images = plan._compounding.images

    def full(beamformer: Any, frames: Any, grid: ub.Grid, parts_budget: float) -> Any:
        if parts_budget / plans.PARTS_SHARE > room:
            raise gpu.cuda.memory.OutOfMemoryError(1000, 1000)
        return images(beamformer, frames, grid, parts_budget)

    monkeypatch.setattr(plan, "_make", small)
    monkeypatch.setattr(type(plan._compounding), "images", lambda _, *given: full(*given))
    assert close(plan(matrix.frame(0))[0].data, wanted.data) < 1e-4
    assert budgets == [2e8 * (1 - plans.PARTS_SHARE)]
    room = 1e6
    with pytest.raises(DeviceOutOfMemory) as caught:
        plan(matrix.frame(0))
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_looks_and_components(gpu: Any, matrix: ub.Acquisition) -> None:
    found, wanted = (ub.Looks(matrix, GRID, n_looks=2, device=device)(matrix.frame(0)) for device in ("gpu", "cpu"))
    for there, here in zip(found, wanted, strict=True):
        assert close(there.data, here.data) < 1e-4


@pytest.mark.parametrize("kind", ["plane", "diverging", "focused"])
def test_other_transmits(gpu: Any, kind: str) -> None:
    array = probe()
    fired = {
        "plane": ub.Transmits.plane(array, [-0.1, 0.0, 0.2], 1540.0),
        "diverging": ub.Transmits.focused(array, [[-1e-3, 0, -5e-3], [2e-3, 0, -6e-3]], 1540.0),
        "focused": ub.Transmits.focused(array, [[-1e-3, 0, 14e-3], [2e-3, 0, 15e-3]], 1540.0),
    }[kind]
    recording = record(fired, array)
    there, here = both(recording)
    assert close(there(recording.frame(0))[0].data, here(recording.frame(0))[0].data) < 1e-4


def test_iq_of_both_kinds(gpu: Any, matrix: ub.Acquisition) -> None:
    from scipy.signal import hilbert

    analytic = hilbert(np.asarray(matrix.samples, np.float64), axis=-1)
    mixed = analytic * np.exp(-2j * np.pi * 5e6 * np.arange(matrix.n_samples) / matrix.sampling_frequency)
    for samples, frequency in ((analytic, 0.0), (mixed, 5e6)):
        recording = dataclasses.replace(
            matrix, samples=samples.astype(np.complex64), kind="iq", demodulation_frequency=frequency
        )
        there, here = both(recording)
        assert close(there(recording.frame(0))[0].data, here(recording.frame(0))[0].data) < 1e-4


@pytest.mark.parametrize("brightness", [1.0, 1e-6, 1e6])
def test_half_precision_is_nearly_the_same(gpu: Any, matrix: ub.Acquisition, brightness: float) -> None:
    recording = film(matrix, 2).replace(samples=np.float32(brightness) * film(matrix, 2).samples[:])
    there = ub.Plan(recording, GRID, device="gpu", precision="half")
    assert there.settings["precision"] == "half"
    for number in (0, 1):
        wanted = ub.beamform(recording, GRID, frame=number, device="cpu").data
        found = there(recording.frame(number))[0].data
        assert 1e-7 < close(found, wanted) < 1e-3


def test_half_precision_of_silence_int16_and_nan(gpu: Any, matrix: ub.Acquisition) -> None:
    stored = np.zeros(matrix.samples.shape, np.int16)
    stored[0, 3, 4, 200] = -32768
    recording = matrix.replace(samples=stored)
    found = ub.beamform(recording, GRID, device="gpu", precision="half").data
    assert close(found, ub.beamform(recording, GRID, device="cpu").data) < 1e-3
    silent = ub.beamform(matrix.replace(samples=np.zeros_like(matrix.samples)), GRID, device="gpu", precision="half")
    assert not silent.data.any()
    plan, frame = ub.Plan(matrix, GRID, device="gpu", precision="half"), matrix.frame(0).copy()
    frame[0, 0, 100] = np.nan
    with pytest.raises(BadField, match="1 sample"):
        plan(frame)


def test_precisions_that_are_refused(gpu: Any, matrix: ub.Acquisition) -> None:
    with pytest.raises(ConfigError, match="precision: half precision is for GPUs"):
        ub.Plan(matrix, GRID, device="cpu", precision="half")
    with pytest.raises(ConfigError, match="unknown precision"):
        ub.Plan(matrix, GRID, precision="double")
    with pytest.raises(ConfigError, match="method fourier has no such option"):
        ub.Plan(matrix, GRID, method="fourier", precision="half")
