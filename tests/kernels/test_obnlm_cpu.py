"""Blockwise non-local means against a loop over blocks, neighbours and pixels in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads
from scipy import ndimage

from usbeam.kernels.obnlm_cpu import BAND, blockwise_means


def naive(image, gamma, offset, centres, half, reach, decay, ratios):
    """The definition, one block after the other."""
    n_z, n_x = image.shape
    padded = np.pad(image, half, mode="symmetric")

    def patch(y, x):
        return padded[y : y + 2 * half + 1, x : x + 2 * half + 1]

    total, count = np.zeros(padded.shape), np.zeros(padded.shape)
    for y in centres[0]:
        for x in centres[1]:
            here = patch(y, x)
            distances, others = [], []
            for v in range(max(0, y - reach), min(n_z, y + reach + 1)):
                for u in range(max(0, x - reach), min(n_x, x + reach + 1)):
                    there = patch(v, u)
                    means = sorted((here.mean() + offset, there.mean() + offset))
                    variances = sorted((here.var(), there.var()))
                    alike = means[0] >= ratios[0] * means[1] and variances[0] >= ratios[1] * variances[1]
                    if (v, u) != (y, x) and alike:
                        distances.append(np.mean((here - there) ** 2 / (there + offset) ** (2 * gamma)))
                        others.append(there)
            weights = np.exp(-decay * (np.array(distances) - min(distances, default=0)))
            summed = sum((w * other for w, other in zip(weights, others, strict=True)), start=here.copy())
            total[y : y + 2 * half + 1, x : x + 2 * half + 1] += summed / (1 + weights.sum())
            count[y : y + 2 * half + 1, x : x + 2 * half + 1] += 1
    inside = slice(half, -half or None)
    return (total / np.maximum(count, 1))[inside, inside]


def prepared(image, gamma, offset, half, reach):
    """The kernel's first four arguments."""
    padded = np.pad(image, half + reach, mode="symmetric")
    size = 2 * half + 1
    mean = ndimage.uniform_filter(image, size, mode="reflect")
    variance = np.maximum(ndimage.uniform_filter(image**2, size, mode="reflect") - mean**2, 0)
    fields = (padded, (padded + offset) ** (-2.0 * gamma), mean + offset, variance)
    return [each.astype(np.float32) for each in fields]


def speckle(shape, seed=0):
    """Grey levels from 0 to 255: noise in cells, a darker half, a black corner."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((2, *shape)), (0, 1, 1))
    envelope = np.hypot(*noise)
    envelope[: shape[0] // 2] *= 0.3
    envelope[:4, :4] = 0
    return 255 * np.clip(1 + np.log10(np.maximum(envelope / envelope.max(), 1e-6)) / 3, 0, 1)


def centres(n, step):
    return np.unique(np.append(np.arange(0, n, step), n - 1))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.8])
@pytest.mark.parametrize(("half", "reach", "step"), [(1, 2, 1), (2, 3, 2), (0, 1, 1), (1, 4, 3), (3, 7, 2)])
def test_equals_the_definition(gamma, half, reach, step):
    image = speckle((21, 26))
    where = [centres(n, step) for n in image.shape]
    decay = (0.02 if gamma == 0 else 1.0) * (100.0 if gamma == 0.8 else 1.0)
    wanted = naive(image, gamma, 100.0, where, half, reach, decay, (0.0, 0.0))
    ratios = np.zeros(2, np.float32)
    found = blockwise_means(*prepared(image, gamma, 100.0, half, reach), *where, half, reach, np.float32(decay), ratios)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * 255)
    assert np.abs(wanted - image).max() > 5  # it did something


def test_preselection_equals_the_definition():
    image = speckle((18, 22), seed=3)
    where = [centres(n, 2) for n in image.shape]
    ratios = (0.9, 0.4)
    wanted = naive(image, 0.5, 100.0, where, 1, 4, 0.3, ratios)
    found = blockwise_means(
        *prepared(image, 0.5, 100.0, 1, 4), *where, 1, 4, np.float32(0.3), np.array(ratios, np.float32)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5 * 255)
    assert np.abs(wanted - naive(image, 0.5, 100.0, where, 1, 4, 0.3, (0.0, 0.0))).max() > 0.5


def test_seams_between_bands_do_not_show():
    image = speckle((2 * BAND + 5, 12))
    where = [centres(n, 2) for n in image.shape]
    fields, ratios = prepared(image, 0.5, 100.0, 1, 2), np.zeros(2, np.float32)
    found = blockwise_means(*fields, *where, 1, 2, np.float32(1), ratios)
    np.testing.assert_allclose(found, naive(image, 0.5, 100.0, where, 1, 2, 1.0, (0, 0)), atol=1e-5 * 255)


def test_the_number_of_threads_changes_nothing():
    image = speckle((3 * BAND, 40))
    where = [centres(n, 2) for n in image.shape]
    fields, ratios = prepared(image, 0.5, 100.0, 3, 4), np.zeros(2, np.float32)
    before = get_num_threads()
    results = []
    try:
        for threads in sorted({1, before}):
            set_num_threads(threads)
            results += [blockwise_means(*fields, *where, 3, 4, np.float32(2), ratios) for _ in range(2)]
    finally:
        set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_a_lone_block_takes_the_nearest_neighbour_however_far():
    """The centre weighs as much as the largest of the others, even where that is below what float32 holds."""
    image = np.zeros((9, 9))
    image[4, 4] = 255
    image[4, 5] = 155
    found = blockwise_means(
        *prepared(image, 0.0, 100.0, 0, 2), np.arange(9), np.arange(9), 0, 2, np.float32(1), np.zeros(2, np.float32)
    )
    assert found[4, 4] == pytest.approx((255 + 155) / 2)
    assert found[0, 0] == 0
