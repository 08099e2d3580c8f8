"""Phantoms: anechoic cysts, inclusions, gradients with layers, and points; for selection and for test.

The two sets share neither seeds nor values: every parameter is drawn from ranges that are disjoint between them. Two
more sets are of what no setting was chosen on: specular lines, and tissue behind a layer that aberrates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

import usbeam as ub
from usbeam.measure.roi import RegionPair

from .regions import OUTER, apart, pair

MM = 1e-3
FAMILIES = ("cysts", "inclusions", "layers")
APART = ("lines", "aberrated")
"""Families that no setting is chosen on: each is a set by itself."""
ANECHOIC_DB = -200.0
POINT_DB = 36.0
"""Of point targets, over the scatterers of the speckle around them."""
LINE_DB, LINE_STEP = 6.0, 20e-6
"""Of the scatterers of a specular line, all in phase, and from one to the next [m]."""
LINE_LENGTH, LINE_TILT = 4 * MM, np.radians(12)
"""From end to end, and the most to either side."""
ABERRATION, CORRELATION = 35e-9, 2.5 * MM
"""RMS delay of the layer before the probe [s], once through, and over what length along the probe it changes [m]."""
Span = tuple[float, float]
Segment = tuple[float, float, float, float]
"""From (x, z) to (x, z) [m]."""


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
SETS: Mapping[str, Ranges] = {
    "selection": SELECTION,
    "test": TEST,
    "lines": replace(TEST, first_seed=3000),
    "aberrated": replace(TEST, first_seed=4000),
    "sound speed": replace(TEST, first_seed=5000),  # of benchmarks.zero_shot alone
}


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
    def transmits(self) -> ub.Transmits:
        """Every element fires alone."""
        return ub.Transmits.elements(self.probe)

    @property
    def accepted(self) -> np.ndarray:
        """Positions of the elements that the plain image takes in mid-field."""
        return self.probe.element_positions

    @property
    def grid(self) -> ub.Grid:
        return ub.Grid.spaced(x=(-self.half_width, self.half_width), z=self.depth, spacing=(0.06 * MM, 0.1 * MM))

    @property
    def middle(self) -> float:
        return sum(self.depth) / 2


FULL = Size(96, 9 * MM, (20 * MM, 38 * MM), 8 * MM, 10.0, {"selection": 3, "test": 6, "lines": 3, "aberrated": 3})
QUICK = Size(
    64, 5 * MM, (16 * MM, 25 * MM), 4 * MM, 6.0, {"selection": 1, "test": 2, "lines": 1, "aberrated": 1}, circles=2
)


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
    lines: tuple[Segment, ...] = ()
    aberration: float = 0.0
    """RMS delay [s]."""

    def level_db(self, x: np.ndarray, z: np.ndarray, middle: float) -> np.ndarray:
        """Echo level of the tissue at places [m], without points and lines."""
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
        points = np.array([(x, 0.0, z) for x, z in self.points]).reshape(-1, 3)
        targets = np.concatenate([points, *(_along(line) for line in self.lines)])
        strong = np.full(len(targets), 10 ** (LINE_DB / 20))
        strong[: len(points)] = 10 ** (POINT_DB / 20)
        amplitudes = ground.amplitudes * 10 ** (self.level_db(x, z, size.middle) / 20)
        return ub.simulate.Phantom(
            positions=np.concatenate([ground.positions, targets]),
            amplitudes=np.concatenate([amplitudes, strong]),
            truth=ub.Truth(points=points),
            title=self.name,
        )

    def screen(self, places: np.ndarray) -> np.ndarray:
        """Delay [s] that the layer before the probe adds at places along it [m], once through; no mean and no tilt."""
        rng = np.random.default_rng([self.seed, 1])
        distance = places[:, None] - places
        covariance = np.exp(-((distance / CORRELATION) ** 2)) + 1e-9 * np.eye(len(places))
        delay = np.linalg.cholesky(covariance) @ rng.standard_normal(len(places))
        delay -= np.polyval(np.polyfit(places, delay, 1), places)
        return self.aberration * delay / max(float(delay.std()), 1e-12)

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
    families = (which,) if which in APART else FAMILIES
    return [
        _scene(f"{which} {family} {index + 1}", family, ranges, size, ranges.first_seed + 100 * number + index, psf)
        for number, family in enumerate(families)
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
    lines = _lines(rng, size) if family == "lines" else ()
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
        clear &= all(float(distance(line, np.array(circle.x), np.array(circle.z))) >= room for line in lines)
        if clear and all(apart(circle.place, other.place, psf) for other in found):
            found.append(circle)
        if len(found) == size.circles:
            break
    if not found:
        raise ValueError(f"{name}: no circle fits into the image")
    aberration = ABERRATION if family == "aberrated" else 0.0
    return Scene(name, family, seed, tuple(found), gradient, layer, lines=lines, aberration=aberration)


def distance(line: Segment, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Of places from a segment [m]."""
    start, along = np.array(line[:2]), np.array(line[2:]) - np.array(line[:2])
    part = np.clip(((x - start[0]) * along[0] + (z - start[1]) * along[1]) / (along @ along), 0, 1)
    return np.hypot(x - start[0] - part * along[0], z - start[1] - part * along[1])


def _along(line: Segment) -> np.ndarray:
    """Places of a line's scatterers."""
    count = round(float(np.hypot(line[2] - line[0], line[3] - line[1])) / LINE_STEP) + 1
    x, z = (np.linspace(line[axis], line[axis + 2], count) for axis in (0, 1))
    return np.stack([x, np.zeros(count), z], axis=1)


def _lines(rng: np.random.Generator, size: Size) -> tuple[Segment, ...]:
    """Two lines, one in the upper half and one in the lower, nearly level."""
    found: list[Segment] = []
    for part in (0.25, 0.75):
        tilt = rng.uniform(-LINE_TILT, LINE_TILT)
        along = LINE_LENGTH / 2 * np.array([np.cos(tilt), np.sin(tilt)])
        reach = size.half_width - LINE_LENGTH / 2
        center = np.array(
            [rng.uniform(-reach, reach), size.depth[0] + (part + rng.uniform(-0.1, 0.1)) * np.ptp(size.depth)]
        )
        found.append((*map(float, center - along), *map(float, center + along)))  # pyright: ignore[reportArgumentType]
    return tuple(found)
