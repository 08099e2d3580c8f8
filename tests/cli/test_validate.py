"""``usbeam validate`` and ``usbeam info``: what they print, and with which exit code they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from tests.io.recordings import small
from usbeam.cli.info import info
from usbeam.cli.validate import validate
from usbeam.errors import BadField, NotHDF5
from usbeam.grid import Grid
from usbeam.image import Image


def run(command: object, *arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.h5"
    small().save(path)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.h5"
    small().save(path)
    with h5py.File(path, "r+") as file:
        del file["start_time"]
        file["sound_speed"][()] = -1.0
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.h5"
    path.write_text("no recording")
    return path


def test_a_good_file(good: Path) -> None:
    result = run(validate, good, "--full")
    assert (result.exit_code, result.stdout) == (0, f"{good}: nothing found\n")


def test_a_wrong_file(wrong: Path) -> None:
    result = run(validate, wrong)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"{wrong}: 2 finding(s)"
    assert "  ERROR /sound_speed out of range (expected > 0, found -1)" in lines
    assert "    hint: in metres per second: 1540, not 1.54" in lines
    assert "  ERROR /start_time missing" in lines


def test_a_file_that_cannot_be_read(good: Path, wrong: Path, text: Path) -> None:
    """The others are still checked."""
    result = run(validate, text, wrong, good, "--json")
    assert result.exit_code == 3
    first, second, third = json.loads(result.stdout)["files"]
    assert "not an HDF5 file but text" in first["error"]
    assert [each["location"] for each in second["findings"]] == ["/sound_speed", "/start_time"]
    assert second["findings"][0]["importance"] == "ERROR"
    assert (third["error"], third["findings"]) == (None, [])


def isolated(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usbeam", "validate", "--isolate", "--json", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_isolated(good: Path, wrong: Path, text: Path) -> None:
    """A child process says the same."""
    child = isolated(good, wrong, text)
    assert child.returncode == 3, child.stderr
    direct = run(validate, good, wrong, text, "--json")
    assert json.loads(child.stdout) == json.loads(direct.stdout)


def test_isolated_survives_a_crash(good: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that dies as a crashing library makes it die is one error, and one exit code."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif '--isolate' not in sys.orig_argv:\n    os.abort()\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    child = isolated(good)
    assert child.returncode == 3, child.stderr
    [report] = json.loads(child.stdout)["files"]
    assert "crashed (SIGABRT)" in report["error"]
    assert "does not survive" in report["hint"]


def test_info_of_a_recording(good: Path) -> None:
    facts = json.loads(run(info, good, "--json").stdout)
    assert facts["format"] == "usbeam-channel-data"
    assert facts["dimensions"]["n_samples"] == 32
    assert facts["fields"]["/sound_speed"] == 1540.0
    assert facts["fields"]["/samples"] == "float32"
    assert facts["fields"]["/transmit/kind"] == {"shape": [4], "values": ["element"]}
    assert facts["fields"]["/provenance:lab"] == "ours"
    assert facts["unknown"] == []
    lines = run(info, good).stdout.splitlines()
    assert lines[0].startswith(f"{good}: usbeam-channel-data 1.0, ")
    assert "n_frames = 2, n_tx = 4, n_rx = 4, n_samples = 32" in lines[1]
    assert lines[2] == "  records echoes from depths of 770 µm to 2.002 mm"
    assert any(line.split() == ["/probe/center_frequency", "5", "MHz"] for line in lines)


def test_info_lists_what_is_not_read(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        file["temperature"] = 21.0
        file["probe"].attrs["name"] = "evil\x1b[2J"
    output = run(info, good).stdout
    assert "/temperature" in output
    assert "not read" in output
    assert "\x1b" not in output
    assert json.loads(run(info, good, "--json").stdout)["unknown"] == ["/temperature"]


def test_info_of_an_image(tmp_path: Path) -> None:
    grid = Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 3e-3), shape=(5, 4))
    path = tmp_path / "image.h5"
    Image(np.ones((5, 4), np.complex64), grid, settings={"method": "das"}).save(path)
    facts = json.loads(run(info, path, "--json").stdout)
    assert facts["format"] == "usbeam-image"
    assert facts["dimensions"] == {"n_z": 5, "n_x": 4}
    assert facts["fields"]["/:settings"] == {"method": "das"}
    assert "/x" in run(info, path).stdout


def test_info_of_a_wrong_file(wrong: Path, text: Path) -> None:
    assert isinstance(run(info, text).exception, NotHDF5)
    with h5py.File(wrong, "r+") as file:
        file["start_time"] = np.zeros(4)
        file["start_time"].attrs["units"] = "s"
    assert isinstance(run(info, wrong).exception, BadField)
