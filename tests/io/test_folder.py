"""Folders of recordings: names, going on, what is refused before anything is written, and what fails alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.io.matlab_files import write_v5
from tests.io.test_brain import HALF, exp_data
from usbeam.errors import ConfigError, FileAccessError
from usbeam.io import load
from usbeam.io.convert.folder import Converted, convert_folder


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Three recordings, a damaged one between them, and what is no recording."""
    folder = tmp_path / "measured"
    folder.mkdir()
    for name, speed in (("a", 6300.0), ("b", 6200.0), ("d", 6100.0)):
        write_v5(folder / f"{name}.mat", exp_data(HALF, ph_velocity=np.array([[speed]])))
    (folder / "c.mat").write_bytes((folder / "b.mat").read_bytes()[:-200])
    (folder / "notes.txt").write_text("on Tuesday")
    (folder / ".hidden.mat").write_text("")
    (folder / "older.mat").mkdir()
    return folder


def names(done: list[Converted]) -> list[str]:
    return [each.source.name for each in done]


def test_one_bad_file_does_not_stop_the_rest(measured: Path, tmp_path: Path) -> None:
    told: list[float] = []
    done = convert_folder(measured, tmp_path / "deep" / "out", progress=told.append)
    assert names(done) == ["a.mat", "b.mat", "c.mat", "d.mat"]
    assert [each.error is None for each in done] == [True, True, False, True]
    line = str(done[2])
    assert line.startswith(str(measured / "c.mat"))
    assert "\n" not in line
    assert told == [0.25, 0.5, 0.75, 1.0]
    out = tmp_path / "deep" / "out"
    assert sorted(each.name for each in out.iterdir()) == ["a.h5", "b.h5", "d.h5"]
    assert [load(out / f"{name}.h5").sound_speed for name in "abd"] == [6300, 6200, 6100]


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {each.name: (each.stat().st_mtime_ns, each.stat().st_ino) for each in folder.iterdir()}


def test_going_on(measured: Path, tmp_path: Path) -> None:
    """What is there and of the same bytes stays untouched; a source that was mended is converted."""
    out = tmp_path / "out"
    convert_folder(measured, out)
    before = stamps(out)
    (out / "d.h5").unlink()
    (out / ".usbeam-0123.tmp").write_bytes(b"what a killed process left behind")
    write_v5(measured / "c.mat", exp_data(HALF))
    done = convert_folder(measured, out)
    assert [each.there for each in done] == [True, True, False, False]
    assert all(each.error is None for each in done)
    after = stamps(out)
    assert {name: after[name] for name in ("a.h5", "b.h5")} == {name: before[name] for name in ("a.h5", "b.h5")}
    assert {"c.h5", "d.h5"} <= set(after)


def test_what_is_there_of_something_else_is_no_result(measured: Path, tmp_path: Path) -> None:
    """Not a cut-off output, not one of another source: they are told, and neither taken nor replaced."""
    out = tmp_path / "out"
    convert_folder(measured, out)
    whole = (out / "a.h5").read_bytes()
    (out / "a.h5").write_bytes(whole[: len(whole) // 2])
    write_v5(measured / "b.mat", exp_data(HALF, ph_velocity=np.array([[5000.0]])))
    done = convert_folder(measured, out)
    assert [each.error is None for each in done] == [False, False, False, True]
    assert all("was not made of this file" in str(each) for each in done[:2])
    assert load(out / "b.h5").sound_speed == 6200
    done = convert_folder(measured, out, overwrite=True)
    assert [each.there for each in done] == [False] * 4
    assert (load(out / "a.h5").sound_speed, load(out / "b.h5").sound_speed) == (6300, 5000)


def test_another_way_to_convert_is_another_result(measured: Path, tmp_path: Path) -> None:
    (measured / "c.mat").unlink()
    convert_folder(measured, tmp_path / "out")
    assert all(each.there for each in convert_folder(measured, tmp_path / "out", format="brain"))
    mapping = tmp_path / "m.toml"
    mapping.write_text("[samples]\n")
    done = convert_folder(measured, tmp_path / "out", mapping=mapping)
    assert all("was not made of this file" in str(each) for each in done)


def test_two_sources_of_one_name(measured: Path, tmp_path: Path) -> None:
    (measured / "b.h5").write_text("")
    with pytest.raises(ConfigError, match=r"b\.h5 and b\.mat"):
        convert_folder(measured, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sources_are_never_replaced(measured: Path) -> None:
    (measured / "a.mat").rename(measured / "a.h5")
    with pytest.raises(ConfigError, match="replace a source"):
        convert_folder(measured, measured, overwrite=True)
    with pytest.raises(ConfigError, match="replace a source"):
        convert_folder(measured, measured / ".." / "measured", overwrite=True)


def test_requests_that_no_file_can_meet(measured: Path, tmp_path: Path) -> None:
    """Said once, not for each file."""
    with pytest.raises(ConfigError, match="unknown format"):
        convert_folder(measured, tmp_path / "out", format="brian")
    with pytest.raises(FileAccessError, match=r"none\.toml"):
        convert_folder(measured, tmp_path / "out", mapping=tmp_path / "none.toml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="nothing to convert"):
        convert_folder(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(FileAccessError):
        convert_folder(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(FileAccessError):
        convert_folder(measured, measured / "notes.txt")


@pytest.mark.skipif(os.name == "nt", reason="no limit of file size")
def test_a_full_disk_ends_it(measured: Path, tmp_path: Path) -> None:
    """Where one output cannot be written, the others cannot either. In a child, whose files may not grow."""
    program = f"""
import resource, signal
from usbeam.errors import FileAccessError
from usbeam.io.convert.folder import convert_folder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    convert_folder({str(measured)!r}, {str(tmp_path / "out")!r})
except FileAccessError as error:
    print(error)
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert child.stdout == f"{tmp_path / 'out' / 'a.h5'}: the disk or quota is full\n", child.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_names_come_from_the_sources(tmp_path: Path) -> None:
    """Not from the files' contents, and whatever they are."""
    folder = tmp_path / "in"
    folder.mkdir()
    awkward = ["ü b.v2.mat", "-x.mat", "a\nb.mat"]
    for name in awkward:
        write_v5(folder / name, exp_data(HALF, title="../../evil"))
    done = convert_folder(folder, tmp_path / "out")
    assert sorted(each.output.name for each in done) == sorted(name.replace(".mat", ".h5") for name in awkward)
    assert all(each.output.exists() for each in done)
