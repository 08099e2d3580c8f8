"""The U-Nets: their sizes layer by layer, any image, what moves with the image, and that every weight is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from usbeam.errors import ConfigError
from usbeam.train.networks import MODELS, Network, build, n_parameters


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def busy(name: str) -> Network:
    """A network that changes its input: one that starts as the identity gets a last convolution at random."""
    network = build(name, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network.last.reset_parameters()
    return network


def images(*shape: int, seed: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def enhanced(network: Network, image: Tensor) -> Tensor:
    with torch.no_grad():
        return network(image)


# Weights of 3 x 3 without a bias, and scale and shift of the normalisation.
UNET = {
    "encoder": [
        (9 * 1 * 16 + 2 * 16) + (9 * 16 * 16 + 2 * 16),
        (9 * 16 * 32 + 2 * 32) + (9 * 32 * 32 + 2 * 32),
        (9 * 32 * 64 + 2 * 64) + (9 * 64 * 64 + 2 * 64),
        (9 * 64 * 128 + 2 * 128) + (9 * 128 * 128 + 2 * 128),
        (9 * 128 * 256 + 2 * 256) + (9 * 256 * 256 + 2 * 256),
    ],
    "narrowing": [
        9 * 256 * 128 + 2 * 128,
        9 * 128 * 64 + 2 * 64,
        9 * 64 * 32 + 2 * 32,
        9 * 32 * 16 + 2 * 16,
    ],
    "decoder": [
        (9 * 256 * 128 + 2 * 128) + (9 * 128 * 128 + 2 * 128),
        (9 * 128 * 64 + 2 * 64) + (9 * 64 * 64 + 2 * 64),
        (9 * 64 * 32 + 2 * 32) + (9 * 32 * 32 + 2 * 32),
        (9 * 32 * 16 + 2 * 16) + (9 * 16 * 16 + 2 * 16),
    ],
    "last": [16 + 1],
}
# 3 x 3 for each channel and its normalisation, then 1 x 1 across them and its normalisation; no bias.
UNET_LIGHT = {
    "encoder": [
        (9 * 1 + 2 * 1 + 1 * 8 + 2 * 8) + (9 * 8 + 2 * 8 + 8 * 8 + 2 * 8),
        (9 * 8 + 2 * 8 + 8 * 16 + 2 * 16) + (9 * 16 + 2 * 16 + 16 * 16 + 2 * 16),
        (9 * 16 + 2 * 16 + 16 * 32 + 2 * 32) + (9 * 32 + 2 * 32 + 32 * 32 + 2 * 32),
        (9 * 32 + 2 * 32 + 32 * 64 + 2 * 64) + (9 * 64 + 2 * 64 + 64 * 64 + 2 * 64),
        (9 * 64 + 2 * 64 + 64 * 128 + 2 * 128) + (9 * 128 + 2 * 128 + 128 * 128 + 2 * 128),
    ],
    "narrowing": [
        9 * 128 + 2 * 128 + 128 * 64 + 2 * 64,
        9 * 64 + 2 * 64 + 64 * 32 + 2 * 32,
        9 * 32 + 2 * 32 + 32 * 16 + 2 * 16,
        9 * 16 + 2 * 16 + 16 * 8 + 2 * 8,
    ],
    "decoder": [
        (9 * 128 + 2 * 128 + 128 * 64 + 2 * 64) + (9 * 64 + 2 * 64 + 64 * 64 + 2 * 64),
        (9 * 64 + 2 * 64 + 64 * 32 + 2 * 32) + (9 * 32 + 2 * 32 + 32 * 32 + 2 * 32),
        (9 * 32 + 2 * 32 + 32 * 16 + 2 * 16) + (9 * 16 + 2 * 16 + 16 * 16 + 2 * 16),
        (9 * 16 + 2 * 16 + 16 * 8 + 2 * 8) + (9 * 8 + 2 * 8 + 8 * 8 + 2 * 8),
    ],
    "last": [8 + 1],
}
# Weights of 3 x 3, and a bias.
LOOKS = {
    "encoder": [
        (9 * 1 * 16 + 16) + (9 * 16 * 16 + 16),
        (9 * 16 * 32 + 32) + (9 * 32 * 32 + 32),
        (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64),
        (9 * 64 * 128 + 128) + (9 * 128 * 128 + 128),
    ],
    "narrowing": [9 * 128 * 64 + 64, 9 * 64 * 32 + 32, 9 * 32 * 16 + 16],
    "decoder": [
        (9 * 128 * 64 + 64) + (9 * 64 * 64 + 64),
        (9 * 64 * 32 + 32) + (9 * 32 * 32 + 32),
        (9 * 32 * 16 + 16) + (9 * 16 * 16 + 16),
    ],
    "last": [16 + 1],
}


@pytest.mark.parametrize(
    ("name", "layers", "total", "mib"),
    [
        ("unet", UNET, 2_160_129, "8.240"),
        ("unet-light", UNET_LIGHT, 72_292, "0.276"),
        ("looks", LOOKS, 535_505, "2.043"),
    ],
)
def test_sizes_are_exact_layer_by_layer(name: str, layers: dict[str, list[int]], total: int, mib: str) -> None:
    network = build(name)
    for part, wanted in layers.items():
        module = network.get_submodule(part)
        found = list(module) if isinstance(module, nn.ModuleList) else [module]
        assert [n_parameters(layer) for layer in found] == wanted, part
    assert n_parameters(network) == sum(map(sum, layers.values())) == total
    assert f"{4 * total / 2**20:.3f}" == mib


def test_light_looks_is_light() -> None:
    assert n_parameters(build("looks-light")) < 0.1e6
    assert MODELS["looks-light"].widths == MODELS["looks"].widths


@pytest.mark.parametrize("name", MODELS)
def test_the_papers_size_goes_in_and_comes_out(name: str) -> None:
    found = enhanced(busy(name), images(1, 1, 256, 620))
    assert found.shape == (1, 1, 256, 620)
    assert found.dtype == torch.float32
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(2, 32, 48), (1, 33, 47), (3, 17, 63), (1, 40, 17)])
def test_any_size_beyond_a_block(name: str, shape: tuple[int, int, int]) -> None:
    n, n_z, n_x = shape
    image = images(n, 1, n_z, n_x)
    found = enhanced(busy(name), image)
    assert found.shape == image.shape
    assert not torch.equal(found, image)


@pytest.mark.parametrize("name", MODELS)
def test_a_larger_image_is_mirrored_beyond_the_far_borders(name: str) -> None:
    """What the network sees of 39 x 45 pixels is the image of 48 x 48 that a mirror beyond the last pixel makes."""
    image = images(1, 1, 39, 45)
    whole = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (0, 9), (0, 3)), "reflect"))
    network = busy(name)
    if MODELS[name].block == 8:
        whole = whole[:, :, :40]
    torch.testing.assert_close(enhanced(network, image), enhanced(network, whole)[:, :, :39, :45], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_too_small_an_image_is_refused(name: str) -> None:
    network, smallest = build(name), MODELS[name].block + 1
    assert enhanced(network, images(1, 1, smallest, smallest)).shape == (1, 1, smallest, smallest)
    for shape in ((smallest - 1, 64), (64, smallest - 1), (1, 1), (0, 64)):
        with pytest.raises(ConfigError, match=f"too small.*at least {smallest} x {smallest} pixels.*{shape[0]} x"):
            network(torch.zeros(1, 1, *shape))


@pytest.mark.parametrize("shape", [(64, 64), (1, 64, 64), (1, 2, 64, 64), (1, 1, 1, 64, 64), ()])
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"not a batch of images \(expected \(n, 1, n_z, n_x\), found \("):
        build("looks-light")(torch.zeros(shape))


@pytest.mark.parametrize("name", ["looks", "looks-light"])
@pytest.mark.parametrize("shift", [(16, 0), (0, 16), (16, 32)])
def test_a_shift_of_16_pixels_moves_the_output(name: str, shift: tuple[int, int]) -> None:
    image, network = images(1, 1, 192, 208), busy(name)
    found = enhanced(network, image)
    moved = enhanced(network, image.roll(shift, (2, 3))).roll((-shift[0], -shift[1]), (2, 3))
    inside = (..., slice(64, 96), slice(64, 96))  # farther from any border, the moved one too, than the network sees
    assert (found - image)[inside].std() > 1e-3
    torch.testing.assert_close(moved[inside], found[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["unet", "unet-light"])
def test_the_normalised_ones_nearly_so(name: str) -> None:
    """Their means are over the whole image, of which the border is a part."""
    image, network = images(1, 1, 384, 384), busy(name)
    found = enhanced(network, image)
    moved = enhanced(network, image.roll(16, 3)).roll(-16, 3)
    inside = (..., slice(176, 208), slice(176, 208))
    assert (moved - found)[inside].std() < 0.4 * (found - image)[inside].std()


@pytest.mark.parametrize("name", MODELS)
def test_the_signal_neither_fades_nor_swells_on_its_way(name: str) -> None:
    network, sizes = build(name, seed=0), []
    for module in network.modules():
        if isinstance(module, nn.LeakyReLU | nn.ReLU):
            module.register_forward_hook(lambda *told: sizes.append(told[2].std().item()))
    enhanced(network, torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)))
    assert len(sizes) == len(MODELS[name].widths) * 5 - 3
    assert min(sizes) > 0.1
    assert max(sizes) < 3


@pytest.mark.parametrize("name", ["looks", "looks-light"])
def test_untrained_looks_is_the_identity(name: str) -> None:
    image = images(2, 1, 50, 41)
    assert torch.equal(enhanced(build(name), image), image)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    network = busy(name).double()
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):  # at their start, all shifts 0, a scale may cancel in what follows
            nn.init.normal_(module.bias, generator=torch.Generator().manual_seed(6))
    image, wanted = images(2, 1, 64, 64).double(), images(2, 1, 64, 64, seed=4).double()
    nn.functional.mse_loss(network(image), wanted).backward()
    largest = {key: parameter.grad.abs().max().item() for key, parameter in network.named_parameters()}
    # In the paper's light one the normalisation after 1 x 1 takes out what the one after 3 x 3 has added to a channel;
    # and how large its only channel is, where there is but one.
    idle = {key for key in largest if name == "unet-light" and key.endswith(".1.bias")}
    nearly = {"encoder.0.0.1.weight", "encoder.0.0.2.weight"} if name == "unet-light" else set()
    assert len(idle) == (22 if name == "unet-light" else 0)
    for key, value in largest.items():
        assert value < 1e-12 if key in idle else value > (0 if key in nearly else 1e-5), key


@pytest.mark.parametrize("name", MODELS)
def test_it_learns(name: str) -> None:
    network, image = build(name, seed=0), images(1, 1, 40, 40)
    wanted = nn.functional.avg_pool2d(image, 3, 1, 1)
    adam, losses = torch.optim.Adam(network.parameters(), 3e-3), []
    for _ in range(30):
        loss = nn.functional.l1_loss(network(image), wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_the_weights_and_nothing_else(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (build(name, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["encoder.0.0.0.weight"], other["encoder.0.0.0.weight"])
    assert not torch.equal(build(name).state_dict()["encoder.0.0.0.weight"], first["encoder.0.0.0.weight"])


def test_the_same_image_gives_the_same_bits() -> None:
    network, image = busy("unet-light"), images(1, 1, 48, 64)
    assert torch.equal(enhanced(network, image), enhanced(network, image))
    assert torch.equal(enhanced(network.eval(), image), enhanced(network.train(), image))


@pytest.mark.parametrize("name", MODELS)
def test_images_of_a_batch_know_nothing_of_each_other(name: str) -> None:
    network, image = busy(name), images(2, 1, 48, 64)
    torch.testing.assert_close(enhanced(network, image)[1:], enhanced(network, image[1:]), rtol=0, atol=1e-5)


def test_names() -> None:
    assert list(MODELS) == ["unet", "unet-light", "looks", "looks-light"]
    assert all(architecture.name == name for name, architecture in MODELS.items())
    with pytest.raises(ConfigError, match=r"no such network.*unet, unet-light, looks, looks-light.*found resnet"):
        build("resnet")
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS["unet"].name = "another"  # type: ignore[misc]


@pytest.mark.parametrize("name", MODELS)
def test_torch_exports_it_for_any_size(name: str) -> None:
    """With fewer levels, which torch follows in a tenth of the time."""
    network, size = Network(dataclasses.replace(MODELS[name], widths=(2, 3, 4))), torch.export.Dim.DYNAMIC
    nn.init.ones_(network.last.weight)
    program = torch.export.export(network, (images(2, 1, 20, 24),), dynamic_shapes=({0: size, 2: size, 3: size},))
    for shape in ((1, 1, 19, 14), (3, 1, 16, 16), (2, 1, 5, 26)):
        image = images(*shape)
        torch.testing.assert_close(enhanced(program.module(), image), enhanced(network, image), rtol=0, atol=1e-5)
