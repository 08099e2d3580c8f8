"""Weights to start from, full disks, losses that are no numbers, folders that are taken: one error, nothing lost."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from tests.train.conftest import HOWS, MakePairs, broken, contents, same_tensors, tiny
from usbeam.errors import CheckpointError, FileAccessError, OutputExists, TrainingDiverged
from usbeam.train import checkpoint, run, training
from usbeam.train.run import load_run
from usbeam.train.training import fit


def test_from_weights(begun: Path, tmp_path: Path) -> None:
    pairs, wanted = begun.with_name("pairs.h5"), load_run(begun).network().state_dict()
    idle = {name: value for name, value in tiny(epochs=1, learning_rate=1e-30).table().items() if name != "model"}
    for start in (begun, begun / run.WEIGHTS):
        found = fit(pairs, idle, out=tmp_path / "b", start=start, overwrite=True)
        assert found.config.model == "looks-light"  # that of the weights
        for name, tensor in found.network().state_dict().items():
            torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=1e-25)
    assert found.facts["start"]["file"] == run.WEIGHTS
    with pytest.raises(CheckpointError, match=r"of another network.*expected unet, found looks-light"):
        fit(pairs, tiny(model="unet"), out=tmp_path / "c", start=begun)
    with pytest.raises(CheckpointError, match="start"):  # a run that began from nothing does not go on from weights
        fit(pairs, out=begun, start=begun, resume=True)
    assert not (tmp_path / "c").exists()


def test_from_weights_of_another_dynamic_range_warns(begun: Path, make_pairs: MakePairs, tmp_path: Path) -> None:
    path = make_pairs(name="b.h5", dynamic_range_db=80.0)
    with pytest.warns(UserWarning, match="trained on 100 dB, the pairs have 80 dB"):
        fit(path, tiny(epochs=1), out=tmp_path / "b", start=begun)


@pytest.mark.parametrize("how", HOWS)
def test_weights_that_are_none(how: str, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken(begun / run.WEIGHTS, how)
    with pytest.raises(CheckpointError) as caught:
        fit(begun.with_name("pairs.h5"), tiny(), out=tmp_path / "b", start=begun)
    assert caught.value.path == str(begun / run.WEIGHTS)
    assert not (tmp_path / "b").exists()
    assert not Path("pickle_was_loaded").exists()


def test_a_loss_that_is_no_number(make_pairs: MakePairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    wild = tiny(model="unet-light", learning_rate=1e30, clip=0.0, epochs=4)
    with pytest.raises(TrainingDiverged, match=r"step \d+: the (validation )?loss is no number") as caught:
        fit(make_pairs(), wild, out=tmp_path / "run")
    assert caught.value.exit_code == 5
    tensors, state = checkpoint.load(tmp_path / "run" / run.STATE)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert state["step"] < wild.epochs * wild.steps_per_epoch


@contextlib.contextmanager
def no_file_beyond(size: int) -> Generator[None]:
    """The system refuses to write more into a file, as it does where a quota is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(begun: Path) -> None:
    before = contents(begun)
    with no_file_beyond(100_000), pytest.raises(FileAccessError, match="full") as caught:
        fit(begun.with_name("pairs.h5"), out=begun, resume=True)
    assert caught.value.path == str(begun / run.WEIGHTS)
    after = contents(begun)
    assert {name: after[name] for name in before} == before
    fit(begun.with_name("pairs.h5"), out=begun, resume=True)
    assert all(same_tensors(begun / name, begun.with_name("whole") / name) for name in (run.WEIGHTS, run.STATE))


def test_a_disk_full_from_the_start(make_pairs: MakePairs, tmp_path: Path) -> None:
    pairs = make_pairs(recordings=2, each=1, shape=(32, 32))
    with no_file_beyond(100_000), pytest.raises(FileAccessError, match="full"):
        fit(pairs, tiny(), out=tmp_path / "run")
    with pytest.raises(FileAccessError, match="no run to go on with"):
        fit(pairs, out=tmp_path / "run", resume=True)
    fit(pairs, tiny(epochs=1), out=tmp_path / "run", overwrite=True)


def test_a_run_is_replaced_only_if_asked(begun: Path) -> None:
    pairs, before = begun.with_name("pairs.h5"), contents(begun)
    with pytest.raises(OutputExists, match="a run is there") as caught:
        fit(pairs, tiny(), out=begun)
    assert "--resume" in str(caught.value.hint)
    assert contents(begun) == before
    (begun / "notes.txt").write_text("mine")
    fit(pairs, tiny(epochs=1, model="unet-light"), out=begun, overwrite=True)
    assert load_run(begun).config.model == "unet-light"
    assert (begun / "notes.txt").read_text() == "mine"
    other = begun.with_name("other")
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputExists, match="no run"):
            fit(pairs, tiny(), out=other, overwrite=overwrite)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]
