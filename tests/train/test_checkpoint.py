"""Checkpoints: written whole, read without running anything, refused if they are something else."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from usbeam.errors import CheckpointError, FileAccessError
from usbeam.train import checkpoint

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "state": torch.arange(5, dtype=torch.uint8)}
FACTS = {"kind": "test 1", "step": 3, "rate": 0.1, "block": [1, 2]}


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    for _ in range(2):  # the second replaces the first
        checkpoint.save(tmp_path / "fit", TENSORS, FACTS)
    tensors, facts = checkpoint.load(tmp_path / "fit")
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("a pickle was loaded",)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "whole", TENSORS, FACTS)
    whole = (tmp_path / "whole").read_bytes()
    contents = {
        "empty": b"",
        "cut in its tensors": whole[:-7],
        "cut in its header": whole[:20],
        "text": b"usbeam" * 10,
        "pickle": pickle.dumps(Trap()),
        "a header of terabytes": b"\xff" * 7 + b"\x00" + whole[8:],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"weight": Trap()}, tmp_path / "torch")
    save_file(TENSORS, tmp_path / "no facts")
    save_file(TENSORS, tmp_path / "facts no JSON", metadata={"usbeam": "{"})
    save_file(TENSORS, tmp_path / "facts a list", metadata={"usbeam": "[1]"})
    save_file(TENSORS, tmp_path / "facts too deep", metadata={"usbeam": "[" * 100_000})
    for name in (*contents, "torch", "no facts", "facts no JSON", "facts a list", "facts too deep"):
        with pytest.raises(CheckpointError, match="not a checkpoint") as caught:
            checkpoint.load(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileAccessError):
            checkpoint.load(path)
    with pytest.raises(FileAccessError):
        checkpoint.save(tmp_path / "missing" / "fit", TENSORS, FACTS)
