"""The real recordings: how they are read, what is known to be in them, and how two methods' images are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft

import usbeam as ub
from usbeam.beamforming.apodization import Window
from usbeam.io.convert import read

from .beamforming.conftest import cone, correlation

MAPPINGS = Path(__file__).parents[1] / "data_specs" / "mappings"
MM = 1e-3


@dataclass(frozen=True)
class Scene:
    """A recording of single elements, and what must appear in its image.

    Parameters
    ----------
    file
        Below the folder of real recordings.
    grid
        Where it is imaged.
    reflectors
        Known places (x, z) in mm.
    margin
        Nothing is brighter than a reflector within so many mm of it, across and in depth.
    mapping
        File of `MAPPINGS`, where the format needs one.
    ring_down
        How long the transmit pulse itself rings in the record [s].
    """

    file: str
    grid: ub.Grid
    reflectors: tuple[tuple[float, float], ...]
    margin: tuple[float, float]
    mapping: str | None = None
    ring_down: float = 0.0

    def read(self, folder: Path) -> ub.Acquisition:
        """As recorded."""
        return read(folder / self.file, mapping=None if self.mapping is None else MAPPINGS / self.mapping)

    def read_echoes(self, folder: Path) -> ub.Acquisition:
        """Without the ring-down, and within `echo_band`."""
        recording = self.read(folder)
        return within_band(faded_in(recording, self.ring_down), echo_band(recording))

    def error_mm(self, image: ub.Image) -> float:
        """Largest distance in mm between the reflectors and what an image shows around them."""
        found = [np.subtract(brightest(image, place, self.margin), place) for place in self.reflectors]
        return float(np.linalg.norm(found, axis=1).max())


SCENES = {
    "notch": Scene(
        "fmc_aluminium_notch/contact_notch_aluminium.mat",
        ub.Grid.linear(x=(-9 * MM, 9 * MM), z=(5 * MM, 45 * MM), shape=(401, 181)),
        ((6.7, 19.6),),
        (16, 15),
        ring_down=2e-6,
    ),
    "small block": Scene(
        "fmc_aluminium_small/exp_data.mat7.mat",
        ub.Grid.linear(x=(-20 * MM, 20 * MM), z=(2 * MM, 45 * MM), shape=(431, 201)),
        ((-2.1, 20.0),),
        (18, 15),
    ),
    "water pins": Scene(
        "sta_water_pins/ArraySteelPins.mat",
        ub.Grid.linear(x=(-16 * MM, 16 * MM), z=(32 * MM, 48 * MM), shape=(321, 321)),
        ((-9.5, 42.6), (10.5, 37.6)),
        (4, 2.4),
        mapping="water_pins.toml",
    ),
}


def converted(source: Path, folder: Path, mapping: str | None = None) -> ub.Acquisition:
    """Through the file, as a user goes: convert, then load."""
    ub.convert(source, folder / "recording.h5", mapping=None if mapping is None else MAPPINGS / mapping)
    return ub.load(folder / "recording.h5")


# What images show


def brightest(image: ub.Image, place: tuple[float, float], margin: tuple[float, float]) -> tuple[float, float]:
    """Where the envelope is largest within a margin around a place; all (x, z) in mm."""
    grid = image.grid
    x, z = (np.abs(axis / MM - at) < most for axis, at, most in zip((grid.x, grid.z), place, margin, strict=True))
    inside = np.outer(z, x)
    envelope = np.where(inside, np.abs(image.data), 0)
    i, k = np.unravel_index(np.argmax(envelope), envelope.shape)
    return float(grid.x[k] / MM), float(grid.z[i] / MM)


def back_wall(image: ub.Image) -> float:
    """Depth in mm of the first strong echo below 30 mm: half of its maximum, averaged over the array's width."""
    profile = np.abs(image.data).mean(axis=1) * (image.grid.z > 30 * MM)
    return float(image.grid.z[np.argmax(profile > profile.max() / 2)] / MM)


