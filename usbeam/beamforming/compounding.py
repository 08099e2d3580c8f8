"""Images of subsets as weighted sums of images of fewer parts.

Beamformers are linear in the transmits, so that the images of K subsets with weights W (K, n_tx) need not be beamformed
one by one. Transmits that have the same weight in every image are one *part*. The parts' images are beamformed once,
and every image is a weighted sum of them: one real matrix product. In the limit each transmit is a part of its own, and
its image is the low-resolution image of synthetic aperture imaging.

Examples
--------
Two subsets of four transmits, the first two and all: the parts are the first two and the last two.

>>> parts, mix = parts_of(np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.float32))
>>> parts
array([[0., 0., 1., 1.],
       [1., 1., 0., 0.]], dtype=float32)
>>> mix
array([[0., 1.],
       [1., 1.]], dtype=float32)

References
----------
Jensen, Nikolov, Gammelmark, Pedersen 2006, Ultrasonics 44:e5 (low-resolution images and their sum).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from usbeam.beamforming import subsets
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.kernels.backend import Backend

Weights = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]

PRODUCT_COST, PART_COST = 0.1, 5.0
"""Operations per point of adding a part to an image, and of writing and reading a part's image."""
PARTS_SHARE = 0.125
"""Of the memory budget, for images of parts."""
_BATCH_BYTES = 32e6
"""Of the images made by one matrix product: enough that its threads are started rarely."""


class Beamformer(Protocol):
    """What every method offers: geometry once, then frames with any weights of its transmits."""

    backend: Backend

    def __call__(self, frames: Any, subsets: Weights, /) -> Any:
        """Images ``(n_frames, n_subsets, n_z, n_x)`` of frames ``(n_frames, n_tx, n_rx, n_samples)``, contiguous.

        Both are arrays of the backend.
        """
        ...

    def cost(self, subsets: Weights, /) -> float:
        """Work of these images, in units of delay-and-sum's: one trace at one image point."""
        ...

    def folds(self, subsets: Weights, /) -> bool:
        """Whether reciprocal traces of any of these subsets are added first."""
        ...


