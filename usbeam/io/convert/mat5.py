"""MATLAB ``.mat`` files of version 5 to 7.2, through SciPy."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, TruncatedFile
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size, descend, leaves

HEADER_BYTES = 128
_COMPRESSED, _MATRIX = 15, 14
_OPAQUE_CLASS = 17


class Mat5(Variables):
    """A version 5 file: each variable is read when first asked for.

    Integers keep the type in which MATLAB packed them (a double array of whole numbers may come as uint8).

    Raises
    ------
    TruncatedFile, BadField, TooLarge
        If the file's own index does not hold, or it would unpack to more than is allowed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        with open(path, "rb") as file:
            self._top = [name for name in _names(file, self.path) if name]
        self._values: dict[str, Value] = {}
        self._size_checked = False

    def close(self) -> None:
        """Nothing is held open."""

    def top_level(self) -> list[str]:
        """Names of the outermost variables."""
        return list(self._top)

    def names(self) -> list[str]:
        """Dotted names of everything that holds a value."""
        return [leaf for name in self._top for leaf in leaves(name, self._load(name))]

    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or None."""
        top, *fields = name.split(".")
        return descend(self._load(top), fields) if top in self._top else None

    def _load(self, name: str) -> Value:
        if name not in self._values:
            if not self._size_checked:
                check_unpacked_size(self.path)
                self._size_checked = True
            self._values[name] = _value(_load(self.path, name))
        return self._values[name]


def _load(path: str, name: str) -> Any:
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # duplicate and unnamed variables are no concern of the one asked for
            return loadmat(path, variable_names=[name], mat_dtype=False)[name]
    except Exception as error:  # SciPy raises whatever its parser trips over in a damaged file
        raise BadField(
            "cannot be read as a MATLAB variable",
            path=path,
            location=name,
            found=f"{type(error).__name__}: {error}",
            hint="the file is damaged; save it again from MATLAB",
        ) from error


def _value(raw: Any) -> Value:
    """One value as SciPy gives it, as `usbeam.io.convert.variables.Value` describes."""
    from scipy.io.matlab import MatlabFunction, MatlabOpaque

    if isinstance(raw, MatlabOpaque):
        return Opaque("MATLAB object")
    if isinstance(raw, MatlabFunction):
        return Opaque("function handle")
    if not isinstance(raw, np.ndarray):
        return Opaque("sparse matrix")
    if raw.dtype.kind == "U":
        return raw if raw.size > 1 else "".join(raw.ravel())
    if raw.dtype.names:
        fields = raw.dtype.names
        structs = [{name: _value(record[name]) for name in fields} for record in raw.ravel(order="C")]
        return structs[0] if raw.size == 1 else _objects(structs, raw.shape)
    if raw.dtype == object:
        return _objects([_value(cell) for cell in raw.ravel(order="C")], raw.shape)
    return raw


def _objects(values: list[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    array = np.empty(len(values), object)
    for index, value in enumerate(values):  # one at a time: NumPy would stack equal shapes
        array[index] = value
    return array.reshape(shape)


def _elements(file: BinaryIO, path: str) -> Iterator[tuple[str, bool, int]]:
    """``(byte order, compressed, size)`` of each variable, with the file standing at its first byte."""
    end = os.fstat(file.fileno()).st_size
    file.seek(HEADER_BYTES - 2)
    order = ">" if file.read(2) == b"MI" else "<"
    start = HEADER_BYTES
    while start < end:
        file.seek(start)
        tag = file.read(8)
        kind, size = struct.unpack(order + "II", tag) if len(tag) == 8 else (0, 0)
        if kind not in (_COMPRESSED, _MATRIX):
            raise BadField("no MATLAB variable", path=path, location=f"byte {start}", hint="the file is damaged")
        if start + 8 + size > end:
            raise TruncatedFile(
                "the file ends inside a variable",
                path=path,
                expected=f"at least {start + 8 + size} bytes",
                found=f"{end} bytes",
                hint="copy or download it again",
            )
        yield order, kind == _COMPRESSED, size
        start += 8 + size


def _names(file: BinaryIO, path: str) -> Iterator[str]:
    """Name of each variable, empty for MATLAB objects and MATLAB's own work space."""
    for order, compressed, size in _elements(file, path):
        head = file.read(min(size, 4096))
        try:
            head = zlib.decompressobj().decompress(head, 1024)[8:] if compressed else head
            yield _name(head, order)
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise BadField(
                "a variable's head cannot be read", path=path, found=str(error), hint="the file is damaged"
            ) from error


def _name(head: bytes, order: str) -> str:
    """The name in a matrix element: array flags (16 bytes), dimensions, then the name."""
    (flags,) = struct.unpack_from(order + "I", head, 8)
    if flags & 0xFF == _OPAQUE_CLASS:
        return ""
    _, dimensions = struct.unpack_from(order + "II", head, 16)
    at = 24 + -(-dimensions // 8) * 8
    (word,) = struct.unpack_from(order + "I", head, at)
    size = word >> 16  # small elements pack their size into the upper half of the first word
    if size:
        return head[at + 4 : at + 4 + size].decode("ascii")
    (size,) = struct.unpack_from(order + "I", head, at + 4)
    return head[at + 8 : at + 8 + size].decode("ascii")


def check_unpacked_size(path: str) -> None:
    """Refuse a file that unpacks to more than is allowed, whatever its headers claim.

    Raises
    ------
    TooLarge
        As `usbeam.io.convert.variables.check_size` says.
    BadField
        If the compressed bytes are damaged.
    """
    total = 0
    with open(path, "rb") as file:
        for _, compressed, size in _elements(file, path):
            if not compressed:
                continue
            unpacker, left = zlib.decompressobj(), size
            try:
                while left > 0:
                    data = file.read(min(left, 1 << 16))
                    left -= len(data)
                    while data:
                        total += len(unpacker.decompress(data, 1 << 20))
                        check_size(total, path=path, location="/")
                        data = unpacker.unconsumed_tail
            except zlib.error as error:
                raise BadField("compressed bytes are damaged", path=path, found=str(error)) from error
