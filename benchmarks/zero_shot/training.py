"""Recordings, pairs and networks: each step goes on where it was stopped, and is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import usbeam as ub
from usbeam.io.pairs_file import load_pairs
from usbeam.train import Config, Run, fit, load_run
from usbeam.train.run import STATE

from .scenes import Geometry, recorded, training

Say = Callable[[str], None]
STRATEGIES = {"unet-light": "paper", "unet": "paper", "looks-light": "looks", "looks": "looks"}
"""Network -> the pairs that it learns from."""


@dataclass(frozen=True)
class Effort:
    """How long networks are trained: epochs, and steps of each."""

    epochs: int
    steps: Mapping[str, int]
    looks: int
    """Pairs of looks of each recording."""

    def config(self, model: str, seed: int) -> Config:
        """All else is the network's own default."""
        return Config(model=model, seed=seed, epochs=self.epochs, steps_per_epoch=self.steps[model])


FULL = Effort(20, {"unet-light": 75, "unet": 50, "looks-light": 150, "looks": 150}, 12)
QUICK = Effort(2, dict.fromkeys(STRATEGIES, 6), 4)


def pairs(strategy: str, size: Geometry, effort: Effort, folder: Path, say: Say) -> Path:
    """The pairs of all recordings to train on."""
    path = folder / f"pairs_{strategy}.h5"
    if not path.exists():
        scenes = training(size)
        recordings: list[ub.Acquisition] = []
        for scene in scenes:
            say(scene.name)
            recordings.append(recorded(scene, size, folder / "recordings"))
        say(f"pairs: {strategy}")
        n_pairs = effort.looks if strategy == "looks" else None
        ub.make_pairs(recordings, size.grid, out=path, strategy=strategy, n_pairs=n_pairs)
    return path


def trained(model: str, seed: int, size: Geometry, effort: Effort, folder: Path, say: Say) -> Run:
    """A network with one seed."""
    config, out = effort.config(model, seed), folder / "runs" / f"{model} {seed}"
    begun = (out / STATE).is_file()
    if begun:
        found = load_run(out)
        if len(found.history) == config.epochs:
            return found
    source = pairs(STRATEGIES[model], size, effort, folder, say)
    say(f"{model}, seed {seed}")
    return fit(
        source,
        config,
        out=out,
        resume=begun,
        overwrite=not begun,
        on_epoch=lambda epoch: say(
            f"{model}, seed {seed}, epoch {epoch.epoch}: {epoch.validation_loss:.4f}, {epoch.seconds:.0f} s"
        ),
    )


def all_trained(seeds: Sequence[int], size: Geometry, effort: Effort, folder: Path, say: Say) -> dict[str, list[Run]]:
    """Every network with every seed."""
    return {model: [trained(model, seed, size, effort, folder, say) for seed in seeds] for model in STRATEGIES}


def shared_speckle(folder: Path) -> dict[str, float]:
    """Median over pairs of how much of their speckle both images share, by strategy."""
    import numpy as np

    found = {name: folder / f"pairs_{name}.h5" for name in dict.fromkeys(STRATEGIES.values())}
    return {name: float(np.median(load_pairs(path).correlation)) for name, path in found.items()}
