"""``usbeam demo``: everything that it promises is there, and both methods show the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from usbeam.cli import demo, demo_training

from .conftest import Run


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer elements, scatterers and pixels, and two steps of training: all that the demo leaves, soon."""
    monkeypatch.setattr(demo, "N_ELEMENTS", 48)
    monkeypatch.setattr(demo, "DENSITY", 1.0)
    monkeypatch.setattr(demo, "SHAPES", {"points": (300, 150), "cysts": (420, 80)})
    monkeypatch.setattr(demo_training, "N_PAIRS", 4)
    brief = {"epochs": 1, "steps_per_epoch": 2, "crop": (32, 32)}
    monkeypatch.setattr(demo_training, "TRAINING", {**demo_training.TRAINING, **brief})


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


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_it_trains_on_looks_and_enhances(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    ended = run("demo", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert "epoch 1: loss" in ended.err
    found = json.loads(ended.out)
    assert sorted(found["files"]) == sorted(str(path) for path in out.iterdir())
    original = ub.load_image(out / "cysts_all_das.h5").db(60)
    titles = [*demo_training.FILTERS, demo_training.NETWORK]
    for title in titles:
        image = ub.load_image(out / demo_training.file_of(title))
        (done,) = image.settings["enhanced"]
        assert done["method"] == ("looks-light" if title == demo_training.NETWORK else title.lower())
        # On the original's scale: none is brighter or darker as a whole, which the mean of a dark cyst would not show.
        assert abs(float(np.median(image.data) - np.median(original.data))) < 6
        assert found["figures"][f"delay-and-sum, {title}"]["cnr"] > 0
    assert len(found["figures"]) == 4 + len(titles)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(title in page for title in titles)
    pairs = ub.load_pairs(out / demo_training.PAIRS)
    assert (pairs.strategy, pairs.source.file) == ("looks", ("cysts.h5",))

    weights = out / demo_training.RUN / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    for name in found["files"]:  # what is left is a run, which is not to be lost either
        if Path(name).is_file():
            Path(name).unlink()
    refused = run("demo", "--out", out)
    assert refused.code == 2
    assert "a run is there" in refused.err
    assert weights.stat().st_mtime_ns == before
    again = run("-q", "demo", "--out", out, "--overwrite")
    assert (again.code, again.err) == (0, "")
    assert weights.stat().st_mtime_ns > before
    assert "SRAD" in again.out
    assert "2 steps, from this recording alone" in again.out


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_without_the_extra_it_says_what_to_install_and_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "usbeam.train.training", raising=False)
    monkeypatch.setitem(sys.modules, "lightning", None)
    ended = run("demo", "--out", tmp_path / "demo", "--json")
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.err.splitlines() if "lightning" in line]
    assert line.endswith("pip install 'usbeam[train]'")
    found = json.loads(ended.out)
    assert sorted(found["files"]) == sorted(str(path) for path in (tmp_path / "demo").iterdir())
    assert len(found["figures"]) == 4
