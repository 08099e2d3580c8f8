"""Run methods over images and measure what comes out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import usbeam
from usbeam.comparison import results as kept
from usbeam.comparison.methods import Setting, Sweep, sweeps
from usbeam.comparison.results import Result, Store
from usbeam.comparison.summary import Row, summarise
from usbeam.enhancers import enhance, find
from usbeam.enhancers.trained import TrainedEnhancer
from usbeam.errors import ConfigError, UsbeamError
from usbeam.image import Image
from usbeam.measure import roi
from usbeam.measure.evaluation import evaluate
from usbeam.measure.roi import RegionPair

REPEAT = 60.0
"""Seconds up to which a method's first run is repeated, so that its time excludes compilation."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on images: every result, and what they come to.

    Parameters
    ----------
    images
        Their names.
    pairs
        The regions.
    sweeps
        The methods with their settings, controls first.
    results
        Image -> label of the setting -> its figures.
    enhanced
        Label of the setting -> the first image, enhanced.
    dynamic_range
        Displayed range [dB] of images that are not in dB.
    """

    images: Sequence[str]
    pairs: Mapping[str, RegionPair]
    sweeps: Sequence[Sweep]
    results: Mapping[str, Mapping[str, Result]]
    enhanced: Mapping[str, Image]
    dynamic_range: float

    @cached_property
    def rows(self) -> list[Row]:
        """One for each setting: means over images, what controls reach at its edge width, tests."""
        return summarise(self.sweeps, list(self.results.values()))


def compare(
    images: Mapping[str, Image],
    pairs: Mapping[str, RegionPair],
    methods: Sequence[str] = (),
    *,
    reference: Image | None = None,
    dynamic_range: float = 60.0,
    keep: str | os.PathLike[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Comparison:
    """Enhance every image by every method, measure each, and compare.

    Every image is measured by itself, so that grids may differ; all regions must lie in all of them. Identity, Gaussian
    and median filters are always among the methods.

    Parameters
    ----------
    images
        Name -> image.
    pairs
        The regions, as `usbeam.roi.load` gives them.
    methods
        ``NAME``, ``NAME:PARAMETER=VALUE`` or, for an operating curve, ``NAME:PARAMETER=VALUE,VALUE``. Parameters are
        parted by semicolons; ``usbeam enhance --list`` shows methods and parameters.
    reference
        Best available image, for PSNR, SSIM and LNCC.
    dynamic_range
        Displayed range [dB] of images that are not in dB.
    keep
        A folder for results; those that it holds are not computed again.
    progress
        Called with the fraction done.

    Raises
    ------
    ConfigError
        For methods that cannot be read (`usbeam.comparison.methods.parse`), the same image twice, no image or no
        region, a range that is not positive, and an image that a method refuses.
    MeasurementError
        For a region that is empty or reaches outside one of the images, which is named.

    Examples
    --------
    >>> import numpy as np
    >>> import usbeam as ub
    >>> grid = ub.Grid.linear(x=(-5e-3, 5e-3), z=(10e-3, 20e-3), shape=(101, 101))
    >>> cyst = ub.roi.RegionPair("cyst", ub.roi.Circle(0.0, 15e-3, 2e-3), ub.roi.Annulus(0.0, 15e-3, 3e-3, 4e-3))
    >>> speckle = np.random.default_rng(0).rayleigh(size=grid.shape)
    >>> speckle[cyst.inside.inside(grid)] /= 4
    >>> image = ub.Image(speckle.astype(np.float32), grid, "envelope")
    >>> found = ub.compare({"a": image}, {"cyst": cyst}, ["nlm:strength=0.05,0.2"])
    >>> [row.setting.label for row in found.rows if not row.sweep.is_control]
    ['nlm:strength=0.05', 'nlm:strength=0.2']
    """
    chosen = check(images, pairs, methods, dynamic_range=dynamic_range)
    prints = {name: kept.fingerprint(image) for name, image in images.items()}
    store = None if keep is None else Store(Path(keep))
    common = [
        usbeam.__version__,
        kept.regions_fingerprint(pairs),
        None if reference is None else kept.fingerprint(reference),
        dynamic_range,
    ]
    settings = [setting for sweep in chosen for setting in sweep.settings]
    first, done, total = next(iter(images)), 0, len(images) * len(settings)
    results: dict[str, dict[str, Result]] = {name: {} for name in images}
    enhanced: dict[str, Image] = {}
    for name, image in images.items():
        for setting in settings:
            key = kept.key(*common, prints[name], _identity(setting.method), dict(setting.parameters))
            result = None if store is None else store.result(key)
            shown = None if store is None or name != first else store.image(key)
            if result is None or (name == first and shown is None):
                advance = _part(progress, done, total)
                try:
                    shown, seconds, compiled = _CLOCK.timed(image, setting, dynamic_range, advance)
                    found = evaluate(shown, pairs, original=image, reference=reference, dynamic_range=dynamic_range)
                except UsbeamError as error:
                    error.path = error.path or name
                    raise
                notes = shown.settings["enhanced"][-1]
                result = Result.of(found, seconds=seconds, compiled=compiled, notes=notes)
                if store is not None:
                    store.keep(key, result, shown if name == first else None)
            results[name][setting.label] = result
            if name == first and shown is not None:
                enhanced[setting.label] = shown
            done += 1
            _part(progress, done, total)(0.0)
    return Comparison(list(images), pairs, chosen, results, enhanced, dynamic_range)


def check(
    images: Mapping[str, Image], pairs: Mapping[str, RegionPair], methods: Sequence[str], *, dynamic_range: float
) -> list[Sweep]:
    """Refuse, before any work, what `compare` would refuse later.

    Returns
    -------
    list of Sweep
        The methods, controls first.

    Raises
    ------
    ConfigError, MeasurementError
        See `compare`.
    """
    chosen = sweeps(methods)
    if not images:
        raise ConfigError("no image to compare on", location="images")
    if not pairs:
        raise ConfigError("no regions to measure in", location="pairs")
    if not (math.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="dynamic_range", found=dynamic_range)
    linear = [sweep.label for sweep in chosen if find(sweep.method).domain == "envelope"]
    seen: dict[str, str] = {}
    for name, image in images.items():
        same = seen.setdefault(kept.fingerprint(image), name)
        if same != name:
            raise ConfigError("the same image twice", path=name, found=f"the image of {same}")
        if image.state == "db" and linear:
            raise ConfigError(
                f"{', '.join(linear)}: works on the linear envelope, and that of a dB image is gone",
                path=name,
                hint="compare on images from before log compression",
            )
        try:
            roi.check(image, pairs)
        except UsbeamError as error:
            error.path = name
            raise
    return chosen


def _identity(method: str) -> str:
    """What tells a method from any other: its name, and for a trained network the checksum of its weights."""
    found = find(method)
    return f"{found.name} {found.network.sha256}" if isinstance(found, TrainedEnhancer) else method


class _Clock:
    """Times methods; the first run of each in a process is repeated, if that does not take too long."""

    def __init__(self) -> None:
        self.warm: set[str] = set()

    def timed(
        self, image: Image, setting: Setting, dynamic_range: float, progress: Callable[[float], None]
    ) -> tuple[Image, float, bool]:
        """The enhanced image, the seconds that it took, and whether these may include compilation."""
        found, seconds = _timed(image, setting, dynamic_range, progress)
        cold = setting.method not in self.warm
        self.warm.add(setting.method)
        if cold and seconds <= REPEAT:
            return *_timed(image, setting, dynamic_range, None), False
        return found, seconds, cold


_CLOCK = _Clock()


def _timed(
    image: Image, setting: Setting, dynamic_range: float, progress: Callable[[float], None] | None
) -> tuple[Image, float]:
    start = time.perf_counter()
    found = enhance(image, setting.method, dynamic_range=dynamic_range, progress=progress, **setting.parameters)
    return found, time.perf_counter() - start


def _part(progress: Callable[[float], None] | None, done: int, total: int) -> Callable[[float], None]:
    """Progress within one of several runs."""

    def advance(fraction: float) -> None:
        if progress is not None:
            progress((done + fraction) / total)

    return advance
