"""From a pairs file to what a network is fed: the domain, the split by recording, and the crops of every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor

from usbeam.errors import BadField, ConfigError
from usbeam.io.pairs_file import FileImages, Pairs
from usbeam.train.config import Config

FLOOR_DB = -50.0
"""Lowest level, re the image's median, that the domain ``median`` keeps."""
SCALE_DB = 20.0
"""What is 1 there."""
MULTIPLE = 16
"""Sides of crops are multiples of this, so that no network mirrors borders while it is trained."""
GAP = 16
"""Columns between the parts of a field, so that no speckle lies in both."""
MEMORY_SHARE = 0.5
"""Share of the free memory that pairs may take; more is read from the disk at every step."""

Array = npt.NDArray[np.float32]


def fed(values: npt.NDArray[np.floating[Any]], dynamic_range_db: float, domain: str) -> Array:
    """An image as networks of a domain take it.

    Parameters
    ----------
    values : (n_z, n_x)
        After log compression, from 0 to 1.
    dynamic_range_db
        Of that compression.
    domain
        ``display``: the values as they are. ``median``: the level in dB re the image's median, no lower than -50 dB,
        over 20 dB.

    Returns
    -------
    array : (n_z, n_x)

    Examples
    --------
    >>> fed(np.array([[0.0, 0.5, 0.6]]), 100.0, "median")
    array([[-2.5,  0. ,  0.5]], dtype=float32)
    """
    if domain == "display":
        return np.asarray(values, np.float32)
    level_db = (np.asarray(values, np.float64) - 1) * dynamic_range_db
    return (np.maximum(level_db - np.median(level_db), FLOOR_DB) / SCALE_DB).astype(np.float32)


class Examples:
    """Pairs in a domain: in memory where they fit, from the disk where not.

    Parameters
    ----------
    pairs
        Of a file.
    domain
        See `fed`.

    Raises
    ------
    BadField
        If an image has a pixel that is not finite, or is constant.
    ConfigError
        If there are fewer than two pairs.
    """

    def __init__(self, pairs: Pairs, domain: str) -> None:
        self.pairs, self.domain = pairs, domain
        self.path = pairs.hq.path
        self.shape = pairs.grid.shape
        if len(pairs) < 2:
            raise ConfigError(
                "too few pairs to learn from",
                path=self.path,
                expected="two or more",
                found=len(pairs),
                hint="`usbeam pairs` draws several from each frame",
            )
        size = 2 * 4 * len(pairs) * pairs.grid.size
        self.in_memory = size <= MEMORY_SHARE * psutil.virtual_memory().available
        # All of them are looked at, kept or not, so that a bad one is known before the first step.
        looked_at = (self._read(index) for index in range(len(pairs)))
        self._kept = list(looked_at) if self.in_memory else [() for _ in looked_at]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self._kept[index] or self._read(index)

    def _read(self, index: int) -> tuple[Array, Array]:
        return self._image(self.pairs.lq, index), self._image(self.pairs.hq, index)

    def _image(self, images: FileImages, index: int) -> Array:
        values = images[index]
        if values.min() == values.max():
            raise BadField(
                "a constant image: nothing can be learnt from it",
                path=self.path,
                location=f"/{images.name}[{index}]",
                found=float(values.flat[0]),
            )
        return fed(values, self.pairs.dynamic_range_db, self.domain)


@dataclass(frozen=True)
class Part:
    """One side of the split: some pairs, and of each some columns."""

    pairs: tuple[int, ...]
    columns: slice


@dataclass(frozen=True)
class Split:
    """What is learnt from, what is held out, and by which rule."""

    training: Part
    validation: Part
    rule: str


