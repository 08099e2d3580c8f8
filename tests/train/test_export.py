"""ONNX models: equal to torch at any size, known by their checksum, refused where they differ."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import usbeam as ub
from tests.cli.conftest import Run, run
from tests.enhancers.networks import run_folder
from tests.enhancers.test_enhance import speckle
from usbeam.enhancers import trained
from usbeam.errors import ConfigError, OutputExists, UsbeamError
from usbeam.train import export, runtimes
from usbeam.train.export import TOLERANCE

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"{package} is in the extra export")

__all__ = ["run"]

THERE = [name for name, package in runtimes.OTHERS.items() if importlib.util.find_spec(package)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its model beside its weights; the model is made once, as that takes torch long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    path = run_folder(tmp_path_factory.mktemp("export") / "run")
    export.export(trained.find(path).network, path / "weights.onnx")
    torch.set_num_threads(before)
    return path


@pytest.fixture
def known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export gives the model that was made of these weights."""
    content = (folder / "weights.onnx").read_bytes()
    monkeypatch.setattr(export, "model", lambda _: content)


@pytest.mark.parametrize("runtime", runtimes.OTHERS)
def test_enhances_as_torch_does(folder: Path, runtime: str) -> None:
    pytest.importorskip(runtimes.OTHERS[runtime], reason="is in the extra export")
    for shape in ((101, 61), (33, 90), (9, 9)):
        image = speckle(grid=ub.Grid.linear(x=(-6e-3, 6e-3), z=(10e-3, 20e-3), shape=shape))
        wanted = ub.enhance(image, folder)
        found = ub.enhance(image, folder, runtime=runtime)
        np.testing.assert_allclose(found.data, wanted.data, atol=20 * TOLERANCE)
        assert found.settings["enhanced"][-1]["parameters"]["runtime"] == runtime


def test_the_model_beside_the_weights_is_taken_if_it_is_theirs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class MadeAnewError(Exception):
        pass

    def anew(_: object) -> bytes:
        raise MadeAnewError

    monkeypatch.setattr(export, "model", anew)
    trained._loaded.cache_clear()
    ub.enhance(speckle(), folder, runtime="onnx")
    content = (folder / "weights.onnx").read_bytes()
    for other in (content.replace(trained.find(folder).network.sha256.encode(), b"0" * 64), b"noise"):
        copy = folder.parent / "copy"
        copy.mkdir(exist_ok=True)
        (copy / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
        (copy / "weights.onnx").write_bytes(other)
        trained._loaded.cache_clear()
        with pytest.raises(MadeAnewError):
            ub.enhance(speckle(), copy, runtime="onnx")


@pytest.mark.usefixtures("known")
def test_the_command_prints_the_proof(folder: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "model.onnx"
    done = run("export", folder, "-o", out, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found["difference"]) == set(THERE)
    assert all(0 <= value <= TOLERANCE for value in found["difference"].values())
    assert (found["model"], found["sizes"]) == ("looks-light", [[9, 12], [49, 20], [32, 80]])
    taken = run("export", folder, "-o", out)
    assert (taken.code, len(taken.errors)) == (2, 2)
    again = run("export", folder, "-o", out, "--overwrite")
    assert again.out.startswith(f"{out}: looks-light, checked on images of 9 x 12, ")
    assert "onnx differs from torch by " in again.out
    wrong = run("export", folder, "-o", tmp_path / "model.pt")
    assert wrong.code == 2
    assert "unknown ending" in wrong.errors[0]
    missing = run("export", tmp_path / "missing", "-o", tmp_path / "other.onnx")
    assert missing.code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


@pytest.mark.usefixtures("known")
def test_a_model_that_differs_is_not_written(folder: Path, tmp_path: Path) -> None:
    other = trained.find(run_folder(tmp_path / "other", seed=1)).network
    with pytest.raises(UsbeamError, match="gives something else than torch"):
        export.export(other, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    with pytest.raises(OutputExists):
        export.export(trained.find(folder).network, folder / "weights.onnx")


@pytest.mark.parametrize("runtime", runtimes.OTHERS)
def test_what_is_not_installed_says_how_to_install_it(
    folder: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    missing = runtimes.OTHERS[runtime]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else there(name))
    trained._loaded.cache_clear()
    with pytest.raises(ConfigError, match=f"needs {missing}") as caught:
        ub.enhance(speckle(), folder, runtime=runtime)
    assert caught.value.hint == "pip install 'usbeam[train,export]'"
