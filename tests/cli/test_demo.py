"""``usbeam demo``: everything that it promises is there, and both methods show the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub

from .conftest import Run


@pytest.mark.slow
def test_the_demo_leaves_recordings_images_and_pictures(run: Run, tmp_path: Path) -> None:
    ended = run("-q", "demo", "--quick", "--out", tmp_path / "demo", "--json")
    assert ended.code == 0, ended.err
    files = json.loads(ended.out)["files"]
    assert sorted(files) == sorted(str(path) for path in (tmp_path / "demo").iterdir())
    assert len(files) == 2 * (2 + 2 * 2) + 3
    for name in ("points", "cysts"):
        for count in ("2", "all"):
            das, fourier = (
                ub.load_image(tmp_path / "demo" / f"{name}_{count}_{method}.h5").data for method in ("das", "fourier")
            )
            likeness = np.vdot(das, fourier).real / (np.linalg.norm(das) * np.linalg.norm(fourier))
            # Not nearer: with few transmitters much lies where the windows fall, which the methods see differently.
            assert likeness > (0.99 if count == "all" else 0.9)
    regions = ub.roi.load(tmp_path / "demo" / "rois.toml")
    few, all_of_them = (ub.load_image(tmp_path / "demo" / f"cysts_{count}_das.h5") for count in ("2", "all"))
    for pair in regions.values():
        assert float(ub.metrics.gcnr(all_of_them, pair)) > float(ub.metrics.gcnr(few, pair))
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in regions)
    again = run("demo", "--quick", "--out", tmp_path / "demo")
    assert again.code == 2
    assert "exists" in again.err
