"""MATLAB ``.mat`` files of version 7.3, which are HDF5, and any other HDF5 file of named arrays.

MATLAB writes structs as groups, cell arrays as arrays of object references into ``/#refs#``, text as character codes,
complex numbers as a compound of ``real`` and ``imag``, and every array with its axes in reverse order. All of that is
undone here, so that a variable has the value and shape that a version 5 file gives. A file without MATLAB's marks is
taken as it is; there ``name@attribute`` (or ``@attribute`` for the root) reads an attribute.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, UnsafeFile
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size

MAX_DEPTH = 8
_NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


class HDF5Variables(Variables):
    """An HDF5 file, of MATLAB or not; values are read one by one, within the limits of `usbeam.io.safe`.

    Only hard links inside the file are followed; external storage and virtual datasets are refused.

    Raises
    ------
    UnsafeFile, TooLarge, BadField
        When a value is reached that leads outside the file, is larger than allowed, or is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        with self._reading("/"):
            self._file = h5py.File(path, "r")
            self._is_matlab = any(
                "MATLAB_class" in item.attrs for name in self.top_level() if (item := self._member(self._file, name))
            )
        self._bytes_read = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def top_level(self) -> list[str]:
        """Names of the outermost variables."""
        return [name for name in self._file if not name.startswith("#")]

    def names(self) -> list[str]:
        """Dotted names of everything that holds a value; attributes of files that are not MATLAB's as ``name@key``."""
        with self._reading("/"):
            return list(self._names(self._file, "", 0))

    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or None."""
        with self._reading(name):
            place, _, key = name.partition("@")
            item: Any = self._file
            for part in place.split(".") if place else []:
                item = self._member(item, part) if isinstance(item, h5py.Group) else None
            if item is None or item is self._file:
                return None if item is None or key not in item.attrs else _attribute(item.attrs[key])
            if key:
                return _attribute(item.attrs[key]) if key in item.attrs else None
            return self._value(item, 0)

    @contextmanager
    def _reading(self, location: str) -> Generator[None]:
        """Turn what h5py raises over a damaged file into one error with the place."""
        try:
            yield
        except (BadField, UnsafeFile):
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadField(
                "cannot be read from HDF5",
                path=self.path,
                location=location,
                found=f"{type(error).__name__}: {error}",
                hint="the file is damaged, or needs a compression filter that is not installed",
            ) from error

    def _member(self, group: Any, name: str) -> Any:
        """The object under a hard link, or None; any other link is refused."""
        link = group.get(name, getlink=True) if name else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise UnsafeFile(
                "a link that is no hard link",
                path=self.path,
                location=f"{group.name.rstrip('/')}/{name}",
                hint="copy the linked data into the file",
            )
        return group[name]

    def _names(self, group: h5py.Group, prefix: str, depth: int) -> Iterator[str]:
        self._check_depth(depth, prefix)
        if not self._is_matlab:
            yield from (f"{prefix}@{key}" for key in group.attrs)
        for name in group:
            if name.startswith("#"):
                continue
            item = self._member(group, name)
            dotted = f"{prefix}.{name}" if prefix else name
            if isinstance(item, h5py.Group) and not self._is_struct_array(item):
                yield from self._names(item, dotted, depth + 1)
            else:
                yield dotted

    def _check_depth(self, depth: int, location: str) -> None:
        if depth > MAX_DEPTH:
            raise UnsafeFile("nested too deeply", path=self.path, location=location, expected=f"<= {MAX_DEPTH} levels")

    def _value(self, item: Any, depth: int) -> Value:
        self._check_depth(depth, item.name)
        kind = _text(item.attrs.get("MATLAB_class", b""))
        if isinstance(item, h5py.Dataset):
            return self._dataset(item, kind, depth)
        if "MATLAB_sparse" in item.attrs:
            return Opaque("sparse matrix")
        if kind not in ("", "struct"):
            return Opaque(f"MATLAB {kind}")
        if self._is_struct_array(item):
            fields: dict[str, Any] = {name: self._cells(self._member(item, name), depth) for name in item}
            shape = next(iter(fields.values())).shape
            structs = np.empty(shape, object)
            for index in np.ndindex(shape):
                structs[index] = {name: values[index] for name, values in fields.items()}
            return structs
        return {name: self._value(self._member(item, name), depth + 1) for name in item if not name.startswith("#")}

    def _is_struct_array(self, group: h5py.Group) -> bool:
        """An array of structs has a reference for each struct under each field, not marked as a cell array."""
        members = [self._member(group, name) for name in group] if self._is_matlab else []
        return bool(members) and all(
            isinstance(member, h5py.Dataset) and _is_references(member) and "MATLAB_class" not in member.attrs
            for member in members
        )

    def _dataset(self, data: h5py.Dataset, kind: str, depth: int) -> Value:
        if "MATLAB_object_decode" in data.attrs or (kind and kind not in {*_NUMERIC, "char", "cell", "struct"}):
            return Opaque(f"MATLAB {kind or 'object'}")
        if data.attrs.get("MATLAB_empty", 0):
            shape = tuple(int(n) for n in np.ravel(self._read(data)))
            if np.prod(shape):
                raise BadField("an empty array with a size", path=self.path, location=data.name, found=shape)
            return "" if kind == "char" else np.empty(shape, object if kind in ("cell", "struct") else np.float64)
        if _is_references(data):
            return self._cells(data, depth)
        if h5py.check_string_dtype(data.dtype):
            text = np.ravel(self._read(data)).tolist()
            return _text(text[0]) if len(text) == 1 else Opaque("list of texts")
        array = self._in_order(self._read(data))
        if kind == "char":
            lines = ["".join(map(chr, row)) for row in array.reshape(-1, array.shape[-1])]
            return lines[0] if len(lines) == 1 else np.array(lines)
        return array.astype(bool) if kind == "logical" else array

    def _cells(self, data: h5py.Dataset, depth: int) -> npt.NDArray[Any]:
        references = self._in_order(self._read(data))
        cells = np.empty(references.shape, object)
        for index in np.ndindex(references.shape):
            target = self._file[references[index]] if references[index] else None
            cells[index] = np.empty((0, 0)) if target is None else self._value(target, depth + 1)
        return cells

    def _in_order(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.T if self._is_matlab else array

    def _read(self, data: h5py.Dataset) -> npt.NDArray[Any]:
        """All of a dataset, native byte order, compound complex numbers as complex."""
        if data.is_virtual or data.external:
            raise UnsafeFile("the data lie outside the file", path=self.path, location=data.name)
        self._bytes_read += data.nbytes
        check_size(self.path, data.name, self._bytes_read)
        array = np.asarray(data[()])
        if array.dtype.names:
            names = {name.lower(): name for name in array.dtype.names}
            if not ({"real", "imag"} <= set(names)):
                raise BadField(
                    "a compound type",
                    path=self.path,
                    location=data.name,
                    expected="numbers",
                    found=", ".join(array.dtype.names),
                )
            return array[names["real"]] + 1j * array[names["imag"]]
        return array.astype(array.dtype.newbyteorder("="), copy=False)


def _is_references(data: h5py.Dataset) -> bool:
    return h5py.check_ref_dtype(data.dtype) is h5py.Reference


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _attribute(value: Any) -> Value:
    return _text(value) if isinstance(value, (bytes, str)) else np.asarray(value)
