"""NLLR: its groups against a search of all, exact recovery, gains on phantoms, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads

import usbeam as ub
from usbeam.enhancers import METHODS
from usbeam.enhancers.registry import Task
from usbeam.errors import ConfigError
from usbeam.kernels.nllr_cpu import estimates, match, recover, spectra

RNG = np.random.default_rng


def grid(shape: tuple[int, int]) -> ub.Grid:
    return ub.Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=shape)


def nllr(values: np.ndarray, **parameters: object) -> np.ndarray:
    """The enhancer's own values, unclipped."""
    method = METHODS["nllr"]
    return method.function(Task(values, grid(values.shape), 60.0), **method.resolved(parameters))


def displayed(envelope: np.ndarray, peak: float) -> np.ndarray:
    return np.clip(1 + 20 * np.log10(np.maximum(envelope, 1e-9) / peak) / 60, 0, 1)


def phantom(shape: tuple[int, int]) -> np.ndarray:
    """Piecewise constant: a dark and a bright disk, a grey border."""
    z, x = np.mgrid[: shape[0], : shape[1]] / np.reshape(shape, (2, 1, 1))
    envelope = np.full(shape, 0.3)
    envelope[(z - 0.3) ** 2 + (x - 0.3) ** 2 < 0.15**2] = 0.05
    envelope[(z - 0.65) ** 2 + (x - 0.6) ** 2 < 0.2**2] = 1.0
    envelope[:, -shape[1] // 6 :] = 0.1
    return envelope


def psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((found - wanted) ** 2)))


