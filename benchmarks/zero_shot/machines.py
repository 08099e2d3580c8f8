"""Machines: probes, what they send, and the image that is made of it.

Networks for looks learn from many machines at once. Frequency, band, pitch, number of elements and what is sent are
drawn anew for every recording, the pixels stay as large as they are: what differs is how many of them a speckle covers,
by a factor of two to three. The arrays of 20 and 40 mm that networks are tried on lie among these machines; the two
that are left out do not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

import usbeam as ub
from benchmarks.comparison.scenes import MM, Size, drawn
from usbeam.beamforming.angular import MAX_SINE

SPEED = 1540.0
"""Of sound [m/s], as `usbeam.simulate.record` has it."""
SOUND_SPEED = "sound speed"
"""The set whose recordings are beamformed at a wrong one."""
EVERYWHERE = {"selection": 2, "test": 4, "lines": 3, "aberrated": 3, SOUND_SPEED: 1}
FEW = {"selection": 1, "test": 2}
FREQUENCIES, BANDWIDTHS = ((4.5e6, 5.5e6), (6.5e6, 9e6)), ((0.5, 0.75),)
"""What machines to train on are drawn from; those left out send at 6 MHz."""
WIDEST_BAND = 6.2e6
"""[Hz]: the steps in depth take no more."""
LENGTHS = ((18 * MM, 40 * MM),)
ELEMENTS, WAVE_ELEMENTS = (48, 64), (96, 128)
"""Numbers of them, firing alone or all at once."""
WAVES, SPREADS = (5, 15), ((np.radians(4), np.radians(16)),)
"""Fewest and most waves; the angle to either side, as seen from mid-field."""
ALONE, PLANE, DIVERGING = 0.5, 0.3, 0.2
"""Shares of the machines: elements that fire alone, plane waves, diverging waves."""


@dataclass(frozen=True)
class Geometry(Size):
    """A machine, and what is imaged with it."""

    pitch: float = 0.3125 * MM
    center_frequency: float = 7.5e6
    bandwidth: float = 0.65
    kind: str = "element"
    """Of what is sent: element, plane or diverging."""
    n_waves: int = 0
    spread: float = 0.0
    """Angle to either side [rad]."""
    max_sine: float | None = MAX_SINE
    """Sine of the largest angle that images are made of, as looks are; None is any, as in the paper."""
    training: int = 0
    """Recordings to train the paper's networks on, which are tried then; where there are none, those for looks are."""
    adapted: bool = False
    """Whether networks for looks are also adapted to each recording."""
    per_family: Mapping[str, int] = field(hash=False, default_factory=EVERYWHERE.copy)

    @property
    def probe(self) -> ub.Probe:
        return ub.Probe.linear(
            self.n_elements,
            self.pitch,
            self.center_frequency,
            bandwidth=self.bandwidth,
            element_width=0.9 * self.pitch,
        )

    @property
    def transmits(self) -> ub.Transmits:
        if self.kind == "element":
            return super().transmits
        angles = np.linspace(-self.spread, self.spread, self.n_waves)
        if self.kind == "plane":
            return ub.Transmits.plane(self.probe, angles, SPEED)
        behind = self.n_elements * self.pitch / 2
        x = (self.middle + behind) * np.tan(angles)
        sources = np.stack([x, np.zeros_like(x), np.full_like(x, -behind)], axis=1)
        return ub.Transmits.focused(self.probe, sources, SPEED)

    @property
    def accepted(self) -> np.ndarray:
        positions, probe = super().accepted, self.probe
        # Beyond the main lobe of its beam an element hardly contributes.
        lobe = SPEED / probe.center_frequency / (probe.element_width or np.inf)
        sine = min(lobe, 1.0 if self.max_sine is None else self.max_sine)
        return positions[np.abs(positions[:, 0]) <= self.middle * np.tan(np.arcsin(sine))]

    @property
    def grid(self) -> ub.Grid:
        return ub.Grid.spaced(x=(-self.half_width, self.half_width), z=self.depth, spacing=(0.06 * MM, 0.08 * MM))


BASE = Geometry(64, 8 * MM, (12 * MM, 30 * MM), 8 * MM, 10.0)
FULL: Mapping[str, Geometry] = {
    "20 mm": BASE,
    "40 mm": dataclasses.replace(BASE, pitch=0.625 * MM),
    "paper": dataclasses.replace(BASE, pitch=0.625 * MM, max_sine=None, training=40),
    "left out, elements": dataclasses.replace(
        BASE, n_elements=56, pitch=0.4 * MM, center_frequency=6e6, bandwidth=0.6, adapted=True, per_family=FEW
    ),
    "left out, plane waves": dataclasses.replace(
        BASE,
        n_elements=128,
        pitch=0.2 * MM,
        center_frequency=6e6,
        bandwidth=0.6,
        kind="plane",
        n_waves=11,
        spread=np.radians(10),
        adapted=True,
        per_family=FEW,
    ),
}
"""One and a half wavelengths from element to element, by the length of the array; the zero-shot paper's three, with
grating lobes; the same with the paper's networks; and two that no network has seen."""
SMALL = Geometry(32, 5 * MM, (12 * MM, 21 * MM), 4 * MM, 5.0, dict.fromkeys(EVERYWHERE, 1), circles=2)
QUICK: Mapping[str, Geometry] = {
    "10 mm": SMALL,
    "paper": dataclasses.replace(SMALL, pitch=0.625 * MM, max_sine=None, training=3),
}


def machine(number: int, size: Geometry) -> Geometry:
    """One of those to train on, imaged as another is."""
    rng = np.random.default_rng([20_000, number])
    frequency = drawn(rng, FREQUENCIES)
    kind = str(rng.choice(["element", "plane", "diverging"], p=[ALONE, PLANE, DIVERGING]))
    n_elements = int(rng.choice(ELEMENTS if kind == "element" else WAVE_ELEMENTS))
    return dataclasses.replace(
        size,
        n_elements=n_elements,
        pitch=drawn(rng, LENGTHS) / n_elements,
        center_frequency=frequency,
        bandwidth=min(drawn(rng, BANDWIDTHS), WIDEST_BAND / frequency),
        kind=kind,
        n_waves=int(rng.integers(*WAVES, endpoint=True)),
        spread=drawn(rng, SPREADS),
    )
