"""A training that was stopped goes on to the same bits, and with nothing but what it was begun with."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import HOWS, TINY, MakePairs, broken, contents, rewritten, same_tensors, tiny
from usbeam.errors import CheckpointError, FileAccessError
from usbeam.train import checkpoint, run
from usbeam.train.run import load_run
from usbeam.train.training import fit

KILLED = """
    import os, signal, sys
    import torch
    from usbeam.train import training
    from usbeam.train.config import Config

    torch.set_num_threads(1)
    training.SAVE_EVERY = 0.0  # a state after every step

    def progress(fraction):
        if fraction > 0.8:
            os.kill(os.getpid(), signal.SIGKILL)

    training.fit(sys.argv[1], Config(**eval(sys.argv[3])), out=sys.argv[2], progress=progress)
"""


def test_killed_within_an_epoch_it_goes_on_to_the_same_bits(begun: Path) -> None:
    path, whole, part = begun.with_name("pairs.h5"), begun.with_name("whole"), begun.with_name("part")
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(part), repr(TINY)]
    ended = subprocess.run(arguments, timeout=120, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    _, state = checkpoint.load(part / run.STATE)
    assert (state["step"], len(state["history"])) == (4, 1)  # of the five steps that it made
    found = fit(path, out=part, resume=True)
    histories = [
        [dataclasses.replace(epoch, seconds=0.0, step_seconds=0.0, waiting=0.0) for epoch in each.history]
        for each in (load_run(whole), found)
    ]
    assert histories[0] == histories[1]
    assert all(same_tensors(whole / name, part / name) for name in (run.WEIGHTS, run.STATE))
    before = contents(part)
    fit(path, tiny(), out=part, resume=True)  # of what is finished nothing is left to do
    assert contents(part) == before


def test_ctrl_c_leaves_a_state(begun: Path) -> None:
    # The interrupt came before the state of the first epoch was kept.
    assert checkpoint.load(begun / run.STATE)[1]["step"] == 0
    assert len(load_run(begun).history) == 1
    fit(begun.with_name("pairs.h5"), out=begun, resume=True)
    assert same_tensors(begun.with_name("whole") / run.WEIGHTS, begun / run.WEIGHTS)


def test_another_configuration_is_refused_with_what_changed(begun: Path) -> None:
    before = contents(begun)
    with pytest.raises(CheckpointError) as caught:
        fit(begun.with_name("pairs.h5"), tiny(epochs=3, seed=1), out=begun, resume=True)
    error = caught.value
    assert (error.location, error.expected, error.found) == ("epochs, seed", "epochs=2, seed=0", "epochs=3, seed=1")
    with pytest.raises(CheckpointError, match=r"expected learning_rate=0\.004, found learning_rate=0\.01"):
        fit(begun.with_name("pairs.h5"), {"learning_rate": 0.01}, out=begun, resume=True)
    with pytest.raises(CheckpointError, match="model"):
        fit(begun.with_name("pairs.h5"), {"model": "unet"}, out=begun, resume=True)
    assert contents(begun) == before


def test_other_pairs_are_refused(begun: Path, make_pairs: MakePairs) -> None:
    before = contents(begun)
    with pytest.raises(CheckpointError, match="other settings") as caught:
        fit(make_pairs(seed=7), out=begun, resume=True)
    assert caught.value.location == "pairs"
    assert contents(begun) == before


@pytest.mark.parametrize("how", HOWS)
def test_a_state_that_is_none(how: str, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(begun.parent)
    broken(begun / run.STATE, how)
    before = contents(begun)
    with pytest.raises(CheckpointError) as caught:
        fit(begun.with_name("pairs.h5"), out=begun, resume=True)
    assert caught.value.path == str(begun / run.STATE)
    assert caught.value.hint
    assert contents(begun) == before
    assert not Path("pickle_was_loaded").exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"step": 5},  # of an epoch that the history does not have
        {"step": "a"},
        {"step": None},
        {"history": [[1, 2]]},
        {"history": 3},
        {"so_far": {"loss": 0.0, "more": 1}},
        {"so_far": None},
        {"kind": "self2self 1"},
    ],
)
def test_a_state_whose_facts_are_none(facts: dict[str, Any], begun: Path) -> None:
    rewritten(begun / run.STATE, lambda _, found: found.update(facts))
    with pytest.raises(CheckpointError) as caught:
        fit(begun.with_name("pairs.h5"), out=begun, resume=True)
    assert caught.value.path == str(begun / run.STATE)


def test_nothing_to_go_on_with(make_pairs: MakePairs, tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        fit(make_pairs(), out=tmp_path / "none", resume=True)
    with pytest.raises(FileAccessError, match="no run to go on with"):
        fit(make_pairs(name="b.h5"), tiny(), out=tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()
