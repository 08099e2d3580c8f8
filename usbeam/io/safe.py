"""Opening HDF5 files that nobody has vouched for.

An HDF5 file can name other files on the disk, claim terabytes in a kilobyte, point at itself, or need a filter that
runs foreign code. `safe_open` refuses all of that before a byte of data is read, and says in one line what is wrong.
Whatever h5py raises about a damaged file becomes an error of `usbeam.errors`.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import h5py
import psutil
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]  (compiled, without stubs)

from usbeam.errors import (
    BadField,
    ChecksumMismatch,
    FileAccessError,
    FileFormatError,
    NotHDF5,
    TooLarge,
    TruncatedFile,
    UnsafeFile,
    UsbeamError,
)

MAX_DEPTH = 8
MAX_OBJECTS = 10_000
BYTES_PER_OBJECT = 1000
"""A larger file may hold one object for so many of its bytes: the structs of MATLAB v7.3 are many, beside long data."""
MAX_CHUNKS = 10_000
BYTES_PER_CHUNK = 8
"""A larger file may hold one chunk for so many of its bytes, which is the least that an index of them takes."""
MAX_RATIO = 200
"""Bytes that one byte of file may claim; gzip reaches 1000 on zeros, which no recording is."""
SMALL = 64 * 2**20
"""Bytes that any file may claim, however small it is."""
FREE_SHARE = 0.8
"""Share of the free memory that one read may take."""

Node: TypeAlias = h5py.Group | h5py.Dataset
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
_TRUNCATED = re.compile(r"truncated file: eof = (\d+).*stored_eof = (\d+)")


@contextmanager
def safe_open(
    path: str | os.PathLike[str], *, max_gb: float | None = None, allow_references: bool = False
) -> Generator[h5py.File, None, None]:
    """Open an HDF5 file for reading after checking that it is safe to read.

    Parameters
    ----------
    path
        The file.
    max_gb
        Gigabytes that its datasets may claim, however small the file is; see `MAX_RATIO` and `SMALL`.
    allow_references
        Whether datasets may hold object references, as the cell arrays of MATLAB v7.3 do.

    Yields
    ------
    h5py.File
        Open in mode ``r``, holding only groups, named types and readable datasets behind hard links.

    Raises
    ------
    FileAccessError
        Missing, a folder, not permitted, locked, or left open by a crash.
    NotHDF5, TruncatedFile, FileFormatError
        Not HDF5, cut off, or damaged.
    UnsafeFile
        External files, virtual datasets, soft links, foreign filters or types, loops, too deep, too many objects.
    TooLarge
        A dataset, or all of them together, claim far more than the file can hold.
    """
    with open_hdf5(path) as file:
        check_file(file, max_gb=max_gb, allow_references=allow_references)
        yield file


def check_file(file: h5py.File, *, max_gb: float | None = None, allow_references: bool = False) -> None:
    """Refuse a file that is not safe to read; see `safe_open`."""
    together = 0
    for location, node in walk(file):
        if isinstance(node, h5py.Dataset):
            together += check_dataset(node, location, max_gb=max_gb, allow_references=allow_references)
    _check_claim(together, file.filename, "/", max_gb)


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Generator[h5py.File, None, None]:
    """Open for reading with every failure explained; the content is not checked. See `safe_open`."""
    _refuse_other_files(Path(path))
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise _opening_error(error, path) from error
    try:
        yield file
    finally:
        with guard(path):
            file.close()


def _refuse_other_files(path: Path) -> None:
    """What can be said before HDF5 sees the file."""
    if os.path.isdir(path):
        raise FileAccessError("is a folder, not a file", path=path)
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except FileNotFoundError as error:
        raise FileAccessError("no such file", path=path, hint="check the spelling and the folder") from error
    except (OSError, ValueError) as error:
        raise access_error(error, path) from error
    if not head:
        raise NotHDF5("the file is empty", path=path)
    if head.startswith(b"MATLAB 5.0"):
        raise NotHDF5(
            "a MATLAB v5 file, not HDF5",
            path=path,
            hint="`usbeam convert` reads it; or save it with -v7.3 for other HDF5 tools",
        )
    if not h5py.is_hdf5(path):
        kind = "text" if not head.translate(None, bytes(range(32, 127)) + b"\t\r\n") else "something else"
        raise NotHDF5(f"not an HDF5 file but {kind}", path=path, hint="`usbeam convert` reads other formats")


def access_error(error: OSError | ValueError, path: str | os.PathLike[str]) -> FileAccessError:
    """The operating system's refusal as an error that says what to do."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FileAccessError("the disk or quota is full", path=path, hint="free some space; nothing was replaced")
    if isinstance(error, PermissionError):
        return FileAccessError("not permitted", path=path, hint="check the permissions of the file and its folder")
    return FileAccessError((error.strerror if isinstance(error, OSError) else None) or str(error), path=path)


