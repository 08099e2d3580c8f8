"""Phantoms that the comparison does not have: those to train on, and a wrong sound speed.

Selection and test are `benchmarks.comparison.scenes`: cysts, inclusions and layers, from ranges that are disjoint
between them; lines and aberration stand apart. Those for training have seeds and ranges of their own and other shapes:
ellipses that may overlap, rarely circles.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import usbeam as ub
from benchmarks.comparison.scenes import ANECHOIC_DB, MM, Ranges, Scene, Size, drawn
from usbeam.errors import UsbeamError

from ..comparison import images

WRONG_SPEED = 1.02
"""The speed that the beamformer takes over the true one."""
TRAINING = Ranges(
    diameters=((1.5 * MM, 6 * MM),),
    contrasts_db=((-14, -3), (3, 10)),
    gradient_db=((-4, 4),),
    step_db=((-6, 6),),
    first_seed=10_000,
)
ANECHOIC_SHARE, LAYER_SHARE = 0.35, 0.5
ELLIPSES, POINTS = (4, 6), (2, 4)
"""Fewest and most of a phantom."""


@dataclass(frozen=True)
class Ellipse:
    """An ellipse of another level, turned by an angle [rad]."""

    x: float
    z: float
    half_axes: tuple[float, float]
    angle: float
    level_db: float

    def holds(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Whether places lie in it."""
        along = np.cos(self.angle) * (x - self.x) + np.sin(self.angle) * (z - self.z)
        across = np.cos(self.angle) * (z - self.z) - np.sin(self.angle) * (x - self.x)
        return np.hypot(along / self.half_axes[0], across / self.half_axes[1]) < 1


@dataclass(frozen=True)
class TrainingScene(Scene):
    """A phantom to train on."""

    ellipses: tuple[Ellipse, ...] = ()
    """Later ones lie on top."""

    def level_db(self, x: np.ndarray, z: np.ndarray, middle: float) -> np.ndarray:
        level = ground = super().level_db(x, z, middle)
        for ellipse in self.ellipses:
            level = np.where(ellipse.holds(x, z), ground + ellipse.level_db, level)
        return level


@dataclass(frozen=True)
class MisjudgedScene(Scene):
    """A phantom whose echoes are taken to be of another sound speed.

    An echo from depth z is shown at z times `WRONG_SPEED`: the scatterers lie so much less deep that circles and points
    are shown where the scene says, blurred. Regions and truth thus stay as they are.
    """

    def phantom(self, size: Size) -> ub.simulate.Phantom:
        found = super().phantom(size)
        return dataclasses.replace(found, positions=found.positions / (1.0, 1.0, WRONG_SPEED))


def misjudged(scene: Scene) -> MisjudgedScene:
    """The same phantom with a wrong sound speed."""
    return MisjudgedScene(**{field.name: getattr(scene, field.name) for field in dataclasses.fields(scene)})


def training(number: int, size: Size) -> TrainingScene:
    """One of the phantoms to train on."""
    seed = TRAINING.first_seed + number
    rng = np.random.default_rng(seed)
    layer = None
    if rng.uniform() < LAYER_SHARE:
        layer = float(rng.uniform(*size.depth)), drawn(rng, TRAINING.step_db)
    ellipses = tuple(_ellipse(rng, size) for _ in range(rng.integers(*ELLIPSES, endpoint=True)))
    points = tuple(_place(rng, size) for _ in range(rng.integers(*POINTS, endpoint=True)))
    gradient = drawn(rng, TRAINING.gradient_db), drawn(rng, TRAINING.gradient_db)
    return TrainingScene(f"training {number + 1}", "training", seed, (), gradient, layer, points, ellipses=ellipses)


def _ellipse(rng: np.random.Generator, size: Size) -> Ellipse:
    level = ANECHOIC_DB if rng.uniform() < ANECHOIC_SHARE else drawn(rng, TRAINING.contrasts_db)
    half_axes = drawn(rng, TRAINING.diameters) / 2, drawn(rng, TRAINING.diameters) / 2
    return Ellipse(*_place(rng, size), half_axes, float(rng.uniform(0, np.pi)), level)


def _place(rng: np.random.Generator, size: Size) -> tuple[float, float]:
    return float(rng.uniform(-size.half_width, size.half_width)), float(rng.uniform(*size.depth))


def recorded(scene: Scene, size: Size, folder: Path) -> ub.Acquisition:
    """The channel data of a phantom, as they are beamformed; kept in a folder."""
    path = folder / f"{scene.name}.h5"
    try:
        return ub.load(path)
    except UsbeamError:  # not there, or not whole
        recording = images.record(scene, size)
    if isinstance(scene, MisjudgedScene):
        recording = recording.replace(sound_speed=recording.sound_speed * WRONG_SPEED)
    folder.mkdir(parents=True, exist_ok=True)
    recording.save(path, overwrite=True)
    return ub.load(path)
