"""Small networks with random weights, saved as a training saves them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from usbeam.train import weights
from usbeam.train.networks import Network, build
from usbeam.train.run import WEIGHTS

FACTS: dict[str, Any] = {"domain": "median", "dynamic_range_db": 100.0, "spacing": [1e-4, 2e-4]}


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """The machine is shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(name: str = "looks-light", seed: int = 0) -> Network:
    """One that changes an image by some dB."""
    found = build(name, seed)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found.last.weight.normal_(0, 0.05)
    return found.eval()


def run_folder(folder: Path, name: str = "looks-light", seed: int = 0, **facts: Any) -> Path:
    """A folder that holds what enhancing needs of a run; facts of None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {**FACTS, "domain": "display" if name.startswith("unet") else "median", **facts}
    weights.save(network(name, seed), folder / WEIGHTS, {key: value for key, value in given.items() if value})
    return folder
