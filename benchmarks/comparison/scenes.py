"""Phantoms: anechoic cysts, inclusions, gradients with layers, and points; for selection and for test.

The two sets share neither seeds nor values: every parameter is drawn from ranges that are disjoint between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

import usbeam as ub
from usbeam.measure.roi import RegionPair

from .regions import OUTER, apart, pair

MM = 1e-3
FAMILIES = ("cysts", "inclusions", "layers")
ANECHOIC_DB = -200.0
POINT_DB = 36.0
"""Of point targets, over the scatterers of the speckle around them."""
Span = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """What a set's parameters are drawn from: unions of ranges."""

    diameters: tuple[Span, ...]
    contrasts_db: tuple[Span, ...]
    gradient_db: tuple[Span, ...]
    """Over 1 cm."""
    step_db: tuple[Span, ...]
    """Of a layer."""
    first_seed: int


SELECTION = Ranges(
    diameters=((2.4 * MM, 3.2 * MM), (4.5 * MM, 5.5 * MM), (6.6 * MM, 7.2 * MM)),
    contrasts_db=((-10, -8), (-5.5, -4), (4, 5.5)),
    gradient_db=((1, 2),),
    step_db=((3, 4.5),),
    first_seed=1000,
)
TEST = Ranges(
    diameters=((2 * MM, 2.4 * MM), (3.2 * MM, 4.5 * MM), (5.5 * MM, 6.6 * MM), (7.2 * MM, 8 * MM)),
    contrasts_db=((-12, -10), (-8, -5.5), (-4, -3), (3, 4), (5.5, 9)),
    gradient_db=((2, 4),),
    step_db=((4.5, 7),),
    first_seed=2000,
)
SETS: Mapping[str, Ranges] = {"selection": SELECTION, "test": TEST}


@dataclass(frozen=True)
class Size:
    """How large everything is; the small one is for trying out."""

    n_elements: int
    half_width: float
    depth: Span
    largest: float
    """Diameter [m] up to which circles are taken."""
    density: float
    """Scatterers per resolution cell."""
    per_family: Mapping[str, int] = field(hash=False)
    """Phantoms of each family, by set."""
    circles: int = 4
    """Most in one phantom."""

    @property
    def probe(self) -> ub.Probe:
        return ub.Probe.linear(self.n_elements, 0.2 * MM, 7.5e6, bandwidth=0.65, element_width=0.18 * MM)

    @property
    def grid(self) -> ub.Grid:
        return ub.Grid.spaced(x=(-self.half_width, self.half_width), z=self.depth, spacing=(0.06 * MM, 0.1 * MM))

    @property
    def middle(self) -> float:
        return sum(self.depth) / 2


FULL = Size(96, 9 * MM, (20 * MM, 38 * MM), 8 * MM, 10.0, {"selection": 3, "test": 8})
QUICK = Size(64, 5 * MM, (16 * MM, 25 * MM), 4 * MM, 6.0, {"selection": 1, "test": 2}, circles=2)


@dataclass(frozen=True)
class Circle:
    """A circle of another level."""

    x: float
    z: float
    radius: float
    level_db: float

    @property
    def place(self) -> tuple[float, float, float]:
        return self.x, self.z, self.radius


