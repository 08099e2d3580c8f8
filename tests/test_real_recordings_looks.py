"""Oblique looks of real plane waves: speckle of their own, wires in their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming import looks
from usbeam.io.convert import read

from .real import MAPPINGS, MM, SCENES, brightest

pytestmark = pytest.mark.real_data


def waves(folder: Path, name: str, file: str) -> ub.Acquisition:
    return read(folder / name / file, mapping=MAPPINGS / f"{name}.toml")


def alike(views: list[ub.Image], inside: np.ndarray) -> np.ndarray:
    """Correlation of the two sides of each line."""
    correlation = looks.speckle_correlation(views, inside)
    return np.array([correlation[i, i + 1] for i in range(0, len(views), 2)])


def test_fibres(real_data: Path) -> None:
    """Seven plane waves within 1.5 degrees, whose receive angles alone tell views apart."""
    recording = waves(real_data, "planewave_fibres", "RFdata1.mat")
    grid = ub.Grid.spaced(x=(-18 * MM, 18 * MM), z=(15 * MM, 50 * MM), spacing=(0.075 * MM, 0.15 * MM))
    views = ub.ObliqueLooks(recording, grid)(recording.frame(0))
    background = ub.roi.Rectangle(x=(4 * MM, 17 * MM), z=(26 * MM, 39 * MM)).inside(grid)
    assert np.abs(alike(views, background)).max() < 0.1
    plain = ub.beamform(recording, grid)
    for place in ((2, 22.5), (2, 42)):
        wanted = brightest(plain, place, (2, 2))
        assert brightest(looks.mean_envelope(views), place, (2, 2)) == pytest.approx(wanted, abs=0.35)


def test_disk(real_data: Path) -> None:
    """One plane wave, demodulated; tissue-like speckle with an edge."""
    recording = waves(real_data, "planewave_disk", "PWI_disk.mat")
    grid = ub.Grid.spaced(x=(-14 * MM, 12 * MM), z=(8 * MM, 36 * MM), spacing=(0.07 * MM, 0.15 * MM))
    views = ub.ObliqueLooks(recording, grid)
    each = views(recording.frame(0))
    disk = ub.roi.Circle(-1 * MM, 22 * MM, 7 * MM).inside(grid)
    assert np.abs(alike(each, disk)).max() < 0.2  # the level differs within the disk, which adds to it
    mean, plain = looks.mean_envelope(each).data[disk], np.abs(ub.beamform(recording, grid).data)[disk]
    assert mean.mean() / mean.std() > 1.4 * plain.mean() / plain.std()


def test_water_pins(real_data: Path) -> None:
    """Every element fires alone: both pins are in their places in the compound."""
    scene = SCENES["water pins"]
    image = ub.compound(scene.read(real_data), scene.grid, n_looks=8, kind="oblique")
    assert scene.error_mm(image) < 0.5
