"""`fit`: it learns what is right, and leaves a folder that says what there was."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch

import usbeam as ub
from tests.train.conftest import MakePairs, contents, same_tensors, speckled, tiny
from usbeam.errors import ConfigError, FileAccessError, UsbeamError
from usbeam.io.pairs_file import load_pairs
from usbeam.train import run, weights
from usbeam.train.data import fed
from usbeam.train.run import load_run
from usbeam.train.training import fit


def speckle_snr(image_db: npt.NDArray[Any]) -> float:
    envelope = 10 ** (image_db / 20)
    return float(envelope.mean() / envelope.std())


def test_it_learns_to_take_away_speckle(make_pairs: MakePairs, tmp_path: Path) -> None:
    """Of pairs of one structure under independent speckle all that can be learnt is the structure."""
    config = tiny(model="looks", epochs=3, steps_per_epoch=25, crop=(48, 48), learning_rate=3e-3, warm_up=5)
    found = fit(make_pairs(recordings=6, each=4), config, out=tmp_path / "run")
    losses = [epoch.validation_loss for epoch in found.history]
    assert losses[2] < losses[1] < losses[0] < 0.3
    assert found.history[2].train_loss < found.history[0].train_loss
    level_db = np.zeros((64, 64))
    level_db[16:48, :32] = -12
    envelope = speckled(np.random.default_rng(99), level_db)
    image = fed(1 + 20 * np.log10(envelope / envelope.max()) / 100, 100.0, "median")
    with torch.no_grad():
        better = found.network()(torch.from_numpy(image)[None, None])[0, 0].numpy()
    tissue, cyst = (slice(20, 44), slice(36, 60)), (slice(20, 44), slice(4, 28))
    assert 1.6 < speckle_snr(20 * image[tissue]) < 2.2
    assert speckle_snr(20 * better[tissue]) > 1.7 * speckle_snr(20 * image[tissue])
    assert 20 * (better[tissue].mean() - better[cyst].mean()) == pytest.approx(12, abs=3)


def test_what_is_in_the_folder(make_pairs: MakePairs, tmp_path: Path) -> None:
    path, folder = make_pairs(), tmp_path / "runs" / "a"
    steps: list[float] = []
    epochs: list[run.Epoch] = []
    found = ub.train.fit(path, tiny(model="unet-light"), out=folder, progress=steps.append, on_epoch=epochs.append)
    assert isinstance(found, ub.train.Run)
    assert steps == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert list(found.history) == epochs
    assert [(epoch.epoch, epoch.step) for epoch in epochs] == [(1, 3), (2, 6)]
    names = set(contents(folder))
    board = {name for name in names if name.startswith("tensorboard/events")}
    samples = {"samples/epoch_001.png", "samples/epoch_002.png"}
    files = {"config.json", "facts.json", "weights.safetensors", "last.safetensors", "curves.csv", "curves.png"}
    assert names == files | samples | board
    assert len(board) == (importlib.util.find_spec("tensorboard") is not None)
    assert json.loads((folder / "config.json").read_text()) == tiny(model="unet-light").table()
    facts = json.loads((folder / "facts.json").read_text())
    assert facts == found.facts == weights.load(found.weights)[1]
    assert (facts["model"], facts["domain"], facts["dynamic_range_db"]) == ("unet-light", "display", 100.0)
    assert facts["spacing"] == pytest.approx([10e-3 / 47, 10e-3 / 47])
    assert facts["speckle_cell"] == pytest.approx([0.3e-3, 0.5e-3])
    assert facts["n_parameters"] == 72_292
    assert facts["n_pairs"] == {"training": 8, "validation": 4}
    assert "1 of 3 recordings" in facts["split"]
    assert facts["versions"]["usbeam"] == ub.__version__
    assert facts["best"]["validation_loss"] == min(epoch.validation_loss for epoch in epochs)
    assert len(facts["pairs"]["sha256"]) == 64
    for name in (*samples, "curves.png"):
        assert np.ptp(np.asarray(PIL.Image.open(folder / name))) > 200
    assert load_run(folder).history == found.history


def test_of_a_run_that_is_replaced_nothing_is_left_but_what_is_not_its_own(tmp_path: Path) -> None:
    for name in ("config.json", "samples/epoch_001.png", "tensorboard/events.1", "tensorboard/mine.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    run.make_room(tmp_path, overwrite=True)
    assert list(contents(tmp_path)) == ["tensorboard/mine.txt"]
    assert not (tmp_path / "samples").exists()


def test_fit_says_nothing_by_itself(make_pairs: MakePairs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ub.train.fit(make_pairs(), tiny(epochs=1, precision="auto"), out=tmp_path / "a")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_validation_is_on_what_is_held_out_and_whole(make_pairs: MakePairs, tmp_path: Path) -> None:
    path = make_pairs()
    found = fit(path, tiny(), out=tmp_path / "run")
    pairs = load_pairs(path)
    (held_out,) = (int(word.removesuffix(".h5")) for word in found.facts["split"].split(": ")[1].split(", "))
    best = found.best
    assert best is not None
    network = found.network()
    losses = []
    for index in np.flatnonzero(pairs.recording == held_out):
        lq, hq = (torch.from_numpy(fed(stack[index], 100.0, "median")) for stack in (pairs.lq, pairs.hq))
        with torch.no_grad():
            losses.append(float((network(lq[None, None])[0, 0] - hq).abs().mean()))
    assert best.validation_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_one_recording_holds_out_a_part_of_its_field(make_pairs: MakePairs, tmp_path: Path) -> None:
    found = fit(make_pairs(recordings=1, shape=(40, 96)), tiny(), out=tmp_path / "run")
    assert found.facts["split"] == "one recording: columns 64 to 95 of its field held out"


def test_twice_the_same(make_pairs: MakePairs, tmp_path: Path) -> None:
    path = make_pairs()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(ord(name))  # what the caller drew before does not matter
        fit(path, tiny(epochs=1, steps_per_epoch=2, seed=seed), out=tmp_path / name)
    assert same_tensors(tmp_path / "a" / run.WEIGHTS, tmp_path / "b" / run.WEIGHTS)
    assert not same_tensors(tmp_path / "a" / run.WEIGHTS, tmp_path / "c" / run.WEIGHTS)


def test_patience(make_pairs: MakePairs, tmp_path: Path) -> None:
    """At a learning rate of nearly 0 the loss does not change, so that the first epoch stays the best."""
    idle = tiny(model="unet-light", learning_rate=1e-30, epochs=9, steps_per_epoch=1, batch=1, patience=1)
    found = fit(make_pairs(recordings=2, each=1), idle, out=tmp_path / "run")
    assert len(found.history) == 2
    assert found.best == found.history[0]
    assert fit(tmp_path / "pairs.h5", out=tmp_path / "run", resume=True).history == found.history


def test_bfloat16_where_the_processor_has_it(make_pairs: MakePairs, tmp_path: Path) -> None:
    config = tiny(precision="auto", epochs=1)
    found = fit(make_pairs(), config, out=tmp_path / "run")
    assert found.config.precision == "auto"
    assert found.facts["precision"] == config.resolved(torch.device("cpu")).precision
    assert all(value.dtype == torch.float32 for value in found.network().parameters())
    assert fit(tmp_path / "pairs.h5", {"precision": "auto"}, out=tmp_path / "run", resume=True).history == found.history


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"device": "tpu"}, ConfigError),
        ({"config": {"epoch": 3}}, ConfigError),
        ({"start": "missing.safetensors"}, FileAccessError),
    ],
)
def test_what_makes_no_sense(
    arguments: dict[str, Any], error: type[UsbeamError], make_pairs: MakePairs, tmp_path: Path
) -> None:
    with pytest.raises(error):
        fit(make_pairs(), out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_one_pair(make_pairs: MakePairs, tmp_path: Path) -> None:
    path = make_pairs(recordings=1, each=1, shape=(96, 96))
    with pytest.raises(ConfigError, match="too few pairs"):
        fit(path, tiny(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
