"""Values out of an HDF5 file that `usbeam.io.safe` opened: arrays, numbers, text."""

from __future__ import annotations

import math
import os
from typing import Any

import h5py
import numpy as np

from usbeam.errors import BadField, TooLarge
from usbeam.io import safe

MAX_TEXT = 100_000
"""Texts of HDF5, or letters of MATLAB; a larger file may hold one for each of its bytes."""


def read_dataset(dataset: h5py.Dataset, *, max_gb: float | None = None, location: str | None = None) -> Any:
    """A whole dataset in this machine's byte order; text as a tuple of str, a single text as a str.

    Parameters
    ----------
    dataset, max_gb
        What is read, and how much that may be.
    location
        What errors call it; its HDF5 path if not given, for which HDF5 searches the whole file where the dataset was
        reached by a reference.

    Raises
    ------
    TooLarge, FileFormatError
        If it does not fit into memory or is damaged.
    """
    path, location = dataset.file.filename, location or dataset.name or "?"
    with safe.guard(path, location):
        safe.check_memory(
            (dataset.nbytes or 0) + safe.chunk_bytes(dataset), path=path, location=location, max_gb=max_gb
        )
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        if is_text:
            check_text(dataset.size or 0, path=path, location=location)
        value = dataset[()]
        if not is_text:
            return np.asarray(value).astype(dataset.dtype.newbyteorder("="), copy=False)
        texts = np.atleast_1d(np.asarray(value, dtype=object))
        return tuple(read_text(text) for text in texts.ravel()) if dataset.ndim else read_text(value)


def check_text(count: int, *, path: str, location: str) -> None:
    """Refuse more text than a file of this size can honestly hold; each part of it becomes a Python object.

    Raises
    ------
    TooLarge
        With both numbers.
    """
    allowed = max(MAX_TEXT, os.path.getsize(path))
    if count > allowed:
        raise TooLarge("too much text", path=path, location=location, expected=f"at most {allowed}", found=count)


def read_text(value: object) -> str:
    """Text as a str, whether it was stored as text or as bytes.

    Raises
    ------
    BadField
        If it is no text, or not UTF-8.
    """
    if isinstance(value, bytes):
        try:
            return value.rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadField("text that is not UTF-8", found=repr(value[:40])) from error
    if isinstance(value, str):
        return value
    raise BadField("not text", expected="text", found=type(value).__name__)


def read_scalar(value: object, *, path: str | None = None, location: str | None = None) -> float:
    """One real number, however many axes of length 1 surround it, as MATLAB writes its scalars.

    Raises
    ------
    BadField
        If there is not exactly one real number.

    Examples
    --------
    >>> read_scalar(np.array([[40e6]]))
    40000000.0
    """
    array = np.asarray(value)
    if array.size != 1:
        raise BadField("not a single number", path=path, location=location, expected="1 value", found=array.shape)
    if array.dtype.kind not in "fiu":
        raise BadField("not a real number", path=path, location=location, expected="a number", found=array.dtype)
    return float(array.reshape(()))


def attribute_names(node: safe.Node) -> list[str]:
    """Names of all attributes, sorted.

    Raises
    ------
    FileFormatError
        If they are damaged or not UTF-8.
    """
    return safe.names(node.attrs, path=node.file.filename, location=node.name or "?")


def read_attribute(node: safe.Node, name: str, *, location: str | None = None) -> Any:
    """One attribute: a str, or a NumPy value.

    Parameters
    ----------
    node, name
        Whose, and which.
    location
        What errors call the node; as for `read_dataset`.

    Raises
    ------
    BadField
        If it is neither a number nor text.
    FileFormatError
        If it is damaged.
    """
    path = node.file.filename
    location = f"{location or node.name}:{name}"
    with safe.guard(path, location):
        identifier = node.attrs.get_id(name)
        if math.prod(identifier.shape or ()) * identifier.dtype.itemsize > safe.SMALL:
            raise TooLarge("an attribute of this size", path=path, location=location)
        if identifier.dtype.hasobject and h5py.check_string_dtype(identifier.dtype) is None:
            raise BadField("neither a number nor text", path=path, location=location)
        value = node.attrs[name]
        return read_text(value) if isinstance(value, bytes | np.bytes_) else value
