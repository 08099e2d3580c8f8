"""MATLAB ``.mat`` files of version 5 to 7.2, after MathWorks' "MAT-File Format" (2019).

SciPy reads these files too, but its compiled reader crashes the process on some damaged ones, drops the imaginary part
when asked for MATLAB's own types, and cannot list files with MATLAB objects. Here every offset is checked against the
bytes that are really there.

A file is a header of 128 bytes and then one element for each variable: a tag (type, size) and data. A matrix element
holds sub-elements: flags with the class, dimensions, name, and what the class asks for. Cells and struct fields are
matrix elements again.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, TruncatedFile, UnsafeFile
from usbeam.io.convert.variables import Opaque, Value, Variables, check_size, descend, leaves
from usbeam.io.read import check_text
from usbeam.io.safe import BYTES_PER_OBJECT, MAX_DEPTH, MAX_OBJECTS

HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_CLASSES = dict(zip(range(6, 16), ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), strict=True))
_UNREADABLE = {_SPARSE: "sparse matrix", 16: "function handle", 17: "MATLAB object"}
_COMPLEX, _LOGICAL = 0x0800, 0x0200


@dataclass(frozen=True)
class _Place:
    """Where a variable stands in the file."""

    start: int
    size: int
    is_compressed: bool


class Mat5(Variables):
    """A version 5 file: each variable is read when first asked for, as the type it has in MATLAB.

    Raises
    ------
    TruncatedFile, BadField, UnsafeFile, TooLarge
        If the file's own index does not hold, or it would unpack to more than is allowed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        with open(path, "rb") as file:
            file.seek(HEADER_BYTES - 2)
            self._order = ">" if file.read(2) == b"MI" else "<"
            self._places = dict(self._index(file))
        self._values: dict[str, Value] = {}
        self._unpacked = 0
        self._parts = 0

    def close(self) -> None:
        """Nothing is held open."""

    def top_level(self) -> list[str]:
        """Names of the outermost variables."""
        return list(self._places)

    def names(self) -> list[str]:
        """Dotted names of everything that holds a value."""
        return [leaf for name in self._places for leaf in leaves(name, self._load(name))]

    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or None."""
        top, *fields = name.split(".")
        return descend(self._load(top), fields) if top in self._places else None

    def _load(self, name: str) -> Value:
        if name not in self._values:
            place = self._places[name]
            with open(self.path, "rb") as file:
                file.seek(place.start)
                content = self._unpack(file, place) if place.is_compressed else file.read(place.size)
            self._values[name] = _Reader(content, self._order, self.path, name, self._take_parts).variable()
        return self._values[name]

    def _index(self, file: BinaryIO) -> Iterator[tuple[str, _Place]]:
        """Name and place of each variable; MATLAB objects and its own work space have no name and are left out."""
        end = os.fstat(file.fileno()).st_size
        at = HEADER_BYTES
        while at < end:
            file.seek(at)
            tag = file.read(8)
            kind, size = struct.unpack(self._order + "II", tag) if len(tag) == 8 else (0, 0)
            if kind not in (_COMPRESSED, _MATRIX):
                raise BadField("no variable", path=self.path, location=f"byte {at}", hint="the file is damaged")
            if at + 8 + size > end:
                raise TruncatedFile(
                    "the file ends inside a variable",
                    path=self.path,
                    expected=f"at least {at + 8 + size} bytes",
                    found=f"{end} bytes",
                    hint="copy or download it again",
                )
            head = file.read(min(size, 4096))
            if kind == _COMPRESSED:
                head = self._decompress(zlib.decompressobj(), head, 1024)[8:]
            name = _Reader(head, self._order, self.path, f"byte {at}", self._take_parts).name()
            if name:
                yield name, _Place(at + 8, size, kind == _COMPRESSED)
            at += 8 + size

    def _unpack(self, file: BinaryIO, place: _Place) -> bytes:
        """Decompress one variable, stopping as soon as it is more than it may be; without its tag."""
        unpacker, left = zlib.decompressobj(), place.size
        parts: list[bytes] = []
        while left > 0 and not unpacker.eof:
            packed = file.read(min(left, 1 << 16))
            left -= len(packed)
            while packed and not unpacker.eof:
                parts.append(self._decompress(unpacker, packed, 1 << 20))
                self._unpacked += len(parts[-1])
                check_size(self._unpacked, path=self.path, location="/")
                packed = unpacker.unconsumed_tail
        return b"".join(parts)[8:]

    def _take_parts(self, count: int) -> None:
        """Refuse more cells and fields than a file of this size can honestly hold.

        An empty one takes 8 bytes, before it is compressed to nothing, and twenty times as many as a Python object.
        """
        self._parts += count
        allowed = max(MAX_OBJECTS, os.path.getsize(self.path) // BYTES_PER_OBJECT)
        if self._parts > allowed:
            raise UnsafeFile(
                "too many cells and fields", path=self.path, expected=f"at most {allowed}", found=self._parts
            )

    def _decompress(self, unpacker: Any, packed: bytes, limit: int) -> bytes:
        try:
            return unpacker.decompress(packed, limit)
        except zlib.error as error:
            raise BadField("compressed bytes are damaged", path=self.path, found=str(error)) from error


class _Reader:
    """Steps through the sub-elements of one matrix element."""

    def __init__(
        self, content: bytes | memoryview, order: str, path: str, location: str, take_parts: Callable[[int], object]
    ) -> None:
        self._content = memoryview(content)
        self._take_parts = take_parts
        self._order = order
        self._path = path
        self._location = location
        self._at = 0

    def _damaged(self, what: str) -> BadField:
        return BadField(what, path=self._path, location=self._location, hint="the file is damaged")

    def _left(self) -> int:
        return len(self._content) - self._at

    def _element(self) -> tuple[int, memoryview]:
        """Type and data of the next sub-element; up to 4 bytes are packed into the tag itself."""
        if self._left() < 8:
            raise self._damaged("a variable ends too early")
        first, second = struct.unpack_from(self._order + "II", self._content, self._at)
        kind, size, start = first, second, self._at + 8
        if first >> 16:
            kind, size, start = first & 0xFFFF, first >> 16, self._at + 4
            if size > 4:
                raise self._damaged("a tag that cannot be")
            self._at += 8
        else:
            # The next tag stands at a multiple of 8; the last one need not be padded.
            self._at = min(start + -(-size // 8) * 8, len(self._content)) if size <= len(self._content) - start else -1
        if self._at < 0:
            raise self._damaged("a variable ends too early")
        return kind, self._content[start : start + size]

    def _numbers(self, what: str) -> npt.NDArray[Any]:
        kind, data = self._element()
        if kind not in _TYPES or len(data) % int(_TYPES[kind][1]):
            raise self._damaged(f"{what} of unknown type {kind}")
        return np.frombuffer(data, np.dtype(self._order + _TYPES[kind]))

    def _text(self, what: str) -> str:
        return self._numbers(what).astype(np.uint8).tobytes().decode("latin-1")

    def _flags(self) -> int:
        flags = self._numbers("flags")
        if not flags.size:
            raise self._damaged("no flags")
        return int(flags[0])

    def name(self) -> str:
        """The variable's name; empty for a MATLAB object, which has none."""
        if self._flags() & 0xFF == 17:
            return ""
        self._numbers("dimensions")
        return self._text("name")

    def variable(self, depth: int = 0) -> Value:
        """The value of the matrix element that begins here."""
        if depth > MAX_DEPTH:
            raise UnsafeFile("nested too deeply", path=self._path, location=self._location, expected=f"<= {MAX_DEPTH}")
        if not self._left():
            return np.empty((0, 0))
        flags = self._flags()
        kind = flags & 0xFF
        if kind in _UNREADABLE:
            return Opaque(_UNREADABLE[kind])
        shape = tuple(int(n) for n in self._numbers("dimensions"))
        self._text("name")
        if len(shape) < 2 or min(shape) < 0:
            raise self._damaged(f"dimensions {shape}")
        if kind == _CHAR:
            return self._characters(shape)
        if kind == _CELL:
            self._check_count(math.prod(shape))
            return _objects([self._inner(depth) for _ in range(math.prod(shape))], shape)
        if kind in (_STRUCT, _OBJECT):
            return self._structs(shape, kind, depth)
        if kind not in _CLASSES:
            raise self._damaged(f"unknown class {kind}")
        array = self._values(shape, kind)
        if flags & _COMPLEX:
            array = array + 1j * self._values(shape, kind)
        return array.astype(bool) if flags & _LOGICAL else array

    def _values(self, shape: tuple[int, ...], kind: int) -> npt.NDArray[Any]:
        """Numbers in MATLAB's class, however small the type they are packed in."""
        packed = self._numbers("values")
        if packed.size != math.prod(shape):
            raise self._damaged(f"{packed.size} values for dimensions {shape}")
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged file may pack what its class cannot hold
            return packed.astype(_CLASSES[kind]).reshape(shape, order="F")

    def _check_count(self, count: int) -> None:
        """Each matrix element takes at least its tag."""
        if count > max(1, self._left() // 8):
            raise self._damaged(f"{count} parts in {self._left()} bytes")
        self._take_parts(count)

    def _inner(self, depth: int) -> Value:
        kind, data = self._element()
        if kind != _MATRIX:
            raise self._damaged(f"a part of type {kind}")
        return _Reader(data, self._order, self._path, self._location, self._take_parts).variable(depth + 1)

    def _structs(self, shape: tuple[int, ...], kind: int, depth: int) -> Value:
        if kind == _OBJECT:
            self._text("class name")
        length = self._numbers("field name length")
        names = self._text("field names")
        if length.size != 1 or length[0] < 1:
            raise self._damaged("no field name length")
        size = int(length[0])
        fields = [names[at : at + size].split("\0")[0] for at in range(0, len(names), size)]
        count = math.prod(shape)
        self._check_count(count * max(1, len(fields)))
        structs = [{field: self._inner(depth) for field in fields} for _ in range(count)]
        return structs[0] if count == 1 else _objects(structs, shape)

    def _characters(self, shape: tuple[int, ...]) -> Value:
        if not math.prod(shape):
            return ""
        check_text(math.prod(shape), path=self._path, location=self._location)
        kind, data = self._element()
        encoding = _TEXTS.get(kind)
        if encoding is None:
            raise self._damaged(f"text of type {kind}")
        if encoding == "utf-16":
            encoding += "-le" if self._order == "<" else "-be"
        letters = bytes(data).decode(encoding, "replace")
        if len(letters) != math.prod(shape):
            raise self._damaged(f"{len(letters)} characters for dimensions {shape}")
        # MATLAB goes down the columns; a line of text is a row.
        lines = ["".join(row) for row in np.array(list(letters)).reshape((shape[0], -1), order="F")]
        return lines[0] if len(lines) == 1 else np.array(lines)


def _objects(values: list[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    array = np.empty(len(values), object)
    for index, value in enumerate(values):  # one at a time: NumPy would stack equal shapes
        array[index] = value
    return array.reshape(shape, order="F")
