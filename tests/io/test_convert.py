"""The registry and the command: recognise, read, stamp where it came from, write."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.io.matlab_files import write_v5, write_v73
from tests.io.test_brain import HALF, exp_data
from usbeam import __version__
from usbeam.cli.common import settings
from usbeam.cli.convert import convert as convert_command
from usbeam.errors import BadField, ConfigError, FileAccessError, FileFormatError, OutputExists, UsbeamError
from usbeam.io import load
from usbeam.io.convert import FORMATS, MAPPING, convert, read

MAPPING_TEXT = """
format = "usbeam-mapping"
format_version = "1.0"
title = "Two transmits"
license = "CC0"
sampling_frequency = "20MHz"
start_time = "2.5us"
sound_speed = 1480
[samples]
variable = "RF"
axes = ["sample", "receive", "transmit"]
scale = 0.5
[probe]
n_elements = 4
pitch = "0.3mm"
center_frequency = "5MHz"
[transmit]
kind = "plane"
angles = ["-5deg", "5deg"]
time_zero = "center"
pulse_peak_time = "0.3us"
[provenance]
notes = "from the lab"
"""


@pytest.fixture
def lab(tmp_path: Path) -> tuple[Path, Path]:
    samples = np.random.default_rng(0).integers(-500, 500, (64, 4, 2)).astype(np.int16)
    (tmp_path / "m.toml").write_text(MAPPING_TEXT)
    return write_v73(tmp_path / "lab.mat", {"RF": samples}), tmp_path / "m.toml"


@pytest.fixture
def brain_file(tmp_path: Path) -> Path:
    return write_v5(tmp_path / "exp_data.mat", exp_data(HALF))


def test_a_recognised_format_is_written_and_loads_the_same(brain_file: Path, tmp_path: Path) -> None:
    written = convert(brain_file, tmp_path / "out.h5")
    loaded = load(tmp_path / "out.h5")
    np.testing.assert_array_equal(loaded.frame(0), written.frame(0))
    np.testing.assert_array_equal(loaded.receivers, written.receivers)
    np.testing.assert_array_equal(loaded.start_time, written.start_time)
    assert loaded.is_half_matrix
    assert loaded.sampling_frequency == written.sampling_frequency
    for recording in (written, loaded):
        assert recording.provenance["source_format"] == "brain"
        assert recording.provenance["source_file"] == "exp_data.mat"
        assert recording.provenance["source_sha256"] == hashlib.sha256(brain_file.read_bytes()).hexdigest()
        assert __version__ in recording.provenance["converter"]


def test_a_mapping_is_written_and_loads_the_same(lab: tuple[Path, Path], tmp_path: Path) -> None:
    source, mapping = lab
    written = convert(source, tmp_path / "out.h5", mapping=mapping)
    loaded = load(tmp_path / "out.h5")
    assert (loaded.samples.dtype, loaded.scale, loaded.license) == (np.int16, 0.5, "CC0")
    np.testing.assert_array_equal(loaded.frame(0), written.frame(0))
    np.testing.assert_array_equal(loaded.transmits.delays, written.transmits.delays)
    np.testing.assert_allclose(loaded.transmits.pulse_peak_time, 0.3e-6)
    np.testing.assert_allclose(loaded.start_time, 2.5e-6)
    assert loaded.provenance["notes"] == "from the lab"
    assert loaded.provenance["source_format"] == MAPPING


def test_outputs_are_not_replaced_unless_asked(brain_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    out.write_text("mine")
    with pytest.raises(OutputExists):
        convert(brain_file, out)
    assert out.read_text() == "mine"
    convert(brain_file, out, overwrite=True)
    assert load(out).n_tx == 5


def test_nothing_is_written_when_reading_fails(tmp_path: Path) -> None:
    broken = write_v5(tmp_path / "a.mat", exp_data([*HALF, HALF[0]]))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadField, match="twice"):
        convert(broken, tmp_path / "out.h5")
    assert sorted(tmp_path.iterdir()) == before


def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    data = exp_data(HALF)
    data["exp_data"]["time_data"][3, 4] = 1e300  # beyond float32
    with pytest.raises(BadField, match="not finite"):
        convert(write_v5(tmp_path / "a.mat", data), tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_unknown_content_is_described(lab: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = lab
    with pytest.raises(FileFormatError, match="RF") as caught:
        read(source)
    assert "brain" in str(caught.value)
    assert "--mapping" in str(caught.value.hint)
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file.attrs["format"] = "usbeam-channel-data"
    with pytest.raises(FileFormatError, match="usbeam's own"):
        read(tmp_path / "own.h5")
    (tmp_path / "a.txt").write_text("time, amplitude")
    with pytest.raises(FileFormatError, match="not a file of named arrays"):
        read(tmp_path / "a.txt")
    with pytest.raises(FileAccessError):
        read(tmp_path / "missing.mat")


def test_names_and_mappings_must_go_together(brain_file: Path, lab: tuple[Path, Path]) -> None:
    source, mapping = lab
    with pytest.raises(ConfigError, match="unknown format") as caught:
        read(brain_file, format="brian")
    assert "brain" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="needs a mapping file"):
        read(source, format="mapping")
    with pytest.raises(ConfigError, match="belongs to the format mapping"):
        read(brain_file, format="brain", mapping=mapping)
    assert read(source, format="mapping", mapping=mapping).n_tx == 2
    assert read(brain_file, format="brain").n_tx == 5


def test_what_cannot_be_is_said_of_the_file(tmp_path: Path) -> None:
    data = exp_data(HALF, array={"el_xc": np.zeros((1, 5))})
    with pytest.raises(BadField, match="two elements at the same place") as caught:
        read(write_v5(tmp_path / "a.mat", data))
    assert str(tmp_path / "a.mat") in str(caught.value)
    assert caught.value.exit_code == 3


def test_damaged_recordings_raise_only_our_errors(brain_file: Path, tmp_path: Path) -> None:
    newer = write_v73(tmp_path / "newer.mat", exp_data(HALF))
    rng = np.random.default_rng(3)
    refused = 0
    for path in (brain_file, newer):
        whole = path.read_bytes()
        for trial in range(150):
            damaged = bytearray(whole)
            for _ in range(1 + trial % 5):
                damaged[rng.integers(len(whole))] = rng.integers(256)
            path.write_bytes(damaged[: rng.integers(len(whole))] if trial % 4 == 0 else damaged)
            try:
                read(path, format="brain")
            except UsbeamError as error:
                assert str(path) in str(error)  # noqa: PT017
                refused += 1
    assert refused > 100


def test_formats_are_complete() -> None:
    for name, known in FORMATS.items():
        assert name == name.lower()
        assert known.summary


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(settings, "overwrite", False)
    program = typer.Typer()
    program.command()(convert_command)
    return program


def test_command(app: typer.Typer, lab: tuple[Path, Path], tmp_path: Path) -> None:
    source, mapping = lab
    arguments = [str(source), str(tmp_path / "out.h5"), "--from", "mapping", "--mapping", str(mapping)]
    told = CliRunner().invoke(app, [*arguments, "--json"])
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert facts["shape"] == [1, 2, 4, 64]
    assert (facts["format"], facts["kind"], facts["dtype"], facts["n_elements"]) == ("mapping", "rf", "int16", 4)
    assert facts["start_time"] == pytest.approx(2.5e-6)
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, OutputExists)
    replaced = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert replaced.exit_code == 0, replaced.output
    assert "plane transmits" in replaced.stdout
    assert "20 MHz from 2.5 µs" in replaced.stdout


def test_command_recognises(app: typer.Typer, brain_file: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [str(brain_file), str(tmp_path / "out.h5")])
    assert told.exit_code == 0, told.output
    assert "half matrix" in told.stdout