def _opening_error(error: Exception, path: str | os.PathLike[str]) -> UsbeamError:
    text = str(error)
    cut = _TRUNCATED.search(text)
    if cut:
        return TruncatedFile(
            "the file is cut off",
            path=path,
            expected=f"{cut[2]} bytes",
            found=f"{cut[1]}",
            hint="copy or record it again",
        )
    if "h5clear" in text or "already open for write" in text:
        return FileAccessError(
            "is open for writing elsewhere, or was left open by a crash",
            path=path,
            hint="close the other program; after a crash, `h5clear -s FILE` clears the mark",
        )
    if "unable to lock file" in text:
        return FileAccessError(
            "is locked by another program that writes it",
            path=path,
            hint="close the other program; on a network disk without locks set HDF5_USE_FILE_LOCKING=FALSE",
        )
    return FileFormatError("the HDF5 index is damaged", path=path, found=text, hint="copy or record it again")


@contextmanager
def guard(path: str | os.PathLike[str], location: str | None = None) -> Generator[None, None, None]:
    """Turn what h5py raises about damaged content into a `FileFormatError` at that place."""
    try:
        yield
    except UsbeamError:
        raise
    except MemoryError as error:
        raise TooLarge("not enough memory to read this", path=path, location=location) from error
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        text = str(error)
        # HDF5's words for a failed checksum, which is the first filter that reading undoes.
        kind = ChecksumMismatch if "filter returned failure" in text else FileFormatError
        what = "the stored bytes do not match their checksum" if kind is ChecksumMismatch else "cannot be read"
        raise kind(what, path=path, location=location, found=text, hint="copy or record it again") from error


def names(members: Iterable[str], *, path: str, location: str) -> list[str]:
    """The names in a group, or of attributes, sorted.

    Raises
    ------
    FileFormatError
        If they are damaged or not UTF-8.
    """
    with guard(path, location):
        found = list(members)
    for name in found:
        if isinstance(name, bytes):  # what h5py cannot decode
            raise FileFormatError("a name that is not UTF-8", path=path, location=location, found=repr(name))
    return sorted(found)


def walk(file: h5py.File) -> Iterator[tuple[str, Node]]:
    """Every group and dataset with its path, root first, refusing all but hard links.

    Raises
    ------
    UnsafeFile
        Soft, external or user-defined links, a group inside itself, too deep or too many objects.
    """
    yield "/", file
    with guard(file.filename):
        allowed = max(MAX_OBJECTS, os.path.getsize(file.filename) // BYTES_PER_OBJECT)
    waiting: list[tuple[str, h5py.Group, tuple[int, ...]]] = [("", file, (_address(file),))]
    count = 0
    while waiting:
        prefix, group, ancestors = waiting.pop()
        for name in names(group, path=file.filename, location=prefix or "/"):
            count += 1
            location = f"{prefix}/{name}"
            if count > allowed:
                raise UnsafeFile("too many objects", path=file.filename, expected=f"at most {allowed}")
            node = child(group, name, location)
            if isinstance(node, h5py.Group):
                address = _address(node)
                if address in ancestors:
                    raise UnsafeFile("a group that contains itself", path=file.filename, location=location)
                if len(ancestors) >= MAX_DEPTH:
                    raise UnsafeFile(
                        "groups within groups within groups",
                        path=file.filename,
                        location=location,
                        expected=f"at most {MAX_DEPTH} levels",
                    )
                waiting.append((location, node, (*ancestors, address)))
            if isinstance(node, h5py.Group | h5py.Dataset):
                yield location, node


def child(group: h5py.Group, name: str, location: str) -> h5py.Group | h5py.Dataset | h5py.Datatype:
    """What a hard link leads to; any other link raises `UnsafeFile`."""
    path = group.file.filename
    with guard(path, location):
        kind = group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
        if kind == h5l.TYPE_HARD:
            return group[name]
    what = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "a link to another file"}
    raise UnsafeFile(
        what.get(kind, "a user-defined link"),
        path=path,
        location=location,
        expected="a dataset or group of this file",
        hint="copy the data into the file with h5repack or h5copy",
    )