def spot_size(recording: ub.Acquisition, x: float, z: float, **options) -> tuple[float, float, float]:
    """Peak, -6 dB lateral and axial width in mm of the envelope within 1 mm of a place in mm."""
    grid = ub.Grid.linear(x=((x - 1) * MM, (x + 1) * MM), z=((z - 1) * MM, (z + 1) * MM), shape=(401, 81))
    envelope = np.abs(ub.beamform(recording, grid, **options).data)
    step_z, step_x = (step / MM for step in grid.spacing)
    widths = [
        np.count_nonzero(cut > cut.max() / 2) * step
        for cut, step in ((envelope.max(0), step_x), (envelope.max(1), step_z))
    ]
    return float(envelope.max()), widths[0], widths[1]


def best_correlation(made: np.ndarray, reference: np.ndarray) -> float:
    """Correlation over the dynamic range in which both grey scales agree best: below its floor the reference is 0."""
    levels = [np.clip(made, floor, top) for top in (0, -5, -10) for floor in (-40, -35, -30, -25)]
    return max(float(np.corrcoef(level.ravel(), reference.ravel())[0, 1]) for level in levels)


# One image by two methods

WINDOW = Window(0.9, 0.15)
"""On both legs: the widest cone that leaves room for a taper, so that few points lie outside its flat part."""
CONE = cone(WINDOW, WINDOW)


def by_both(recording: ub.Acquisition, grid: ub.Grid, weights=None, *, band=None, **windows) -> list[ub.Image]:
    """By delay-and-sum on samples refined eight times and by Fourier, with the same windows (`CONE` if none)."""
    chosen = {**(windows or CONE), "transmits": weights}
    return [
        ub.beamform(recording, grid, interpolation="cubic", upsampling=8, **chosen),
        ub.beamform(recording, grid, method="fourier", band=band, **chosen),
    ]


def within_cone(recording: ub.Acquisition, grid: ub.Grid) -> np.ndarray:
    """Points that every element, firing or receiving, sees within the flat part of `WINDOW`.

    There a window is 1 for whichever angle it is a function of: delay-and-sum asks for the angle between point and
    element, Fourier for that of each wave. Where it falls, the two differ by a little, in an image that is fainter.
    """
    z, x = np.meshgrid(grid.z, grid.x, indexing="ij")
    offset = x[..., None] - recording.probe.element_positions[:, 0]
    sine = np.abs(offset) / np.hypot(offset, z[..., None])
    return np.all(sine <= WINDOW.max_sine * (1 - WINDOW.taper), axis=-1)


def likeness(images: list[ub.Image], inside: np.ndarray | None = None) -> tuple[complex, float]:
    """Complex correlation and gain of the second image against the first."""
    first, second = (image.data.ravel() if inside is None else image.data[inside] for image in images)
    return correlation(second, first), float(np.linalg.norm(second) / np.linalg.norm(first))


# What is no echo


def echo_band(recording: ub.Acquisition) -> tuple[float, float]:
    """0.2 to 1.8 times the centre frequency [Hz]."""
    center = recording.probe.center_frequency
    return 0.2 * center, 1.8 * center


def within_band(recording: ub.Acquisition, band: tuple[float, float]) -> ub.Acquisition:
    """RF filtered to a band whose outermost fifths of the centre frequency fall softly.

    Delay-and-sum hears all that was recorded, offset and drift included. Both methods are to hear the same, and a hard
    edge would ring.
    """
    edge = 0.2 * recording.probe.center_frequency
    samples, n = np.asarray(recording.samples), recording.n_samples
    frequency = np.fft.rfftfreq(2 * n, 1 / recording.sampling_frequency)
    inside = np.clip(np.minimum(frequency - band[0], band[1] - frequency) / edge, 0, 1)
    spectrum = scipy.fft.rfft(samples, 2 * n) * np.sin(np.pi / 2 * inside) ** 2
    return recording.replace(samples=scipy.fft.irfft(spectrum, 2 * n)[..., :n].astype(np.float32))


def faded_in(recording: ub.Acquisition, end: float) -> ub.Acquisition:
    """Silent until half of a time after the trigger [s], and as recorded from that time on.

    A record that begins in the middle of a strong signal begins with a step, to which every filter answers with a tail
    over the whole image, and each method's filter with its own.
    """
    if not end:
        return recording
    time = recording.start_time[:, None] + np.arange(recording.n_samples) / recording.sampling_frequency
    rise = np.sin(np.pi / 2 * np.clip(2 * time / end - 1, 0, 1)) ** 2
    return recording.replace(samples=(np.asarray(recording.samples) * rise[:, None]).astype(np.float32))
