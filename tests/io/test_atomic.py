"""Outputs are whole or not there: refusals before any work, Ctrl-C, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.io.recordings import assert_clear, small
from usbeam.errors import FileAccessError, OutputExists
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import load, save, save_image
from usbeam.io.atomic import atomic_write, check_output

OLD = b"the old file"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.h5"
    path.write_bytes(OLD)
    return path


def alone_and_old(path: Path) -> bool:
    """The old file is as it was, and nothing else is in its folder."""
    return path.read_bytes() == OLD and list(path.parent.iterdir()) == [path]


class Interrupted:
    """Samples whose reading is interrupted at the second frame."""

    def __init__(self, interrupt: Callable[[], object]) -> None:
        self.array = small(n_frames=3).samples
        self.shape, self.dtype = self.array.shape, self.array.dtype
        self.interrupt = interrupt

    def __getitem__(self, key: int) -> npt.NDArray[Any]:
        if key == 1:
            self.interrupt()
        return self.array[key]


def test_writes_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_case_57_output_exists(old: Path) -> None:
    worked: list[int] = []
    with pytest.raises(OutputExists) as caught, atomic_write(old):
        worked.append(1)
    assert worked == []
    assert_clear(caught.value, old, "exists", "--overwrite")
    assert caught.value.exit_code == 2
    with pytest.raises(OutputExists):
        save(small(samples=Interrupted(pytest.fail), n_frames=3), old)
    assert alone_and_old(old)


def test_overwrite_replaces_and_keeps_the_mode(old: Path) -> None:
    old.chmod(0o640)
    with atomic_write(old, overwrite=True) as temporary:
        temporary.write_text("new")
        assert old.read_bytes() == OLD
    assert old.read_text() == "new"
    assert old.stat().st_mode & 0o777 == 0o640


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "new") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_one(old: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("links") / "link.h5"
    link.symlink_to(old)
    with atomic_write(link, overwrite=True) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert old.read_text() == "new"


def test_case_57_file_that_appears_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    appears = Interrupted(lambda: path.write_bytes(OLD))
    with pytest.raises(OutputExists):
        save(small(samples=appears, n_frames=3), path)
    assert alone_and_old(path)


def test_case_57_output_folder_missing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "new.h5"
    with pytest.raises(FileAccessError) as caught:
        save(small(), path)
    assert_clear(caught.value, path, "folder does not exist", "mkdir -p")
    assert list(tmp_path.iterdir()) == []


def test_output_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_output_name_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        save(small(), f"{tmp_path}/a\0b.h5")
    path = tmp_path / ("n" * 300)
    with pytest.raises(FileAccessError, match="too long"):
        save(small(), path)
    assert list(tmp_path.iterdir()) == []


def test_case_57_output_folder_is_read_only(unprivileged: Callable[[], AbstractContextManager[None]]) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to all but their owner
        folder = Path(name)
        folder.chmod(0o555)
        with unprivileged(), pytest.raises(FileAccessError) as caught:
            save(small(), folder / "new.h5")
        assert_clear(caught.value, folder / "new.h5", "folder is read-only")
        folder.chmod(0o755)


def test_case_57_ctrl_c_in_mid_write(old: Path) -> None:
    recording = small(samples=Interrupted(lambda: signal.raise_signal(signal.SIGINT)), n_frames=3)
    with pytest.raises(KeyboardInterrupt):
        save(recording, old, overwrite=True)
    assert alone_and_old(old)


def test_any_error_in_mid_write(old: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save(small(samples=Interrupted(fail), n_frames=3), old, overwrite=True)
    assert alone_and_old(old)


WRITE = """
import resource, sys
import numpy as np
from tests.io.recordings import small
from usbeam.errors import UsbeamError
from usbeam.grid import Grid
from usbeam.image import Image

path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
image = Image(np.abs(noise), Grid.linear(x=(0, 0.1), z=(0.01, 0.1), shape=noise.shape), state="envelope")
samples = noise.reshape(4, 16, 16, 512)
recording = small(n_frames=4, n_elements=16, n_samples=512, samples=samples)
try:
    (image.db(60) if path.endswith(".png") else recording).save(path, overwrite=True)
except UsbeamError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def write_in_child(path: Path, limit: int = 0) -> None:
    """Write 2 MB to a place that has no room for it: one line, exit code 3, and the old file stays."""
    child = subprocess.run(
        [sys.executable, "-c", WRITE, str(path), str(limit)], capture_output=True, text=True, check=False
    )
    assert child.stderr == ""
    assert child.stdout.startswith(f"FileAccessError {path}: the disk or quota is full")
    assert child.returncode == 3


@pytest.mark.parametrize("name", ["old.h5", "old.png"])
@pytest.mark.parametrize("limit", [1_000, 30_000, 150_000])
def test_case_57_no_room_in_mid_write(tmp_path: Path, name: str, limit: int) -> None:
    """The kernel refuses to let a file grow: a real refusal of a real write, at several places in the file."""
    path = tmp_path / name
    path.write_bytes(OLD)
    write_in_child(path, limit)
    assert alone_and_old(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["old.h5", "old.png"])
def test_case_57_full_disk_in_mid_write(small_disk: Path, name: str) -> None:
    path = small_disk / name
    path.write_bytes(OLD)
    write_in_child(path)
    assert alone_and_old(path)


def test_images_are_written_the_same_way(old: Path) -> None:
    image = Image(np.ones((3, 2), np.complex64), Grid.linear(x=(0.0, 1e-3), z=(1e-3, 2e-3), shape=(3, 2)))
    with pytest.raises(OutputExists):
        save_image(image, old)
    assert alone_and_old(old)
    save_image(image, old, overwrite=True)
    assert list(old.parent.iterdir()) == [old]


def test_the_old_recording_can_be_read_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "recording.h5"
    save(small(), path)
    before = load(path)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(b"not yet")
        assert np.array_equal(before.frame(1), small().samples[1])
        temporary.write_bytes(path.read_bytes())
    assert np.array_equal(before.frame(0), small().samples[0])
