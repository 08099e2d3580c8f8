"""MATLAB ``.mat`` files of version 7.3, which are HDF5, and any other HDF5 file of named arrays.

MATLAB writes structs as groups, cell arrays as arrays of object references into ``/#refs#``, text as character codes,
complex numbers as a compound of ``real`` and ``imag``, and every array with its axes in reverse order. All of that is
undone here, so that a variable has the value and shape that a version 5 file gives. A file without MATLAB's marks is
taken as it is; there ``name@attribute`` (or ``@attribute`` for the root) reads an attribute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, UnsafeFile
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size
from usbeam.io.read import check_text, read_attribute, read_dataset
from usbeam.io.safe import (
    MAX_DEPTH,
    Node,
    check_dataset,
    check_file,
    child,
    guard,
    open_hdf5,
)

_NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
_DECODED = {*_NUMERIC, "char", "cell", "struct", ""}


class HDF5Variables(Variables):
    """An HDF5 file, of MATLAB or not; `usbeam.io.safe` checks all of it before a value is read.

    The names of the outermost variables, by which most formats are told apart, can be had without that: some files have
    tens of thousands of objects.

    Raises
    ------
    UnsafeFile, TooLarge, FileFormatError
        When the file leads outside itself, claims more than it can hold, or is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._open = ExitStack()
        self._file = self._open.enter_context(open_hdf5(path))
        self._is_checked = False
        with guard(self.path):
            members = [self._member(self._file, name) for name in self.top_level()]
            self._is_matlab = any("MATLAB_class" in member.attrs for member in members)
        self._bytes_read = 0
        self._values: dict[str, Value | None] = {}

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def top_level(self) -> list[str]:
        """Names of the outermost variables."""
        return [name for name in _keys(self._file) if not name.startswith("#")]

    def names(self) -> list[str]:
        """Dotted names of everything that holds a value; attributes of files that are not MATLAB's as ``name@key``."""
        self._check()
        with guard(self.path):
            return list(self._names(self._file, ""))

    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or None; read once."""
        if name not in self._values:
            self._check()
            self._values[name] = self._find(name)
        return self._values[name]

    def _check(self) -> None:
        if not self._is_checked:
            check_file(self._file, allow_references=True)
            self._is_checked = True

    def _find(self, name: str) -> Value | None:
        place, _, key = name.partition("@")
        with guard(self.path, name):
            item: Any = self._file
            for part in place.split(".") if place else []:
                if not isinstance(item, h5py.Group) or part not in item:
                    return None
                item = self._member(item, part)
            if key:
                return _attribute(item, key, place or "/")
            return self._value(item, place, 0) if place else None

    def _member(self, group: h5py.Group, name: str, within: str = "") -> Any:
        return child(group, name, f"{within}.{name}" if within else name)

    def _names(self, group: h5py.Group, prefix: str) -> Iterator[str]:
        yield from self._attribute_names(group, prefix)
        for name in _keys(group):
            if name.startswith("#"):
                continue
            item = self._member(group, name)
            dotted = f"{prefix}.{name}" if prefix else name
            if isinstance(item, h5py.Group) and not self._is_struct_array(item):
                yield from self._names(item, dotted)
            else:
                yield dotted
                yield from self._attribute_names(item, dotted)

    def _attribute_names(self, item: Any, dotted: str) -> Iterator[str]:
        return iter(() if self._is_matlab else [f"{dotted}@{key}" for key in item.attrs])

    # Errors say dotted names: HDF5 would search the whole file for the path of what a reference leads to.
    def _value(self, item: Any, location: str, depth: int) -> Value:
        if depth > MAX_DEPTH:  # references may run in a circle
            raise UnsafeFile("nested too deeply", path=self.path, location=location, expected=f"<= {MAX_DEPTH} levels")
        kind = _attribute(item, "MATLAB_class", location) or ""
        if "MATLAB_sparse" in item.attrs:
            return Opaque("sparse matrix")
        if "MATLAB_object_decode" in item.attrs or kind not in _DECODED:
            return Opaque(f"MATLAB {kind or 'object'}")
        if isinstance(item, h5py.Dataset):
            return self._dataset(item, location, str(kind), depth)
        members = {name: (self._member(item, name, location), f"{location}.{name}") for name in _keys(item)}
        if self._is_struct_array(item):
            fields: dict[str, Any] = {name: self._cells(*member, depth) for name, member in members.items()}
            shape = next(iter(fields.values())).shape
            structs = np.empty(shape, object)
            for index in np.ndindex(shape):
                structs[index] = {name: values[index] for name, values in fields.items()}
            return structs
        return {name: self._value(*member, depth + 1) for name, member in members.items()}

    def _is_struct_array(self, group: h5py.Group) -> bool:
        """An array of structs has a reference for each struct under each field, not marked as a cell array."""
        members = [self._member(group, name) for name in _keys(group)] if self._is_matlab else []
        return bool(members) and all(
            isinstance(member, h5py.Dataset) and _is_references(member) and "MATLAB_class" not in member.attrs
            for member in members
        )

    def _dataset(self, data: h5py.Dataset, location: str, kind: str, depth: int) -> Value:
        if "MATLAB_empty" in data.attrs:
            shape = tuple(int(n) for n in np.ravel(self._read(data, location)))
            if np.prod(shape):
                raise BadField("an empty array with a size", path=self.path, location=location, found=shape)
            return "" if kind == "char" else np.empty(shape, object if kind in ("cell", "struct") else np.float64)
        if _is_references(data):
            return self._cells(data, location, depth)
        value = self._read(data, location)
        if isinstance(value, str | tuple):
            return value if isinstance(value, str) else Opaque("list of texts")
        array = self._in_order(value)
        if kind == "char":
            check_text(array.size, path=self.path, location=location)
            lines = ["".join(map(chr, row)) for row in array.reshape(-1, array.shape[-1])]
            return lines[0] if len(lines) == 1 else np.array(lines)
        return array.astype(bool) if kind == "logical" else array

    def _cells(self, data: h5py.Dataset, location: str, depth: int) -> npt.NDArray[Any]:
        references = self._in_order(self._read(data, location))
        cells = np.empty(references.shape, object)
        for index in np.ndindex(references.shape):
            if not references[index]:
                raise BadField("a cell without content", path=self.path, location=location, found=f"at {index}")
            cells[index] = self._value(self._file[references[index]], f"{location}{index}", depth + 1)
        return cells

    def _in_order(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.T if self._is_matlab else array

    def _read(self, data: h5py.Dataset, location: str) -> Any:
        """All of a dataset, compound complex numbers as complex."""
        # A reference may lead to a dataset that no name leads to, and many to the same one.
        check_dataset(data, location, allow_references=True)
        self._bytes_read += data.nbytes or 0
        check_size(self._bytes_read, path=self.path, location=location)
        value = read_dataset(data, location=location)
        if not (isinstance(value, np.ndarray) and value.dtype.names):
            return value
        if set(value.dtype.names) != {"real", "imag"}:
            raise BadField(
                "a compound type",
                path=self.path,
                location=location,
                expected="numbers",
                found=", ".join(value.dtype.names),
            )
        return value["real"] + 1j * value["imag"]


def _keys(group: h5py.Group) -> list[str]:
    return [str(name) for name in group]


def _is_references(data: h5py.Dataset) -> bool:
    return h5py.check_ref_dtype(data.dtype) is h5py.Reference


def _attribute(item: Node, key: str, location: str) -> Value | None:
    if key not in item.attrs:
        return None
    value = read_attribute(item, key, location=location)
    return value if isinstance(value, str) else np.asarray(value)
