"""``usbeam pairs``: its file, its table, going on after a kill, requests that cannot be met."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub

from .conftest import PROGRAM, Run

GRID = ["--x=-2mm:2mm", "--z=12mm:16mm", "--shape", "60x40"]


@pytest.fixture(scope="module")
def speckle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of speckle."""
    array = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    folder = tmp_path_factory.mktemp("speckle")
    for seed, name in enumerate("ab"):
        phantom = ub.simulate.phantoms.speckle(array, x=(-3e-3, 3e-3), z=(11e-3, 17e-3), density=15, seed=seed)
        fired, options = ub.Transmits.elements(array), {"sampling_frequency": 20e6, "depth": (11e-3, 17e-3)}
        ub.simulate.record(phantom, array, fired, **options).save(folder / f"{name}.h5")
    return folder


def test_pairs_of_two_recordings(run: Run, speckle: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.h5"
    files = [speckle / "a.h5", speckle / "b.h5"]
    ended = run("pairs", *files, "-o", out, *GRID, "--strategy", "random", "--n-pairs", "3", "--seed", "4", "--json")
    assert ended.code == 0
    assert "warning: the speckle of lq and hq correlates" in ended.err
    found = json.loads(ended.out)
    made = ub.load_pairs(out)
    assert (found["n_pairs"], found["shape"], found["strategy"], found["seed"]) == (6, [60, 40], "random", 4)
    assert found["recordings"] == ["a.h5", "b.h5"]
    assert found["correlation"]["median"] == pytest.approx(np.median(made.correlation))
    assert found["overlap"] == 1
    assert made.dynamic_range_db == 60
    assert run("validate", out, "--full").code == 0
    refused = run("pairs", *files, "-o", out)
    assert (refused.code, refused.errors[0]) == (2, f"usbeam: error: {out}: the file exists")
    again = run("pairs", files[0], "-o", out, *GRID, "--lq", "ends:2", "--lq", "random:3@1*2", "--overwrite")
    assert again.out.splitlines()[0].startswith(f"{out}: 3 pairs of 60 x 40 points from 1 recording(s), subsets, 60 dB")
    assert ub.load_pairs(out).lq_transmits.sum(axis=1).tolist() == [2, 3, 3]


def test_looks_are_the_default(run: Run, speckle: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.h5"
    ended = run("pairs", speckle / "a.h5", "-o", out, "--n-pairs", "4", "--max-sine", "0.4")
    assert (ended.code, ended.err) == (0, "")
    made = ub.load_pairs(out)
    assert (made.strategy, made.dynamic_range_db, len(made)) == ("looks", 100.0, 4)
    assert made.grid.shape == ub.Plan(ub.load(speckle / "a.h5")).grid.shape


def test_the_table(run: Run, speckle: Path) -> None:
    ended = run("pairs", speckle / "a.h5", speckle / "b.h5", "--diagnose", *GRID)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) == 22
    assert lines[0] == f"{speckle / 'a.h5'}: correlation of speckle"
    assert lines[1].split()[:4] == ["paper", "inner:2", "/", "all"]
    assert 0.3 < float(lines[1].split()[-1]) <= 1
    as_json = json.loads(run("pairs", speckle / "a.h5", "--diagnose", *GRID, "--json").out)
    splits = as_json["recordings"][0]["splits"]
    assert splits[0]["correlation"] == pytest.approx(float(lines[1].split()[-1]), abs=0.006)
    assert [each["strategy"] for each in splits].count("looks") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--output: no file to write the pairs to"),
        (["-o", "p.h5", "--diagnose"], 2, "--diagnose makes no pairs"),
        (["-o", "p.h5", "--strategy", "best"], 2, "unknown strategy"),
        (["-o", "p.h5", "--lq", "ends:99"], 2, "cannot take 99 transmits"),
        (["-o", "p.h5", "--lq", "random:2@0*x"], 2, "as draws"),
        (["-o", "p.h5", "--lq", "all"], 2, "the same image"),
        (["-o", "p.h5", "--frames", "3:5"], 2, "no such frame"),
        (["-o", "p.h5", "--f-number", "1"], 2, "looks have no option f_number"),
        (["-o", "missing/p.h5"], 3, "folder does not exist"),
        (["-o", "p.h5", "--shape", "9x1"], 2, "2 x 2 pixels"),
    ],
)
def test_requests_that_cannot_be_met(
    run: Run, speckle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("pairs", speckle / "a.h5", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_after_ctrl_c(speckle: Path, tmp_path: Path) -> None:
    """As installed: interrupted in the middle, given again."""
    out, partial = tmp_path / "pairs.h5", tmp_path / "pairs.h5.partial"
    command = ["pairs", speckle / "a.h5", "-o", out, "--strategy", "random", "--n-pairs", "8000", *GRID]
    with subprocess.Popen([PROGRAM, *command], stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 100
        while not partial.exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(6)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"the pairs that are made stay in {partial}; the same command goes on with them" in told
    assert partial.exists()
    assert not out.exists()
