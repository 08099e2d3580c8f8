"""Several processes, started by torchrun, learn what one learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.train.conftest import TINY
from usbeam.train import checkpoint, run

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "usbeam"]


def torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*LAUNCH, *arguments], capture_output=True, text=True, timeout=240, env=alone, check=False)


@pytest.mark.slow
def test_two_processes_share_a_batch(begun: Path) -> None:
    pairs, whole, shared = begun.with_name("pairs.h5"), begun.with_name("whole"), begun.with_name("shared")
    settings = begun.with_name("settings.toml")
    settings.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in TINY.items()))
    ended = torchrun("train", pairs, "-o", shared, "--config", settings, "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["epochs"] == 2  # one of them speaks
    assert ended.stderr.count("epoch 2: ") == 1
    assert json.loads((shared / run.FACTS).read_text())["processes"] == 2
    (mine, _), (theirs, _) = (checkpoint.load(folder / run.STATE) for folder in (whole, shared))
    for name, tensor in mine.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-3, atol=1e-5)