def split(recording: npt.NDArray[np.int64], names: Sequence[str], n_x: int, held_out: float, seed: int) -> Split:
    """Hold out whole recordings, never single frames or pairs, which are too much alike.

    Of one recording alone the right-hand part of the field is held out, behind a gap of `GAP` columns. What is found
    there is of the same tissue, machine and depths, and says less about other recordings.

    Parameters
    ----------
    recording : (n_pairs,)
        Which recording each pair is of.
    names
        Of the recordings.
    n_x
        Columns of the images.
    held_out
        Share of the recordings, or of the field.
    seed
        Of the choice.

    Raises
    ------
    ConfigError
        If the field of the only recording is too narrow.

    Examples
    --------
    >>> found = split(np.array([0, 0, 1, 1, 2, 2]), ("a.h5", "b.h5", "c.h5"), 64, 0.2, seed=0)
    >>> found.validation.pairs, found.rule
    ((4, 5), '1 of 3 recordings held out: c.h5')
    """
    found = np.unique(recording)
    everything = slice(0, n_x)
    if len(found) > 1:
        n_held_out = min(max(1, round(held_out * len(found))), len(found) - 1)
        chosen = np.random.default_rng((seed, 0)).permutation(found)[:n_held_out]
        is_held_out = np.isin(recording, chosen)
        training, validation = (tuple(np.flatnonzero(which).tolist()) for which in (~is_held_out, is_held_out))
        theirs = ", ".join(names[int(index)] for index in np.sort(chosen))
        rule = f"{n_held_out} of {len(found)} recordings held out: {theirs}"
        return Split(Part(training, everything), Part(validation, everything), rule)
    n_held_out = max(2 * MULTIPLE, round(held_out * n_x))
    end = n_x - n_held_out - GAP
    if end < 2 * MULTIPLE:
        raise ConfigError(
            "one recording, whose field is too narrow to hold out a part of it",
            location="/hq",
            expected=f"{2 * MULTIPLE} columns or more that are left to learn from",
            found=f"{max(0, end)} of {n_x}",
            hint="make pairs of two or more recordings, or on a finer grid",
        )
    every = tuple(range(len(recording)))
    rule = f"one recording: columns {n_x - n_held_out} to {n_x - 1} of its field held out"
    return Split(Part(every, slice(0, end)), Part(every, slice(n_x - n_held_out, n_x)), rule)


class Crops:
    """The crops of every step, drawn from the seed and the step's number alone.

    Pairs come in random order, each once before any comes again; places are uniform; every other crop is flipped left
    to right.

    Parameters
    ----------
    examples
        See `Examples`.
    part
        Where crops are taken from.
    config
        See `Config`.

    Raises
    ------
    ConfigError
        If the images are smaller than the network takes.
    """

    def __init__(self, examples: Examples, part: Part, config: Config) -> None:
        self.examples, self.part, self.seed, self.batch = examples, part, config.seed, config.batch
        sizes = examples.shape[0], part.columns.stop - part.columns.start
        if min(sizes) <= MULTIPLE:
            raise ConfigError(
                "the images are too small to train on",
                path=examples.path,
                location="/hq",
                expected=f"more than {MULTIPLE} pixels each way",
                found=f"{sizes[0]} x {sizes[1]}",
            )
        # Below two blocks the whole side, which the network mirrors, is better than one block.
        self.sides = tuple(
            size if size < 2 * MULTIPLE else min(wanted, size // MULTIPLE * MULTIPLE)
            for size, wanted in zip(sizes, config.crop, strict=True)
        )

    def draw(self, step: int, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor]:
        """What one process of several sees in a step, counted from 0.

        Returns
        -------
        lq, hq : (batch / world, 1, z, x)
        """
        rng = np.random.default_rng((self.seed, 1, step))
        places = rng.random((self.batch, 2))
        flipped = rng.random(self.batch) < 0.5
        indices = list(self._indices(step))
        pairs = [self._cut(indices[i], places[i], bool(flipped[i])) for i in range(rank, self.batch, world)]
        lq, hq = (torch.from_numpy(np.stack(images)[:, None]) for images in zip(*pairs, strict=True))
        return lq, hq

    def _indices(self, step: int) -> Iterator[int]:
        n_pairs = len(self.part.pairs)
        for number in range(step * self.batch, (step + 1) * self.batch):
            order = np.random.default_rng((self.seed, 2, number // n_pairs)).permutation(n_pairs)
            yield self.part.pairs[order[number % n_pairs]]

    def _cut(self, index: int, place: npt.NDArray[np.float64], flipped: bool) -> tuple[Array, Array]:
        starts = 0, self.part.columns.start
        ends = self.examples.shape[0], self.part.columns.stop
        rows, columns = (
            slice(first := start + int(share * (end - start - side + 1)), first + side)
            for start, end, side, share in zip(starts, ends, self.sides, place, strict=True)
        )
        lq, hq = (image[rows, columns] for image in self.examples[index])
        return (lq[:, ::-1], hq[:, ::-1]) if flipped else (lq, hq)