def _address(group: h5py.Group) -> int:
    with guard(group.file.filename):
        return int(h5o.get_info(group.id).addr)


def open_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset in the root of a file.

    Raises
    ------
    UnsafeFile, BadField
        If there is no dataset behind a hard link.
    """
    node = child(file, name, f"/{name}")
    if not isinstance(node, h5py.Dataset):
        raise BadField("no dataset", path=file.filename, location=f"/{name}")
    return node


def check_dataset(
    dataset: h5py.Dataset, location: str, *, max_gb: float | None = None, allow_references: bool = False
) -> int:
    """Refuse a dataset that reaches outside the file, needs foreign code or claims more than the file can hold.

    Returns
    -------
    int
        Bytes that it claims.
    """
    path = dataset.file.filename
    with guard(path, location):
        if dataset.external:
            raise UnsafeFile("its data lie in another file", path=path, location=location, hint="copy the data in")
        if dataset.is_virtual:
            raise UnsafeFile(
                "a virtual dataset, which is silently empty where its source is missing",
                path=path,
                location=location,
                hint="copy the data in",
            )
        creation = dataset.id.get_create_plist()
        filters = [creation.get_filter(index) for index in range(creation.get_nfilters())]
        foreign = [
            f"{number} {name.decode(errors='replace')}".strip()
            for number, _, _, name in filters
            if number not in _FILTERS
        ]
        if foreign:
            raise UnsafeFile(
                "a filter that usbeam does not run",
                path=path,
                location=location,
                expected="gzip, lzf, shuffle or fletcher32",
                found=", ".join(foreign),
                hint="`usbeam convert` reads zea's files, which are packed so; others: `h5repack -f GZIP=1`",
            )
        if dataset.dtype.hasobject and h5py.check_string_dtype(dataset.dtype) is None:
            is_reference = h5py.check_ref_dtype(dataset.dtype) is not None
            if not (is_reference and allow_references):
                raise UnsafeFile(
                    "references" if is_reference else "values of variable length",
                    path=path,
                    location=location,
                    expected="numbers or text",
                )
        claimed, count = max(dataset.nbytes or 0, chunk_bytes(dataset)), _chunk_count(dataset)
        stored = os.path.getsize(path)
    _check_claim(claimed, path, location, max_gb)
    if count > max(MAX_CHUNKS, stored // BYTES_PER_CHUNK):  # each takes time to look for, whether it is there or not
        raise TooLarge(
            f"claims {count} chunks in a file of {stored} bytes",
            path=path,
            location=location,
            hint="rewrite the file with larger chunks, with h5repack",
        )
    return claimed


def _check_claim(claimed: int, path: str, location: str, max_gb: float | None) -> None:
    """Raise `TooLarge` for more bytes than a file of this size can honestly hold."""
    with guard(path, location):
        stored = os.path.getsize(path)
    allowed = max(SMALL, MAX_RATIO * stored, (max_gb or 0) * 1e9)
    if claimed > allowed:
        raise TooLarge(
            f"claims {claimed / 1e9:.3g} GB in a file of {stored} bytes",
            path=path,
            location=location,
            expected=f"at most {allowed / 1e9:.3g} GB",
            hint="if the file is to be trusted, allow more with max_gb= or --max-gb",
        )


def chunk_bytes(dataset: h5py.Dataset) -> int:
    """Memory that one chunk takes when it is unpacked; 0 where the data are stored in one piece."""
    return math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0


def _chunk_count(dataset: h5py.Dataset) -> int:
    """Chunks that the shape asks for; 0 where the data are stored in one piece."""
    return (
        math.prod(-(-n // each) for n, each in zip(dataset.shape, dataset.chunks, strict=True)) if dataset.chunks else 0
    )


def check_memory(nbytes: int, *, path: str, location: str, max_gb: float | None = None) -> None:
    """Raise `TooLarge` if `nbytes` do not fit into `max_gb`, or into `FREE_SHARE` of the free memory."""
    free = FREE_SHARE * psutil.virtual_memory().available
    allowed = free if max_gb is None else min(free, max_gb * 1e9)
    if nbytes > allowed:
        raise TooLarge(
            f"reading this takes {nbytes / 1e9:.3g} GB",
            path=path,
            location=location,
            expected=f"at most {allowed / 1e9:.3g} GB",
            hint="read fewer frames, or allow more with max_gb= or --max-gb"
            if allowed < free
            else "read fewer frames, or free some memory",
        )
