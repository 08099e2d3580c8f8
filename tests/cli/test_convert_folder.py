"""``usbeam convert`` of folders, killed in the middle and given again, and of recordings to other formats."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.io.matlab_files import write_v5
from tests.io.test_brain import HALF, exp_data
from usbeam.io import load, validate
from usbeam.io.convert import read, recognise

COUNT = 40


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Many small recordings, each with a speed of sound of its own, and a damaged one among them."""
    folder = tmp_path / "measured"
    folder.mkdir()
    for index in range(COUNT):
        write_v5(folder / f"r{index:03d}.mat", exp_data(HALF, ph_velocity=np.array([[6000.0 + index]])))
    bad = folder / "r007.mat"
    bad.write_bytes(bad.read_bytes()[:-200])
    return folder


def finished(out: Path) -> list[Path]:
    return sorted(out.glob("*.h5")) if out.exists() else []


def test_killed_in_the_middle(measured: Path, tmp_path: Path, run: Run) -> None:
    """SIGKILL leaves whole files only; the same command makes the others, and those alone."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "usbeam", "convert", measured, out]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while len(finished(out)) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL, "it had ended before it was killed"
    before = {each: each.stat().st_mtime_ns for each in finished(out)}
    assert 2 <= len(before) < COUNT - 1
    assert all(validate(each, full=True) is not None for each in before)
    for each in before:
        assert load(each).sound_speed == 6000 + int(each.stem[1:])
    told = run("convert", measured, out, "--json")
    assert told.code == 3
    facts = json.loads(told.out)
    assert facts["there"] == [str(each) for each in before]
    assert len(facts["converted"]) == COUNT - 1 - len(before)
    assert {each: each.stat().st_mtime_ns for each in before} == before
    assert len(finished(out)) == COUNT - 1
    assert all(load(each).sound_speed == 6000 + int(each.stem[1:]) for each in finished(out))


def test_what_it_says(measured: Path, tmp_path: Path, run: Run) -> None:
    """One line for what was done, one for each file that could not be converted; exit code 3."""
    (measured / "r003.mat").write_text("no recording\n")
    told = run("convert", measured, tmp_path / "out")
    assert told.code == 3
    assert told.out == f"{tmp_path / 'out'}: {COUNT - 2} converted, 2 not converted\n"
    errors = told.err.splitlines()
    assert len(errors) == 2
    for line, name in zip(errors, ("r003.mat", "r007.mat"), strict=True):
        assert line.startswith(f"usbeam: error: {measured / name}: ")
    for name in ("r003.mat", "r007.mat"):
        (measured / name).unlink()
    again = run("convert", measured, tmp_path / "out", "--json")
    assert (again.code, again.err) == (0, "")
    facts = json.loads(again.out)
    assert facts["converted"] == facts["failed"] == []
    assert len(facts["there"]) == COUNT - 2


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_bar(measured: Path, tmp_path: Path) -> None:
    """Drawn on a terminal, up to the end; the errors come after it."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "usbeam", "convert", measured, tmp_path / "out"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while piece := os.read(ours, 4096):
            drawn += piece
    os.close(ours)
    assert child.wait() == 3
    assert b"converting:   0%" in drawn
    assert drawn.rindex(b"%|") < drawn.index(b"usbeam: error: ")


def test_refused_before_anything_is_written(measured: Path, tmp_path: Path, run: Run) -> None:
    for options, said in (
        (("--to", "uff"), "a folder is converted to recordings"),
        (("--from", "brian"), "unknown format"),
    ):
        told = run("convert", measured, tmp_path / "out", *options)
        assert told.code == 2
        assert said in told.errors[0]
        assert finished(tmp_path / "out") == []


@pytest.mark.parametrize("name", ["a.uff", "a.hdf5"])
def test_to_other_formats(recording: Path, tmp_path: Path, run: Run, name: str) -> None:
    """A recording of ours, by the ending or by ``--to``, and back."""
    form = "uff" if name.endswith("uff") else "zea"
    out = tmp_path / name
    told = run("convert", recording, out, "--json", *(() if form == "uff" else ("--to", "zea")))
    assert told.code == 0, told.err
    facts = json.loads(told.out)
    assert (facts["to"], facts["shape"][:3]) == (form, [3, 16, 16])
    assert recognise(out) == form
    back = run("convert", out, tmp_path / "back.h5")
    assert back.code == 0, back.err
    before, after = load(recording), load(tmp_path / "back.h5")
    np.testing.assert_array_equal(after.frame(2), before.frame(2))
    np.testing.assert_array_equal(after.start_time, before.start_time)
    refused = run("convert", recording, out, "--to", form)
    assert refused.code == 2
    assert "exists" in refused.errors[0]


def test_from_one_format_to_another(tmp_path: Path, run: Run) -> None:
    source = write_v5(tmp_path / "exp_data.mat", exp_data(HALF))
    told = run("convert", source, tmp_path / "a.hdf5", "--to", "zea")
    assert told.code == 0, told.err
    assert "written as zea, element transmits, half matrix" in told.out
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert "zea_version" in file.attrs
    assert read(tmp_path / "a.hdf5").is_half_matrix
    unknown = run("convert", source, tmp_path / "b", "--to", "pdf")
    assert unknown.code == 2
    assert "uff, zea" in unknown.errors[0]
