"""Figures and tables of docs/psf.md: ``python -m docs.psf_images``.

Run it where the repository is checked out, with the package's development dependencies; USBEAM_REAL_DATA names the
folder of real recordings (`tests/conftest.py`).
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import usbeam as ub
from tests.conftest import REAL_DATA
from tests.real import MM, SCENES
from usbeam.show import plot
from usbeam.show.figure import STYLE

IMAGES = Path(__file__).parent / "images"
PROBE = ub.Probe.linear(64, 0.3 * MM, 5e6, bandwidth=0.65)
SPEED = 1540.0
WAVELENGTH = SPEED / PROBE.center_frequency
DEPTHS = np.arange(10, 41, 5) * MM
SHARE = 8
"""Steps of the grid in a wavelength."""


def save(axes, name: str) -> None:
    """As a PNG without transparency."""
    drawn = io.BytesIO()
    axes.figure.savefig(drawn, format="png", dpi=110)
    with Image.open(drawn) as full:
        full.convert("RGB").save(IMAGES / name, optimize=True)


def point(x: float, z: float) -> ub.Acquisition:
    """Echoes of one point, every element firing alone."""
    places = np.array([[x, 0.0, z]])
    phantom = ub.simulate.Phantom(positions=places, amplitudes=np.ones(1), truth=ub.Truth(points=places))
    depth = (z - 4 * MM, z + 4 * MM)
    return ub.simulate.record(phantom, PROBE, ub.Transmits.elements(PROBE), sampling_frequency=40e6, depth=depth)


def beamformed(recording: ub.Acquisition, share: float = SHARE, **options) -> ub.Image:
    """Around the one point of a recording."""
    ((x, _, z),) = recording.truth.points
    limits = {"x": (x - 3 * MM, x + 3 * MM), "z": (z - 3 * MM, z + 3 * MM)}
    return ub.beamform(recording, ub.Grid.spaced(**limits, spacing=WAVELENGTH / share), **options)


def limit(x: float, z: float, weights=None) -> ub.psf.DiffractionLimit:
    """In theory, with these weights of the transmitters."""
    return ub.psf.diffraction_limit(
        PROBE.element_positions,
        (x, z),
        center_frequency=PROBE.center_frequency,
        bandwidth=PROBE.bandwidth,
        sound_speed=SPEED,
        transmit_weights=weights,
    )


def row(label: str, spot: ub.psf.Spot, theory: ub.psf.DiffractionLimit, closed_form: float) -> None:
    """Print one row of the table."""
    cells = [
        f"{found / MM:.4f} | {wanted / MM:.4f} | {found / wanted - 1:+.2%}"
        for found, wanted in zip((spot.lateral_fwhm, spot.axial_fwhm), theory, strict=True)
    ]
    print(f"| {label} | {cells[0]} | {closed_form / MM:.4f} | {cells[1]} |", flush=True)


def against_theory() -> None:
    """Widths over depth and lateral position, from all transmitters and from one; over depth in a figure too."""
    print("| point; transmitters | lateral [mm] | theory | off | closed form | axial [mm] | theory | off |")
    print("|---|---|---|---|---|---|---|---|")
    narrowest = WAVELENGTH / (PROBE.n_elements * PROBE.pitch)
    for x in (0.0, 6 * MM):
        for z in DEPTHS[::2]:
            spot = ub.psf.measure(beamformed(point(x, z)))
            row(f"({x / MM:.0f}, {z / MM:.0f}) mm; all", spot, limit(x, z), 0.886 * narrowest * z)
    for z in DEPTHS[::2]:
        recording = point(0.0, z)
        center = ub.subsets.center(recording, 1)
        spot = ub.psf.measure(beamformed(recording, transmits=center))
        row(f"(0, {z / MM:.0f}) mm; one", spot, limit(0.0, z, center), 1.207 * narrowest * z)
    spots = [ub.psf.measure(beamformed(point(0.0, z))) for z in DEPTHS]
    pulse = 4 * np.log(2) / (np.pi * PROBE.bandwidth * PROBE.center_frequency)
    print(f"closed form, axial: {SPEED / 2 * pulse / MM:.4f} mm")
    save(plot.fwhm_against_depth(spots, theory=lambda z: limit(0.0, z)), "psf_depth.png")


def grid_steps() -> None:
    """How far widths are off on coarser grids, by what the image is, and what warnings there are."""
    recording = point(0.03 * MM, 20 * MM)
    finest = ub.psf.measure(beamformed(recording, 32))
    print("| step | complex: lateral | axial | envelope: lateral | axial | warned of the step |")
    print("|---|---|---|---|---|---|")
    for share in (16, 8, 6, 5, 4, 3, 2):
        image = beamformed(recording, share)
        cells, warned = [], []
        for each in (image, image.envelope()):
            spot = ub.psf.measure(each)
            cells.append(f"{spot.lateral_fwhm / finest.lateral_fwhm - 1:+.2%}")
            cells.append(f"{spot.axial_fwhm / finest.axial_fwhm - 1:+.2%}")
            warned += [each.state] if any("too coarse" in warning for warning in spot.warnings) else []
        print(f"| wavelength / {share} | {' | '.join(cells)} | {', '.join(warned) or '-'} |", flush=True)


def lateral_limit(recording: ub.Acquisition, spot: ub.psf.Spot, element_width: float) -> float:
    """In theory, with a bandwidth that is not recorded: across, it hardly matters."""
    return ub.psf.diffraction_limit(
        recording.probe.element_positions,
        (spot.x, spot.z),
        center_frequency=recording.probe.center_frequency,
        bandwidth=0.6,
        sound_speed=recording.sound_speed,
        element_width=element_width,
    ).lateral_fwhm


def recorded(name: str, grid: ub.Grid, picture: str) -> None:
    """What ``usbeam psf`` prints for the known reflectors of a real recording, and all of its spots in one figure."""
    scene = SCENES[name]
    recording = scene.read(REAL_DATA)
    image = ub.beamform(recording, grid)
    with tempfile.TemporaryDirectory() as folder:
        image.save(Path(folder) / "image.h5")
        near = [argument for x, z in scene.reflectors for argument in ("--near", f"{x}mm,{z}mm")]
        print(f"{name}:", flush=True)
        subprocess.run([Path(sys.executable).with_name("usbeam"), "psf", Path(folder) / "image.h5", *near], check=True)
    spots = ub.psf.survey(image, [(x * MM, z * MM) for x, z in scene.reflectors])
    for spot in spots:
        narrow, wide = (lateral_limit(recording, spot, width) for width in (0.0, recording.probe.pitch))
        print(f"theory, elements without width and as wide as the pitch: {narrow / MM:.2f} to {wide / MM:.2f} mm")
    with matplotlib.rc_context(STYLE):
        axes = Figure(figsize=(8.2, 3.4 * len(spots)), layout="compressed").subplots(len(spots), 2, squeeze=False)
    for spot, pair in zip(spots, axes, strict=True):
        spot.plot(ax=pair)
    save(axes[0, 0], picture)


if __name__ == "__main__":
    against_theory()
    grid_steps()
    recorded("water pins", SCENES["water pins"].grid, "psf_pins.png")
    around_the_notch = ub.Grid.spaced(x=(-2 * MM, 15 * MM), z=(11 * MM, 28 * MM), spacing=0.1 * MM)
    recorded("notch", around_the_notch, "psf_notch.png")
