"""Trained networks beside the filters: same table, same range, and results that belong to their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.enhancers.networks import one_thread, run_folder
from tests.enhancers.test_enhance import speckle
from usbeam.comparison import Comparison
from usbeam.comparison.methods import parse
from usbeam.errors import ConfigError, UsbeamError
from usbeam.measure.roi import Annulus, Circle, RegionPair

__all__ = ["one_thread"]

PAIRS = {"cyst": RegionPair("cyst", Circle(0.0, 14e-3, 1e-3), Annulus(0.0, 14e-3, 2e-3, 3e-3))}


def test_named_by_its_folder_with_its_parameters(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    found = parse(f"{folder}:gate=false,true")
    assert [each.label for each in found.settings] == [f"{folder}:gate=false", f"{folder}:gate=true"]
    assert [each.parameters["gate"] for each in found.settings] == [False, True]
    with pytest.raises(ConfigError, match="no such parameter"):
        parse(f"{folder}:strength=2")
    with pytest.raises(ConfigError, match="unknown method"):
        parse(str(tmp_path / "missing"))


def test_a_row_of_the_table_that_goes_on_until_its_weights_change(tmp_path: Path) -> None:
    folder, keep = run_folder(tmp_path / "run"), tmp_path / "results"
    images = {"a": speckle()}

    def compared() -> Comparison:
        return ub.compare(images, PAIRS, [str(folder)], keep=keep)

    first = compared()
    result = first.results["a"][str(folder)]
    enhanced = ub.enhance(images["a"], folder)
    assert result.pairs["cyst"]["cnr"] == pytest.approx(ub.metrics.cnr(enhanced, PAIRS["cyst"]).value)
    assert [row.setting.label for row in first.rows if not row.sweep.is_control] == [str(folder)]
    assert first.enhanced[str(folder)].dynamic_range_db == 60
    kept = {path.name: path.stat().st_mtime_ns for path in keep.iterdir()}

    again = compared()
    assert {path.name: path.stat().st_mtime_ns for path in keep.iterdir()} == kept
    np.testing.assert_array_equal(again.enhanced[str(folder)].data, enhanced.data)

    run_folder(folder, seed=1)
    other = compared()
    new = {path.name for path in keep.iterdir()} - set(kept)
    assert {name.rpartition(".")[2] for name in new} == {"json", "h5"}
    assert len(new) == 2
    assert other.results["a"][str(folder)].pairs["cyst"]["cnr"] != result.pairs["cyst"]["cnr"]


def test_quality_is_refused_with_the_name_of_the_image(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    with pytest.raises(UsbeamError, match="quality needs channel data") as caught:
        ub.compare({"a": speckle()}, PAIRS, [f"{folder}:mode=quality"])
    assert caught.value.path == "a"
