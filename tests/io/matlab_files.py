"""Writers of MATLAB files for the tests: v5 through SciPy, v7.3 in MATLAB's HDF5 layout, MATLAB objects by hand."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

CLASSES = {"float64": "double", "float32": "single", "bool": "logical"}


def write_v5(path: Path, variables: dict[str, Any], *, compress: bool = True) -> Path:
    savemat(path, variables, do_compression=compress, oned_as="row")
    return path


def write_v73(path: Path, variables: dict[str, Any]) -> Path:
    """As MATLAB's ``save -v7.3``: user block, reversed axes, references for cells, codes for text."""
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        for name, value in variables.items():
            _write(file, name, value, references)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def _write(group: h5py.Group, name: str, value: Any, references: h5py.Group) -> h5py.Dataset | h5py.Group:
    if isinstance(value, dict):
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, inner in value.items():
            _write(made, key, inner, references)
        return made
    if isinstance(value, str):
        codes = np.array([[ord(letter)] for letter in value], np.uint16)
        return _dataset(group, name, codes if value else np.zeros((0, 0)), "char")
    array = np.atleast_2d(value)
    if array.dtype.names:  # an array of structs: references under each field, without a class
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key in array.dtype.names:
            made.create_dataset(key, data=_references(array[key], references), dtype=h5py.ref_dtype)
        return made
    if array.dtype == object:
        return _dataset(group, name, _references(array, references), "cell")
    stored: Any = array.T
    if array.dtype.kind == "c":
        stored = np.empty(array.T.shape, [("real", "f8"), ("imag", "f8")])
        stored["real"], stored["imag"] = array.T.real, array.T.imag
    if array.dtype == bool:
        stored = stored.astype(np.uint8)
    return _dataset(
        group, name, stored, CLASSES.get(array.dtype.name, array.dtype.name.replace("complex128", "double"))
    )


def _references(array: Any, references: h5py.Group) -> Any:
    made = np.empty(array.T.shape, h5py.ref_dtype)
    for index in np.ndindex(array.T.shape):
        item = _write(references, f"r{len(references)}", array.T[index], references)
        made[index] = item.ref
    return made


def _dataset(group: h5py.Group, name: str, data: Any, matlab_class: str) -> h5py.Dataset:
    empty = data.size == 0
    if empty:
        data = np.array(data.T.shape, np.uint64)
    made = group.create_dataset(name, data=data, dtype=h5py.ref_dtype if data.dtype == object else None)
    made.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    if empty:
        made.attrs["MATLAB_empty"] = np.uint8(1)
    return made


def with_matlab_object(path: Path) -> Path:
    """Put a MATLAB object (class MCOS) in front of the variables of an uncompressed v5 file."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    flags = element(6, struct.pack("<II", 17, 0))
    texts = b"".join(element(1, text) for text in (b"object", b"MCOS", b"Thing"))
    numbers = element(6, struct.pack("<II", 13, 0)) + element(5, struct.pack("<ii", 1, 1))
    numbers += element(1, b"") + element(6, struct.pack("<I", 7))
    content = path.read_bytes()
    made = element(14, flags + texts + element(14, numbers))
    path.write_bytes(content[:128] + made + content[128:])
    return path
