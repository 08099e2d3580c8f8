"""``usbeam enhance --with RUN``: what Python does, saved; recordings; one error for what cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.enhancers.networks import one_thread, run_folder
from tests.enhancers.test_enhance import speckle
from usbeam import weights as shipped
from usbeam.enhancers import METHODS
from usbeam.train import gpu
from usbeam.train.run import WEIGHTS

from .conftest import Run

__all__ = ["one_thread"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "speckle.h5"
    speckle().save(path)
    return path


@pytest.fixture(scope="module")
def channel_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    probe = ub.Probe.linear(8, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    phantom = ub.simulate.phantoms.speckle(probe, x=(-2e-3, 2e-3), z=(7e-3, 10e-3), density=2)
    path = tmp_path_factory.mktemp("recording") / "recording.h5"
    fired = ub.Transmits.elements(probe)
    ub.simulate.record(phantom, probe, fired, sampling_frequency=20e6, depth=(7e-3, 10e-3)).save(path)
    return path


def test_the_file_is_what_python_makes(run: Run, file: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    given = ("--set", "gate=true", "--runtime", "torch", "--dynamic-range", "50")
    done = run("enhance", file, "-o", out, "--with", folder, *given, "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert (summary["method"], summary["n_looks"], summary["parameters"]["gate"]) == ("looks-light", 0, True)
    wanted = ub.enhance(ub.load_image(file), folder, gate=True, dynamic_range=50.0)
    found = ub.load_image(out)
    np.testing.assert_array_equal(found.data, wanted.data)
    assert found.dynamic_range_db == 50
    assert found.settings["enhanced"][0]["weights"] == wanted.settings["enhanced"][0]["weights"]


def test_warns_with_both_numbers(run: Run, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = run_folder(tmp_path / "run", spacing=[3e-4, 4e-4])
    assert run("enhance", file, "-o", tmp_path / "out.h5", "--with", other).code == 0
    assert "pixels of 100 µm x 200 µm" in caplog.text
    assert "trained on 300 µm x 400 µm" in caplog.text


def test_quality_of_a_recording(run: Run, channel_data: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    place = ("--x", "-1mm:1mm", "--z", "7.5mm:9.5mm")
    done = run("enhance", channel_data, "-o", out, "--with", folder, "--mode", "quality", *place, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["n_looks"] == 4
    found = ub.load_image(out)
    np.testing.assert_allclose(found.grid.spacing, [1e-4, 2e-4], rtol=0.02)  # that of the training
    np.testing.assert_allclose([found.grid.x[0], found.grid.x[-1]], [-1e-3, 1e-3])
    wanted = ub.enhance_recording(ub.load(channel_data), folder, found.grid)
    np.testing.assert_array_equal(found.data, wanted.data)


def test_weights_that_come_with_usbeam_are_listed(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(folder / WEIGHTS, folder / "small.safetensors")
    (folder / "small.md").write_text("# A small network, for tests\n")
    monkeypatch.setattr(shipped, "FOLDER", folder)
    assert "small: A small network, for tests" in run("enhance", "--list").out.splitlines()
    listed = json.loads(run("enhance", "--list", "--json").out)
    assert listed["weights"] == ["small", "weights"]
    assert len(listed["methods"]) == len(METHODS)


def test_refusals(run: Run, file: Path, channel_data: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(np.random.default_rng(0).bytes(3000))
    for source, arguments, code, message in (
        (file, ("--with", folder, "--mode", "quality"), 2, "quality needs channel data"),
        (file, ("--with", folder, "--mode", "best"), 2, "looks-light.mode: not a value"),
        (file, ("--with", folder, "--mode", "fast", "--set", "mode=fast"), 2, "twice"),
        (file, ("--with", folder, "--runtime", "abacus"), 2, "looks-light.runtime: not a value"),
        (file, ("--with", folder, "--set", "sigma=1"), 2, "no such parameter"),
        (file, ("--with", folder, "--spacing", "0.1mm"), 2, "--spacing: is for a recording"),
        (file, ("--with", "srad", "--mode", "fast"), 2, "no such parameter"),
        (file, ("--with", bad), 3, "not the weights of a network"),
        (file, ("--with", tmp_path), 3, "no weights in this folder"),
        (channel_data, ("--with", folder), 3, "not an image"),
        (channel_data, ("--with", folder, "--mode", "quality", "--frame", "7"), 2, "no such frame"),
        (bad, ("--with", folder, "--mode", "quality"), 3, str(bad)),
    ):
        done = run("enhance", source, "-o", out, *arguments)
        assert done.code == code, (arguments, done.err)
        assert message in done.errors[0], arguments
        assert sum(line.startswith("usbeam: error: ") for line in done.errors) == 1
        assert done.out == ""
        assert not out.exists()


@pytest.mark.skipif(gpu.obstacle() is None, reason="torch has a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_read(run: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        speckle().save(tmp_path / name)
    out = tmp_path / "out"
    done = run("enhance", tmp_path / "a.h5", tmp_path / "b.h5", "-o", out, "--with", folder, "--device", "gpu")
    assert done.code == 4
    assert [line.partition("no GPU can be used: torch")[0] for line in done.errors[:1]] == ["usbeam: error: device: "]
    assert sum(line.startswith("usbeam: error: ") for line in done.errors) == 1
    assert not out.exists()


def test_the_device_is_told(run: Run, file: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    done = run("enhance", file, "-o", out, "--with", folder, "--device", "cpu")
    assert "by " + str(folder) + " on the CPU in" in done.out
