"""Blockwise non-local means on the GPU against the loop that the CPU's kernel is held to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.test_obnlm_cpu import centres, naive, prepared, speckle
from usbeam.kernels import obnlm_gpu


def found(
    gpu: Any,
    image: np.ndarray,
    gamma: float,
    step: int,
    half: int,
    reach: int,
    decay: float,
    ratios: tuple = (0.0, 0.0),
) -> np.ndarray:
    where = [gpu.asarray(centres(n, step)) for n in image.shape]
    fields = map(gpu.asarray, prepared(image, gamma, 100.0, half, reach))
    given = gpu.asarray(np.array(ratios, np.float32))
    return obnlm_gpu.blockwise_means(*fields, *where, half, reach, np.float32(decay), given).get()


def wanted(
    image: np.ndarray, gamma: float, step: int, half: int, reach: int, decay: float, ratios: tuple = (0.0, 0.0)
) -> np.ndarray:
    return naive(image, gamma, 100.0, [centres(n, step) for n in image.shape], half, reach, decay, ratios)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.8])
@pytest.mark.parametrize(("half", "reach", "step"), [(1, 2, 1), (2, 3, 2), (0, 1, 1), (1, 4, 3)])
def test_equals_the_definition(gpu: Any, gamma: float, half: int, reach: int, step: int) -> None:
    image = speckle((17, 22))
    decay = (0.02 if gamma == 0 else 1.0) * (100.0 if gamma == 0.8 else 1.0)
    given = (image, gamma, step, half, reach, decay)
    np.testing.assert_allclose(found(gpu, *given), wanted(*given), atol=1e-5 * 255)


def test_more_columns_than_threads_of_a_block(gpu: Any) -> None:
    given = (speckle((5, 150)), 0.5, 1, 1, 2, 0.5)
    np.testing.assert_allclose(found(gpu, *given), wanted(*given), atol=1e-5 * 255)


def test_preselection_equals_the_definition(gpu: Any) -> None:
    given = (speckle((18, 22), seed=3), 0.5, 2, 1, 4, 0.3, (0.9, 0.4))
    np.testing.assert_allclose(found(gpu, *given), wanted(*given), atol=1e-5 * 255)


@pytest.mark.parametrize("rows", [1, 3])
def test_seams_between_bands_of_blocks_do_not_show(gpu: Any, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Bands of few rows, the last one of fewer."""
    image, reach = speckle((20, 12)), 2
    monkeypatch.setattr(obnlm_gpu, "WEIGHTS_BYTES", rows * (2 * reach + 1) ** 2 * len(centres(12, 2)) * 4)
    given = (image, 0.5, 2, 2, reach, 1.0)
    np.testing.assert_allclose(found(gpu, *given), wanted(*given), atol=1e-5 * 255)


def test_a_lone_block_takes_the_nearest_neighbour_however_far(gpu: Any) -> None:
    image = np.zeros((9, 9))
    image[4, 4] = 255
    image[4, 5] = 155
    made = found(gpu, image, 0.0, 1, 0, 2, 1.0)
    assert made[4, 4] == pytest.approx((255 + 155) / 2)
    assert made[0, 0] == 0
