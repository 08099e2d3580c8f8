"""OBNLM as an enhancer: beside a library's non-local means, what it does to speckle and edges, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import denoise_nl_means

import usbeam as ub
from tests.cuda import host
from usbeam.errors import ConfigError, DeviceOutOfMemory


def shown(values: np.ndarray) -> ub.Image:
    """Display values as a dB image."""
    grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=values.shape)
    return ub.Image(((values - 1) * 60).astype(np.float32), grid, "db", 60.0)


def enhanced(values: np.ndarray, **parameters: object) -> np.ndarray:
    return 1 + ub.enhance(shown(values), "obnlm", **parameters).data / 60


def test_is_near_a_library_where_both_mean_about_the_same() -> None:
    """The library's distance is a Gaussian mean over the patch, its centre weighs 1, and it has no blocks."""
    values = np.clip(np.random.default_rng(0).normal(0.5, 0.1, (60, 50)), 0, 1)
    values[:, 25:] -= 0.3
    wanted = denoise_nl_means(values, patch_size=7, patch_distance=5, h=0.1, fast_mode=False)
    found = enhanced(values, strength=0.1 * 255, gamma=0.0, patch=7, reach=5, step=1)
    assert np.std(found - wanted) < 0.35 * np.std(wanted - values)


def test_smooths_speckle_and_keeps_an_edge() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((2, 120, 120)), (0, 1, 1))
    envelope = np.hypot(*noise)
    envelope[:, 60:] *= 10
    values = np.clip(1 + 20 * np.log10(envelope / envelope.max()) / 60, 0, 1)
    found = enhanced(values, strength=1.5)
    left, right = (slice(10, 110), slice(10, 45)), (slice(10, 110), slice(75, 110))
    for side in (left, right):
        assert found[side].std() < 0.5 * values[side].std()
        assert found[side].mean() == pytest.approx(values[side].mean(), abs=0.02)
    step = np.mean(found[10:110], axis=0)
    rise = (step[62] - step[57]) / (step[75:110].mean() - step[10:45].mean())
    assert rise > 0.8


def test_what_is_alike_everywhere_stays() -> None:
    values = np.full((40, 40), 0.3)
    values[:, 20:] = 0.9
    np.testing.assert_allclose(enhanced(values), values, atol=1e-4)
    np.testing.assert_allclose(enhanced(np.zeros((40, 40))), 0, atol=1e-6)


def test_more_strength_smooths_more() -> None:
    values = np.clip(np.random.default_rng(2).normal(0.5, 0.1, (60, 60)), 0, 1)
    spread = [enhanced(values, strength=strength).std() for strength in (0.3, 0.7, 1.5, 3.0)]
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"patch": 4}, "centre"), ({"patch": 3, "step": 4}, "gaps"), ({"strength": 0.0}, "not a value")],
)
def test_requests_that_cannot_be_met(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        enhanced(np.ones((30, 30)), **parameters)


def test_an_image_smaller_than_a_patch() -> None:
    with pytest.raises(ConfigError, match="too small for obnlm"):
        enhanced(np.ones((6, 30)))
    assert enhanced(np.ones((7, 30))).shape == (7, 30)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("parameters", [{}, {"patch": 1, "reach": 2, "step": 1, "gamma": 0.0}, {"mean_ratio": 0.95}])
def test_a_gpu_makes_the_same(parameters: dict[str, object]) -> None:
    values = np.clip(np.random.default_rng(3).normal(0.5, 0.1, (50, 41)), 0, 1)
    values[:, 20:] -= 0.3
    cpu, gpu = (enhanced(values, device=device, **parameters) for device in ("cpu", "gpu"))
    assert np.abs(cpu - values).max() > 0.05
    np.testing.assert_allclose(gpu, cpu, atol=1e-5)


def test_a_gpu_without_room_is_said(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if "host" not in gpu.__version__:
        pytest.skip("a real GPU cannot be made small")
    assert enhanced(np.eye(40), device="gpu").any()  # there is one, as it has found out before it is full
    monkeypatch.setattr(host.MEMORY, "total", host.MEMORY.used + 8 * 40 * 40)
    with pytest.raises(DeviceOutOfMemory, match="the GPU's memory is full"):
        enhanced(np.eye(40), device="gpu")
