"""Which splits decorrelate speckle: ``python -m benchmarks.zero_shot.decorrelation``, a minute of one core.

A design study (64 elements, uniform speckle, noise as strong as the echoes in every channel) found that two images have
speckle of their own only where they are disjoint in two-way k-space. `STUDIED` has its envelope correlations, the
middle where it gives a range; here they are measured again with the beamformers of usbeam, each the mean of two
phantoms.

What is correlated are envelopes over their *level*, a quadratic in x and z, in the central part of the field. The study
made its images level by compensating spreading and the number of elements that count at a point. Without either, a
level that two images share correlates even where their speckle does not.

In two rows the study's images were not level: those of random transmits were not compensated for how many count at a
point. The same transmits are measured twice, with even levels and so. The study's complex correlations of these rows,
0.94 and 0.93, depend less on levels; squared, as those of speckle's envelopes are, they agree with the even ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import usbeam as ub
from usbeam.beamforming.angular import MAX_SINE, TAPER
from usbeam.beamforming.apodization import acceptance

from .scenes import MM

N = 64
PROBE = ub.Probe.linear(N, 0.3125 * MM, 7.5e6, bandwidth=0.65, element_width=0.28 * MM)
GRID = ub.Grid.linear(x=(-8 * MM, 8 * MM), z=(8 * MM, 24 * MM), shape=(320, 256))
CENTRAL = slice(30, 290), slice(32, 224)
SEEDS, DRAW = (0, 1), 3
"""Of phantoms and their noise, and of the random transmits."""
F_NUMBER, WINDOW = 0.5 * float(np.sqrt(1 / MAX_SINE**2 - 1)), f"tukey:{2 * TAPER}"
RECEIVE: dict[str, Any] = {"f_number": F_NUMBER, "window": WINDOW}
BOTH: dict[str, Any] = {**RECEIVE, "transmit_f_number": F_NUMBER, "transmit_window": WINDOW}
"""The window of angular components, as a plan takes it."""
AS_STUDIED = ", levels as in the study"
STUDIED: dict[str, float | None] = {
    "transmits 26 and 37 against all": 0.58,
    "the two outermost transmits against all": None,
    "16 random transmits against all": 0.81,
    "16 random transmits against all" + AS_STUDIED: 0.81,
    "a random half of the transmits against the others": 0.82,
    "a random half of the transmits against the others" + AS_STUDIED: 0.82,
    "even transmits against odd": 0.95,
    "even transmits and elements against odd": 0.92,
    "left transmits heard right against right heard left": 0.95,
    "left transmits against right": 0.35,
    "left transmits heard left against right heard right": 0.02,
    "angles to the left against angles to the right": 0.03,
    "low frequencies against high": 0.035,
    "oblique looks, 45 degrees": 0.005,
    "oblique looks, 60 degrees": 0.005,
}

Complex = npt.NDArray[np.complex64]
Envelope = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Row:
    """A split, how alike its two envelopes are, and what the study found."""

    split: str
    correlation: float
    studied: float | None


def rows() -> list[Row]:
    """Every split of `STUDIED`, measured."""
    found = [dict(zip(STUDIED, _correlations(seed), strict=True)) for seed in SEEDS]
    return [Row(split, float(np.mean([each[split] for each in found])), studied) for split, studied in STUDIED.items()]


def table() -> str:
    """The rows in Markdown."""
    lines = ["| split | envelope correlation | design study | difference |", "|---|---|---|---|"]
    for row in rows():
        studied = "| |" if row.studied is None else f"{row.studied:g} | {row.correlation - row.studied:+.2f} |"
        lines.append(f"| {row.split} | {row.correlation:.2f} | {studied}")
    return "\n".join(lines)


def _correlations(seed: int) -> Iterator[float]:
    """In the order of `STUDIED`."""
    recording = _recording(seed)
    frame = recording.frame(0)
    heard = ub.Plan(recording, GRID, **RECEIVE).transmit_images(frame)
    both = ub.Plan(recording, GRID, **BOTH).transmit_images(frame)

    def image(weights: npt.ArrayLike) -> Complex:
        return both.image(weights).data

    full = image(np.ones(N))
    yield _alike(heard.image(ub.subsets.index(N, [26, 37])).data, full)
    yield _alike(heard.image(ub.subsets.ends(N, 2)).data, full)
    # The study's level of some transmits: that of all, times the number that count.
    level = _level(np.abs(full))
    rising = _count() / level
    some, half = ub.subsets.random(N, 16, DRAW), ub.subsets.random(N, N // 2, DRAW)
    yield _alike(image(some), full)
    yield _pearson(np.abs(image(some)) * rising, np.abs(full) / level)
    yield _alike(image(half), image(1 - half))
    yield _pearson(np.abs(image(half)) * rising, np.abs(image(1 - half)) * rising)
    even = ub.subsets.every(N, 2)
    yield _alike(image(even), image(1 - even))
    yield _alike(*(ub.beamform(recording, GRID, transmits=w, receive_weights=w, **BOTH).data for w in (even, 1 - even)))

    (left_left, left_right), (right_left, right_right) = _quarters(recording)
    yield _alike(left_right, right_left)
    yield _alike(left_left + left_right, right_left + right_right)
    yield _alike(left_left, right_right)
    components = ub.Angular(recording, GRID)(frame)
    middle = len(components.data) // 2
    yield _alike(components.data[:middle].sum(axis=0), components.data[middle + 1 :].sum(axis=0))
    yield _alike(*(ub.beamform(half_band, GRID, **BOTH).data for half_band in _halves_of_band(recording)))
    for degrees in (45, 60):
        yield _alike(*(look.data for look in components.looks([np.radians(degrees)])))


def _recording(seed: int) -> ub.Acquisition:
    phantom = ub.simulate.phantoms.speckle(PROBE, x=(-10.5 * MM, 10.5 * MM), z=(6.5 * MM, 25.5 * MM), seed=seed)
    fired = ub.Transmits.elements(PROBE)
    clean = ub.simulate.record(phantom, PROBE, fired, sampling_frequency=40e6, depth=(7 * MM, 25 * MM))
    echoes = np.asarray(clean.samples)
    noise = np.random.default_rng(seed).standard_normal(echoes.shape, np.float32)
    return clean.replace(samples=echoes + echoes.std() * noise)


def _quarters(recording: ub.Acquisition) -> Complex:
    """``(2, 2, n_z, n_x)``: fired from the left or right of each point's local aperture, heard from either."""
    quarters = np.zeros((2, 2, *GRID.shape), np.complex64)
    for transmit in range(N):
        fired = ub.subsets.index(N, [transmit])
        both_left, across, both_right = ub.Angular(recording, GRID, transmits=fired, n_bins=2)(recording.frame(0)).data
        quarters[0, 0] += both_left
        quarters[1, 1] += both_right
        # One transmit is in one bin: what is heard across comes with something left, or with something right.
        quarters[0, 1] += np.where(both_left != 0, across, 0)
        quarters[1, 0] += np.where(both_right != 0, across, 0)
    return quarters


