"""The steps themselves: Adam as published, the learning rate as configured, gradients clipped."""

from __future__ import annotations

import math

import pytest
import torch
from lightning.fabric import Fabric

from tests.train.conftest import MakePairs, tiny
from usbeam.io.pairs_file import load_pairs
from usbeam.train.config import Config
from usbeam.train.data import Examples, split
from usbeam.train.loop import Loop
from usbeam.train.networks import build


@pytest.fixture
def examples(make_pairs: MakePairs) -> Examples:
    """Twelve pairs of three recordings."""
    return Examples(load_pairs(make_pairs()), "median")


def begin(examples: Examples, config: Config) -> Loop:
    pairs = examples.pairs
    parts = split(pairs.recording, pairs.source.file, examples.shape[1], config.held_out, config.seed)
    return Loop(config, examples, parts, build(config.model, 0), Fabric(accelerator="cpu", devices=1), {})


def test_the_learning_rate(examples: Examples) -> None:
    down = [0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    for schedule, wanted in {"cosine": [0.5, 1.0, *down], "constant": [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]}.items():
        loop = begin(examples, tiny(epochs=6, steps_per_epoch=1, batch=1, warm_up=2, schedule=schedule))
        found = []
        while not loop.is_finished:
            loop.advance()
            found.append(loop.end_epoch().learning_rate)
        assert found == pytest.approx([loop.config.learning_rate * share for share in wanted])


def test_an_epoch_is_once_through_the_pairs_unless_told(examples: Examples) -> None:
    assert begin(examples, tiny(steps_per_epoch=0, batch=4)).steps_per_epoch == 2  # of the eight pairs to learn from
    assert begin(examples, tiny(steps_per_epoch=0, batch=3)).steps_per_epoch == 3
    assert begin(examples, tiny(steps_per_epoch=7, epochs=3)).n_steps == 21


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_adam_as_published(clip: float, examples: Examples) -> None:
    """Three steps written out, on the same crops."""
    config = tiny(model="looks", batch=4, steps_per_epoch=3, warm_up=0, schedule="constant", clip=clip)
    loop = begin(examples, config)
    network = build("looks", 0)
    first = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    second = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for number in range(1, 4):
        lq, hq = loop.crops.draw(loop.step)
        loop.advance()
        network.zero_grad()
        (network(lq) - hq).abs().mean().backward()
        gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
        share = min(1.0, clip / norm) if clip else 1.0
        for name, value in network.named_parameters():
            gradient = share * gradients[name]
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            change = first[name] / (1 - 0.9**number) / ((second[name] / (1 - 0.999**number)).sqrt() + 1e-8)
            value.data -= 1e-3 * change
    mine, wanted = (
        torch.cat([each.detach().flatten() for each in net.parameters()]) for net in (loop.network, network)
    )
    # Where a gradient is next to nothing, rounding decides its sign, and Adam makes a whole step of it.
    assert ((mine - wanted).abs() < 1e-5).float().mean() > 0.99
    assert (mine - torch.cat([each.detach().flatten() for each in build("looks", 0).parameters()])).abs().max() > 2e-3
