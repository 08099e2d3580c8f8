"""The protocol: settings are chosen on the selection set at matched edge width, frozen, and applied to the other sets.

A method is a curve of settings. For each allowed widening of edges R the setting with the highest mean CNR is taken
among those whose mean R on the selection set is no larger. What it does on the test set is what counts, and it is
judged there against what a Gaussian or a median filter reaches *at the same R*, not against the R that was aimed at.
The set apart shows what the same settings do to images unlike those that they were chosen on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import usbeam as ub
from usbeam.comparison import Comparison, compare
from usbeam.comparison.methods import IDENTITY, Setting, Sweep, sweeps
from usbeam.comparison.results import Result
from usbeam.comparison.summary import Row
from usbeam.enhancers import METHODS
from usbeam.errors import MeasurementError
from usbeam.measure.metrics import cnr_eq2, speckle_snr

from .images import BESIDE, LOOKS, MADE, ORIGINAL, images, level_error_db, line_level_db, psf_width
from .scenes import Scene, Size, points, scenes

TARGETS = (1.2, 1.4, 1.7, 2.4)
"""Edge widths over the original's that are allowed."""
COMPOUND = "looks"
"""Spatial compounding, alone or with a filter after it."""
JOIN = " + "
YARDSTICKS = ("gaussian", "median")
CURVES = {
    "gaussian": "sigma=0.04mm,0.06mm,0.08mm,0.1mm,0.12mm,0.15mm,0.2mm,0.25mm,0.3mm,0.4mm",
    "median": "size=0.2mm,0.3mm,0.4mm,0.5mm,0.6mm,0.8mm,1mm",
    "bilateral": "sigma_color=0.05,0.1,0.2,0.5",
    "nlm": "strength=0.03,0.05,0.08,0.12,0.2,0.3",
    "wavelet": "sigma=0.03,0.06,0.1,0.15,0.25,0.4",
    "srad": "n_iterations=10,20,40,70,100,150,250,400",
    "obnlm": "strength=0.4,0.55,0.7,0.9,1.2,1.6,2.2",
    "nllr": "strength=0.6,1.2,2.5",
    "self2self": "n_steps=300;n_predictions=8;block=0mm,0.2mm",
}
"""Method -> the parameter that trades smoothness for sharpness, and its settings."""
ALONE = ("bilateral", "nllr", "self2self")
"""Too slow to be run after every kind of compounding as well."""
GRAY_RANGE = 255.0
"""Of `usbeam.metrics.cnr_eq2`, whose value depends on it."""
QUICK_CURVES = {
    "gaussian": "sigma=0.06mm,0.1mm,0.2mm,0.3mm",
    "median": "size=0.3mm,0.5mm,0.8mm",
    "srad": "n_iterations=20,100",
    "obnlm": "strength=0.7,1.2",
}
Results = dict[str, Result]


def curves(quick: bool, names: Sequence[str] = ()) -> list[str]:
    """The methods with their settings, as `usbeam.compare` reads them: those that this version has, or those named."""
    known = QUICK_CURVES if quick else CURVES
    chosen = [name for name in known if name in METHODS] if not names else list(names)
    return [f"{name}:{known[name]}" if known.get(name) else name for name in chosen]


@dataclass(frozen=True)
class Set:
    """One set of images with everything measured on it."""

    scenes: Sequence[Scene]
    comparison: Comparison
    others: Mapping[str, Mapping[str, float]]
    """Label -> ``level_error_db`` and ``line_level_db`` (of `images`), ``cnr_eq2``, and ``speckle_snr`` of the
    `decompressed` image -> mean over the images."""


@dataclass(frozen=True)
class Frozen:
    """What was chosen for one R: method -> label of its setting; a method without a setting so sharp is not there."""

    target: float
    settings: Mapping[str, str]


@dataclass(frozen=True)
class OnPoints:
    """What a setting does to the points of the test set, and the seconds that the filter takes for that image."""

    width: float | None
    """`apparent_width`, as a mean [m]; None where half of the points or more are not seen."""
    seconds: float


