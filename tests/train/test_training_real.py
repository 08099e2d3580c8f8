"""Training on pairs of a real recording, without special cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.real import MAPPINGS, MM
from usbeam.io.convert import read
from usbeam.train.config import Config
from usbeam.train.training import fit


@pytest.mark.real_data
@pytest.mark.slow
def test_looks_of_plane_waves(real_data: Path, tmp_path: Path) -> None:
    recording = read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=MAPPINGS / "planewave_fibres.toml")
    wavelength = recording.wavelength
    grid = ub.Grid.spaced(x=(-13 * MM, 6 * MM), z=(31 * MM, 36 * MM), spacing=(wavelength / 4, wavelength / 1.5))
    ub.make_pairs([recording], grid, out=tmp_path / "pairs.h5", n_pairs=4)
    config = Config(model="looks", epochs=2, steps_per_epoch=8, crop=(32, 32), warm_up=2, learning_rate=3e-3)
    run = fit(tmp_path / "pairs.h5", config, out=tmp_path / "run")
    first, second = (epoch.validation_loss for epoch in run.history)
    assert second < first
    assert np.isfinite(run.facts["speckle_cell"]).all()
    assert "of its field held out" in run.facts["split"]
