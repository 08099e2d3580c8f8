"""Images of transmits and of parts: their sums are the images of subsets, whichever way is taken."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import usbeam as ub
from usbeam.beamforming import compounding, subsets
from usbeam.beamforming.compounding import Compounding, TransmitImages, add_weighted, cheapest, parts_of
from usbeam.beamforming.plan import METHODS, Plan
from usbeam.errors import BadField, ConfigError, TooLarge
from usbeam.kernels.backend import backend

from .conftest import close

SMALL = ub.Grid.linear(x=(-4.5e-3, 3e-3), z=(11e-3, 16e-3), shape=(41, 12))


@pytest.fixture(scope="module", params=METHODS)
def plan(request: pytest.FixtureRequest, matrix: ub.Acquisition) -> Plan:
    """Every transmit, by each method."""
    return ub.Plan(matrix, SMALL, method=request.param)


@pytest.fixture(scope="module")
def low(plan: Plan, matrix: ub.Acquisition) -> TransmitImages:
    return plan.transmit_images(matrix.frame(0))


def drawn(count: int, size: int = 8) -> np.ndarray:
    return np.stack([subsets.random(16, size, seed) for seed in range(count)])


# Images of transmits


def test_transmit_images_add_up_to_the_full_image(plan: Plan, low: TransmitImages, matrix: ub.Acquisition) -> None:
    assert low.data.shape == (16, 41, 12)
    assert low.data.dtype == np.complex64
    assert low.data.flags.c_contiguous
    (full,) = plan(matrix.frame(0))
    assert close(low.data.sum(axis=0), full.data) < 1e-5
    assert close(low.image(subsets.all(16)).data, full.data) < 1e-5


@pytest.mark.parametrize(
    "weights",
    [subsets.ends(16, 2), subsets.random(16, 5, seed=3), np.linspace(-1, 2, 16), np.eye(16)[4]],
    ids=["ends", "random", "any", "one"],
)
def test_any_weights_give_the_image_beamformed_directly(
    plan: Plan, low: TransmitImages, matrix: ub.Acquisition, weights: np.ndarray
) -> None:
    method = plan.settings["method"]
    direct = ub.beamform(matrix, SMALL, transmits=weights, method=method)
    made = low.image(weights)
    assert close(made.data, direct.data) < 1e-5
    assert (made.state, made.grid, made.source) == (direct.state, direct.grid, direct.source)
    assert dict(made.settings) == {**direct.settings, "folded": False, "compounded": True}


def test_only_the_transmits_that_the_plan_uses_are_imaged(matrix: ub.Acquisition) -> None:
    plan = ub.Plan(matrix, SMALL, transmits=[subsets.index(16, [9, 2]), subsets.index(16, [2, 5])])
    low = plan.transmit_images(matrix.frame(0))
    assert low.transmits.tolist() == [2, 5, 9]
    assert low.data.shape == (3, 41, 12)
    for weights, image in zip(plan.weights, plan(matrix.frame(0)), strict=True):
        assert close(low.image(weights).data, image.data) < 1e-5
    with pytest.raises(ConfigError, match="transmits without a low-resolution image") as caught:
        low.image(subsets.index(16, [2, 3, 4]))
    assert caught.value.found == "3, 4"
    assert caught.value.hint


@pytest.mark.parametrize("weights", [np.zeros(16), np.ones(15), np.full(16, np.nan), "all"])
def test_weights_are_checked(low: TransmitImages, weights: Any) -> None:
    with pytest.raises(ConfigError, match="transmits: "):
        low.image(weights)


def test_transmit_images_carry_scale_and_refuse_what_the_plan_refuses(matrix: ub.Acquisition) -> None:
    step = float(np.abs(matrix.samples).max()) / 30000
    stored = matrix.replace(samples=np.round(np.asarray(matrix.samples) / step).astype(np.int16), scale=step)
    plan = ub.Plan(stored, SMALL, interpolation="linear")
    (image,) = plan(stored.frame(0))
    assert close(plan.transmit_images(stored.frame(0)).image(np.ones(16)).data, image.data) < 1e-5
    with pytest.raises(BadField, match="wrong shape"):
        plan.transmit_images(stored.frame(0)[:2])


def test_transmit_images_that_do_not_fit_are_refused(matrix: ub.Acquisition) -> None:
    """One image takes a quarter of the free memory; nothing of that size is made."""
    n_x = int(psutil.virtual_memory().available / 4 / 16 / 10_000)
    large = ub.Grid.linear(x=(-4e-3, 4e-3), z=(11e-3, 16e-3), shape=(10_000, n_x))
    plan = ub.Plan(matrix, large)
    with pytest.raises(TooLarge, match=r"16 image\(s\)"):
        plan.transmit_images(matrix.frame(0))


def test_a_thousand_subsets_are_made_when_their_turn_comes(low: TransmitImages) -> None:
    """Endless subsets are read one batch ahead at most, and images that are dropped leave nothing behind."""
    seen = itertools.count()
    endless = (subsets.random(16, 2 + seed % 14, seed) for seed in seen)
    made = low.images(endless)
    first = next(made)
    asked = next(seen)
    assert asked <= compounding._BATCH_BYTES / first.data.nbytes + 1
    assert first.data.base is None
    for seed, image in enumerate(itertools.islice(low.images(drawn(1000)), 1000)):
        if seed % 250 == 0:
            weights = subsets.random(16, 8, seed)
            assert image.settings["transmit_weights"] == weights.tolist()
            assert close(image.data, np.tensordot(weights, low.data, 1)) < 1e-5
    assert seed == 999


# Parts


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=st.sampled_from([0.0, 1.0, -2.0, 0.5])
    )
)
@settings(deadline=None)
def test_parts_make_up_the_subsets(weights: np.ndarray) -> None:
    parts, mix = parts_of(weights)
    np.testing.assert_array_equal(mix @ parts, weights)
    np.testing.assert_array_equal(parts.sum(axis=0), weights.any(axis=0))  # disjoint, and no transmit for nothing
    assert len(np.unique(mix.T, axis=0)) == len(parts)
    assert parts.dtype == mix.dtype == np.float32


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("frames", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize("n_images", [1, 3, 70])
def test_weighted_sums_of_complex_images(
    n_images: int, frames: tuple[int, ...], device: str, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compounding, "_BATCH_BYTES", 8 * 35 * 20)  # 20 images at a time
    rng, on = np.random.default_rng(0), backend(device)
    size = (*frames, 4, 5, 7)
    parts = (rng.standard_normal(size) + 1j * rng.standard_normal(size)).astype(np.complex64)
    weights = rng.standard_normal((n_images, 4)).astype(np.float32)
    images = on.asarray(np.full((*frames, n_images, 5, 7), 1 - 2j, np.complex64))
    add_weighted(on.asarray(weights), on.asarray(parts), images)
    wanted = np.einsum("kp,...pzx->...kzx", weights, parts) + (1 - 2j)
    np.testing.assert_allclose(on.numpy(images), wanted, rtol=1e-5, atol=1e-5)


def images(way: Compounding, beamformer: Any, recording: ub.Acquisition, budget: float) -> np.ndarray:
    """Of the first frame."""
    frames = beamformer.backend.asarray(recording.samples[:1])
    return beamformer.backend.numpy(way.images(beamformer, frames, SMALL, budget))


@pytest.mark.parametrize("count", [2, 40])
def test_both_ways_give_the_same_images(plan: Plan, matrix: ub.Acquisition, count: int) -> None:
    weights = drawn(count)
    ways = Compounding(weights), Compounding(*parts_of(weights))
    direct, summed = (images(way, plan._beamformer, matrix, 1e9) for way in ways)
    assert direct.shape == summed.shape == (1, count, 41, 12)
    assert close(summed, direct) < 1e-5


@pytest.mark.parametrize("budget", [1.0, 5 * 8 * SMALL.size])
def test_few_bytes_for_parts_give_the_same_images(matrix: ub.Acquisition, budget: float) -> None:
    """One part at a time, or five."""
    weights = drawn(20)
    way = Compounding(*parts_of(weights))
    assert len(way.parts) == 16
    beamformer = ub.Plan(matrix, SMALL)._beamformer
    calls: list[int] = []

    class Counting:
        backend = beamformer.backend
        cost, folds = beamformer.cost, beamformer.folds

        def __call__(self, frames: np.ndarray, subsets: np.ndarray) -> np.ndarray:
            calls.append(len(subsets))
            return beamformer(frames, subsets)

    wanted = images(way, beamformer, matrix, 1e9)
    found = images(way, Counting(), matrix, budget)
    assert max(calls) == (1 if budget == 1 else 5)
    assert sum(calls) == 16
    assert close(found, wanted) < 1e-6


# Which way


def test_one_image_and_images_that_share_nothing_are_beamformed_directly(plan: Plan, matrix: ub.Acquisition) -> None:
    method = plan.settings["method"]
    for weights in ([np.linspace(0.1, 1, 16)], subsets.disjoint(16, 4)):
        assert not ub.Plan(matrix, SMALL, method=method, transmits=weights).settings["compounded"]


def test_many_overlapping_images_are_summed_from_parts(plan: Plan, matrix: ub.Acquisition) -> None:
    method, weights = plan.settings["method"], drawn(60)
    many = ub.Plan(matrix, SMALL, method=method, transmits=weights)
    assert many.settings["compounded"]
    images = many(matrix.frame(0))
    assert all(image.settings["compounded"] for image in images)
    for k in (0, 31, 59):
        alone = ub.beamform(matrix, SMALL, method=method, transmits=weights[k])
        assert close(images[k].data, alone.data) < 1e-5


def test_delay_and_sum_counts_traces_and_fourier_counts_images(matrix: ub.Acquisition) -> None:
    """Four subsets of 14 transmits have five parts: a third of their traces, but one image more."""
    weights = np.ones((4, 16), np.float32)
    for k in range(4):
        weights[k, 4 * k : 4 * k + 2] = 0
    assert len(parts_of(weights)[0]) == 5
    options = {"transmits": weights, "transmit_f_number": 0.5, "f_number": 1.0}
    assert ub.Plan(matrix, SMALL, **options).settings["compounded"]
    assert not ub.Plan(matrix, SMALL, method="fourier", **options).settings["compounded"]


def test_the_fold_counts_when_ways_are_compared(matrix: ub.Acquisition) -> None:
    """From two elements and from all: folded, the second image alone costs less than all traces once."""
    weights = [subsets.ends(16, 2), subsets.all(16)]
    folded, plain = ub.Plan(matrix, SMALL, transmits=weights), ub.Plan(matrix, SMALL, transmits=weights, fold=False)
    assert not folded.settings["compounded"]
    assert folded.settings["folded"]
    assert folded.cost == SMALL.size * (2 * 16 - 1 + 16 * 17 // 2)
    assert plain.cost <= SMALL.size * (2 * 16 + 16 * 16)


def test_the_cheaper_way_is_taken_at_any_number_of_subsets(plan: Plan) -> None:
    """With more subsets of the same kind, parts never lose what they had gained."""
    ways = [cheapest(plan._beamformer, drawn(count), SMALL.size).mix is not None for count in range(1, 80)]
    assert ways == sorted(ways)
    assert (ways[0], ways[-1]) == (False, True)
