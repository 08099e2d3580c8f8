"""The pairs file: what is put is read, what was begun goes on, what is hostile is refused."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.recordings import assert_clear
from usbeam.errors import (
    BadField,
    FileAccessError,
    FileFormatError,
    MissingField,
    NotHDF5,
    OutputExists,
    TooLarge,
    TruncatedFile,
    UnsafeFile,
    UsbeamError,
)
from usbeam.grid import Grid
from usbeam.io import validate
from usbeam.io.pairs_file import FileImages, Pairs, Source, load_pairs, write_pairs

N, GRID = 5, Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(20, 30))
IMAGES = np.random.default_rng(0).random((2, N, *GRID.shape), np.float32)
CORRELATION = np.linspace(-0.1, 0.7, N)


def header(path: Path, **changes: Any) -> Pairs:
    """Of looks from two recordings."""
    facts: dict[str, Any] = {
        "grid": GRID,
        "lq_transmits": np.ones((N, 4), np.float32),
        "hq_transmits": np.ones((N, 4), np.float32),
        "angle": np.linspace(0, 3, N),
        "side": np.array([-1, 1, -1, 1, -1]),
        "overlap": np.zeros(N),
        "correlation": np.zeros(N),
        "recording": np.array([0, 0, 0, 1, 1]),
        "frame": np.array([0, 0, 1, 0, 0]),
        "source": Source(
            file=("a.h5", "Müller.h5"),
            sha256=("0" * 64, "1" * 64),
            settings=("{}", "{}"),
            speckle_cell=np.zeros((2, 2)),
        ),
        "strategy": "looks",
        "seed": 7,
        "dynamic_range_db": 100.0,
        "settings": {"n_pairs": 2, "options": {"max_sine": 0.3}},
    }
    images = {name: FileImages(str(path), name, (N, *GRID.shape)) for name in ("lq", "hq")}
    return Pairs(**{**images, **facts, **changes})


def fill(path: Path, *, until: int = N, overwrite: bool = False, **changes: Any) -> None:
    """Put the pairs that are not there yet, up to one."""
    with write_pairs(path, header(path, **changes), overwrite=overwrite) as writer:
        for recording in (0, 1):
            writer.measure(recording, (1e-4, 2e-4))
        for index in np.flatnonzero(np.isnan(writer.correlation[:until])):
            writer.put(index, *IMAGES[:, index], CORRELATION[index])


def interrupted(path: Path) -> None:
    """After one more pair than two."""
    with write_pairs(path, header(path)) as writer:
        assert np.isfinite(writer.correlation).tolist() == [True, True, False, False, False]
        writer.put(2, *IMAGES[:, 2], CORRELATION[2])
        raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_put_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    fill(path)
    assert names(tmp_path) == ["pairs.h5"]
    made, wanted = load_pairs(path), header(path)
    assert len(made) == N
    assert np.array_equal(made.lq[:], IMAGES[0])
    assert np.array_equal(made.hq[:], IMAGES[1])
    assert made.correlation == pytest.approx(CORRELATION)
    assert made.grid == GRID
    assert made.source.file == ("a.h5", "Müller.h5")
    assert made.source.speckle_cell.tolist() == [[1e-4, 2e-4]] * 2
    for name in ("lq_transmits", "hq_transmits", "angle", "side", "overlap", "recording", "frame"):
        found = getattr(made, name)
        assert np.array_equal(found, getattr(wanted, name))
        assert found.dtype == getattr(wanted, name).dtype
    for name in ("strategy", "seed", "dynamic_range_db", "normalisation", "settings", "complete"):
        assert getattr(made, name) == getattr(wanted, name)
    assert validate(path, full=True) == []


def test_images_are_read_like_arrays_and_can_be_pickled(tmp_path: Path) -> None:
    fill(tmp_path / "pairs.h5")
    images = pickle.loads(pickle.dumps(load_pairs(tmp_path / "pairs.h5"))).lq
    for key in (3, -1, slice(1, 4), (2, slice(3, 9), slice(None, None, 2)), (slice(None), 4), (0, -1, -2)):
        assert np.array_equal(images[key], IMAGES[0][key])
        assert images[key].dtype == np.float32
    with pytest.raises(IndexError):
        images[N]
    assert (len(images), images.shape) == (N, (N, *GRID.shape))


def test_what_was_begun_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    fill(path, until=2)
    assert names(tmp_path) == ["pairs.h5.partial"]
    with pytest.raises(BadField) as caught:
        load_pairs(tmp_path / "pairs.h5.partial")
    assert "/correlation" in str(caught.value)
    before = (tmp_path / "pairs.h5.partial").stat().st_ino
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert (tmp_path / "pairs.h5.partial").stat().st_ino == before
    fill(path)
    assert names(tmp_path) == ["pairs.h5"]
    assert np.array_equal(load_pairs(path).hq[:], IMAGES[1])


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.io.test_pairs_file import CORRELATION, IMAGES, header
from usbeam.io.pairs_file import write_pairs
path = Path(sys.argv[1])
with write_pairs(path, header(path)) as writer:
    for recording in (0, 1):
        writer.measure(recording, (1e-4, 2e-4))
    for index in range(4):
        writer.put(index, *IMAGES[:, index], CORRELATION[index])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_made(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    ended = subprocess.run([sys.executable, "-c", KILLED, path], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert names(tmp_path) == ["pairs.h5.partial"]
    with write_pairs(path, header(path)) as writer:
        there = np.isfinite(writer.correlation)
        assert there[:3].all()  # the last one may not have reached the disk
    fill(path)
    assert np.array_equal(load_pairs(path).lq[:], IMAGES[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"dynamic_range_db": 60.0},
        {"settings": {}},
        {"angle": np.linspace(0, 2, N)},
        {"grid": Grid.linear(x=(-1e-3, 1.1e-3), z=(5e-3, 6e-3), shape=(20, 30))},
        {"frame": np.zeros(N, int)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_was_begun_with_other_settings_is_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "pairs.h5"
    fill(path, until=3)
    before = (tmp_path / "pairs.h5.partial").read_bytes()
    with pytest.raises(OutputExists) as caught:
        fill(path, **changes)
    assert_clear(caught.value, tmp_path / "pairs.h5.partial", "other settings", "--overwrite")
    assert (tmp_path / "pairs.h5.partial").read_bytes() == before
    fill(path, overwrite=True, **changes)
    assert names(tmp_path) == ["pairs.h5"]


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    fill(path)
    old = path.read_bytes()
    with pytest.raises(OutputExists):
        fill(path, seed=8)
    fill(path, seed=8, until=2, overwrite=True)
    assert path.read_bytes() == old
    fill(path, seed=8, overwrite=True)  # goes on, though it may replace
    assert load_pairs(path).seed == 8
    assert names(tmp_path) == ["pairs.h5"]


def test_a_damaged_beginning(tmp_path: Path) -> None:
    path, partial = tmp_path / "pairs.h5", tmp_path / "pairs.h5.partial"
    partial.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(FileFormatError) as caught:
        fill(path)
    assert_clear(caught.value, partial, "", "remove it")
    assert partial.stat().st_size == 508
    fill(path, overwrite=True)
    assert names(tmp_path) == ["pairs.h5"]


def test_two_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    script = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "print(flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script, path], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(FileAccessError, match="locked by another"):
            fill(path)
        other.kill()
    fill(path)
    assert load_pairs(path).complete


def test_no_room(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    huge = tuple(FileImages(str(path), name, (N, 10**7, 10**7)) for name in ("lq", "hq"))
    with pytest.raises(FileAccessError, match=r"no room for the pairs.*GB"):
        fill(path, lq=huge[0], hq=huge[1])
    assert names(tmp_path) == []
    with pytest.raises(FileAccessError, match="folder does not exist"):
        fill(tmp_path / "missing" / "pairs.h5")


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from tests.io.test_pairs_file import fill, header
from usbeam.errors import FileAccessError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
if len(sys.argv) > 2:
    fill(path, until=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
try:
    fill(path)
except FileAccessError as error:
    print(error)
"""


