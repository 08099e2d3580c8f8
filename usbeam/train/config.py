"""What a training depends on beside its pairs: one frozen object, with the published values of each network."""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from usbeam.errors import ConfigError, FileAccessError, printable
from usbeam.io.safe import access_error
from usbeam.train.networks import MODELS

PRECISIONS = ("float32", "bfloat16", "auto")
SCHEDULES = ("constant", "cosine")

_PAPER = {
    "crop": (448, 224),
    "steps_per_epoch": 0,
    "learning_rate": 1e-3,
    "warm_up": 0,
    "schedule": "constant",
    "clip": 0.0,
}
_LOOKS = {
    "crop": (128, 128),
    "steps_per_epoch": 150,
    "learning_rate": 1e-3,
    "warm_up": 50,
    "schedule": "cosine",
    "clip": 1.0,
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    # The light network for looks, split and without normalisation, hardly learns at the rate of the full one.
    {"unet": _PAPER, "unet-light": _PAPER, "looks": _LOOKS, "looks-light": {**_LOOKS, "learning_rate": 4e-3}}
)
"""What differs between the networks: those of the paper, and those for decorrelated looks."""

_OF_MODEL: Any = None  # stands for the entry of DEFAULTS, which takes its place at once


@dataclass(frozen=True, kw_only=True)
class Config:
    """How a network is trained. What is not given takes the values of the network's own source; see `DEFAULTS`.

    The loss is the mean absolute difference, the optimizer Adam with moments 0.9 and 0.999.

    Parameters
    ----------
    model
        One of `usbeam.train.networks.MODELS`.
    epochs
        After each the network is validated, drawn and kept.
    seed
        Of the starting weights, the split, crops and flips.
    batch
        Crops a step. Several processes share them.
    crop : (z, x)
        Pixels that one example has; of smaller images the largest multiple of 16 that fits.
    steps_per_epoch
        0 is once through the pairs.
    learning_rate
        Of Adam.
    warm_up
        Steps over which the learning rate rises.
    schedule
        What it does then: ``constant``, or ``cosine`` down to 0 at the last step.
    clip
        Largest norm of the gradient; 0 is any.
    held_out
        Share of the recordings, at least one, that is kept for validation; of one recording, the share of its field.
    patience
        Epochs without a better validation loss after which to stop; 0 is never.
    precision
        Of the sums within the network: ``float32``; ``bfloat16``, where the device has it; ``auto``, the latter where
        it can be had.

    Raises
    ------
    ConfigError
        If a value is of another type or out of range.

    Examples
    --------
    >>> config = Config(model="unet", seed=1)
    >>> config.crop, config.schedule, config.epochs
    ((448, 224), 'constant', 20)
    >>> Config(crop=(64, 64)).clip
    1.0
    """

    model: str = "looks"
    epochs: int = 20
    seed: int = 0
    batch: int = 4
    crop: tuple[int, int] = _OF_MODEL
    steps_per_epoch: int = _OF_MODEL
    learning_rate: float = _OF_MODEL
    warm_up: int = _OF_MODEL
    schedule: str = _OF_MODEL
    clip: float = _OF_MODEL
    held_out: float = 0.2
    patience: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        _one_of("model", self.model, MODELS)
        for name, value in DEFAULTS[self.model].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("epochs", "batch"):
            _whole(name, getattr(self, name), least=1)
        for name in ("seed", "steps_per_epoch", "warm_up", "patience"):
            _whole(name, getattr(self, name), least=0)
        crop: Any = self.crop
        if not isinstance(crop, tuple | list) or len(crop) != 2:
            raise ConfigError("not a size", location="crop", expected="pixels in z and in x", found=crop)
        for side in crop:
            _whole("crop", side, least=16)
        object.__setattr__(self, "crop", tuple(crop))
        _number("learning_rate", self.learning_rate, above=0.0)
        _number("held_out", self.held_out, above=0.0, below=1.0)
        if self.clip != 0:
            _number("clip", self.clip, above=0.0)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)

    @property
    def domain(self) -> str:
        """What the network is fed; see `usbeam.train.data.fed`."""
        return "display" if self.model.startswith("unet") else "median"

    def resolved(self, device: torch.device) -> Config:
        """The same with ``auto`` replaced by what it means on a device.

        Raises
        ------
        ConfigError
            If bfloat16 is asked for and the device does not have it.
        """
        if self.precision == "float32":
            return self
        has_bfloat16 = _has_bfloat16(device)
        if self.precision == "bfloat16" and not has_bfloat16:
            raise ConfigError(
                f"the {'GPU' if device.type == 'cuda' else 'processor'} does not have it",
                location="precision",
                expected="float32, or auto",
                found="bfloat16",
            )
        return dataclasses.replace(self, precision="bfloat16" if has_bfloat16 else "float32")

    def table(self) -> dict[str, Any]:
        """The values in JSON's types.

        Examples
        --------
        >>> Config(model="unet").table()["crop"]
        [448, 224]
        """
        return {**dataclasses.asdict(self), "crop": list(self.crop)}

    def differences(self, other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """What is not equal in another's `table`: name -> (mine, the other's).

        Examples
        --------
        >>> Config(epochs=3).differences(Config(epochs=2).table())
        {'epochs': (3, 2)}
        """
        mine = self.table()
        return {
            name: (mine.get(name), other.get(name)) for name in {**mine, **other} if mine.get(name) != other.get(name)
        }


def from_table(table: Mapping[str, Any], path: str | os.PathLike[str] | None = None) -> Config:
    """A `Config` of names and values, as TOML and JSON have them.

    Parameters
    ----------
    table
        Parameters of `Config`.
    path
        Where they stand, for messages.

    Raises
    ------
    ConfigError
        If a name is unknown or a value not allowed.
    """
    known = [field.name for field in dataclasses.fields(Config)]
    unknown = [name for name in table if name not in known]
    if unknown:
        found = printable(", ".join(unknown))
        raise ConfigError("unknown setting of training", path=path, expected=f"of {', '.join(known)}", found=found)
    try:
        return Config(**table)
    except ConfigError as error:
        error.path = None if path is None else os.fspath(path)
        raise


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The table of a TOML file, not checked yet.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    ConfigError
        If it is no TOML.
    """
    try:
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}", path=path, hint='for example: model = "unet"') from error
    except FileNotFoundError as error:
        raise FileAccessError("no such file", path=path, hint="check the spelling and the folder") from error
    except OSError as error:
        raise access_error(error, path) from error


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16") or abilities.get("bf16"))


def _one_of(name: str, value: Any, allowed: Any) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError("unknown value", location=name, expected=f"one of {', '.join(allowed)}", found=value)


def _whole(name: str, value: Any, *, least: int) -> None:
    if type(value) is not int or not least <= value < 2**63:
        raise ConfigError("not allowed", location=name, expected=f"a whole number of at least {least}", found=value)


def _number(name: str, value: Any, *, above: float, below: float = math.inf) -> None:
    if type(value) not in (int, float) or not above < value < below:
        limits = f"above {above:g}" + ("" if math.isinf(below) else f" and below {below:g}")
        raise ConfigError("not allowed", location=name, expected=f"a number {limits}", found=value)
