"""The named values of a file, to be spoilt one at a time, whatever the container."""

from __future__ import annotations

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Change = Callable[[np.ndarray], object]
LARGEST = 10**6
"""Bytes; what a mutation made larger is left as it is."""


class Fields(ABC):
    """Values by number; a number that is too large counts on from the first."""

    @abstractmethod
    def replace(self, number: int, change: Change) -> None:
        """Put what `change` makes of a value in its place."""

    @abstractmethod
    def drop(self, number: int) -> None:
        """Remove a value, or a group of them."""

    @abstractmethod
    def enlarge(self, number: int, length: int, chunked: bool) -> None:
        """Give a value a last axis of this length, without content, where the container can claim it."""

    @abstractmethod
    def set_attribute(self, number: int, value: object) -> None:
        """Replace an attribute, or remove it, where the container has such."""


class HDF5Fields(Fields):
    """Of an HDF5 file, in place."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._groups: list[str] = []
        self._datasets: list[str] = []
        self._attributes = [("/", name) for name in file.attrs]

        def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
            (self._datasets if isinstance(node, h5py.Dataset) else self._groups).append(name)
            self._attributes.extend((name, attribute) for attribute in node.attrs)

        file.visititems(note)

    def replace(self, number: int, change: Change) -> None:
        for name in _picked(self._datasets, number):
            node = self._file[name]
            if node.nbytes > LARGEST or (node.dtype.hasobject and h5py.check_string_dtype(node.dtype) is None):
                return  # references are changed by what they lead to
            kept, value = dict(node.attrs), change(node[()])
            del self._file[name]
            self._file[name] = value
            with contextlib.suppress(UnicodeEncodeError, TypeError):  # what can be read but not written
                self._file[name].attrs.update(kept)

    def drop(self, number: int) -> None:
        for name in _picked(self._datasets + self._groups, number):
            del self._file[name]

    def enlarge(self, number: int, length: int, chunked: bool) -> None:
        for name in _picked(self._datasets, number):
            node = self._file[name]
            shape, dtype, kept = (*node.shape[:-1], length), node.dtype, dict(node.attrs)
            del self._file[name]
            with contextlib.suppress(ValueError, OSError, TypeError):  # HDF5 itself refuses the largest
                chunks = (1,) * (len(shape) - 1) + (64,) if chunked else None
                self._file.create_dataset(name, shape, dtype, chunks=chunks).attrs.update(kept)

    def set_attribute(self, number: int, value: object) -> None:
        for owner, name in _picked(self._attributes, number):
            if owner in self._file and name in self._file[owner].attrs:
                del self._file[owner].attrs[name]
                if value is not None:
                    with contextlib.suppress(ValueError):  # h5py itself refuses text with a null character
                        self._file[owner].attrs[name] = value


class TreeFields(Fields):
    """Of variables in memory: dicts of dicts, arrays, text and arrays of structs, as SciPy writes them."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = copy.deepcopy(variables)
        self._places = list(_places(self.variables))

    def replace(self, number: int, change: Change) -> None:
        for owner, name in _picked(self._places, number):
            if name in _names(owner):
                with contextlib.suppress(ValueError, TypeError):  # a field of structs holds what fits
                    owner[name] = change(np.asarray(owner[name]))

    def drop(self, number: int) -> None:
        for owner, name in _picked(self._places, number):
            if isinstance(owner, dict):
                owner.pop(name, None)
            else:
                owner[name] = np.zeros((0, 0))

    def enlarge(self, number: int, length: int, chunked: bool) -> None:
        """What is written takes the room that it claims: a little of it."""
        self.replace(number, lambda value: np.zeros((*np.shape(value)[:-1], min(length, 2**16)), value.dtype))

    def set_attribute(self, number: int, value: object) -> None:
        """There are none."""


def _names(owner: Any) -> Any:
    return owner if isinstance(owner, dict) else owner.dtype.names


def _places(owner: Any) -> Iterator[tuple[Any, str]]:
    for name in _names(owner):
        yield owner, name
        value = owner[name]
        if isinstance(value, dict):
            yield from _places(value)
        elif isinstance(value, np.ndarray) and value.dtype.names:
            for each in value.ravel()[:2]:
                yield from _places(each)


def _picked(places: list[Any], number: int) -> list[Any]:
    """One of them, and none where there is none or it is gone."""
    return [places[number % len(places)]] if places else []


@contextlib.contextmanager
def opened(path: Path, variables: dict[str, Any] | None, write: Callable[[Path, dict[str, Any]], object] | None) -> Any:
    """The fields of a file, which is written anew on leaving where it is no HDF5 file."""
    if variables is None or write is None:
        with h5py.File(path, "r+") as file:
            yield HDF5Fields(file)
    else:
        tree = TreeFields(variables)
        yield tree
        write(path, tree.variables)
