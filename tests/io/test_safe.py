"""Containers that must not break usbeam: the cases of a file that HDF5 itself, or its safety, refuses."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5f, h5p, h5s, h5t, h5z

from tests.io.recordings import assert_clear, small
from usbeam.errors import (
    BadField,
    ChecksumMismatch,
    FileAccessError,
    FileFormatError,
    MissingField,
    NotHDF5,
    TooLarge,
    TruncatedFile,
    UnsafeFile,
    UsbeamError,
)
from usbeam.io import load, save, validate
from usbeam.io.safe import safe_open


def assert_refused(path: Path, kind: type[UsbeamError], *words: str) -> UsbeamError:
    """Both load and validate refuse the file, in one clear line."""
    with pytest.raises(kind) as caught:
        validate(path)
    with pytest.raises(kind) as caught:
        load(path)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 3
    assert_clear(caught.value, path, *words)
    return caught.value


def test_case_01_missing_path(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nothing.h5", FileAccessError, "no such file")


def test_case_02_directory(tmp_path: Path) -> None:
    assert_refused(tmp_path, FileAccessError, "is a folder")


def test_case_03_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    path.touch()
    assert_refused(path, NotHDF5, "empty")


def test_case_04_text_renamed(tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    path.write_text("time,amplitude\n0,1\n")
    assert_refused(path, NotHDF5, "text")


def test_case_04_bytes_renamed(tmp_path: Path) -> None:
    path = tmp_path / "picture.h5"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    assert_refused(path, NotHDF5, "not an HDF5 file")


def test_case_05_matlab_v5(tmp_path: Path) -> None:
    path = tmp_path / "old.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(124) + b"\x00\x01IM")
    assert_refused(path, NotHDF5, "MATLAB v5", "-v7.3", "usbeam convert")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_case_06_truncated(recording: Path, share: float) -> None:
    content = recording.read_bytes()
    recording.write_bytes(content[: int(len(content) * share)])
    assert_refused(recording, TruncatedFile, "cut off", str(len(content)))


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("BRAIN", ["exp_data/time_data"]),
        ("PICMUS", ["US/US_DATASET0000/data/real"]),
        ("UFF", ["channel_data/data"]),
        ("zea", ["data/raw_data", "scan/n_tx"]),
        ("Verasonics", ["RcvData", "Receive", "Trans"]),
    ],
)
def test_case_07_other_schema(tmp_path: Path, name: str, paths: list[str]) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        for each in paths:
            file[each] = np.zeros(3)
    assert_refused(path, MissingField, name, "usbeam convert", "/:format")


def test_case_07_other_format_name(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "my-format"
    assert_refused(path, FileFormatError, "not a usbeam file", "'my-format'", "usbeam-channel-data")


def test_case_08_open_for_writing_elsewhere(recording: Path) -> None:
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(recording)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert_refused(recording, FileAccessError, "locked", "HDF5_USE_FILE_LOCKING")
        other.communicate()
    assert load(recording).n_frames == 2


def test_case_09_no_read_permission(recording: Path, unprivileged: Callable[[], AbstractContextManager[None]]) -> None:
    recording.chmod(0)
    with unprivileged():
        assert_refused(recording, FileAccessError, "not permitted")


def test_case_10_left_open_by_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "crashed.h5"
    code = """
import h5py, os, sys
f = h5py.File(sys.argv[1], "w", libver="latest")
f["samples"] = [1.0]
f.flush()
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert_refused(path, FileAccessError, "left open by a crash", "h5clear")