@dataclass(frozen=True, eq=False)
class Compounding:
    """Which images are beamformed, and how those that are wanted are made of them.

    Parameters
    ----------
    parts : (n_parts, n_tx)
        Subsets to beamform.
    mix : (n_images, n_parts), optional
        Weights of their images in each image; without it the parts are the images.
    """

    parts: Weights
    mix: Weights | None = None

    def cost(self, beamformer: Beamformer, n_points: int) -> float:
        """Of one frame, in the unit of `Beamformer.cost`."""
        if self.mix is None:
            return beamformer.cost(self.parts)
        n_images, n_parts = self.mix.shape
        return beamformer.cost(self.parts) + n_points * n_parts * (PART_COST + PRODUCT_COST * n_images)

    def images(self, beamformer: Beamformer, frames: Any, grid: Grid, memory_budget: float) -> Any:
        """Images ``(n_frames, n_images, n_z, n_x)`` of frames; as many parts at a time as fit the budget [bytes]."""
        if self.mix is None:
            return beamformer(frames, self.parts)
        backend = beamformer.backend
        images = backend.xp.zeros((len(frames), len(self.mix), *grid.shape), np.complex64)
        most = max(1, int(memory_budget // (8 * grid.size * len(frames))))
        for start in range(0, len(self.parts), most):
            chunk = slice(start, start + most)
            weights = np.ascontiguousarray(self.mix[:, chunk])
            add_weighted(backend.asarray(weights), beamformer(frames, self.parts[chunk]), images)
        return images


def parts_of(weights: Weights) -> tuple[Weights, Weights]:
    """Group the transmits that have the same weights in all subsets.

    Parameters
    ----------
    weights : (n_subsets, n_tx)
        One row per subset.

    Returns
    -------
    parts : (n_parts, n_tx)
        1 for the transmits of each part; transmits that no subset uses are in none.
    mix : (n_subsets, n_parts)
        With ``mix @ parts == weights``.
    """
    used = np.flatnonzero(np.any(weights, axis=0))
    mix, part = np.unique(weights[:, used], axis=1, return_inverse=True)
    parts = np.zeros((mix.shape[1], weights.shape[1]), np.float32)
    parts[part.ravel(), used] = 1
    return parts, np.ascontiguousarray(mix)


def cheapest(beamformer: Beamformer, weights: Weights, n_points: int) -> Compounding:
    """Beamform every subset, or the parts that the subsets share.

    Which is cheaper depends on the method. Delay-and-sum's work grows with the number of traces: subsets that share no
    transmits, or few, cost least one by one, and so do a small number of full-matrix subsets that the fold halves; many
    that overlap cost most. The Fourier beamformer's work is the same for any number of transmits: its images cost least
    one by one until there are more of them than parts. Either way there are never more parts than transmits.

    Parameters
    ----------
    beamformer
        States what its images cost.
    weights : (n_subsets, n_tx)
        One row per wanted image.
    n_points
        Of an image.
    """
    ways = (Compounding(weights), Compounding(*parts_of(weights)))
    return min(ways, key=lambda way: way.cost(beamformer, n_points))


def add_weighted(weights: Any, parts: Any, images: Any) -> None:
    """``images += weights @ parts``, real weights times complex images; all three are arrays of one device.

    Parameters
    ----------
    weights : (n_images, n_parts)
        Real, so that real and imaginary parts are two columns of one float32 product: half the work of a complex one.
    parts : (..., n_parts, n_z, n_x)
        Contiguous.
    images : (..., n_images, n_z, n_x)
        Contiguous; added to.
    """
    flat, total = (each.reshape(*each.shape[:-2], -1).view(np.float32) for each in (parts, images))
    most = _batch(4 * total.shape[-1])
    for start in range(0, len(weights), most):
        total[..., start : start + most, :] += weights[start : start + most] @ flat


def _batch(image_bytes: int) -> int:
    """Images of one matrix product."""
    return max(1, int(_BATCH_BYTES // image_bytes))


@dataclass(frozen=True, eq=False)
class TransmitImages:
    """Low-resolution images, one per transmit: the image of any subset is a weighted sum, in milliseconds.

    `Plan.transmit_images` makes them.

    Parameters
    ----------
    data : (n_used, n_z, n_x) complex64
        One image per transmit, contiguous.
    transmits : (n_used,)
        Which transmits these are, rising.
    n_tx
        Transmits of the recording: the length of a weight vector.
    grid, settings, source
        As images have them.

    Examples
    --------
    >>> import numpy as np, usbeam as ub
    >>> low = TransmitImages(
    ...     data=np.ones((3, 2, 2), np.complex64), transmits=np.arange(3), n_tx=3,
    ...     grid=ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(2, 2)), settings={}, source={})
    >>> low.image([1, 0, 0.5]).data[0]
    array([1.5+0.j, 1.5+0.j], dtype=complex64)
    """

    data: Complex
    transmits: npt.NDArray[np.int64]
    n_tx: int
    grid: Grid
    settings: Mapping[str, Any]
    source: Mapping[str, str]

    def image(self, weights: npt.ArrayLike) -> Image:
        """The image of one weight vector ``(n_tx,)``, as `images` makes it."""
        (image,) = self.images([weights])
        return image

    def images(self, rows: Iterable[npt.ArrayLike]) -> Iterator[Image]:
        """Images of many weight vectors, made in batches when their turn comes.

        Parameters
        ----------
        rows
            Weight vectors ``(n_tx,)``; any number, they are not listed first.

        Raises
        ------
        ConfigError
            When the turn comes of a vector that `subsets.check` refuses, or that uses a transmit which has no image
            here.
        """
        waiting = iter(rows)
        while batch := list(itertools.islice(waiting, _batch(self.data[0].nbytes))):
            weights = np.stack([self._check(row) for row in batch])
            images = np.zeros((len(batch), *self.grid.shape), np.complex64)
            add_weighted(weights[:, self.transmits], self.data, images)
            for data, row in zip(images, weights, strict=True):
                yield labelled(data, row, self.grid, self.settings, self.source)

    def _check(self, row: npt.ArrayLike) -> Weights:
        weights = subsets.check(row, self.n_tx)
        absent = np.setdiff1d(np.flatnonzero(weights), self.transmits)
        if len(absent):
            raise ConfigError(
                "transmits without a low-resolution image",
                location="transmits",
                expected="weight 0",
                found=", ".join(map(str, absent)),
                hint="make the plan with transmits=subsets.all(recording)",
            )
        return weights


def labelled(
    data: Complex, weights: Weights, grid: Grid, settings: Mapping[str, Any], source: Mapping[str, str]
) -> Image:
    """An image that knows its weights; the data are copied, as a view would keep the whole batch in memory."""
    return Image(
        data.copy(), grid, settings={**settings, "transmit_weights": [float(w) for w in weights]}, source=source
    )
