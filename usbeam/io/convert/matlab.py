"""One reader for files of named arrays: ``.mat`` (v5 and v7.3), ``.h5``, ``.npz``, ``.npy``.

The same recording gives the same values from each; see `usbeam.io.convert.variables`.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

import h5py
import numpy as np

from usbeam.errors import BadField, FileFormatError
from usbeam.io.convert.mat5 import HEADER_BYTES, Mat5
from usbeam.io.convert.mat73 import HDF5Variables
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size
from usbeam.io.safe import access_error


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
    if head.startswith(b"\x93NUMPY") or head.startswith(b"PK\x03\x04"):
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
        try:
            loaded: Any = np.load(path, allow_pickle=False, mmap_mode="r")
        except Exception as error:  # NumPy lets through what its header parser and zipfile trip over
            raise self._damaged("/", error) from error
        self._arrays: Any = loaded if isinstance(loaded, np.lib.npyio.NpzFile) else {"data": loaded}

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._arrays, np.lib.npyio.NpzFile):
            self._arrays.close()

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
        if isinstance(self._arrays, np.lib.npyio.NpzFile):
            archive: zipfile.ZipFile = self._arrays.zip  # pyright: ignore[reportAssignmentType]
            check_size(sum(item.file_size for item in archive.infolist()), path=self.path, location=name)
        try:
            array = np.asarray(self._arrays[name])
        except Exception as error:
            raise self._damaged(name, error) from error
        if array.dtype.kind in "US":
            return str(array.item()) if array.size == 1 else Opaque("list of texts")
        return array if array.dtype.kind in "biufc" else Opaque(f"{array.dtype} array")

    def _damaged(self, location: str, error: Exception) -> BadField:
        return BadField(
            "cannot be read as a NumPy array",
            path=self.path,
            location=location,
            found=f"{type(error).__name__}: {error}",
            hint="the file is damaged, or holds pickled objects, which may run code when loaded",
        )