def test_case_11_unknown_filter(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        creation = h5p.create(h5p.DATASET_CREATE)
        creation.set_chunk((4,))
        creation.set_filter(32001, h5z.FLAG_OPTIONAL, (1,))
        h5d.create(file.id, b"x_blosc", h5t.IEEE_F32LE, h5s.create_simple((4,)), dcpl=creation)
    assert_refused(recording, UnsafeFile, "filter", "32001", "h5repack", "/x_blosc")


def test_case_11_filter_outside_the_contract(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file.create_dataset("x_scaled", data=np.arange(64), chunks=(64,), scaleoffset=0)
    assert_refused(recording, UnsafeFile, "scaleoffset")


def test_case_12_corrupt_chunk(recording: Path) -> None:
    with h5py.File(recording, "r") as file:
        chunk = file["samples"].id.get_chunk_info_by_coord((1, 2, 0, 0))
    content = bytearray(recording.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    recording.write_bytes(content)
    acquisition = load(recording)
    assert acquisition.frame(0).shape == (4, 4, 32)
    with pytest.raises(ChecksumMismatch) as caught:
        acquisition.frame(1)
    assert_clear(caught.value, recording, "/samples", "checksum")
    assert [finding for finding in validate(recording) if finding.importance == "ERROR"] == []
    [finding] = [finding for finding in validate(recording, full=True) if finding.importance == "ERROR"]
    assert finding.location == "/samples frame 1, transmit 2"
    assert finding.error is ChecksumMismatch


def test_case_13_external_storage(recording: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8 * 64))
    with h5py.File(recording, "r+") as file:
        del file["sound_speed"]
        file.create_dataset("sound_speed", (64,), "f8", external=[(str(secret), 0, 512)])
    assert_refused(recording, UnsafeFile, "another file", "/sound_speed")


def test_case_14_external_link(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        del file["sound_speed"]
        file["sound_speed"] = h5py.ExternalLink("other.h5", "/sound_speed")
    assert_refused(recording, UnsafeFile, "link to another file", "/sound_speed")


def test_case_15_virtual_dataset(recording: Path) -> None:
    layout = h5py.VirtualLayout((2, 4, 4, 32), "f4")
    layout[:] = h5py.VirtualSource("missing.h5", "samples", (2, 4, 4, 32))
    with h5py.File(recording, "r+") as file:
        del file["samples"]
        file.create_virtual_dataset("samples", layout)
    assert_refused(recording, UnsafeFile, "virtual", "/samples")


@pytest.mark.parametrize("target", ["/probe/loop", "/nowhere", "/samples"])
def test_case_16_soft_links(recording: Path, target: str) -> None:
    with h5py.File(recording, "r+") as file:
        file["probe/loop"] = h5py.SoftLink(target)
    assert_refused(recording, UnsafeFile, "soft link", "/probe/loop")


def test_case_16_group_inside_itself(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file["probe/again"] = file["probe"]
    assert_refused(recording, UnsafeFile, "contains itself", "/probe/again")


def test_case_16_too_deep(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file.create_group("a/b/c/d/e/f/g/h/i")
    assert_refused(recording, UnsafeFile, "at most 8 levels")


def test_case_16_too_many_objects(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        crowd = file.create_group("x_crowd")
        one = crowd.create_group("0")
        for index in range(1, 10_001):
            crowd[str(index)] = one
    assert_refused(recording, UnsafeFile, "too many objects")


def test_case_17_group_where_a_dataset_belongs(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        del file["sound_speed"]
        file.create_group("sound_speed")
    with pytest.raises(BadField) as caught:
        load(recording)
    assert_clear(caught.value, recording, "/sound_speed", "a group where a dataset belongs")


def test_case_17_dataset_where_a_group_belongs(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        del file["probe"]
        file["probe"] = 1.0
    locations = {finding.location: finding.message for finding in validate(recording)}
    assert locations["/probe"] == "a dataset where a group belongs"
    assert locations["/probe/element_positions"] == "missing"


def test_case_18_claims_256_terabytes(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        del file["samples"]
        file.create_dataset("samples", (1, 10**6, 10**6, 64), "f4", chunks=(1, 1, 64, 64))
    error = assert_refused(recording, TooLarge, "2.56e+05 GB", "--max-gb", "/samples")
    assert str(recording.stat().st_size) in error.what


def test_case_18_claims_one_huge_chunk(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file.create_dataset("x_huge", (4,), "f4", maxshape=(None,), chunks=(10**8,))
    assert_refused(recording, TooLarge, "0.4 GB", "/x_huge")


def test_case_19_gzip_bomb(recording: Path) -> None:
    packed = zlib.compress(bytes(4 * 2**20), 9)
    with h5py.File(recording, "r+") as file:
        del file["samples"]
        bomb = file.create_dataset("samples", (64, 4, 4, 2**16), "f4", chunks=(1, 4, 4, 2**16), compression="gzip")
        for frame in range(64):
            bomb.id.write_direct_chunk((frame, 0, 0, 0), packed)
    assert_refused(recording, TooLarge, "0.268 GB", "--max-gb")


def test_case_19_trusted_file(recording: Path) -> None:
    """What the ratio refuses, max_gb allows: here a silent recording of 67 MB."""
    n_samples = 2**20 + 2**12
    silent = small(
        n_samples=n_samples, samples=np.zeros((1, 4, 4, n_samples), np.float32), frame_times=None, transmit_times=None
    )
    save(silent, recording, overwrite=True)
    assert_refused(recording, TooLarge, "GB")
    assert load(recording, max_gb=0.1).frame(0).shape == (4, 4, n_samples)
    with pytest.raises(TooLarge, match="reading this takes"):
        load(recording, max_gb=0.07).frame(0)


@pytest.mark.parametrize("name", ["mit Leerzeichen und Ümlaut 超声.h5", "n" * 252 + ".h5"])
def test_case_20_unusual_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save(small(), path)
    assert np.array_equal(load(path).frame(1), small().samples[1])
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_references_and_variable_length(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file["x_reference"] = file["probe"].ref
    assert_refused(recording, UnsafeFile, "references", "/x_reference")
    with safe_open(recording, allow_references=True) as file:
        assert "x_reference" in file
    with h5py.File(recording, "r+") as file:
        del file["x_reference"]
        file.create_dataset("x_ragged", (2,), h5py.vlen_dtype(np.float32))
    assert_refused(recording, UnsafeFile, "variable length", "/x_ragged")


def test_damaged_index(recording: Path) -> None:
    content = bytearray(recording.read_bytes())
    content[8] = 77  # the superblock's version
    recording.write_bytes(content)
    assert_refused(recording, FileFormatError, "damaged")


def test_name_that_steers_the_terminal(recording: Path) -> None:
    with h5py.File(recording, "r+") as file:
        file["evil\x1b[2J"] = h5py.SoftLink("/nowhere")
    assert "\x1b" not in str(assert_refused(recording, UnsafeFile, "soft link"))


def test_nothing_is_left_open(recording: Path) -> None:
    load(recording).frame(0)
    validate(recording, full=True)
    with h5py.File(recording, "r+") as file:  # fails where a handle is still open for reading
        file.attrs["title"] = "changed"
    assert h5f.get_obj_count(h5f.OBJ_ALL, h5f.OBJ_FILE) == 0


@pytest.mark.parametrize("owner", ["attribute", "group"])
def test_name_that_is_not_utf_8(recording: Path, owner: str) -> None:
    with h5py.File(recording, "r+") as file:
        if owner == "attribute":
            file.attrs[b"gain\xff"] = 1.0
        else:
            file.create_group(b"gain\xff")
    assert_refused(recording, FileFormatError, "a name that is not UTF-8")
