"""Which two images make a pair: subsets of transmits or oblique looks, drawn anew for every frame.

========  ============================================================  ==========================================
strategy  lq, hq                                                        pairs of a frame
========  ============================================================  ==========================================
looks     both sides of a line through two-way k-space, at random       24: 12 angles, both directions
          angles (`usbeam.beamforming.oblique`)
paper     two transmits about the middle, a sixth of all apart, all     1
random    2 to half of the transmits, all                               16
disjoint  left and right half of the transmits, heard by all elements   2: both directions
========  ============================================================  ==========================================

Only looks have speckle of their own: what is fired by other elements but heard by the same shares much of its two-way
k-space. `paper` is the pairing of Li, Lu and Monkam, "Zero-Shot Learning for Real-Time Ultrasound Image Enhancement".
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming import subsets
from usbeam.beamforming.angular import Angular, AngularImages
from usbeam.beamforming.compounding import TransmitImages
from usbeam.beamforming.oblique import DIAGONALS
from usbeam.beamforming.plan import Plan
from usbeam.beamforming.subsets import Weights
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image

STRATEGIES = ("looks", "paper", "random", "disjoint")
N_PAIRS = {"looks": 24, "random": 16}
"""Pairs of a frame where draws are free."""
LQ = "inner:2"
"""What low quality is formed from in the paper's strategy. The paper does not say which two: the outermost hardly see
the angles that all do, and neighbours see few."""
MAX_SEED = 2**53
_AT_ONCE = 16
"""Draws whose looks are in memory together."""
FORMS = f"{subsets.FORMS} | random:N@SEED*DRAWS"

Parts = TransmitImages | AngularImages
Request = str | npt.NDArray[Any]
"""A subset of transmits as text, or as weights."""


@dataclass(frozen=True, eq=False)
class Draw:
    """One pair of a frame.

    Parameters
    ----------
    lq, hq : (n_tx,)
        Weights of the transmits.
    angle, side
        Of looks: the line [rad], and the side of it, -1 or 1, that lq is of.
    """

    lq: Weights
    hq: Weights
    angle: float | None = None
    side: Literal[-1, 1] = -1

    @property
    def overlap(self) -> float:
        """Share of the weight of lq that hq has too; looks have none in common."""
        if self.angle is not None:
            return 0.0
        lq, hq = np.abs(self.lq), np.abs(self.hq)
        return float(np.minimum(lq, hq).sum() / lq.sum())


def by_strategy(strategy: str, acquisition: Acquisition, n_pairs: int | None, entropy: Sequence[int]) -> list[Draw]:
    """The pairs of one frame by a strategy.

    Parameters
    ----------
    strategy
        One of `STRATEGIES`.
    acquisition
        The recording.
    n_pairs
        How many, for looks and random; `N_PAIRS` if not given.
    entropy
        Whole numbers that the draws depend on.

    Raises
    ------
    ConfigError
        For an unknown strategy, a number of pairs that it cannot have, and transmits that cannot be parted.
    """
    if strategy not in STRATEGIES:
        raise ConfigError("unknown strategy", location="strategy", expected=", ".join(STRATEGIES), found=strategy)
    if n_pairs is not None and strategy not in N_PAIRS:
        raise ConfigError(
            f"the pairs of strategy {strategy} are given", location="n_pairs", expected="none given", found=n_pairs
        )
    count = N_PAIRS.get(strategy, 1) if n_pairs is None else n_pairs
    if count < 1:
        raise ConfigError("not a number of pairs", location="n_pairs", expected="at least 1", found=n_pairs)
    everything, rng = subsets.all(acquisition), np.random.default_rng(entropy)
    if strategy == "looks":
        angles = np.repeat(rng.uniform(0, np.pi, (count + 1) // 2), 2)[:count]
        return [Draw(everything, everything, float(angle), 1 if i % 2 else -1) for i, angle in enumerate(angles)]
    n_tx = acquisition.n_tx
    if n_tx < 2:
        raise ConfigError(
            "one transmit alone has no subsets",
            path=acquisition.path,
            location="strategy",
            expected="looks, which need no more than one",
            found=strategy,
        )
    if strategy == "paper":
        return by_request([LQ], "all", acquisition, entropy)
    if strategy == "disjoint":
        left, right = subsets.disjoint(acquisition, 2)
        return [Draw(left, right), Draw(right, left)]
    fewest = min(2, n_tx - 1)
    sizes = rng.integers(fewest, max(fewest, n_tx // 2), count, endpoint=True)
    return [Draw(subsets.random(acquisition, int(size), int(rng.integers(MAX_SEED))), everything) for size in sizes]


def by_request(lq: Sequence[Request], hq: Request, acquisition: Acquisition, entropy: Sequence[int]) -> list[Draw]:
    """The pairs of one frame as a user asks for them.

    Parameters
    ----------
    lq
        Subsets as `usbeam.subsets.parse` reads them, or weights; ``random:N@SEED*DRAWS`` are fresh draws for every
        frame.
    hq
        A subset or weights.
    acquisition
        The recording.
    entropy
        Whole numbers that fresh draws depend on, beside their own seed.

    Raises
    ------
    ConfigError
        For subsets that this recording does not have, and an lq that is hq.
    """
    target = _weights(hq, acquisition)
    draws = [Draw(weights, target) for each in lq for weights in _drawn(each, acquisition, entropy)]
    for draw in draws:
        if np.array_equal(draw.lq / np.abs(draw.lq).max(), draw.hq / np.abs(draw.hq).max()):
            raise ConfigError(
                "lq and hq are the same image",
                path=acquisition.path,
                location="lq",
                expected="other transmits than hq",
                found=", ".join(map(str, np.flatnonzero(draw.lq))),
            )
    return draws


def _weights(request: Request, acquisition: Acquisition) -> Weights:
    if isinstance(request, str):
        return subsets.parse(request, acquisition)
    return subsets.check(request, acquisition)


def _drawn(request: Request, acquisition: Acquisition, entropy: Sequence[int]) -> list[Weights]:
    """One weight vector, or several for ``random:N@SEED*DRAWS``."""
    if not (isinstance(request, str) and "*" in request):
        return [_weights(request, acquisition)]
    subset, _, times = request.rpartition("*")
    try:
        name, _, argument = subset.strip().partition(":")
        size, _, seed = argument.partition("@")
        count, n_draws, start = int(size), int(times), int(seed or 0)
    except ValueError as error:
        raise ConfigError(f"cannot read {request!r} as draws", location="lq", expected=FORMS) from error
    if name != "random" or n_draws < 1 or start < 0:
        raise ConfigError(f"cannot read {request!r} as draws", location="lq", expected=FORMS)
    rng = np.random.default_rng([start, *entropy])
    return [subsets.random(acquisition, count, int(rng.integers(MAX_SEED))) for _ in range(n_draws)]


def beamformer(acquisition: Acquisition, grid: Grid, *, looks: bool, options: Mapping[str, Any]) -> Plan | Angular:
    """What makes the parts of a frame that draws are composed of: an `Angular` for looks, a `Plan` for subsets.

    Raises
    ------
    ConfigError
        For an option that it does not have. And what `Plan` and `Angular` refuse.
    """
    kind = Angular if looks else Plan
    unknown = sorted(set(options) - options_of(kind))
    if unknown:
        raise ConfigError(
            f"{'looks' if looks else 'subsets'} have no option {', '.join(unknown)}",
            location=unknown[0],
            expected=", ".join(sorted(options_of(kind))),
        )
    return kind(acquisition, grid, **options)


def options_of(kind: type[Plan | Angular]) -> set[str]:
    """Names of the options that a user may set."""
    return set(inspect.signature(kind).parameters) - {"acquisition", "grid", "transmits"}


def parts(maker: Plan | Angular, samples: npt.ArrayLike) -> Parts:
    """The parts of a frame ``(n_tx, n_rx, n_samples)``: images of single transmits, or angular components."""
    return maker(samples) if isinstance(maker, Angular) else maker.transmit_images(samples)


def learnt(made: Parts) -> Sequence[Image]:
    """Images of one frame whose speckle is as large as in what is learnt: diagonal looks, or the image of all."""
    return made.looks(DIAGONALS) if isinstance(made, AngularImages) else [made.image(subsets.all(made.n_tx))]


def pairs(made: Parts, draws: Sequence[Draw]) -> Iterator[tuple[Image, Image]]:
    """The two images of each draw, lq and hq, made when their turn comes."""
    if not isinstance(made, AngularImages):
        images = made.images(weights for draw in draws for weights in (draw.lq, draw.hq))
        yield from zip(images, images, strict=True)
        return
    for start in range(0, len(draws), _AT_ONCE):
        batch = draws[start : start + _AT_ONCE]
        angles = sorted({draw.angle or 0.0 for draw in batch})
        looks = made.looks(angles)
        for draw in batch:
            first = 2 * angles.index(draw.angle or 0.0)
            below, above = looks[first : first + 2]
            yield (below, above) if draw.side == -1 else (above, below)
