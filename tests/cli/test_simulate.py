"""``usbeam simulate`` writes a recording that holds what was asked for, and its truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from usbeam import io
from usbeam.acquisition import Truth
from usbeam.cli.simulate import simulate
from usbeam.errors import ConfigError, OutputExists, UsbeamError

SMALL = ["--elements", "16", "--width", "24mm", "--depth", "5mm:15mm", "--density", "0.5"]


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(simulate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("phantom", "points", "regions"), [("points", 3, 0), ("cysts", 0, 1), ("inclusions", 0, 1), ("speckle", 0, 0)]
)
def test_truth_is_in_the_file(tmp_path: Path, phantom: str, points: int, regions: int) -> None:
    path = tmp_path / "out.h5"
    result = run(path, "--phantom", phantom, *SMALL, "--json")
    assert result.exit_code == 0, result.exception
    recording = io.load(path)
    assert recording.samples.shape[:3] == (1, 16, 16)
    assert recording.probe.pitch == pytest.approx(1.5e-3)
    truth = recording.truth or Truth()
    assert (len(truth.points), len(truth.regions)) == (points, regions)
    summary = json.loads(result.stdout)
    np.testing.assert_allclose(np.reshape(summary["points"], (-1, 3)), truth.points)
    assert summary["regions"] == {name: pytest.approx(circle) for name, circle in truth.regions.items()}
    assert summary["shape"] == list(recording.samples.shape)


@pytest.mark.parametrize(("transmit", "n_tx"), [("element", 16), ("plane:3", 3), ("plane:1", 1), ("diverging:2", 2)])
def test_transmits(tmp_path: Path, transmit: str, n_tx: int) -> None:
    path = tmp_path / "out.h5"
    result = run(path, "--phantom", "points", *SMALL, "--transmit", transmit)
    assert result.exit_code == 0, result.exception
    transmits = io.load(path).transmits
    assert transmits.kind == (transmit.partition(":")[0],) * n_tx
    if transmit == "plane:1":
        np.testing.assert_allclose(transmits.direction, [[0, 0, 1]], atol=1e-12)


def test_frames_noise_seed_and_integers(tmp_path: Path) -> None:
    options = [*SMALL, "--transmit", "plane:1", "--frames", "2", "--noise-db", "-30", "--int16"]
    frames = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(tmp_path / f"{name}.h5", "--phantom", "points", *options, "--seed", seed).exit_code == 0
        recording = io.load(tmp_path / f"{name}.h5")
        assert recording.samples.dtype == np.int16
        assert recording.n_frames == 2
        frames.append(recording.frame(0))
        assert not np.array_equal(frames[-1], recording.frame(1))
    np.testing.assert_array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phantom", "liver"], "unknown phantom"),
        (["--phantom", "points", "--transmit", "plane"], "unknown transmit"),
        (["--phantom", "points", "--transmit", "plane:0"], "unknown transmit"),
        (["--phantom", "points", "--elements", "0"], "needs elements"),
        (["--phantom", "points", "--depth", "45mm:5mm"], "inverted"),
        (["--phantom", "points", "--width", "40MHz"], "cannot read"),
        (["--phantom", "points", "--sampling-frequency", "10MHz"], "half the sampling frequency"),
        (["--phantom", "points", "--frames", "0"], "no frame"),
    ],
)
def test_bad_requests_write_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run(tmp_path / "out.h5", *arguments)
    assert isinstance(result.exception, UsbeamError)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.write_bytes(b"precious")
    assert isinstance(run(path, "--phantom", "points", *SMALL).exception, OutputExists)
    assert path.read_bytes() == b"precious"
