"""Subsets of transmits as weight vectors.

A subset is a float32 vector with one weight per transmit; 0 leaves a transmit out. Beamformers are linear in the
transmits, so any weights are allowed, and several subsets are simply the rows of a matrix.

Examples
--------
>>> first(8, 2)
array([1., 1., 0., 0., 0., 0., 0., 0.], dtype=float32)
>>> parse("ends:2", 8)
array([1., 0., 0., 0., 0., 0., 0., 1.], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.errors import ConfigError

Weights = npt.NDArray[np.float32]
Source = Acquisition | int
"""A recording, or just its number of transmits."""


def _count(source: Source) -> int:
    return source if isinstance(source, int) else source.n_tx


def _picked(source: Source, picked: npt.ArrayLike | slice) -> Weights:
    weights = np.zeros(_count(source), np.float32)
    weights[picked if isinstance(picked, slice) else np.asarray(picked, np.int64)] = 1
    return weights


def _some(source: Source, count: int, what: str) -> int:
    if count not in range(1, _count(source) + 1):
        raise ConfigError(f"cannot take {count} transmits", location=what, expected=f"1..{_count(source)}", found=count)
    return count


def all(source: Source) -> Weights:  # noqa: A001 - the word the field uses, always reached as subsets.all
    """Every transmit, weight 1."""
    return _picked(source, slice(None))


def every(source: Source, step: int) -> Weights:
    """Transmits 0, step, 2 step, ..."""
    return _picked(source, slice(None, None, _some(source, step, "every")))


def first(source: Source, count: int) -> Weights:
    """The first `count` transmits."""
    return _picked(source, slice(_some(source, count, "first")))


def last(source: Source, count: int) -> Weights:
    """The last `count` transmits."""
    return _picked(source, slice(_count(source) - _some(source, count, "last"), None))


def center(source: Source, count: int) -> Weights:
    """The `count` transmits in the middle of the sequence."""
    start = (_count(source) - _some(source, count, "center")) // 2
    return _picked(source, slice(start, start + count))


def ends(source: Source, count: int) -> Weights:
    """`count` transmits spread evenly from the first to the last, both included; one alone is the middle one."""
    if _some(source, count, "ends") == 1:
        return center(source, 1)
    return _picked(source, np.round(np.linspace(0, _count(source) - 1, count)).astype(np.int64))


def inner(source: Source, count: int) -> Weights:
    """`count` transmits spread evenly over the middle sixth of the sequence; neighbours, where it has no more."""
    width = _count(source) / 6
    if _some(source, count, "inner") == 1 or count - 1 >= width:
        return center(source, count)
    middle = (_count(source) - 1) / 2
    return _picked(source, np.floor(middle + width * np.linspace(-0.5, 0.5, count) + 0.5).astype(np.int64))


def index(source: Source, indices: Iterable[int]) -> Weights:
    """Exactly these transmits, counted from 0.

    Raises
    ------
    ConfigError
        If the list is empty, repeats a transmit or names one that is not there.
    """
    chosen = list(indices)
    if not chosen:
        raise ConfigError("no transmit is selected", location="transmits", expected="at least one index")
    if len(set(chosen)) < len(chosen):
        raise ConfigError("a transmit is selected twice", location="transmits", found=chosen)
    bad = [i for i in chosen if i not in range(_count(source))]
    if bad:
        raise ConfigError(
            "no such transmit",
            location="transmits",
            expected=f"0..{_count(source) - 1}",
            found=", ".join(map(str, bad)),
        )
    return _picked(source, chosen)


def random(source: Source, count: int, seed: int) -> Weights:
    """`count` transmits drawn without repetition; the same seed gives the same draw."""
    if seed < 0:
        raise ConfigError("a seed is a whole number >= 0", location="random", found=seed)
    chosen = np.random.default_rng(seed).permutation(_count(source))[: _some(source, count, "random")]
    return _picked(source, chosen)


def disjoint(source: Source, count: int) -> list[Weights]:
    """`count` neighbouring blocks of transmits that share none and together are all."""
    blocks = np.array_split(np.arange(_count(source)), _some(source, count, "disjoint"))
    return [_picked(source, block) for block in blocks]


def check(weights: npt.ArrayLike, source: Source) -> Weights:
    """Check a user's own weight vector.

    Raises
    ------
    ConfigError
        If the length is wrong, a weight is not finite, or all are 0.
    """
    try:
        vector = np.array(weights, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError("weights are numbers, one per transmit", location="transmits", found=weights) from error
    if vector.shape != (_count(source),):
        raise ConfigError(
            "one weight per transmit", location="transmits", expected=f"({_count(source)},)", found=vector.shape
        )
    if not np.all(np.isfinite(vector)):
        raise ConfigError("a weight is not finite", location="transmits", found=vector[~np.isfinite(vector)][0])
    if not np.any(vector):
        raise ConfigError("no transmit is selected", location="transmits", expected="a non-zero weight")
    return vector


def matrix(rows: Any, source: Source) -> Weights:
    """One checked row per image ``(n_images, n_tx)``, from several weight vectors or one; None is all transmits."""
    if rows is None:
        return all(source)[None]
    listed: list[Any] = list(rows) if np.iterable(rows) else [rows]
    if not listed:
        raise ConfigError("no transmit is selected", location="transmits", expected="at least one subset")
    return np.stack([check(row, source) for row in (listed if np.ndim(listed[0]) == 1 else [listed])])


_BY_COUNT = {"first": first, "last": last, "every": every, "center": center, "ends": ends, "inner": inner}
FORMS = "all | first:N | last:N | every:N | center:N | ends:N | inner:N | index:0,31 | random:N@SEED"


def parse(text: str, source: Source) -> Weights:
    """A subset as typed on the command line.

    Parameters
    ----------
    text
        One of the forms ``all | first:N | last:N | every:N | center:N | ends:N | inner:N | index:0,31 |
        random:N@SEED``.
    source
        The recording.

    Raises
    ------
    ConfigError
        If the text is none of them, or asks for transmits that are not there.
    """
    name, _, argument = text.strip().partition(":")
    try:
        if name == "all" and not argument:
            return all(source)
        if name in _BY_COUNT:
            return _BY_COUNT[name](source, int(argument))
        if name == "index":
            return index(source, [int(part) for part in argument.split(",") if part.strip()])
        if name == "random":
            count, _, seed = argument.partition("@")
            return random(source, int(count), int(seed or 0))
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"cannot read {text!r} as a subset of transmits", expected=FORMS) from error
    raise ConfigError(f"unknown subset of transmits {text!r}", expected=FORMS)