class TestGroups:
    """Parts of the kernel, each against NumPy."""

    def test_matches_are_the_nearest_within_reach(self) -> None:
        image = RNG(0).random((14, 17)).astype(np.float32)
        rows, columns, side, reach = np.array([0, 5, 11]), np.array([0, 7, 14]), 3, 4
        places = match(image, rows, columns, side, reach, 12)
        windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), (side, side))
        for r, y in enumerate(rows):
            for c, x in enumerate(columns):
                distance = np.sum((windows - windows[y, x]) ** 2, axis=(2, 3))
                v, u = np.mgrid[: windows.shape[0], : windows.shape[1]]
                distance[(abs(v - y) > reach) | (abs(u - x) > reach)] = np.inf
                wanted = np.argsort(distance, axis=None)[:12]
                wanted = {(int(k) // windows.shape[1], int(k) % windows.shape[1]) for k in wanted}
                assert {(int(k) // 17, int(k) % 17) for k in places[r, c]} == wanted

    def test_a_patch_is_in_its_own_group_even_where_all_are_alike(self) -> None:
        places = match(np.zeros((20, 20), np.float32), np.array([6]), np.array([9]), 3, 5, 8)
        assert 6 * 20 + 9 in places[0, 0]
        assert len(set(places[0, 0].tolist())) == 8

    def test_spectra_are_singular_values(self) -> None:
        image = RNG(1).random((30, 30))
        places = RNG(2).choice(20 * 30, (3, 25)).astype(np.int32)
        places -= np.maximum(places % 30 - 25, 0)
        found = spectra(image, places, 5)
        for group, values in zip(places, found, strict=True):
            patches = [image[k // 30 : k // 30 + 5, k % 30 : k % 30 + 5].ravel() for k in group]
            np.testing.assert_allclose(values, np.linalg.svd(patches, compute_uv=False), rtol=1e-6, atol=1e-6)

    def test_shrinks_singular_values_by_the_stated_law(self) -> None:
        group, out, level = RNG(3).standard_normal((60, 49)), np.empty((60, 49)), 9.0
        recover(group, 1, level, 1e6, 5, out)
        u, s, vt = np.linalg.svd(group, full_matrices=False)
        shrunk = np.where(s > level, (s + np.sqrt(np.maximum(s**2 - level**2, 0))) / 2, 0)
        shrunk[0] = s[0]
        assert 1 < np.count_nonzero(shrunk) < 40
        np.testing.assert_allclose(out, (u * shrunk) @ vt, atol=1e-9)

    def test_recovers_rank_one_and_an_outlier_exactly(self) -> None:
        clean = np.outer(RNG(4).uniform(0.5, 1.5, 60), RNG(5).uniform(0.2, 1.0, 49))
        group, out = clean.copy(), np.empty_like(clean)
        group[17] += RNG(6).standard_normal(49)
        recover(group, 1, 20.0, 3.0, 5, out)
        np.testing.assert_allclose(np.delete(out, 17, 0), np.delete(clean, 17, 0), atol=1e-6)
        plain = np.empty_like(clean)
        recover(group, 1, 20.0, 1e6, 5, plain)  # no outliers sought
        assert np.abs(np.delete(plain - clean, 17, 0)).max() > 1e-3

    def test_the_number_of_threads_changes_nothing(self) -> None:
        image = RNG(7).random((40, 40))
        rows = np.arange(0, 34, 4)
        places = match(image.astype(np.float32), rows, rows, 6, 4, 16)
        before, results = get_num_threads(), []
        try:
            for threads in sorted({1, before}):
                set_num_threads(threads)
                results.append(estimates(image, places, rows, 6, 4, 1, 1.0, 3.0, 3))
        finally:
            set_num_threads(before)
        np.testing.assert_array_equal(results[0], results[-1])


class TestPhantoms:
    """Known images under multiplicative noise."""

    @pytest.mark.parametrize("speckle", ["mild", "fully developed"])
    def test_gains_more_than_5_db(self, speckle: str) -> None:
        shape = (112, 96)
        factor = 1 + 0.2 * RNG(0).standard_normal(shape) if speckle == "mild" else RNG(1).rayleigh(size=shape)
        factor = np.maximum(factor, 1e-3)
        factor /= np.exp(np.mean(np.log(factor)))
        clean = displayed(phantom(shape), 3.0)
        noisy = displayed(phantom(shape) * factor, 3.0)
        assert psnr(nllr(noisy), clean) > psnr(noisy, clean) + 8

    def test_what_holds_no_noise_stays(self) -> None:
        """Almost: where nothing else varies, the edges themselves are taken as noise."""
        clean = displayed(phantom((60, 64)), 1.0)
        assert psnr(nllr(clean), clean) > 30
        flat = np.full((40, 40), 0.4)
        np.testing.assert_allclose(nllr(flat), flat, atol=1e-6)

    def test_follows_gain_and_shift(self) -> None:
        noisy = RNG(2).normal(0.4, 0.05, (60, 60))
        noisy[20:40, 20:40] += 0.3
        found = nllr(noisy)
        np.testing.assert_allclose(nllr(0.5 * noisy), 0.5 * found, atol=1e-5)
        np.testing.assert_allclose(nllr(noisy + 0.2), found + 0.2, atol=0.03)
        assert np.std(nllr(noisy + 0.2) - found) < 0.1 * np.std(noisy - found)

    def test_same_every_time_and_progress_to_the_end(self) -> None:
        values = displayed(phantom((50, 40)) * RNG(3).rayleigh(size=(50, 40)), 3.0)
        image = ub.Image(((values - 1) * 60).astype(np.float32), grid((50, 40)), "db", 60.0)
        seen: list[float] = []
        first, again = ub.enhance(image, "nllr", progress=seen.append), ub.enhance(image, "nllr")
        np.testing.assert_array_equal(first.data, again.data)
        assert seen == sorted(seen)
        assert (len(seen), seen[-1]) == (3, 1)
        levels = first.settings["enhanced"][0]["noise_levels"]
        assert len(levels) == 3
        assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": 8}, "gaps"),
        ({"reach": 4}, "too few patches"),
        ({"free": 0}, "not a value"),
        ({"reach": 34}, "too small for nllr"),
    ],
)
def test_requests_that_cannot_be_met(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        nllr(np.ones((40, 50)), **parameters)
