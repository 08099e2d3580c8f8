"""Self2Self: a network is fitted to one image, and then guesses that image from many random parts of it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from usbeam.errors import CheckpointError, TrainingDiverged
from usbeam.train import checkpoint
from usbeam.train.partial import PartialUNet

KEPT = 0.7
"""Probability that a pixel is shown to the network."""
DROPOUT = 0.3
WARM_UP = 100
"""Steps over which the learning rate rises: at full rate from the start, the sigmoid can be driven to one end, where
nothing is learnt any more."""
SAVE_EVERY = 10.0
"""Seconds between checkpoints."""


@dataclass(frozen=True)
class Settings:
    """What a fit depends on, beside the image and the number of steps.

    Parameters
    ----------
    crop
        Side [pixels] of the part of the image that one step sees.
    block : (z, x)
        Pixels that are hidden together.
    learning_rate
        Of Adam.
    width
        See `PartialUNet`.
    seed
        Of everything random.
    """

    crop: int
    block: tuple[int, int]
    learning_rate: float
    width: int
    seed: int


class Fit:
    """A network, its optimizer, and how far they are.

    What is random in a step is drawn from the seed and the step's number alone, so that a fit that was interrupted
    goes on as if it had not been: to the same bits, with as many threads on the same machine.

    Parameters
    ----------
    values : (n_z, n_x)
        The image, from 0 to 1.
    settings
        See `Settings`.
    """

    def __init__(self, values: npt.NDArray[np.floating[Any]], settings: Settings) -> None:
        self.settings = settings
        self.image = torch.from_numpy(np.array(values, np.float32))[None, None]
        self.step = 0
        self.loss: float | None = None  # of the last step
        with _drawing(settings.seed, "start", 0):
            self.network = PartialUNet(settings.width, DROPOUT)
        self.adam = torch.optim.Adam(self.network.parameters(), settings.learning_rate)

    def run(
        self, n_steps: int, max_seconds: float, path: str | None = None, progress: Callable[[float], None] | None = None
    ) -> None:
        """Go on up to a number of steps, or until the time is over, and keep the state on the way.

        Parameters
        ----------
        n_steps
            Counted from the very start, those before a checkpoint included.
        max_seconds
            Of this call.
        path
            A checkpoint, written at once, every `SAVE_EVERY` seconds, and at the end.
        progress
            Called with the fraction done.

        Raises
        ------
        TrainingDiverged
            If the loss is no number any more. The checkpoint is of an earlier state then.
        FileAccessError
            If the checkpoint cannot be written.
        """
        start = saved = time.monotonic()
        if path is not None:
            self.save(path)
        while self.step < n_steps and (now := time.monotonic()) - start < max_seconds:
            if path is not None and now - saved >= SAVE_EVERY:
                self.save(path)
                saved = now
            self.advance()
            if progress is not None:
                progress(min(1.0, max(self.step / n_steps, (time.monotonic() - start) / max_seconds)))
        if path is not None:
            self.save(path)

    def advance(self) -> None:
        """One step of Adam on one crop, flipped at random.

        Raises
        ------
        TrainingDiverged
            If the loss is no number any more. Network and step are left as they were.
        """
        number = self.step + 1
        with _drawing(self.settings.seed, "step", number):
            part = _crop(self.image, self.settings.crop).flip(_flips())
            mask = _mask(part, self.settings.block)
            hidden = 1 - mask
            loss = torch.sum((self.network(part, mask) - part) ** 2 * hidden) / hidden.sum().clamp_min(1)
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(
                "the loss is no number any more", location=f"step {number}", hint="choose a smaller learning_rate"
            )
        for group in self.adam.param_groups:
            group["lr"] = self.settings.learning_rate * min(1.0, number / WARM_UP)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.step, self.loss = number, loss.item()

    def predict(self, n_predictions: int, progress: Callable[[float], None] | None = None) -> npt.NDArray[np.float32]:
        """The mean of many guesses, each from other pixels and with another dropout.

        Returns
        -------
        array : (n_z, n_x)
            From 0 to 1.
        """
        total = torch.zeros_like(self.image)
        for index in range(n_predictions):
            with torch.no_grad(), _drawing(self.settings.seed, "prediction", index):
                flips = _flips()
                image = self.image.flip(flips)
                total += self.network(image, _mask(image, self.settings.block)).flip(flips)
            if progress is not None:
                progress((index + 1) / n_predictions)
        return (total / n_predictions)[0, 0].numpy()

    def save(self, path: str) -> None:
        """Write a checkpoint, unless the last step has spoilt the state: then the one that is there stays.

        Raises
        ------
        FileAccessError
            If it cannot be written.
        """
        tensors = self._tensors()
        if all(bool(torch.isfinite(each).all()) for each in tensors.values()):
            checkpoint.save(path, tensors, {**self._facts(), "step": self.step})

    def resume(self, path: str) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        CheckpointError
            If it is damaged, or of another image or other settings.
        FileAccessError
            If it cannot be read.
        """
        tensors, facts = checkpoint.load(path)
        for name, mine in self._facts().items():
            if facts.get(name) != mine:
                raise CheckpointError(
                    "the checkpoint is of another image or of other settings",
                    path=path,
                    location=name,
                    expected=mine,
                    found=facts.get(name),
                    hint="name another file, or remove this one to start anew",
                )
        step = facts.get("step")
        mine = self._tensors()
        if type(step) is not int or step < 0 or _layout(tensors) != _layout(mine):
            raise CheckpointError("the checkpoint is damaged", path=path, hint="remove it to start anew")
        for name, parameter in self.network.named_parameters():
            parameter.data = tensors[name]
            self.adam.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{key: tensors[f"{key}.{name}"] for key in _MOMENTS},
            }
        self.step = step

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint must share with the fit that goes on from it, in JSON's types."""
        settings = dataclasses.asdict(self.settings)
        return {
            "kind": "self2self 1",
            "image": hashlib.sha256(self.image.numpy().tobytes()).hexdigest(),
            "shape": list(self.image.shape[2:]),
            **settings,
            "block": list(self.settings.block),
        }

    def _tensors(self) -> dict[str, Tensor]:
        """Weights and the optimizer's moments, which are 0 before the first step."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            found[name] = parameter.data
            for key in _MOMENTS:
                found[f"{key}.{name}"] = self.adam.state[parameter].get(key, torch.zeros_like(parameter.data))
        return found


_MOMENTS = "exp_avg", "exp_avg_sq"  # as torch calls them


def _layout(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


@contextlib.contextmanager
def _drawing(seed: int, what: str, number: int) -> Generator[None]:
    """Random numbers that belong to one step, or one prediction; the caller's own go on afterwards as before."""
    digest = hashlib.sha256(f"{seed} {what} {number}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest[:4], "little"))
        yield


def _crop(image: Tensor, side: int) -> Tensor:
    """A square at a random place; all of the image where it is no larger."""
    for axis in (2, 3):
        spare = image.shape[axis] - side
        if spare > 0:
            image = image.narrow(axis, int(torch.randint(spare + 1, ())), side)
    return image


def _flips() -> list[int]:
    """The axes that are turned round."""
    return [axis for axis in (2, 3) if torch.rand(()) < 0.5]


def _mask(image: Tensor, block: tuple[int, int]) -> Tensor:
    """1 for what is shown, 0 for what is hidden: blocks, at a random offset."""
    n_z, n_x = image.shape[2:]
    drawn = torch.rand(1, 1, n_z // block[0] + 2, n_x // block[1] + 2) < KEPT
    pixels = drawn.float().repeat_interleave(block[0], 2).repeat_interleave(block[1], 3)
    z, x = (int(torch.randint(size, ())) for size in block)
    return pixels[:, :, z : z + n_z, x : x + n_x]
