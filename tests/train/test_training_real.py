"""From real recordings to an enhanced image: pairs by every strategy, two epochs, without special cases."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.real import MAPPINGS, MM, SCENES, converted
from usbeam.beamforming.draws import N_PAIRS, STRATEGIES
from usbeam.io.convert import read
from usbeam.train.config import Config
from usbeam.train.training import fit

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def fibres(real_data: Path) -> tuple[ub.Acquisition, ub.Grid, tuple[float, float]]:
    """Seven plane waves; a fibre at the place given."""
    recording = read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=MAPPINGS / "planewave_fibres.toml")
    spacing = recording.wavelength / 4, recording.wavelength / 1.5
    return recording, ub.Grid.spaced(x=(-13 * MM, 6 * MM), z=(39 * MM, 44 * MM), spacing=spacing), (1.9 * MM, 42.2 * MM)


@pytest.fixture(scope="module")
def pins(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ub.Acquisition, ub.Grid, tuple[float, float]]:
    """32 elements that fire alone; a steel pin in water at the place given."""
    scene = SCENES["water pins"]
    recording = converted(real_data / scene.file, tmp_path_factory.mktemp("pins"), scene.mapping)
    spacing = recording.wavelength / 6, recording.wavelength / 3
    return recording, ub.Grid.spaced(x=(-14 * MM, 0.0), z=(39 * MM, 45 * MM), spacing=spacing), (-9.5 * MM, 42.6 * MM)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["fibres", "pins"])
def test_pairs_two_epochs_and_an_enhanced_image(
    name: str, strategy: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recording, grid, (x, z) = request.getfixturevalue(name)
    # One frame gives one pair of the paper's kind, and nothing is learnt from one: here of three subsets.
    chosen = {"n_pairs": 4} if strategy in N_PAIRS else {"lq": ["inner:2", "first:2", "last:2"]}
    chosen = chosen if strategy != "disjoint" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the speckle of lq and hq")
        pairs = ub.make_pairs([recording], grid, out=tmp_path / "pairs.h5", strategy=strategy, **chosen)
    model = "looks" if strategy == "looks" else "unet-light"
    config = Config(model=model, epochs=2, steps_per_epoch=10, crop=(32, 32), warm_up=5, learning_rate=3e-4)
    run = fit(tmp_path / "pairs.h5", config, out=tmp_path / "run")
    assert len(pairs) >= 2
    assert "of its field held out" in run.facts["split"]
    assert np.isfinite(run.facts["speckle_cell"]).all()
    first, second = (epoch.validation_loss for epoch in run.history)
    assert second < first
    for enhanced in (
        ub.enhance(ub.beamform(recording, grid), run),
        ub.enhance_recording(recording, run, grid, mode="quality" if strategy == "looks" else "fast"),
    ):
        assert np.isfinite(enhanced.data).all()
        if strategy == "looks":  # which starts as the image; the paper's networks have learnt next to nothing yet
            row, column = np.unravel_index(np.argmax(enhanced.data), grid.shape)
            assert np.hypot(grid.x[column] - x, grid.z[row] - z) < 1.2 * MM
            assert np.ptp(enhanced.data) > 20
