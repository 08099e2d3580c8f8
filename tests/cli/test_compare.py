"""``usbeam compare``: its folder, going on after an interruption, requests that cannot be met."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.comparison.phantoms import GRID, PAIRS, image
from usbeam import Image, compare, metrics, roi
from usbeam.enhancers import METHODS
from usbeam.enhancers.registry import Task, Values, enhancer
from usbeam.errors import MeasurementError

from .conftest import PROGRAM, Run, installed

FILES = {
    "request.json",
    "results",
    "table.csv",
    "table.md",
    "summary.json",
    *(f"{name}.{ending}" for name in ("curves", "pictures") for ending in ("png", "pdf")),
}
QUICK = ["--with", "gaussian:sigma=0.1mm,0.3mm", "--with", "median:size=0.3mm"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and their regions."""
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate("abcd"):
        image(seed).save(folder / f"{name}.h5")
    roi.save(PAIRS, folder / "rois.toml")
    return folder


def command(folder: Path, output: Path, *options: str | Path, images: str = "ab") -> list[str | Path]:
    files = [folder / f"{name}.h5" for name in images]
    return ["compare", *files, "--rois", folder / "rois.toml", *options, "-o", output]


def stamps(output: Path) -> dict[Path, int]:
    """When each result was written."""
    return {path: path.stat().st_mtime_ns for path in (output / "results").iterdir() if path.suffix == ".json"}


