"""Networks and filters through the comparison's protocol: filters are frozen on the selection set, networks learnt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import usbeam as ub
from benchmarks.comparison.images import MADE, ORIGINAL, made
from benchmarks.comparison.protocol import CURVES, QUICK_CURVES, TARGETS, Protocol, apparent_width, parted
from benchmarks.comparison.scenes import Scene, Size, points
from usbeam.beamforming.oblique import DIAGONALS
from usbeam.comparison.methods import Setting, Sweep, sweeps
from usbeam.enhancers import trained
from usbeam.errors import UsbeamError
from usbeam.measure.metrics import mean_difference_db
from usbeam.recordings import looks_grid
from usbeam.train import Run

from .machines import SOUND_SPEED, Geometry
from .scenes import misjudged, recorded
from .training import STRATEGIES

COMPOUNDS = ("8 soft oblique looks", "16 oblique looks")
START = "2 transmitters"
"""What the paper starts from."""
WIDE = (2.8, 3.2)
"""Edge widths over the original's that are allowed as well: networks go there."""
FILTERS = ("gaussian", "median", "srad", "obnlm")
STRONGER = {
    "srad": f"{CURVES['srad']},600,900,1400",
    "obnlm": "strength=0.4,0.55,0.7,0.9,1.2,1.4,1.6,1.9,2.2",
}
"""Curves of filters that go there too; without them the strongest rivals would not be in the race."""
Seen = Callable[[], tuple[ub.Image, list[ub.Image]]]
"""Gives the image and the looks of a phantom."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fast": {"mode": "fast"},
    "fast, gate": {"mode": "fast", "gate": True},
    "quality": {"mode": "quality"},
    "quality, gate": {"mode": "quality", "gate": True},
}
"""How networks are run; quality is for those that learnt from looks."""
ADAPTED: Mapping[str, Mapping[str, Any]] = {
    "adapted, fast": {"mode": "fast"},
    "adapted, quality": {"mode": "quality"},
}
"""The same after a brief training on the very recording, of one seed, where a geometry asks for it."""
FAINT_DB = 9.0
"""Circles whose level differs by less, either way, are of low contrast."""
APART = ("lines", "aberrated", SOUND_SPEED)


def curves(quick: bool) -> list[str]:
    """The filters with their settings."""
    known = QUICK_CURVES if quick else {**CURVES, **STRONGER}
    return [f"{name}:{known[name]}" for name in FILTERS]


@dataclass(frozen=True)
class Method:
    """A network run in one way, with all its seeds."""

    model: str
    way: str
    runs: Sequence[Run]

    @property
    def name(self) -> str:
        return f"{self.model}, {self.way}"

    @property
    def labels(self) -> list[str]:
        """One for each seed."""
        return [f"{self.name}, seed {run.config.seed}" for run in self.runs]


def tissue(recording: ub.Acquisition, network: str | Path | Run, size: Size) -> ub.Grid:
    """Where the phantom is, in pixels for looks: beside it there is noise alone, from which nothing is to be learnt."""
    spacing = looks_grid(recording, network).spacing
    return ub.Grid.spaced(x=(-size.half_width, size.half_width), z=size.depth, spacing=spacing)


def methods(runs: Mapping[str, Sequence[Run]], *, adapted: bool = False) -> list[Method]:
    """All ways to run each network."""
    found = [
        Method(model, way, each)
        for model, each in runs.items()
        for way, options in WAYS.items()
        if options["mode"] == "fast" or STRATEGIES[model] == "looks"
    ]
    if adapted:
        found += [Method("looks", way, runs["looks"][:1]) for way in ADAPTED]
    return found


@dataclass(frozen=True)
class PointsSeen:
    """How many points of the phantom of points are seen, and their mean apparent width [m]."""

    count: int
    of: int
    width: float | None


class Judging(Protocol):
    """The comparison's protocol with networks beside the filters.

    Parameters
    ----------
    size, texts, folder, say
        As `benchmarks.comparison.protocol.Protocol` takes them.
    networks
        None on the selection set, for which they are not needed.
    """

    targets = (*TARGETS, *WIDE)
    yardsticks = FILTERS

    def __init__(
        self, size: Geometry, texts: Sequence[str], folder: Path, say: Callable[[str], None],
        networks: Sequence[Method] = (),
    ) -> None:  # fmt: skip
        super().__init__(size, texts, folder, say)
        self.geometry, self.networks = size, networks

    def drawn(self, which: str) -> list[Scene]:
        found = super().drawn(which)
        return [misjudged(scene) for scene in found] if which == SOUND_SPEED else found

    def made(self, scene: Scene) -> dict[str, ub.Image]:
        folder, grid = self.folder / "images" / scene.name, self.size.grid
        recording = cache(lambda: recorded(scene, self.size, self.folder / "recordings"))

        @cache
        def seen() -> tuple[ub.Image, list[ub.Image]]:
            """As `usbeam.enhance_recording` makes them, once for all networks."""
            parts = ub.Angular(recording(), grid)(recording().frame(0))
            return parts.image(), parts.looks(DIAGONALS)

        found = {
            name: _kept(folder / f"{name}.h5", partial(self._plain, name, recording, seen))
            for name in self._classical()
        }
        for method in self.networks:
            for label, run in zip(method.labels, method.runs, strict=True):
                path = folder / f"{label} {trained.find(run).network.sha256[:12]}.h5"
                found[label] = _kept(path, partial(self._enhanced, run, method.way, found[ORIGINAL], recording, seen))
        return found

    def unfiltered(self) -> Collection[str]:
        return {*super().unfiltered(), *(label for method in self.networks for label in method.labels)}

    def listed(self, plain: Sequence[Sweep]) -> list[Sweep]:
        networks = [
            Sweep(method.name, method.name, tuple(Setting(label, method.name, {}) for label in method.labels))
            for method in self.networks
        ]
        return [*super().listed(plain), *networks]

    def _others(self, image: ub.Image, scene: Scene) -> dict[str, float]:
        found = super()._others(image, scene)
        pairs = zip(scene.regions(self.psf.lateral_fwhm).values(), scene.circles, strict=True)
        faint = [
            abs(float(mean_difference_db(image, pair))) for pair, circle in pairs if abs(circle.level_db) < FAINT_DB
        ]
        return {**found, "faint_difference_db": float(np.mean(faint))} if faint else found

    def _classical(self) -> Sequence[str]:
        """Images that no network makes, the plain one first."""
        return (ORIGINAL, *COMPOUNDS, *([START] if self.geometry.training else []))

    def _plain(self, name: str, recording: Callable[[], ub.Acquisition], seen: Seen) -> ub.Image:
        """One of them, of the angles that the geometry takes."""
        options, max_sine = MADE[name], self.geometry.max_sine
        if max_sine is not None and name == ORIGINAL:
            return seen()[0].envelope()
        if max_sine is not None and name in COMPOUNDS:
            options = {**options, "max_sine": max_sine}
        return made(recording(), self.size.grid, options)

    def _enhanced(
        self,
        run: Run,
        way: str,
        original: ub.Image,
        recording: Callable[[], ub.Acquisition],
        seen: Seen,
    ) -> ub.Image:
        """By a network, from the image alone or with looks."""
        if way in ADAPTED:
            run = ub.adapt(recording(), run, tissue(recording(), run, self.size))  # kept beside the recording
        options = {**WAYS, **ADAPTED}[way]
        if options["mode"] == "fast":
            return ub.enhance(original, run, **options)
        image, looks = seen()
        return ub.enhance(image, run, looks=looks, **options)

    def points_seen(self, labels: Sequence[str]) -> dict[str, PointsSeen]:
        """What methods leave of points, label by label."""
        scene = points("test", self.size)
        self.say(scene.name)
        images = self.made(scene)
        settings = {each.label: each for sweep in sweeps(self.texts) for each in sweep.settings}
        found: dict[str, PointsSeen] = {}
        for label in labels:
            image = images.get(label)
            if image is None:
                name, filtered = parted(label)
                image = ub.enhance(images[name], settings[filtered].method, **settings[filtered].parameters)
            widths = [width for place in scene.points if (width := apparent_width(image, place)) is not None]
            found[label] = PointsSeen(len(widths), len(scene.points), float(np.mean(widths)) if widths else None)
        return found


def _kept(path: Path, make: Callable[[], ub.Image]) -> ub.Image:
    """An image from the disk, or made and written there."""
    try:
        return ub.load_image(path)
    except UsbeamError:  # not there, or not whole
        image = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, overwrite=True)
    return image
