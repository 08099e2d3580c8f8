"""Recordings, pairs and networks: each step goes on where it was stopped, and is not done again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import usbeam as ub
from usbeam.io.pairs_file import load_pairs
from usbeam.train import Config, Run, fit, load_run
from usbeam.train.run import STATE

from .machines import Geometry, machine
from .scenes import recorded, training

Say = Callable[[str], None]
STRATEGIES = {"unet-light": "paper", "unet": "paper", "looks-light": "looks", "looks": "looks"}
"""Network -> the pairs that it learns from."""


@dataclass(frozen=True)
class Effort:
    """How long networks are trained, and on what."""

    epochs: int
    steps: Mapping[str, int]
    """Of an epoch."""
    machines: int
    """Recordings for looks, each by another machine."""
    looks: int
    """Pairs of each of them."""
    held_out: int
    """Recordings of those of looks to validate on; of the others it is a share, the network's default."""

    def config(self, model: str, seed: int) -> Config:
        """All else is the network's own default, but for half precision where the processor has it."""
        known = Config(model=model, seed=seed, epochs=self.epochs, steps_per_epoch=self.steps[model], precision="auto")
        if STRATEGIES[model] != "looks":
            return known
        return dataclasses.replace(known, held_out=self.held_out / self.machines)


FULL = Effort(20, {"unet-light": 23, "unet": 23, "looks-light": 300, "looks": 300}, 240, 12, 12)
"""The paper's networks see as many crops as 90 pairs give in 20 epochs."""
QUICK = Effort(2, dict.fromkeys(STRATEGIES, 6), 3, 4, 1)


@dataclass(frozen=True)
class Workshop:
    """Where networks are trained and kept.

    Parameters
    ----------
    effort
        How long.
    common
        Folder of what all geometries share: the networks for looks.
    say
        Told what is being done.
    """

    effort: Effort
    common: Path
    say: Say

    def networks(self, size: Geometry, seeds: Sequence[int], folder: Path) -> dict[str, list[Run]]:
        """Those that are tried in a geometry, each with every seed; the paper's are kept in its folder."""
        wanted = "paper" if size.training else "looks"
        models = [model for model, strategy in STRATEGIES.items() if strategy == wanted]
        return {model: [self.trained(model, seed, size, folder) for seed in seeds] for model in models}

    def trained(self, model: str, seed: int, size: Geometry, folder: Path) -> Run:
        """A network with one seed."""
        strategy = STRATEGIES[model]
        folder = self.common if strategy == "looks" else folder
        config, out = self.effort.config(model, seed), folder / "runs" / f"{model} {seed}"
        begun = (out / STATE).is_file()
        if begun:
            found = load_run(out)
            if len(found.history) == config.epochs:
                return found
        source = self.pairs(strategy, size, folder)
        self.say(f"{model}, seed {seed}")
        return fit(
            source,
            config,
            out=out,
            resume=begun,
            overwrite=not begun,
            on_epoch=lambda epoch: self.say(
                f"{model}, seed {seed}, epoch {epoch.epoch}: {epoch.validation_loss:.4f}, {epoch.seconds:.0f} s"
            ),
        )

    def pairs(self, strategy: str, size: Geometry, folder: Path) -> Path:
        """The pairs of all recordings to train on: of many machines for looks, of this one for the paper's networks."""
        path = folder / f"pairs_{strategy}.h5"
        if path.exists():
            return path
        if strategy == "looks":
            sizes, n_pairs = [machine(number, size) for number in range(self.effort.machines)], self.effort.looks
        else:
            sizes, n_pairs = [size] * size.training, None
        recordings: list[ub.Acquisition] = []
        for number, each in enumerate(sizes):
            scene = training(number, each)
            self.say(scene.name)
            recordings.append(recorded(scene, each, folder / "recordings"))
        self.say(f"pairs: {strategy}")
        ub.make_pairs(recordings, size.grid, out=path, strategy=strategy, n_pairs=n_pairs)
        return path


def shared_speckle(folder: Path) -> dict[str, float]:
    """Median over the pairs in a folder of how much of their speckle both images share, by strategy."""
    pairs = [load_pairs(path) for path in sorted(folder.glob("pairs_*.h5"))]
    return {each.strategy: float(np.median(each.correlation)) for each in pairs}
