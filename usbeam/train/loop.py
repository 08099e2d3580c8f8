"""The loop of training: steps, validation, and a state on disk from which it goes on to the same bits."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn.functional import l1_loss

from usbeam.errors import CheckpointError, TrainingDiverged
from usbeam.train import checkpoint, gpu
from usbeam.train.config import Config
from usbeam.train.data import Crops, Examples, Split
from usbeam.train.networks import Network
from usbeam.train.run import Epoch

_MOMENTS = "exp_avg", "exp_avg_sq"  # as torch calls them


@dataclass
class Sums:
    """Of an epoch that is under way: losses, seconds of its steps, and those of them spent on waiting for crops."""

    loss: float = 0.0
    seconds: float = 0.0
    waiting: float = 0.0


class Loop:
    """A network, its optimizer, and how far they are.

    What a step sees depends on the seed and the step's number alone, so that a training that was interrupted goes on as
    if it had not been: to the same bits, with as many threads on the same kind of processor.

    Parameters
    ----------
    config
        See `Config`; its precision is that of `fabric`, or ``auto``.
    examples, split
        What to learn from, and what to validate on.
    network
        Where to start; it is changed.
    fabric
        Lightning's, launched: the device, the precision and the processes.
    identity
        What a state must share with the training that goes on from it, in JSON's types.
    """

    def __init__(
        self,
        config: Config,
        examples: Examples,
        split: Split,
        network: Network,
        fabric: Fabric,
        identity: Mapping[str, Any],
    ) -> None:
        self.config, self.examples, self.validation = config, examples, split.validation
        self.crops = Crops(examples, split.training, config)
        self.network, self.fabric = network.train(), fabric
        adam = torch.optim.Adam(network.parameters(), config.learning_rate)
        self._model, self._adam = fabric.setup(network, adam)
        self._raw_adam = adam
        self._identity = {"kind": "training 1", **identity, **config.table()}
        self.steps_per_epoch = config.steps_per_epoch or math.ceil(len(split.training.pairs) / config.batch)
        self.step = 0
        self.history: list[Epoch] = []
        self._so_far = Sums()

    @property
    def n_steps(self) -> int:
        """How many there will be."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def best(self) -> Epoch | None:
        """The first epoch of the least validation loss so far."""
        return min(self.history, key=lambda epoch: epoch.validation_loss, default=None)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        waited = len(self.history) - (self.best.epoch if self.best else 0)
        return len(self.history) >= self.config.epochs or 0 < self.config.patience <= waited

    def advance(self) -> None:
        """One step of Adam.

        Raises
        ------
        TrainingDiverged
            If the loss is no number any more. Network and step are left as they were.
        DeviceOutOfMemory
            If the GPU's memory is too small.
        """
        start = time.perf_counter()
        fabric = self.fabric
        lq, hq = map(self._moved, self.crops.draw(self.step, fabric.global_rank, fabric.world_size))
        drawn = time.perf_counter()
        with self._within_memory("a step", f"a batch of {len(lq)} crops of {lq.shape[2]} x {lq.shape[3]}"):
            loss = l1_loss(self._model(lq), hq)
            self._adam.zero_grad()
            fabric.backward(loss)
            value = self._over_processes(loss.detach(), "mean")  # waits for a GPU, which has all its work by now
            if not math.isfinite(value):
                raise self._diverged("the loss is no number any more")
            for group in self._adam.param_groups:
                group["lr"] = self._learning_rate()
            if self.config.clip:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
            self._adam.step()
        self.step += 1
        self._so_far.loss += value
        self._so_far.seconds += time.perf_counter() - start
        self._so_far.waiting += drawn - start

    def end_epoch(self) -> Epoch:
        """Validate, and add to the history.

        Raises
        ------
        TrainingDiverged
            If the validation loss is no number.
        DeviceOutOfMemory
            If the GPU's memory is too small.
        """
        start = time.perf_counter()
        with self._within_memory("a whole image", " x ".join(map(str, self.examples.shape))):
            loss = self._validate()
        if not math.isfinite(loss):
            raise self._diverged("the validation loss is no number")
        done = self._so_far
        self.history.append(
            Epoch(
                epoch=len(self.history) + 1,
                step=self.step,
                train_loss=done.loss / self.steps_per_epoch,
                validation_loss=loss,
                learning_rate=float(self._adam.param_groups[0]["lr"]),
                seconds=done.seconds + time.perf_counter() - start,
                step_seconds=done.seconds / self.steps_per_epoch,
                waiting=done.waiting / done.seconds,
            )
        )
        self._so_far = Sums()
        return self.history[-1]

    def predict(self, image: Tensor) -> Tensor:
        """What the network makes of ``(n, 1, n_z, n_x)`` now."""
        # Not by the module that DDP wraps, which expects all processes to call it equally often.
        with torch.no_grad(), self.fabric.autocast():
            return self.network(self._moved(image)).float()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state, by one process of all, unless the last step has spoilt it: then the one there stays.

        Raises
        ------
        FileAccessError
            If it cannot be written.
        """
        tensors = self._tensors()
        if self.fabric.is_global_zero and all(bool(torch.isfinite(each).all()) for each in tensors.values()):
            history = [dataclasses.astuple(epoch) for epoch in self.history]
            progress = {"step": self.step, "so_far": dataclasses.asdict(self._so_far), "history": history}
            checkpoint.save(path, tensors, {**self._identity, **progress})

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a state.

        Raises
        ------
        CheckpointError
            If it is damaged, or of another training.
        FileAccessError
            If it cannot be read.
        """
        tensors, facts = checkpoint.load(path)
        changed = {name: (facts.get(name), mine) for name, mine in self._identity.items() if facts.get(name) != mine}
        if changed:
            raise CheckpointError(
                "the run was begun with other settings",
                path=path,
                location=", ".join(changed),
                expected=", ".join(f"{name}={theirs}" for name, (theirs, _) in changed.items()),
                found=", ".join(f"{name}={mine}" for name, (_, mine) in changed.items()),
                hint="leave out what is not to change, or train anew in another folder",
            )
        try:
            history = [Epoch(*row) for row in facts["history"]]
            step, so_far = int(facts["step"]), Sums(**facts["so_far"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"{type(error).__name__} {error}") from error
        wanted = self._tensors()
        if _layout(tensors) != _layout(wanted) or step // self.steps_per_epoch != len(history):
            raise _damaged(path, "tensors or steps that do not fit the network")
        if not all(bool(torch.isfinite(each).all()) for each in tensors.values()):
            raise _damaged(path, "weights that are not finite")
        for name, parameter in self.network.named_parameters():
            parameter.data.copy_(tensors[name])
            self._raw_adam.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{key: tensors[f"{key}.{name}"].to(parameter.device) for key in _MOMENTS},
            }
        self.step, self._so_far, self.history = step, so_far, history

    def _moved(self, images: Tensor) -> Tensor:
        """To the device; to a GPU from pinned memory, so that the host need not wait for the copy."""
        return self.fabric.to_device(images.pin_memory() if self.fabric.device.type == "cuda" else images)

    def _within_memory(self, what: str, size: str) -> AbstractContextManager[None]:
        return gpu.within_memory(
            what,
            location=f"step {self.step + 1}",
            found=size,
            hint="train anew with a smaller batch or crop, smaller images, or precision bfloat16; or go on as it is, "
            "from the last good state, with --resume --device cpu",
        )

    def _learning_rate(self) -> float:
        """Of the step that comes."""
        full, number, warm_up = self.config.learning_rate, self.step + 1, self.config.warm_up
        if number <= warm_up:
            return full * number / warm_up
        if self.config.schedule == "constant":
            return full
        return full * 0.5 * (1 + math.cos(math.pi * (number - 1 - warm_up) / max(1, self.n_steps - warm_up)))

    def _validate(self) -> float:
        """Mean absolute difference over all that is held out."""
        rank, world = self.fabric.global_rank, self.fabric.world_size
        columns = self.validation.columns
        total = torch.zeros((), dtype=torch.float64)
        for index in self.validation.pairs[rank::world]:
            lq, hq = (torch.from_numpy(image[:, columns].copy())[None, None] for image in self.examples[index])
            total += l1_loss(self.predict(lq), self._moved(hq)).double().cpu()
        # Collectives want tensors of the device.
        return self._over_processes(self.fabric.to_device(total), "sum") / len(self.validation.pairs)

    def _over_processes(self, value: Tensor, operation: str) -> float:
        found: Any = self.fabric.all_reduce(value, reduce_op=operation)
        return float(found)

    def _tensors(self) -> dict[str, Tensor]:
        """Weights and the optimizer's moments, which are 0 before the first step."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            found[name] = parameter.data
            for key in _MOMENTS:
                found[f"{key}.{name}"] = self._raw_adam.state[parameter].get(key, torch.zeros_like(parameter.data))
        return found

    def _diverged(self, what: str) -> TrainingDiverged:
        return TrainingDiverged(
            what,
            location=f"step {self.step + 1}",
            hint="choose a smaller learning_rate, or clip; the last good state and the best weights are kept",
        )


def _layout(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _damaged(path: str | os.PathLike[str], found: str) -> CheckpointError:
    return CheckpointError(
        "the state is damaged", path=path, expected="a state of this training", found=found, hint="train anew"
    )
