"""Pairs of real recordings, by every strategy and without special cases."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.draws import N_PAIRS, STRATEGIES
from usbeam.io.convert import read
from usbeam.io.pairs_file import Pairs

from .real import MAPPINGS, MM, SCENES, converted

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def fibres(real_data: Path) -> ub.Acquisition:
    """Seven plane waves, heard by 128 elements: fibres in speckle."""
    return read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=MAPPINGS / "planewave_fibres.toml")


@pytest.fixture(scope="module")
def pins(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ub.Acquisition:
    """32 elements that fire alone: two pins in water."""
    scene = SCENES["water pins"]
    return converted(real_data / scene.file, tmp_path_factory.mktemp("pins"), scene.mapping)


def pairs(recording: ub.Acquisition, grid: ub.Grid, strategy: str, out: Path) -> Pairs:
    """Four where there is a choice."""
    chosen = {"n_pairs": 4} if strategy in N_PAIRS else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the speckle of lq and hq")
        return ub.make_pairs([recording], grid, out=out, strategy=strategy, **chosen)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fibres(strategy: str, fibres: ub.Acquisition, tmp_path: Path) -> None:
    wavelength = fibres.wavelength
    grid = ub.Grid.spaced(x=(-12 * MM, 4 * MM), z=(30 * MM, 40 * MM), spacing=(wavelength / 4, wavelength / 1.5))
    made = pairs(fibres, grid, strategy, tmp_path / "pairs.h5")
    if strategy == "looks":
        assert np.all(np.abs(made.correlation) < 0.15)  # the research on this recording found 0.01 to 0.03
    else:
        assert np.all(made.correlation > 0.5)  # angles within 1.5 degrees
    # In depth half of the pulse, across what the f-number of all 128 elements allows.
    assert 0.15 * MM < made.source.speckle_cell[0, 0] < 0.5 * MM
    assert 0.15 * MM < made.source.speckle_cell[0, 1] < 0.8 * MM
    for images in (made.lq, made.hq):
        assert np.all(np.std(images[:], axis=(1, 2)) > 0.02)
        brightest = np.array([np.unravel_index(np.argmax(image), grid.shape) for image in images[:]])
        assert np.all(np.abs(grid.x[brightest[:, 1]] + 6 * MM) < 4 * MM)  # the oblique row of fibres


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pins(strategy: str, pins: ub.Acquisition, tmp_path: Path) -> None:
    wavelength = pins.wavelength
    grid = ub.Grid.spaced(x=(-12 * MM, -7 * MM), z=(40 * MM, 45 * MM), spacing=(wavelength / 6, wavelength / 3))
    made = pairs(pins, grid, strategy, tmp_path / "pairs.h5")
    assert made.lq_transmits.shape[1] == 32
    for images in (made.lq, made.hq):
        for image in images[:]:
            row, column = np.unravel_index(np.argmax(image), grid.shape)
            assert np.hypot(grid.x[column] + 9.5 * MM, grid.z[row] - 42.6 * MM) < 1.2 * MM
    if strategy == "looks":
        assert np.all(np.abs(made.correlation) < 0.2)
