"""Pictures and figures of docs/beamforming.md that compare the two beamformers: ``python -m docs.make_images``.

Run it where the repository is checked out, with the package's development dependencies; USBEAM_REAL_DATA names the
folder of real recordings (`tests/conftest.py`). It prints the table of how alike the two methods' images are and leaves
the pictures in docs/images.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import usbeam as ub
from tests.beamforming.conftest import WIDE, cone
from tests.conftest import REAL_DATA
from tests.real import MAPPINGS, MM, SCENES, by_both, echo_band, likeness, within_cone
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.requests import fourier_acceptance
from usbeam.io.convert import read
from usbeam.show import plot

IMAGES = Path(__file__).parent / "images"
WIDTH = 900
"""Of a picture, in pixels."""
NARROW = Window(0.35, 0.3)
TRANSMITS = ("all", "ends:2", "random:7@3")
PLANE_WAVES = {
    "fibres": (
        "planewave_fibres/RFdata1.mat",
        ub.Grid.linear(x=(-18 * MM, 18 * MM), z=(10 * MM, 90 * MM), shape=(1001, 121)),
    ),
    "disk": (
        "planewave_disk/PWI_disk.mat",
        ub.Grid.linear(x=(-12.5 * MM, 12.5 * MM), z=(10 * MM, 35 * MM), shape=(251, 251)),
    ),
}


def compare(name: str, transmits: str, images: list[ub.Image], inside: np.ndarray | None = None) -> float:
    """Print one row; the correlation's real part."""
    similarity, gain = likeness(images, inside)
    print(f"{name:<24} {transmits:<11} {similarity.real:.5f} {gain:.4f} {np.angle(similarity):+.4f}", flush=True)
    return similarity.real


def picture(images: Sequence[ub.Image], titles: Sequence[str], name: str) -> None:
    """Side by side, as a small grey PNG."""
    figure = plot.side_by_side(images, titles)[0].figure
    figure.set_layout_engine("compressed")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    with Image.open(drawn) as full:
        height = round(full.height * WIDTH / full.width)
        full.convert("L").resize((WIDTH, height), Image.Resampling.LANCZOS).save(IMAGES / name, optimize=True)


def full_matrices() -> None:
    """The three recordings of single elements, both methods side by side."""
    for name, scene in SCENES.items():
        recording, echoes = scene.read(REAL_DATA), scene.read_echoes(REAL_DATA)
        inside = within_cone(recording, scene.grid)
        for transmits in TRANSMITS:
            weights = ub.subsets.parse(transmits, recording)
            compare(f"{name}, as recorded", transmits, by_both(recording, scene.grid, weights), inside)
            images = by_both(echoes, scene.grid, weights, band=echo_band(echoes))
            found = compare(f"{name}, echoes", transmits, images, inside)
            if transmits == "all":
                narrow = by_both(echoes, scene.grid, weights, band=echo_band(echoes), **cone(NARROW, NARROW))
                compare(f"{name}, sin 0.35", transmits, narrow)
                picture(images, ["delay-and-sum", f"Fourier, NCC {found:.5f}"], f"fourier_{name.replace(' ', '_')}.png")


def plane_waves() -> None:
    """Rows only."""
    for name, (file, grid) in PLANE_WAVES.items():
        recording = read(REAL_DATA / file, mapping=MAPPINGS / f"planewave_{name}.toml")
        windows = fourier_acceptance(recording)[1]._asdict()
        compare(f"{name}, as recorded", "all", by_both(recording, grid, **windows))


def blind_triangles() -> None:
    """Cysts from the two outermost transmitters: what a narrow transmit window does to them."""
    width, depth = (-10 * MM, 10 * MM), (5 * MM, 35 * MM)
    probe = ub.Probe.linear(96, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3)
    circles = [(-5 * MM, 14 * MM, 2 * MM), (4 * MM, 20 * MM, 3 * MM), (-4 * MM, 28 * MM, 3 * MM)]
    phantom = ub.simulate.phantoms.cysts(probe, x=width, z=depth, density=4, circles=circles)
    recording = ub.simulate.record(
        phantom, probe, ub.Transmits.elements(probe), sampling_frequency=31.25e6, depth=depth, noise_db=-50
    )
    grid = ub.Grid.linear(x=width, z=depth, shape=(600, 200))
    weights = ub.subsets.ends(recording, 2)
    narrow = {name: value for name, value in cone(NARROW, WIDE).items() if name.startswith("transmit")}
    images = [ub.beamform(recording, grid, method="fourier", transmits=weights, **options) for options in ({}, narrow)]
    picture(images, ["transmit window sin 0.9 (default)", "transmit window sin 0.35"], "blind_triangles.png")


if __name__ == "__main__":
    print(f"{'recording':<24} {'transmits':<11} {'NCC':<7} {'gain':<6} phase")
    full_matrices()
    plane_waves()
    blind_triangles()