@dataclass(frozen=True)
class Scene:
    """A phantom in words: everything that its scatterers and its truth are made from."""

    name: str
    family: str
    seed: int
    circles: tuple[Circle, ...] = ()
    gradient_db: tuple[float, float] = (0.0, 0.0)
    """Over 1 cm, across and in depth."""
    layer: tuple[float, float] | None = None
    """Depth [m], and the step [dB] of all that lies deeper."""
    points: tuple[tuple[float, float], ...] = ()

    def level_db(self, x: np.ndarray, z: np.ndarray, middle: float) -> np.ndarray:
        """Echo level of the tissue at places [m], without the points."""
        level = (self.gradient_db[0] * x + self.gradient_db[1] * (z - middle)) / 10e-3
        if self.layer is not None:
            level = level + np.where(z > self.layer[0], self.layer[1], 0.0)
        for circle in self.circles:
            inside = np.hypot(x - circle.x, z - circle.z) < circle.radius
            level = np.where(inside, level + circle.level_db, level)
        return level

    def phantom(self, size: Size) -> ub.simulate.Phantom:
        """Its scatterers, over a little more than the image."""
        over = 1 * MM
        ground = ub.simulate.phantoms.speckle(
            size.probe,
            x=(-size.half_width - over, size.half_width + over),
            z=(size.depth[0] - over, size.depth[1] + over),
            density=size.density,
            seed=self.seed,
        )
        x, _, z = ground.positions.T
        targets = np.array([(x, 0.0, z) for x, z in self.points]).reshape(-1, 3)
        strong = np.full(len(targets), 10 ** (POINT_DB / 20))
        amplitudes = ground.amplitudes * 10 ** (self.level_db(x, z, size.middle) / 20)
        return ub.simulate.Phantom(
            positions=np.concatenate([ground.positions, targets]),
            amplitudes=np.concatenate([amplitudes, strong]),
            truth=ub.Truth(points=targets),
            title=self.name,
        )

    def regions(self, psf: float) -> dict[str, RegionPair]:
        """What is measured in it."""
        return {
            f"circle_{index + 1}": pair(f"circle_{index + 1}", circle.place, psf)
            for index, circle in enumerate(self.circles)
        }


def drawn(rng: np.random.Generator, spans: tuple[Span, ...]) -> float:
    """A value from a union of ranges, equally likely everywhere."""
    lengths = np.array([high - low for low, high in spans])
    low, high = spans[rng.choice(len(spans), p=lengths / lengths.sum())]
    return float(rng.uniform(low, high))


def scenes(which: str, size: Size, psf: float) -> list[Scene]:
    """The phantoms of a set, family by family, without points."""
    ranges, count = SETS[which], size.per_family[which]
    return [
        _scene(f"{which} {family} {index + 1}", family, ranges, size, ranges.first_seed + 100 * number + index, psf)
        for number, family in enumerate(FAMILIES)
        for index in range(count)
    ]


def points(which: str, size: Size) -> Scene:
    """A grid of points in faint speckle, a millimetre and a half from its rim."""
    rim, step = 1.5 * MM, 4 * MM
    x = np.arange(-(size.half_width - rim), size.half_width - rim + 1e-9, step)
    z = np.arange(size.depth[0] + rim, size.depth[1] - rim + 1e-9, step)
    places = tuple((float(a), float(b)) for b in z for a in x)
    return Scene(f"{which} points", "points", SETS[which].first_seed + 900, points=places)


def _scene(name: str, family: str, ranges: Ranges, size: Size, seed: int, psf: float) -> Scene:
    rng = np.random.default_rng(seed)
    gradient, layer = (0.0, 0.0), None
    if family == "layers":
        gradient = tuple(float(rng.choice([-1, 1])) * drawn(rng, ranges.gradient_db) for _ in range(2))
        place = rng.uniform(size.depth[0] + 0.35 * np.ptp(size.depth), size.depth[0] + 0.65 * np.ptp(size.depth))
        layer = (float(place), float(rng.choice([-1, 1])) * drawn(rng, ranges.step_db))
    spans = tuple((low, min(high, size.largest)) for low, high in ranges.diameters if low < size.largest)
    found: list[Circle] = []
    # Where one does not fit, another size is drawn: in the end there is at least one.
    for _ in range(1000):
        radius = drawn(rng, spans) / 2
        level = ANECHOIC_DB if family == "cysts" else drawn(rng, ranges.contrasts_db)
        room = OUTER * radius + psf
        limits = (room - size.half_width, size.half_width - room), (size.depth[0] + room, size.depth[1] - room)
        if any(low >= high for low, high in limits):
            continue
        circle = Circle(*(float(rng.uniform(*limit)) for limit in limits), radius, level)
        clear = layer is None or abs(circle.z - layer[0]) >= room
        if clear and all(apart(circle.place, other.place, psf) for other in found):
            found.append(circle)
        if len(found) == size.circles:
            break
    if not found:
        raise ValueError(f"{name}: no circle fits into the image")
    return Scene(name, family, seed, tuple(found), gradient, layer)
