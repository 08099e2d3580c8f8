"""Partial convolutions against a naive mean over the pixels that are there, and the network made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from usbeam.train.partial import PartialConv2d, PartialUNet


def oracle(values: np.ndarray, mask: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nine times the mean of what the pixels that are there contribute; 0 and missing without any."""
    n_out, (_, n_z, n_x) = len(weight), values.shape
    found, there = np.zeros((n_out, n_z, n_x)), np.zeros((n_z, n_x))
    for z in range(n_z):
        for x in range(n_x):
            contributions = [
                weight[:, :, dz + 1, dx + 1] @ values[:, z + dz, x + dx]
                for dz in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if 0 <= z + dz < n_z and 0 <= x + dx < n_x and mask[z + dz, x + dx]
            ]
            if contributions:
                found[:, z, x] = 9 * np.mean(contributions, axis=0) + bias
                there[z, x] = 1
    return found, there


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.7, 1.0])
def test_partial_convolution_is_the_mean_over_what_is_there(kept: float) -> None:
    rng = np.random.default_rng(0)
    values, mask = rng.standard_normal((3, 11, 8)), (rng.random((11, 8)) < kept).astype(float)
    layer = PartialConv2d(3, 4).double()
    torch.nn.init.normal_(layer.bias)
    with torch.no_grad():
        found, there = layer(torch.from_numpy(values)[None], torch.from_numpy(mask)[None, None])
    wanted = oracle(values, mask, layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, 0, 0])
    np.testing.assert_allclose(found[0].numpy(), wanted[0], atol=1e-12)
    np.testing.assert_array_equal(there[0, 0].numpy(), wanted[1])


def test_partial_convolution_of_a_whole_image_is_a_convolution() -> None:
    layer, values = PartialConv2d(2, 3).double(), torch.randn(1, 2, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        found, _ = layer(values, torch.ones(1, 1, 9, 7, dtype=torch.float64))
        wanted = torch.nn.functional.conv2d(values, layer.weight)
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1], wanted)


def test_the_network_is_as_large_as_the_authors() -> None:
    assert sum(parameter.numel() for parameter in PartialUNet(48, 0.3).parameters()) == 988_609


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (101, 61)])
def test_the_network_keeps_any_shape_and_gives_grey_levels(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        found = PartialUNet(6, 0.3)(torch.rand(2, 1, *shape), torch.ones(2, 1, *shape))
    assert found.shape == (2, 1, *shape)
    assert 0 < found.min() < found.max() < 1


def test_what_is_missing_is_not_looked_at() -> None:
    network, image = PartialUNet(6, 0.0), torch.rand(1, 1, 40, 40)
    mask = (torch.rand_like(image) < 0.7).float()
    with torch.no_grad():
        torch.testing.assert_close(network(image, mask), network(image + 1e3 * (1 - mask), mask), rtol=0, atol=0)


def test_dropout_stays_on() -> None:
    network, image = PartialUNet(6, 0.3), torch.rand(1, 1, 40, 40)
    with torch.no_grad():
        assert not torch.equal(network(image, torch.ones_like(image)), network(image, torch.ones_like(image)))