def measured(output: Path) -> list[dict[str, str]]:
    """The table, but for times."""
    with (output / "table.csv").open(newline="", encoding="utf-8") as stream:
        return [{key: text for key, text in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


def test_a_folder_with_everything(run: Run, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "made" / "here"
    ended = run(*command(folder, output, *QUICK, "--with", "nlm:strength=0.05,0.15", "--json"))
    assert ended.code == 0
    assert ended.err == f"usbeam: tables, figures and single results are in {output}\n"
    summary: dict[str, Any] = json.loads(ended.out)
    assert {path.name for path in output.iterdir()} == FILES
    assert set(summary["files"]) == FILES - {"request.json", "results"}
    assert summary == {**json.loads((output / "summary.json").read_text()), "files": summary["files"]}
    by_setting = {each["setting"]: each for each in summary["methods"]}
    assert [each["setting"] for each in summary["methods"] if not each["control"]] == [
        "nlm:strength=0.05",
        "nlm:strength=0.15",
    ]
    values = [float(metrics.cnr(image(seed), pair)) for seed in (0, 1) for pair in PAIRS.values()]
    assert by_setting["identity"]["cnr"]["value"] == pytest.approx(sum(values) / 4, rel=1e-6)
    assert set(by_setting["nlm:strength=0.15"]["at_edge_ratio"]) == {"gaussian", "median:size=0.3mm"}
    assert by_setting["nlm:strength=0.15"]["tests"]["identity"]["cnr"] == {"p": None, "p_holm": None, "n": 2}
    assert len(measured(output)) == 2 * 6 * 2
    for name in ("curves", "pictures"):
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (output / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_without_json_it_prints_the_markdown(run: Run, folder: Path, tmp_path: Path) -> None:
    ended = run("-q", *command(folder, tmp_path / "out", *QUICK, images="a"))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_given_again_and_given_with_more(run: Run, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    once = command(folder, output, *QUICK)
    assert run(*once).code == 0
    before, table = stamps(output), (output / "table.csv").read_bytes()
    (output / "table.md").unlink()
    assert run(*once).code == 0
    assert (stamps(output), (output / "table.csv").read_bytes()) == (before, table)  # nothing was computed again
    assert (output / "table.md").exists()
    more = command(folder, output, *QUICK, "--with", "wavelet")
    ended = run(*more)
    assert ended.code == 2
    assert ended.errors == [
        f"usbeam: error: {output}: the folder holds another comparison",
        "hint: choose another folder, or give --overwrite to replace its tables and figures",
    ]
    assert run(*more, "--overwrite").code == 0
    assert before.items() < stamps(output).items()
    assert any(row["setting"] == "wavelet" for row in measured(output))


def test_tables_of_another_comparison_do_not_outlive_it(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    assert run(*command(folder, output, *QUICK, images="a")).code == 0

    @enhancer(title="Fails", domain="display", reference="none")
    def fails(task: Task) -> Values:
        raise MeasurementError("not with this image")

    monkeypatch.setitem(METHODS, "fails", fails)
    ended = run(*command(folder, output, *QUICK, "--with", "fails", "--overwrite", images="a"))
    assert (ended.code, ended.errors) == (1, [f"usbeam: error: {folder / 'a.h5'}: not with this image"])
    assert {path.name for path in output.iterdir()} == {"request.json", "results"}


def test_without_an_edge_there_is_no_figure_of_curves(run: Run, folder: Path, tmp_path: Path) -> None:
    flat = np.random.default_rng(0).rayleigh(size=GRID.shape).astype(np.float32)
    Image(flat, GRID, "envelope").save(tmp_path / "flat.h5")
    ended = run(
        "compare", tmp_path / "flat.h5", "--rois", folder / "rois.toml", *QUICK, "-o", tmp_path / "out", "--json"
    )
    assert ended.code == 0
    assert ended.err.startswith("usbeam: warning: no operating curve: no edge could be measured in any image\n")
    files = set(json.loads(ended.out)["files"])
    assert files == {path.name for path in (tmp_path / "out").iterdir()} - {"request.json", "results"}
    assert "curves.png" not in files


def test_other_files_are_left_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    ended = run(*command(folder, tmp_path, *QUICK, images="a"))
    assert (ended.code, ended.errors[0]) == (2, f"usbeam: error: {tmp_path}: the folder holds other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert run(*command(folder, tmp_path, *QUICK, "--overwrite", images="a")).code == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"thesis.txt"}
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_on_after_an_interruption(run: Run, folder: Path, tmp_path: Path, kill: signal.Signals) -> None:
    output = tmp_path / "out"
    methods = [*QUICK[1::2], "nlm:strength=0.05,0.15"]
    whole = command(folder, output, *(word for text in methods for word in ("--with", text)), images="abcd")
    child = subprocess.Popen([PROGRAM, *map(str, whole)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 100
    while len(list(output.glob("results/*.json"))) < 5 and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(child.pid, kill)
    out, err = child.communicate(timeout=60)
    assert out == ""
    assert child.returncode == (-signal.SIGKILL if kill == signal.SIGKILL else 130), err
    before = stamps(output)
    assert 5 <= len(before) < 4 * 6
    assert not (output / "table.csv").exists()
    assert run(*whole).code == 0
    assert before.items() < stamps(output).items()
    assert len(stamps(output)) == 4 * 6
    loaded = {str(folder / f"{name}.h5"): image(seed) for seed, name in enumerate("abcd")}
    expected = compare(loaded, PAIRS, methods).results  # not interrupted
    rows = measured(output)
    assert len(rows) == 4 * 6 * 2
    for row in rows:
        assert float(row["gcnr"]) == expected[row["image"]][row["setting"]].pairs[row["pair"]]["gcnr"]


def test_requests_that_cannot_be_met(run: Run, folder: Path, tmp_path: Path) -> None:
    rois, output = ["--rois", folder / "rois.toml"], ["-o", tmp_path / "out"]
    a = folder / "a.h5"
    roi.save({"far": roi.RegionPair("far", roi.Circle(0, 25e-3, 2e-3), PAIRS["cyst"].outside)}, tmp_path / "far.toml")
    (tmp_path / "copy.h5").write_bytes(a.read_bytes())
    for arguments, code, what in (
        ([a, *output], 2, None),
        ([a, *rois], 2, None),
        ([a, "--rois", tmp_path / "none.toml", *output], 3, "none.toml"),
        ([tmp_path / "none.h5", *rois, *output], 3, "none.h5"),
        ([folder / "rois.toml", *rois, *output], 3, "rois.toml"),
        ([a, *rois, *output, "--with", "srud"], 2, "srud: unknown method"),
        ([a, *rois, *output, "--with", "nlm:strength=0.1,,0.2"], 2, "cannot read this as a method"),
        ([a, *rois, *output, "--with", "nlm:strength=9"], 2, "nlm.strength: not a value of this parameter"),
        ([a, a, *rois, *output], 2, f"{a}: IMAGES: the same image twice"),
        ([a, tmp_path / "copy.h5", *rois, *output], 2, f"{tmp_path / 'copy.h5'}: the same image twice"),
        ([a, "--rois", tmp_path / "far.toml", *output], 1, f"{a}: far.inside: the region reaches"),
        ([a, *rois, *output, "--dynamic-range", "0"], 2, "dynamic_range"),
        ([a, *rois, *output, "--reference", tmp_path / "none.h5"], 3, "none.h5"),
        ([a, *rois, "-o", a], 3, f"{a}: is a file, not a folder"),
        ([a, *rois, "-o", a / "below"], 3, "a.h5"),
    ):
        ended = run("compare", *arguments)
        assert (ended.code, ended.out) == (code, ""), (arguments, ended)
        if what is not None:
            assert what in ended.errors[0], (arguments, ended)
            assert len(ended.errors) <= 2
        assert not (tmp_path / "out").exists()


def test_as_installed(folder: Path, tmp_path: Path) -> None:
    ended = installed(*command(folder, tmp_path / "out", *QUICK, "--no-progress", images="a"))
    assert ended.code == 0
    assert ended.out.startswith("# Comparison\n")
