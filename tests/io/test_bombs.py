"""Small files that would take all memory, or show other files: refused before anything is read, and at once."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.bad_inputs.cases import TOLD
from tests.io.matlab_files import write_v5, write_v73
from usbeam.errors import BadField, FileFormatError, TooLarge, UnsafeFile
from usbeam.io import convert, load, load_image, save, validate
from usbeam.io.convert.matlab import open_variables
from usbeam.io.pairs_file import load_pairs
from usbeam.io.safe import safe_open

from .recordings import small

REFUSED_IN = 0.1
"""Seconds, after the modules are loaded."""
TRIES = 5
"""The quickest counts: others use this machine too."""


def claims_terabytes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("samples", (10**6, 10**6, 64), "f4", chunks=(1, 64, 64))


def gzip_bomb(path: Path) -> None:
    """832 kB that unpack to 839 MB."""
    packed = zlib.compress(bytes(8 * 2**20), 9)
    with h5py.File(path, "w") as file:
        bomb = file.create_dataset("samples", (100, 1, 1, 2**21), "f4", chunks=(1, 1, 1, 2**21), compression="gzip")
        for frame in range(100):
            bomb.id.write_direct_chunk((frame, 0, 0, 0), packed)


def names_a_system_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("samples", (1, 1, 1, 100), "u1", external=[("/etc/passwd", 0, 100)])


BOMBS: dict[Callable[[Path], None], tuple[int, type[FileFormatError], int]] = {
    names_a_system_file: (13, UnsafeFile, 3_000),
    claims_terabytes: (18, TooLarge, 1_500),
    gzip_bomb: (19, TooLarge, 900_000),
}
"""Number among the bad inputs, error, and a size that the file keeps below."""


def read_variables(path: Path) -> None:
    with open_variables(path) as variables:
        variables.find("samples")


READERS: list[Callable[[Path], object]] = [
    load,
    validate,
    load_image,
    load_pairs,
    read_variables,
    lambda path: convert(path, path.with_name("out.h5")),
]


@pytest.mark.parametrize("make", BOMBS, ids=lambda make: make.__name__)
def test_refused_at_once(tmp_path: Path, make: Callable[[Path], None], record_property: Callable[..., None]) -> None:
    path = tmp_path / "bomb.h5"
    make(path)
    number, kind, size = BOMBS[make]
    assert path.stat().st_size < size
    slowest = 0.0
    for read in READERS:
        seconds = []
        for _ in range(TRIES):
            begin = time.perf_counter()
            with pytest.raises(kind):
                read(path)
            seconds.append(time.perf_counter() - begin)
        slowest = max(slowest, min(seconds))
    line = f"refused in {slowest * 1e3:.1f} ms by the slowest of {len(READERS)} readers"
    record_property(TOLD, (number, make.__name__.replace("_", " "), line))
    assert slowest < REFUSED_IN


def test_many_that_claim_a_little(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for index in range(20):
            file.create_dataset(f"x_{index}", (2**24,), "f4", chunks=(2**16,))
    with pytest.raises(TooLarge, match=r"claims 1\.34 GB"), safe_open(tmp_path / "a.h5"):
        pass


def test_names_of_a_group_that_contains_itself(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a")
        group["again"] = group
    with open_variables(tmp_path / "a.h5") as variables:
        assert variables.top_level() == ["a"]
        with pytest.raises(UnsafeFile, match="contains itself"):
            variables.names()


def test_chunks_that_are_not_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x_thin", (2**22,), "f4", chunks=(1,))
    with pytest.raises(TooLarge, match="claims 4194304 chunks in a file of"), safe_open(tmp_path / "a.h5"):
        pass
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("x_thin", data=np.zeros(20_000), chunks=(1,))
    with safe_open(tmp_path / "b.h5") as file:
        assert "x_thin" in file


def test_texts_that_are_not_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("texts", (2**20,), "S7")
    with pytest.raises(TooLarge, match="too much text"), open_variables(tmp_path / "a.h5") as variables:
        variables["texts"]
    for write in (write_v5, write_v73):
        path = write(tmp_path / "a.mat", {"long": "a" * 100_001, "short": "a"})
        if write is write_v73:  # which does not compress
            with h5py.File(path, "r+") as file:
                kept = dict(file["long"].attrs)
                del file["long"]
                file.create_dataset("long", (2**20, 1), "u2", chunks=(2**16, 1)).attrs.update(kept)
        with open_variables(path) as variables:
            assert variables["short"] == "a"
            with pytest.raises(TooLarge, match="too much text"):
                variables["long"]


def test_many_references_to_one(tmp_path: Path) -> None:
    path = write_v73(tmp_path / "a.mat", {"c": np.zeros(3)})
    with h5py.File(path, "r+") as file:
        made = file["#refs#"].create_dataset("large", (1, 2**22), "f8", chunks=(1, 1024))
        made.attrs["MATLAB_class"] = np.bytes_("double")
        del file["c"]
        cells = file.create_dataset("c", (1, 40), h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        cells[...] = made.ref
    with open_variables(path) as variables, pytest.raises(TooLarge):
        variables["c"]


def test_many_objects_belong_into_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for index in range(10_100):
            file.create_group(f"x_{index}")
    with pytest.raises(UnsafeFile, match=r"too many objects \(expected at most 10000\)"), safe_open(path):
        pass
    with h5py.File(path, "r+") as file:
        file["long"] = np.zeros(10_200_000 // 8)
    with safe_open(path) as file:
        assert "long" in file


def test_cells_that_are_packed_to_nothing(tmp_path: Path) -> None:
    cells = np.empty((1, 10_001), object)
    cells.fill(np.empty((0, 0)))
    path = write_v5(tmp_path / "a.mat", {"c": cells})
    assert path.stat().st_size < 30_000
    with open_variables(path) as variables, pytest.raises(UnsafeFile, match="too many cells and fields"):
        variables["c"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unpackers_that_numpy_does_not_need(tmp_path: Path, method: int) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(10))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression=method) as archive:
        archive.writestr("a.npy", content.getvalue())
    with pytest.raises(UnsafeFile, match=f"found method {method}"):
        open_variables(tmp_path / "a.npz")


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }"
    lie = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n" + bytes(80)
    (tmp_path / "a.npy").write_bytes(lie)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", lie)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(BadField, match="cannot be read as a NumPy array"), open_variables(tmp_path / name) as found:
            found["data"]


def test_an_honest_file_is_read(tmp_path: Path) -> None:
    save(small(), tmp_path / "a.h5")
    for read in (load, validate, read_variables):
        read(tmp_path / "a.h5")
