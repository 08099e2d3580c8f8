"""Spectra of traces by CUDA against Fourier sums written out, those that the CPU's are held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.kernels.conftest import from_lanes
from tests.kernels.test_spectra_cpu import N_SAMPLES, Work, every_type, work
from usbeam.kernels.backend import backend


def run(made: Work, work_bytes: int = 10**6) -> np.ndarray:
    """Complex ``(n_blocks, n_pairs, 16)``."""
    here = backend("gpu").asarray
    out = here(np.full((made.factor.shape[1], len(made.source), 32), np.nan, np.float32))
    given = [here(each) if isinstance(each, np.ndarray) else each for each in vars(made).values()]
    backend("gpu").spectra.spectra(*given, work_bytes, out)
    return from_lanes(out.get())


def check(made: Work, work_bytes: int = 10**6) -> None:
    wanted = made.written_out()
    np.testing.assert_allclose(run(made, work_bytes), wanted, atol=1e-5 * max(float(np.abs(wanted).max()), 1e-30))


@every_type
@pytest.mark.parametrize("work_bytes", [0, 12_000, 10**6], ids=["one by one", "several", "all at once"])
def test_any_number_of_pairs(gpu: Any, dtype: type, work_bytes: int) -> None:
    """Also with a last run of fewer pairs."""
    for n_pairs in (1, 17, 101 if work_bytes else 5):
        check(work(dtype, n_pairs), work_bytes)


def test_more_pairs_than_a_grid_has_rows(gpu: Any) -> None:
    made = work(np.float32, 65535 + 7, n_fft=4, n_blocks=1)
    looked_at = np.array([0, 65534, 65535, 65541])
    part = replace(made, **{name: getattr(made, name)[looked_at] for name in ("source", "weight", "owner")})
    np.testing.assert_array_equal(run(made, 10**8)[:, looked_at], run(part))
    check(part)


@every_type
@pytest.mark.parametrize("n_fft", [1, 2, 15, 64, 77, 130])
def test_any_length(gpu: Any, dtype: type, n_fft: int) -> None:
    """Even and odd, more than a block of threads, shorter and longer than the record."""
    check(work(dtype, 19, n_fft=n_fft, first_bin=0))


@every_type
@pytest.mark.parametrize("first_bin", [-75, -16, -3, 0, 1, 29, 55])
def test_any_bins(gpu: Any, dtype: type, first_bin: int) -> None:
    check(work(dtype, 5, first_bin=first_bin))


@every_type
def test_what_lies_outside_the_record_is_zero(gpu: Any, dtype: type) -> None:
    made = work(dtype, 6)
    for first_sample in (-75, -60, -59, -20, 0, 39, 40, 1000):
        made.first_sample[:] = first_sample
        check(made)
        assert run(made).any() == (-made.n_fft < first_sample < N_SAMPLES)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64], ids=lambda dtype: dtype.__name__)
def test_samples_that_are_no_numbers_spoil_their_traces_alone(gpu: Any, dtype: type) -> None:
    made = work(dtype, 12)
    made.rows[4, 3] = np.nan
    spoilt = np.any(made.source == 4, axis=1)
    assert 0 < np.count_nonzero(spoilt) < 12
    found = np.isnan(run(made))
    assert found[:, spoilt].all()
    assert not found[:, ~spoilt].any()


@every_type
def test_no_pair(gpu: Any, dtype: type) -> None:
    assert run(work(dtype, 0)).shape == (2, 0, 16)
