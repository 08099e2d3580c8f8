"""One reader for files of named arrays: ``.mat`` (v5 and v7.3), ``.h5``, ``.npz``, ``.npy``.

The same recording gives the same values from each; see `usbeam.io.convert.variables`.
"""

from __future__ import annotations

import os
import zipfile
from contextlib import ExitStack
from typing import Any

import h5py
import numpy as np

from usbeam.errors import BadField, FileFormatError, UnsafeFile, UsbeamError
from usbeam.io.convert.mat5 import HEADER_BYTES, Mat5
from usbeam.io.convert.mat73 import HDF5Variables
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size
from usbeam.io.safe import access_error

ARCHIVE = b"PK\x03\x04"


def open_variables(path: str | os.PathLike[str]) -> Variables:
    """Open a file of named arrays; its format is told from its content, not from its name.

    Parameters
    ----------
    path
        A MATLAB file of version 5 or later, any HDF5 file, ``.npz`` or ``.npy`` (whose one variable is ``data``).

    Returns
    -------
    Variables
        A context manager.

    Raises
    ------
    FileAccessError
        If the file cannot be reached.
    FileFormatError
        If it is none of these, or damaged.

    Examples
    --------
    >>> import tempfile, numpy
    >>> path = tempfile.mkdtemp() + "/recording.npz"
    >>> numpy.savez(path, fs=[[25e6]])
    >>> with open_variables(path) as variables:
    ...     variables.scalar("fs")
    25000000.0
    """
    head = _head(path)
    if head.startswith((b"\x93NUMPY", ARCHIVE)):
        return NumPyVariables(path)
    if h5py.is_hdf5(path):
        return HDF5Variables(path)
    if len(head) == HEADER_BYTES and head[124:] in (b"\x00\x01IM", b"\x01\x00MI"):
        return Mat5(path)
    raise FileFormatError(
        "not a file of named arrays",
        path=path,
        expected="MATLAB .mat (v5 or later), HDF5, .npz or .npy",
        found=f"a file beginning {head[:16]!r}" if head else "an empty file",
        hint="a MATLAB v4 file: load it and save it again" if head[1:4] == b"\x00\x00\x00" else None,
    )


def _head(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(HEADER_BYTES)
    except OSError as error:
        raise access_error(error, path) from error


class NumPyVariables(Variables):
    """The arrays of an ``.npz`` file, or the one of an ``.npy`` file under the name ``data``; pickles are refused."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._open = ExitStack()
        self._archive: zipfile.ZipFile | None = None
        try:
            if _head(path).startswith(ARCHIVE):
                # NumPy leaves a damaged archive open; close() of ours closes it in every case.
                file = self._open.enter_context(open(path, "rb"))  # noqa: SIM115
                self._arrays: Any = self._open.enter_context(np.load(file, allow_pickle=False))
                archive: zipfile.ZipFile = self._arrays.zip
                self._check_compression(archive)
                self._archive = archive
            else:
                self._arrays = {"data": np.load(path, allow_pickle=False, mmap_mode="r")}
        except UsbeamError:
            self._open.close()
            raise
        except Exception as error:  # NumPy lets through what its header parser and zipfile trip over
            self._open.close()
            raise self._damaged("/", error) from error

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def top_level(self) -> list[str]:
        """Names of the arrays."""
        return list(self._arrays)

    def names(self) -> list[str]:
        """Names of the arrays."""
        return self.top_level()

    def find(self, name: str) -> Value | None:
        """The array of that name, or None."""
        if name not in self._arrays:
            return None
        if self._archive is not None:
            unpacked = sum(item.file_size for item in self._archive.infolist())
            check_size(unpacked, path=self.path, location=name)
        try:
            array = np.asarray(self._arrays[name])
        except Exception as error:
            raise self._damaged(name, error) from error
        if array.dtype.kind in "US":
            return str(array.item()) if array.size == 1 else Opaque("list of texts")
        return array if array.dtype.kind in "biufc" else Opaque(f"{array.dtype} array")

    def _check_compression(self, archive: zipfile.ZipFile) -> None:
        """Refuse what NumPy never writes; some unpackers take as much memory as the file tells them to."""
        for item in archive.infolist():
            if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnsafeFile(
                    "a compression that NumPy does not write",
                    path=self.path,
                    location=item.filename,
                    expected="none, or deflate",
                    found=f"method {item.compress_type}",
                )

    def _damaged(self, location: str, error: Exception) -> BadField:
        return BadField(
            "cannot be read as a NumPy array",
            path=self.path,
            location=location,
            found=f"{type(error).__name__}: {error}",
            hint="the file is damaged, or holds pickled objects, which may run code when loaded",
        )
