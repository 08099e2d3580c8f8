"""Cases 1 to 20: files that are no recording, or no safe one."""

from __future__ import annotations

import fcntl
import shutil
import zlib

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z

from tests.bad_inputs.cases import Desk, answered, refused
from tests.io.recordings import small
from usbeam.errors import (
    BadField,
    ChecksumMismatch,
    FileAccessError,
    MissingField,
    NotHDF5,
    TooLarge,
    TruncatedFile,
    UnsafeFile,
)
from usbeam.io import load, save


@refused(1, "missing path", FileAccessError, "no such file")
def missing(desk: Desk) -> object:
    return load(desk.folder / "nothing.h5")


@refused(2, "a folder", FileAccessError, "is a folder")
def folder(desk: Desk) -> object:
    return load(desk.folder)


@refused(3, "zero bytes", NotHDF5, "the file is empty")
def empty(desk: Desk) -> object:
    desk.recording.write_bytes(b"")
    return load(desk.recording)


@refused(4, "a table renamed .h5", NotHDF5, "not an HDF5 file but text")
def text(desk: Desk) -> object:
    desk.recording.write_text("time,amplitude\n0,1\n")
    return load(desk.recording)


@refused(5, "MATLAB v5", NotHDF5, "a MATLAB v5 file")
def matlab(desk: Desk) -> object:
    desk.recording.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM")
    return load(desk.recording)


@refused(6, "cut at half", TruncatedFile, "the file is cut off (expected")
def truncated(desk: Desk) -> object:
    content = desk.recording.read_bytes()
    desk.recording.write_bytes(content[: len(content) // 2])
    return load(desk.recording)


@refused(7, "HDF5 of another format", MissingField, "it looks like a PICMUS file")
def other_schema(desk: Desk) -> object:
    with h5py.File(desk.recording, "w") as file:
        file["US/US_DATASET0000/data/real"] = np.zeros(3)
    return load(desk.recording)


@refused(8, "locked by a program that writes it", FileAccessError, "is locked by another program")
def locked(desk: Desk) -> object:
    with desk.recording.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        return load(desk.recording)


@refused(9, "not permitted", FileAccessError, "not permitted")
def no_permission(desk: Desk) -> object:
    desk.recording.chmod(0)
    with desk.fixture("unprivileged")():
        return load(desk.recording)


@refused(10, "left open by a crash", FileAccessError, "left open by a crash")
def left_open(desk: Desk) -> object:
    with h5py.File(desk.folder / "open.h5", "w", libver="latest") as file:
        file["samples"] = [1.0]
        file.flush()
        shutil.copy(desk.folder / "open.h5", desk.recording)  # as it is on the disk when the power fails
    return load(desk.recording)


@refused(11, "unknown filter", UnsafeFile, "a filter that usbeam does not run")
def unknown_filter(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        creation = h5p.create(h5p.DATASET_CREATE)
        creation.set_chunk((4,))
        creation.set_filter(32001, h5z.FLAG_OPTIONAL, (1,))
        h5d.create(file.id, b"x_blosc", h5t.IEEE_F32LE, h5s.create_simple((4,)), dcpl=creation)
    return load(desk.recording)


@refused(12, "corrupt chunk", ChecksumMismatch, "the stored bytes do not match their checksum")
def corrupt(desk: Desk) -> object:
    with h5py.File(desk.recording) as file:
        chunk = file["samples"].id.get_chunk_info_by_coord((1, 2, 0, 0))
    content = bytearray(desk.recording.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    desk.recording.write_bytes(content)
    return load(desk.recording).frame(1)


@refused(13, "external storage", UnsafeFile, "its data lie in another file")
def external_storage(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        file.create_dataset("x_secret", (64,), "u1", external=[("/etc/passwd", 0, 64)])
    return load(desk.recording)


@refused(14, "external link", UnsafeFile, "a link to another file")
def external_link(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        file["x_linked"] = h5py.ExternalLink("other.h5", "/samples")
    return load(desk.recording)


@refused(15, "virtual dataset", UnsafeFile, "a virtual dataset")
def virtual(desk: Desk) -> object:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("missing.h5", "samples", (4,))
    with h5py.File(desk.recording, "r+") as file:
        file.create_virtual_dataset("x_virtual", layout, fillvalue=0)
    return load(desk.recording)


@refused(16, "looping soft link", UnsafeFile, "a soft link")
def soft_loop(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        file["x_loop"] = h5py.SoftLink("/x_loop")
    return load(desk.recording)


@refused(16, "dangling soft link", UnsafeFile, "a soft link")
def soft_dangling(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        file["x_link"] = h5py.SoftLink("/nowhere")
    return load(desk.recording)


@refused(17, "a group where a dataset belongs", BadField, "a group where a dataset belongs")
def group_for_dataset(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        del file["sound_speed"]
        file.create_group("sound_speed")
    return load(desk.recording)


@refused(17, "a dataset where a group belongs", MissingField, "/probe/element_positions")
def dataset_for_group(desk: Desk) -> object:
    with h5py.File(desk.recording, "r+") as file:
        del file["probe"]
        file["probe"] = 1.0
    return load(desk.recording)


@refused(18, "1.4 kB that claim 256 TB", TooLarge, "claims 2.56e+05 GB in a file of 1400 bytes")
def terabytes(desk: Desk) -> object:
    with h5py.File(desk.recording, "w") as file:
        file.create_dataset("samples", (10**6, 10**6, 64), "f4", chunks=(1, 64, 64))
    return load(desk.recording)


@refused(19, "gzip bomb", TooLarge, "claims 0.839 GB in a file of")
def bomb(desk: Desk) -> object:
    packed = zlib.compress(bytes(8 * 2**20), 9)
    with h5py.File(desk.recording, "w") as file:
        made = file.create_dataset("samples", (100, 1, 1, 2**21), "f4", chunks=(1, 1, 1, 2**21), compression="gzip")
        for frame in range(100):
            made.id.write_direct_chunk((frame, 0, 0, 0), packed)
    return load(desk.recording)


@answered(20, "path with blanks and letters of any script, as long as can be", "read: (4, 4, 32)")
def unusual_names(desk: Desk) -> object:
    shapes = []
    for name in ("mit Leerzeichen und Ümlaut 超声.h5", "n" * 252 + ".h5"):
        save(small(), desk.folder / name)
        shapes.append(load(desk.folder / name).frame(1).shape)
    return f"read: {shapes[0]}, {shapes[1]}"