def _halves_of_band(recording: ub.Acquisition) -> Iterator[ub.Acquisition]:
    samples = np.asarray(recording.samples)
    spectrum = np.fft.rfft(samples)
    low = np.fft.rfftfreq(samples.shape[-1], 1 / recording.sampling_frequency) < PROBE.center_frequency
    for kept in (low, ~low):
        yield recording.replace(samples=np.fft.irfft(spectrum * kept, samples.shape[-1]).astype(np.float32))


def _count() -> Envelope:
    """Transmits that count at each image point, by their weights."""
    across = GRID.x - PROBE.element_positions[:, 0, None, None]
    return acceptance(F_NUMBER, WINDOW).weight(np.abs(across) / np.hypot(across, GRID.z[:, None])).sum(axis=0)


def _level(envelope: Envelope) -> Envelope:
    """Its quadratic trend over the central part."""
    x, z = np.meshgrid(np.linspace(-1, 1, GRID.shape[1]), np.linspace(-1, 1, GRID.shape[0]))
    terms = np.stack([np.ones_like(x), x, z, x * x, x * z, z * z], axis=-1)
    factors = np.linalg.lstsq(terms[CENTRAL].reshape(-1, 6), envelope[CENTRAL].ravel())[0]
    return terms @ factors


def _alike(one: Complex, other: Complex) -> float:
    """Correlation of the envelopes of two images, over their levels."""
    return _pearson(*(envelope / _level(envelope) for envelope in (np.abs(one), np.abs(other))))


def _pearson(one: Envelope, other: Envelope) -> float:
    return float(np.corrcoef(one[CENTRAL].ravel(), other[CENTRAL].ravel())[0, 1])


if __name__ == "__main__":
    print(table())
