"""Spectra of traces against Fourier sums written out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from usbeam.kernels.spectra_cpu import spectra

from .conftest import complex_noise, from_lanes, to_lanes

DTYPES = (np.float32, np.int16, np.complex64)
N_ROWS, N_SAMPLES = 9, 40


@dataclass
class Work:
    """Arguments of `spectra` in their order, up to `n_fft`."""

    rows: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    owner: np.ndarray
    first_sample: np.ndarray
    factor: np.ndarray
    first_bin: int
    n_fft: int

    def run(self, work_bytes: int = 10**6) -> np.ndarray:
        """Complex ``(n_blocks, n_pairs, 16)``."""
        out = np.full((self.factor.shape[1], len(self.source), 32), np.nan, np.float32)
        spectra(*vars(self).values(), work_bytes, out)
        return from_lanes(out)

    def written_out(self) -> np.ndarray:
        """The same by the docstring, one pair at a time, in complex128."""
        factor = from_lanes(self.factor)
        bins = self.first_bin + np.arange(16 * factor.shape[1]).reshape(-1, 16)
        out = np.zeros((factor.shape[1], len(self.source), 16), np.complex128)
        for p, (source, weight) in enumerate(zip(self.source, self.weight, strict=True)):
            trace = sum(w * self.rows[s].astype(np.complex128) for s, w in zip(source, weight, strict=True) if s >= 0)
            for k in range(self.n_fft):
                sample = self.first_sample[self.owner[p]] + k
                if 0 <= sample < len(trace):
                    out[:, p] += trace[sample] * np.exp(-2j * np.pi * bins * k / self.n_fft)
            out[:, p] *= factor[self.owner[p]]
        return out

    def check(self) -> None:
        wanted = self.written_out()
        np.testing.assert_allclose(self.run(), wanted, atol=2e-6 * max(float(np.abs(wanted).max()), 1e-30))


def work(dtype: type, n_pairs: int, *, n_fft: int = 60, n_blocks: int = 2, first_bin: int = 3, seed: int = 0) -> Work:
    """Random traces of three transmits; every other pair adds two rows, the transmits begin at different samples."""
    rng = np.random.default_rng(seed)
    rows = 100 * complex_noise(rng, N_ROWS, N_SAMPLES)
    source = rng.integers(0, N_ROWS, (n_pairs, 2))
    source[::2, 1] = -1
    return Work(
        rows=rows.astype(dtype) if dtype is np.complex64 else rows.real.astype(dtype),
        source=source,
        weight=rng.standard_normal((n_pairs, 2)).astype(np.float32),
        owner=np.sort(rng.integers(0, 3, n_pairs)),
        first_sample=np.array([0, -7, 5]),
        factor=to_lanes(complex_noise(rng, 3, n_blocks, 16)),
        first_bin=first_bin,
        n_fft=n_fft,
    )


every_type = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@every_type
@pytest.mark.parametrize("n_pairs", [1, 2, 15, 17, 33, 49, 101])
def test_any_number_of_pairs(dtype: type, n_pairs: int) -> None:
    """More and fewer than the 16 complex or 32 real traces that are transformed together."""
    work(dtype, n_pairs).check()


@every_type
@pytest.mark.parametrize("n_fft", [1, 2, 15, 16, 30, 45, 64, 75, 100])
def test_any_length(dtype: type, n_fft: int) -> None:
    """Multiples of the lanes or not, shorter and longer than the record."""
    work(dtype, 19, n_fft=n_fft, first_bin=0).check()


@every_type
@pytest.mark.parametrize("first_bin", [-40, -16, -3, 0, 1, 29, 55])
def test_any_bins(dtype: type, first_bin: int) -> None:
    """Negative ones count from the end; past the end they begin again."""
    work(dtype, 5, first_bin=first_bin).check()


@every_type
@pytest.mark.parametrize("n_fft", [20, 60])
@pytest.mark.parametrize("first_sample", [-75, -60, -59, -20, 0, 20, 39, 40, 1000])
def test_what_lies_outside_the_record_is_zero(dtype: type, first_sample: int, n_fft: int) -> None:
    made = work(dtype, 6, n_fft=n_fft)
    made.first_sample[:] = first_sample
    made.check()
    assert made.run().any() == (-n_fft < first_sample < N_SAMPLES)


@every_type
def test_no_trace_hears_another(dtype: type) -> None:
    """Two real traces share a transform: what is left of one in the other is rounding."""
    made = work(dtype, 35)
    made.weight[:, :] = 0
    made.weight[4] = 1
    found = np.abs(made.run())
    assert np.delete(found, 4, axis=1).max() < 1e-6 * found[:, 4].max()


@every_type
def test_factors_are_those_of_the_transmit(dtype: type) -> None:
    made = work(dtype, 12)
    before = made.run()
    made.factor[1] = 0
    found = made.run()
    assert 0 < np.count_nonzero(made.owner == 1) < 12
    assert not found[:, made.owner == 1].any()
    np.testing.assert_array_equal(found[:, made.owner != 1], before[:, made.owner != 1])


@every_type
def test_no_pair(dtype: type) -> None:
    assert work(dtype, 0).run().shape == (2, 0, 16)
