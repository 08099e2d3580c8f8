"""Recordings of scenes, beamformed once: the plain image, compounds of several looks, and the truth."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft, ndimage

import usbeam as ub
from usbeam.errors import UsbeamError
from usbeam.measure.diffraction import DiffractionLimit, diffraction_limit

from .scenes import MM, Scene, Size, distance

Options = Mapping[str, Any]
LOOKS: dict[str, Options] = {
    "8 soft oblique looks": {"n_looks": 8, "kind": "oblique", "max_sine": 0.7, "fade": 1.0},
    "16 oblique looks": {"n_looks": 16, "kind": "oblique"},
    "3 looks of 2/3": {"n_looks": 3, "share": 2 / 3},
    "3 looks of 1/2": {"n_looks": 3, "share": 1 / 2},
}
"""Compounds: sides of lines through k-space, with the defaults or with all angles and soft rims; or groups of
neighbouring elements, each so large a part of the array."""
BESIDE: dict[str, Options] = {
    "2 transmitters": {"n_looks": 1, "transmits": "inner:2"},
    "apodised": {"n_looks": 1, "f_number": 1.0, "window": "hann", "transmit_f_number": 1.0, "transmit_window": "hann"},
}
"""Other images of the same recording, that are not filtered: the few transmitters that zero-shot training starts from,
and a coherent image with fewer side lobes."""
ORIGINAL = "original"
MADE: dict[str, Options] = {ORIGINAL: {"n_looks": 1}, **LOOKS, **BESIDE}
"""Name -> what `usbeam.compound` is told."""
SNR_DB = 0.0
"""Of every channel: rms of the recording's echoes over rms of the white noise added to them, before beamforming."""
LINE_HALF, LINE_AROUND = 0.06 * MM, (0.6 * MM, 1.2 * MM)
"""What is taken for a line, and for its surroundings: distances from it."""
NOISE_SEED = 5000
"""Added to the scene's seed."""


def psf_width(size: Size, elements: np.ndarray | None = None) -> DiffractionLimit:
    """Of the image in mid-field by some elements, or by all, by theory."""
    probe = size.probe
    return diffraction_limit(
        probe.element_positions if elements is None else elements,
        (0.0, size.middle),
        center_frequency=probe.center_frequency,
        bandwidth=probe.bandwidth or 0.0,
        element_width=probe.element_width or 0.0,
    )


def record(scene: Scene, size: Size) -> ub.Acquisition:
    """What the probe hears, through the layer before it, with thermal noise in every channel."""
    clean = ub.simulate.record(
        scene.phantom(size),
        size.probe,
        size.transmits,
        sampling_frequency=30e6,
        depth=size.depth,
    )
    rng = np.random.default_rng(NOISE_SEED + scene.seed)
    samples = np.asarray(clean.samples)
    if scene.aberration:
        samples = _late(samples, scene.screen(size.probe.element_positions[:, 0]), clean.sampling_frequency)
    noise = rng.standard_normal(samples.shape, dtype=np.float32)
    return clean.replace(samples=samples + noise * np.float32(samples.std() * 10 ** (-SNR_DB / 20)))


def images(scene: Scene, size: Size, folder: Path) -> dict[str, ub.Image]:
    """Envelopes by name, ``original`` first; kept in a folder."""
    drawn_from = {name: value for name, value in dataclasses.asdict(size).items() if name != "per_family"}
    facts = [ub.__version__, drawn_from, dataclasses.asdict(scene), SNR_DB]
    paths = {name: folder / f"{_stem(*facts, name, MADE[name])}.h5" for name in MADE}
    found: dict[str, ub.Image] = {}
    recording: ub.Acquisition | None = None
    for name, options in MADE.items():
        try:
            found[name] = ub.load_image(paths[name])
        except UsbeamError:  # not there, or not whole
            recording = recording or record(scene, size)
            folder.mkdir(parents=True, exist_ok=True)
            found[name] = made(recording, size.grid, options)
            found[name].save(paths[name], overwrite=True)
    return found


def made(recording: ub.Acquisition, grid: ub.Grid, options: Mapping[str, Any]) -> ub.Image:
    """An image of a recording by what `MADE` says of it."""
    given = {**options}
    if "transmits" in given:
        given["transmits"] = ub.subsets.parse(given["transmits"], recording)
    return ub.compound(recording, grid, **given)


def _stem(*facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _late(samples: np.ndarray, screen: np.ndarray, sampling_frequency: float) -> np.ndarray:
    """Traces ``(n_frames, n_tx, n_rx, n_samples)``, later by the delays of both elements."""
    n_samples = samples.shape[-1]
    length = fft.next_fast_len(n_samples + 64, real=True)  # room for what leaves at the end
    frequency = fft.rfftfreq(length, 1 / sampling_frequency)
    found = np.empty_like(samples)
    for fired, late in enumerate(screen):
        phase = np.exp(-2j * np.pi * frequency * (late + screen)[:, None]).astype(np.complex64)
        spectrum = fft.rfft(samples[:, fired], length, axis=-1) * phase
        found[:, fired] = fft.irfft(spectrum, length, axis=-1)[..., :n_samples]
    return found


@functools.cache
def truth(scene: Scene, size: Size) -> ub.Image:
    """Echo level of the tissue, its power blurred by the plain image's point-spread function, without shading."""
    x, z = np.meshgrid(size.grid.x, size.grid.z)
    power = 10 ** (scene.level_db(x, z, size.middle) / 10)
    limit = psf_width(size, size.accepted)
    # A Gaussian amplitude of full width w at half maximum has an intensity of width w / sqrt(2).
    sigma = [
        width / np.sqrt(8 * np.log(2)) / np.sqrt(2) / step
        for width, step in zip((limit.axial_fwhm, limit.lateral_fwhm), size.grid.spacing, strict=True)
    ]
    blurred = ndimage.gaussian_filter(power, sigma, mode="nearest")
    return ub.Image(np.sqrt(blurred).astype(np.float32), size.grid, "envelope")


def level_error_db(image: ub.Image, scene: Scene, size: Size) -> float:
    """RMS difference to the truth [dB], but for the shading by the array: the best quadratic surface in x and z.

    Where the truth is more than 20 dB below its median, any floor is as good as another, and nothing is compared.
    """
    shown = image if image.state == "db" else image.db(60.0)
    wanted = 20 * np.log10(truth(scene, size).data.astype(np.float64))
    z, x = np.meshgrid(np.linspace(-1, 1, shown.grid.shape[0]), np.linspace(-1, 1, shown.grid.shape[1]), indexing="ij")
    seen = wanted > np.median(wanted) - 20
    surface = np.stack([np.ones_like(x), x, z, x * z, x**2, z**2], axis=-1)[seen]
    difference = (shown.data - wanted)[seen]
    fit = np.linalg.lstsq(surface, difference, rcond=None)[0]
    return float(np.sqrt(np.mean((difference - surface @ fit) ** 2)))


def line_level_db(image: ub.Image, scene: Scene) -> float | None:
    """How far specular lines stand out of what surrounds them: mean displayed level, in dB; None without lines."""
    shown = image if image.state == "db" else image.db(60.0)
    x, z = np.meshgrid(shown.grid.x, shown.grid.z)
    found: list[float] = []
    for line in scene.lines:
        away = distance(line, x, z)
        around = (away > LINE_AROUND[0]) & (away < LINE_AROUND[1])
        found.append(float(shown.data[away < LINE_HALF].mean() - shown.data[around].mean()))
    return float(np.mean(found)) if found else None