@pytest.mark.parametrize("begun", [(), ("begun",)])
def test_a_full_disk(tmp_path: Path, begun: tuple[str, ...]) -> None:
    path = tmp_path / "pairs.h5"
    ended = subprocess.run(
        [sys.executable, "-c", FULL, path, *begun], capture_output=True, text=True, timeout=60, check=False
    )
    assert "the disk or quota is full" in ended.stdout, ended.stderr
    assert names(tmp_path) == (["pairs.h5.partial"] if begun else [])
    fill(path)
    assert np.array_equal(load_pairs(path).hq[:], IMAGES[1])


# Hostile files


def spoil(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def replaced(name: str, value: Any, **attributes: Any) -> Callable[[h5py.File], None]:
    """With another dataset in place of one, but with its units."""

    def change(file: h5py.File) -> None:
        units = file[name].attrs["units"]
        del file[name]
        file.create_dataset(name, data=value, **attributes).attrs["units"] = units

    return change


def huge(file: h5py.File) -> None:
    del file["lq"]
    file.create_dataset("lq", (10**6, *GRID.shape), np.float32, chunks=(1, *GRID.shape)).attrs["units"] = "1"


def elsewhere(file: h5py.File) -> None:
    del file["hq"]
    file["hq"] = h5py.ExternalLink("/etc/passwd", "/hq")


@pytest.mark.parametrize(
    ("change", "error", "place"),
    [
        (lambda file: file.__delitem__("overlap"), MissingField, "/overlap"),
        (lambda file: file.__delitem__("angle"), MissingField, "/angle"),
        (replaced("hq", IMAGES[1, :4]), BadField, "/hq"),
        (replaced("hq", IMAGES[1].transpose(0, 2, 1)), BadField, "/hq"),
        (replaced("lq", IMAGES[0].astype(np.float64)), BadField, "/lq"),
        (replaced("lq_transmits", np.ones((N, 3), np.float32)), BadField, "_transmits"),
        (replaced("correlation", np.full(N, np.nan)), BadField, "/correlation"),
        (replaced("recording", np.full(N, 2)), BadField, "/recording"),
        (replaced("x", GRID.x[::-1]), BadField, "x"),
        (replaced("side", np.full(N, 3)), BadField, "/side"),
        (huge, TooLarge, "/lq"),
        (elsewhere, UnsafeFile, "/hq"),
        (lambda file: file.attrs.modify("complete", np.False_), BadField, "/:complete"),
        (lambda file: file.attrs.__setitem__("strategy", "magic"), BadField, "/:strategy"),
        (lambda file: file.attrs.__setitem__("format", "usbeam-image"), FileFormatError, "/:format"),
        (lambda file: file.attrs.__setitem__("settings", "{"), BadField, "/:settings"),
    ],
    ids=range(16),
)
def test_a_file_that_is_wrong(tmp_path: Path, change: Any, error: type[UsbeamError], place: str) -> None:
    path = tmp_path / "pairs.h5"
    fill(path)
    spoil(path, change)
    with pytest.raises(error) as caught:
        load_pairs(path)
    assert place in str(caught.value)
    assert str(path) in str(caught.value)


def test_pixels_that_are_wrong_are_found_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    fill(path)
    pairs = load_pairs(path)
    for value, said in ((np.nan, "not finite"), (1.5, "out of range")):
        spoil(path, lambda file, value=value: file["lq"].__setitem__((3, 4, 5), value))
        with pytest.raises(BadField, match=said) as caught:
            pairs.lq[3]
        assert_clear(caught.value, path, "/lq 3", "")
        assert np.array_equal(pairs.lq[2], IMAGES[0, 2])
    spoil(path, replaced("lq", IMAGES[0, :4]))
    with pytest.raises(BadField, match="changed since"):
        pairs.lq[0]


def test_no_pairs_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedFile):
        load_pairs(path)
    path.write_bytes(os.urandom(3000))
    with pytest.raises(NotHDF5):
        load_pairs(path)
    with pytest.raises(FileAccessError, match="no such file"):
        load_pairs(tmp_path / "missing.h5")
