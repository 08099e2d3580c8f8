"""Recordings of scenes, beamformed once: the plain image, compounds of several looks, and the truth."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

import usbeam as ub
from usbeam.errors import UsbeamError
from usbeam.measure.diffraction import DiffractionLimit, diffraction_limit

from .scenes import Scene, Size

LOOKS = {
    "3 looks of 2/3": (3, 2 / 3),
    "2 looks of 1/2": (2, 1 / 2),
    "3 looks of 1/2": (3, 1 / 2),
    "5 looks of 1/3": (5, 1 / 3),
}
"""Compounds: how many looks, and the part of the array that each takes."""
ORIGINAL = "original"
SNR_DB = 0.0
"""Of every channel: rms of the recording's echoes over rms of the white noise added to them, before beamforming."""
NOISE_SEED = 5000
"""Added to the scene's seed."""


def psf_width(size: Size) -> DiffractionLimit:
    """Of the plain image in mid-field, by theory."""
    probe = size.probe
    return diffraction_limit(
        probe.element_positions,
        (0.0, size.middle),
        center_frequency=probe.center_frequency,
        bandwidth=probe.bandwidth or 0.0,
        element_width=probe.element_width or 0.0,
    )


def record(scene: Scene, size: Size) -> ub.Acquisition:
    """Every element fires alone, with thermal noise in every channel."""
    clean = ub.simulate.record(
        scene.phantom(size),
        size.probe,
        ub.Transmits.elements(size.probe),
        sampling_frequency=30e6,
        depth=size.depth,
    )
    rng = np.random.default_rng(NOISE_SEED + scene.seed)
    samples = np.asarray(clean.samples)
    noise = rng.standard_normal(samples.shape, dtype=np.float32)
    return clean.replace(samples=samples + noise * np.float32(samples.std() * 10 ** (-SNR_DB / 20)))


def images(scene: Scene, size: Size, folder: Path) -> dict[str, ub.Image]:
    """Envelopes by name, ``original`` first; kept in a folder."""
    stem = hashlib.sha256(
        json.dumps([ub.__version__, dataclasses.asdict(size), dataclasses.asdict(scene), SNR_DB, LOOKS]).encode()
    ).hexdigest()[:16]
    made = {ORIGINAL: (1, 1.0), **LOOKS}
    paths = {name: folder / f"{stem}_{index}.h5" for index, name in enumerate(made)}
    try:
        return {name: ub.load_image(path) for name, path in paths.items()}
    except UsbeamError:
        pass  # not there, or not whole
    recording = record(scene, size)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, ub.Image] = {}
    for name, (count, share) in made.items():
        found[name] = ub.compound(recording, size.grid, n_looks=count, share=share)
        found[name].save(paths[name], overwrite=True)
    return found


@functools.cache
def truth(scene: Scene, size: Size) -> ub.Image:
    """Echo level of the tissue, its power blurred by the plain image's point-spread function, without shading."""
    x, z = np.meshgrid(size.grid.x, size.grid.z)
    power = 10 ** (scene.level_db(x, z, size.middle) / 10)
    limit = psf_width(size)
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
