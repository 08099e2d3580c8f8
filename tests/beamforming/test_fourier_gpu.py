"""The Fourier beamformer on the GPU gives the CPU's images, for all that it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal

import usbeam as ub
from usbeam.beamforming.fourier import Fourier
from usbeam.kernels.backend import CPU, backend

from .conftest import BAND, NARROW, SPEED, WIDE, close, fine_probe, record

N = 12
GRID = ub.Grid.linear(x=(-2e-3, 2e-3), z=(12e-3, 17e-3), shape=(90, 15))


def recording(fired: ub.Transmits | None = None) -> ub.Acquisition:
    array = fine_probe(N)
    transmits = ub.Transmits.elements(array) if fired is None else fired
    return record(transmits, array, points=np.array([[0.5e-3, 0, 14e-3], [-1.5e-3, 0, 16e-3]]), depth=(11e-3, 18e-3))


@pytest.fixture(scope="module")
def matrix() -> ub.Acquisition:
    return recording()


@pytest.fixture(scope="module")
def planes() -> ub.Acquisition:
    return recording(ub.Transmits.plane(fine_probe(N), np.deg2rad([-9, 4, 0, 7]), SPEED))


def images(device: str, acquisition: ub.Acquisition, frames: np.ndarray, subsets: np.ndarray, **options: Any) -> Any:
    """As a device makes them, in host memory."""
    here = CPU if device == "cpu" else backend(device)
    settings = {"transmit_window": NARROW, "receive_window": NARROW, "band": BAND, "sound_speed": SPEED, **options}
    made = Fourier(acquisition, GRID, backend=here, **settings)
    found = made(here.asarray(frames), subsets)
    assert isinstance(found, here.xp.ndarray)
    return here.numpy(found)


def check(acquisition: ub.Acquisition, frames: np.ndarray | None = None, subsets: Any = None, **options: Any) -> None:
    frames = acquisition.frame(0)[None] if frames is None else frames
    subsets = np.ones((1, acquisition.n_tx), np.float32) if subsets is None else subsets
    wanted = images("cpu", acquisition, frames, subsets, **options)
    found = images("gpu", acquisition, frames, subsets, **options)
    assert found.shape == wanted.shape == (len(frames), len(subsets), *GRID.shape)
    assert found.dtype == np.complex64
    for image, reference in zip(found.reshape(-1, *GRID.shape), wanted.reshape(-1, *GRID.shape), strict=True):
        assert np.abs(reference).max() > 0
        assert close(image, reference) < 1e-4


@pytest.mark.parametrize("weighting", ["das", "adjoint"])
def test_full_matrix(gpu: Any, matrix: ub.Acquisition, weighting: str) -> None:
    """The fold included; and two windows, where there is none."""
    check(matrix, weighting=weighting)
    check(matrix, weighting=weighting, receive_window=WIDE)


@pytest.mark.parametrize("weighting", ["das", "adjoint"])
def test_plane_waves(gpu: Any, planes: ub.Acquisition, weighting: str) -> None:
    check(planes, weighting=weighting)


def test_half_matrix(gpu: Any, matrix: ub.Acquisition) -> None:
    tx, rx = np.mgrid[:N, :N]
    samples = np.asarray(matrix.samples) * (rx >= tx)[None, :, :, None]
    check(matrix.replace(samples=samples, receive_elements=np.where(rx >= tx, rx, -1)))


@pytest.mark.parametrize("frequency", [0.0, 4.6e6])
def test_iq(gpu: Any, matrix: ub.Acquisition, frequency: float) -> None:
    """The analytic signal, and mixed towards zero."""
    time = matrix.start_time[:, None, None] + np.arange(matrix.n_samples) / matrix.sampling_frequency
    signal = scipy.signal.hilbert(np.asarray(matrix.samples), axis=-1) * np.exp(-2j * np.pi * frequency * time)
    check(matrix.replace(samples=signal.astype(np.complex64), kind="iq", demodulation_frequency=frequency))


def test_int16(gpu: Any, matrix: ub.Acquisition) -> None:
    samples = np.asarray(matrix.samples)
    integers = np.round(samples / np.abs(samples).max() * 20000).astype(np.int16)
    check(matrix.replace(samples=integers), integers)


@pytest.mark.parametrize("kind", ["matrix", "planes"])
def test_several_subsets_and_frames(gpu: Any, kind: str, request: pytest.FixtureRequest) -> None:
    """Also subsets of one transmit, and of weights below 0; the same in little memory, by small pieces."""
    acquisition = request.getfixturevalue(kind)
    rng, frame = np.random.default_rng(0), acquisition.frame(0)
    frames = np.stack([frame, rng.standard_normal(frame.shape).astype(np.float32)])
    subsets = rng.standard_normal((2, acquisition.n_tx)).astype(np.float32)
    subsets[0, 1:] = 0
    for budget in (1e9, 2e6, 1.0):
        check(acquisition, frames, subsets, memory_budget=budget)


def test_receivers_that_count_nothing(gpu: Any, matrix: ub.Acquisition) -> None:
    check(matrix, receive_weights=(np.arange(N) % 3).astype(np.float32))


def test_a_subset_of_nothing_is_black(gpu: Any, matrix: ub.Acquisition, planes: ub.Acquisition) -> None:
    for acquisition in (matrix, planes):
        subsets = np.zeros((1, acquisition.n_tx), np.float32)
        assert not images("gpu", acquisition, acquisition.frame(0)[None], subsets).any()