class Protocol:
    """The comparison on simulated recordings.

    Parameters
    ----------
    size
        `scenes.FULL` or `scenes.QUICK`.
    texts
        Methods with their settings, as `curves` gives them.
    folder
        For what is kept: images and figures. What is there is not computed again.
    say
        Told what is being done.
    """

    targets: Sequence[float] = TARGETS
    yardsticks: Collection[str] = YARDSTICKS
    """Methods that are applied in all settings, whatever is chosen."""

    def __init__(self, size: Size, texts: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
        self.size, self.texts, self.folder, self.say = size, texts, folder, say
        self.psf = psf_width(size)

    def drawn(self, which: str) -> list[Scene]:
        """The phantoms of a set."""
        return scenes(which, self.size, self.psf.lateral_fwhm)

    def made(self, scene: Scene) -> dict[str, ub.Image]:
        """Images of a phantom by name, ``original`` first; kept."""
        return images(scene, self.size, self.folder / "images")

    def unfiltered(self) -> Collection[str]:
        """Names of images that are shown as they are."""
        return MADE

    def listed(self, plain: Sequence[Sweep]) -> list[Sweep]:
        """All that is compared, in the order of the tables."""
        return [*plain, *compounded(plain)]

    def measured(self, which: str, texts: Sequence[str], keep: Callable[[str], bool] = lambda label: True) -> Set:
        """A set by every method, alone and after compounding; `keep` says which of the labels are wanted."""
        drawn = self.drawn(which)
        plain = sweeps(texts)
        results: dict[str, Results] = {}
        shown: dict[str, ub.Image] = {}
        others: dict[str, list[dict[str, float]]] = {}
        for scene in drawn:
            self.say(scene.name)
            pairs = scene.regions(self.psf.lateral_fwhm)
            of_scene: Results = {}
            for name, image in self.made(scene).items():
                wanted = texts if name == ORIGINAL else _wanted(plain, name, keep)
                found = compare({scene.name: image}, pairs, wanted, keep=self.folder / "figures")
                for label, result in found.results[scene.name].items():
                    of_scene[_label(name, label)] = result
                enhanced = {_label(name, label): each for label, each in found.enhanced.items()}
                for label, each in enhanced.items():
                    others.setdefault(label, []).append(self._others(each, scene))
                if scene is drawn[0]:
                    shown |= enhanced
            results[scene.name] = of_scene
        listed = _kept(self.listed(plain), results[drawn[0].name], keep)
        labels = {setting.label for sweep in listed for setting in sweep.settings}
        results = {name: {label: each[label] for label in labels} for name, each in results.items()}
        pairs = drawn[0].regions(self.psf.lateral_fwhm)
        comparison = Comparison([scene.name for scene in drawn], pairs, listed, results, shown, 60.0)
        means = {
            label: {name: float(np.mean([one[name] for one in each if name in one])) for name in set().union(*each)}
            for label, each in others.items()
        }
        return Set(drawn, comparison, means)

    def _others(self, image: ub.Image, scene: Scene) -> dict[str, float]:
        """Figures that `usbeam.compare` does not have; those alone that the image has."""
        found = {"level_error_db": level_error_db(image, scene, self.size)}
        pairs = scene.regions(self.psf.lateral_fwhm).values()
        linear = decompressed(image)
        found["speckle_snr"] = float(np.mean([float(speckle_snr(linear, pair)) for pair in pairs]))
        found["cnr_eq2"] = float(np.mean([abs(float(cnr_eq2(image, pair, gray_range=GRAY_RANGE))) for pair in pairs]))
        line = line_level_db(image, scene)
        return found if line is None else {**found, "line_level_db": line}

    def select(self, selection: Set) -> list[Frozen]:
        """The settings for each R."""
        return [Frozen(target, _best(selection.comparison.rows, target)) for target in self.targets]

    def applied(self, which: str, frozen: Sequence[Frozen]) -> Set:
        """The frozen settings on another set, and the yardsticks in all settings."""
        labels = {label for each in frozen for label in each.settings.values()}
        wanted = {parted(label)[1] for label in labels}
        yardsticks = [text for text in self.texts if text.partition(":")[0] in self.yardsticks]
        rest = [text for text in self.texts if text not in yardsticks]
        others = [each for sweep in sweeps(rest) for each in sweep.settings if each.label in wanted]
        others = [each for each in others if each.method not in (IDENTITY, *self.yardsticks)]

        def keep(label: str) -> bool:
            whole = label.partition(":")[0] in (IDENTITY, *self.yardsticks)
            return whole or label in labels or label in self.unfiltered()

        return self.measured(which, yardsticks + _grouped(others), keep)

    def on_points(self, labels: Sequence[str]) -> dict[str, OnPoints]:
        """What settings do to points, label by label; never kept, so that times are of one run."""
        scene = points("test", self.size)
        self.say(scene.name)
        given = self.made(scene)
        settings = {each.label: each for sweep in sweeps(self.texts) for each in sweep.settings}
        found: dict[str, OnPoints] = {}
        for label in labels:
            name, filtered = parted(label)
            setting = settings[filtered]
            image, seconds = _timed(given[name], setting)
            widths = [width for place in scene.points if (width := apparent_width(image, place)) is not None]
            enough = len(widths) > len(scene.points) / 2
            found[label] = OnPoints(float(np.mean(widths)) if enough else None, seconds)
        return found


def compounded(plain: Sequence[Sweep]) -> list[Sweep]:
    """Other images, and compounding alone and followed by each method: a curve over numbers of looks and settings."""
    beside = [Sweep(name, name, (Setting(name, name, {}),)) for name in BESIDE]
    alone = Sweep(COMPOUND, COMPOUND, tuple(Setting(name, COMPOUND, {}) for name in LOOKS))
    followed = [
        Sweep(
            f"{COMPOUND}{JOIN}{sweep.label}",
            f"{COMPOUND}{JOIN}{sweep.method}",
            tuple(
                dataclasses.replace(
                    setting, label=_label(name, setting.label), method=f"{COMPOUND}{JOIN}{sweep.method}"
                )
                for name in LOOKS
                for setting in sweep.settings
            ),
        )
        for sweep in plain
        if sweep.method != IDENTITY
    ]
    return [*beside, alone, *followed]


def _label(base: str, label: str) -> str:
    if base == ORIGINAL:
        return label
    return base if label == IDENTITY else f"{base}{JOIN}{label}"


def parted(label: str) -> tuple[str, str]:
    """The image and the filter's setting that a label stands for."""
    if label in MADE:
        return label, IDENTITY
    name, join, filtered = label.partition(JOIN)
    return (name, filtered) if join else (ORIGINAL, label)


def _best(rows: Sequence[Row], target: float) -> dict[str, str]:
    best: dict[str, tuple[float, str]] = {}
    for row in rows:
        ratio, cnr = row.figures.get("edge_ratio"), row.figures.get("cnr")
        if row.sweep.method in (IDENTITY, *BESIDE) or ratio is None or cnr is None or ratio.value > target:
            continue
        best[row.sweep.label] = max(best.get(row.sweep.label, (-np.inf, "")), (cnr.value, row.setting.label))
    return {method: label for method, (_, label) in best.items()}


def _wanted(plain: Sequence[Sweep], base: str, keep: Callable[[str], bool]) -> list[str]:
    """Texts of the settings that are wanted after compounding.

    `usbeam.compare` always has Gaussian and median filters: of one that is not wanted, a single setting is named.
    """
    found: list[Setting] = []
    for sweep in plain:
        tried = sweep.settings if base in LOOKS and sweep.method not in ALONE else ()
        wanted = [setting for setting in tried if keep(_label(base, setting.label))]
        found += wanted or (sweep.settings[:1] if sweep.method in YARDSTICKS else [])
    return _grouped([setting for setting in found if setting.method != IDENTITY])


def _grouped(settings: Sequence[Setting]) -> list[str]:
    """Settings as texts; those of one method and one parameter as one sweep."""
    found: dict[str, list[str]] = {}
    for setting in settings:
        head, equals, value = setting.label.rpartition("=")
        found.setdefault(f"{head}{equals}" if equals else setting.label, []).append(value if equals else "")
    return [head + ",".join(dict.fromkeys(values)) for head, values in found.items()]


def _kept(listed: Sequence[Sweep], results: Mapping[str, Any], keep: Callable[[str], bool]) -> list[Sweep]:
    """Sweeps of the settings that have results and are wanted."""
    found = [
        dataclasses.replace(
            sweep,
            settings=tuple(each for each in sweep.settings if each.label in results and keep(each.label)),
        )
        for sweep in listed
    ]
    return [sweep for sweep in found if sweep.settings]


def _timed(image: ub.Image, setting: Setting) -> tuple[ub.Image, float]:
    """An image enhanced, and the median seconds of three runs; of one where that takes more than a second.

    A run before them, which may compile, is not counted.
    """
    found, seconds = ub.enhance(image, setting.method, **setting.parameters), list[float]()
    while len(seconds) < 3 and max(seconds, default=0.0) < 1:
        start = time.perf_counter()
        ub.enhance(image, setting.method, **setting.parameters)
        seconds.append(time.perf_counter() - start)
    return found, float(np.median(seconds))


def decompressed(image: ub.Image) -> ub.Image:
    """Displayed levels as an envelope again, so that all methods are measured alike."""
    if image.state != "db":
        return image
    return ub.Image((10 ** (image.data / 20)).astype(np.float32), image.grid, "envelope")


def apparent_width(image: ub.Image, place: tuple[float, float]) -> float | None:
    """Lateral FWHM [m] of a point near a place; None if it is not seen.

    Despeckling is not linear: this is what the eye would call the width, in the image `decompressed`.
    """
    try:
        return ub.psf.measure(decompressed(image), near=place, window=2e-3).lateral_fwhm
    except MeasurementError:
        return None
