"""What every container of named arrays offers the importers, whatever its format."""

from __future__ import annotations

import difflib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField, MissingField, TooLarge
from usbeam.io.read import read_scalar
from usbeam.io.safe import MAX_RATIO, SMALL, check_memory

LISTED = 40
"""How many names an error message lists before it says "and so on"."""


@dataclass(frozen=True)
class Opaque:
    """A value that is there but cannot be read: a MATLAB object, a function handle, a sparse matrix.

    Parameters
    ----------
    what
        What it is, in words.
    """

    what: str


Value: TypeAlias = "npt.NDArray[Any] | str | dict[str, Any] | Opaque"
"""Numbers and logicals are arrays in the shape MATLAB shows; one line of text is a str; a struct is a dict; a cell
array or an array of structs is an object array of values."""


def list_names(names: list[str]) -> str:
    """``"a, b, c"``, cut after `LISTED` names."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "") or "none"


def did_you_mean(name: str, known: list[str]) -> str | None:
    """``"did you mean 'pitch'?"``, or None if nothing known is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None


def check_size(nbytes: int, *, path: str, location: str) -> None:
    """Refuse to unpack more than a file of this size can honestly hold, or than fits into memory.

    Raises
    ------
    TooLarge
        With both numbers.
    """
    allowed = max(SMALL, MAX_RATIO * os.path.getsize(path))
    if nbytes > allowed:
        raise TooLarge(
            "unpacks to more than a recording of this size can hold",
            path=path,
            location=location,
            expected=f"at most {allowed / 1e9:.3g} GB",
            found=f"{nbytes / 1e9:.3g} GB or more",
        )
    check_memory(nbytes, path=path, location=location)


class Variables(ABC):
    """The variables of one file, read when asked for by dotted name: ``variables["exp_data.array.el_xc"]``.

    Use it as a context manager; see `usbeam.io.convert.matlab.open_variables`.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    @abstractmethod
    def top_level(self) -> list[str]:
        """Names of the outermost variables, without reading their values."""

    @abstractmethod
    def names(self) -> list[str]:
        """Dotted names of everything that holds a value, structs taken apart."""

    @abstractmethod
    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or None if there is none."""

    def __getitem__(self, name: str) -> Value:
        """The value of a dotted name.

        Raises
        ------
        MissingField
            If there is none; lists those present.
        BadField
            If it is a MATLAB object, a function handle or a sparse matrix.
        """
        value = self.find(name)
        if value is None:
            self.require(name)
        if isinstance(value, Opaque):
            raise BadField(
                f"cannot read a {value.what}",
                path=self.path,
                location=name,
                expected="numbers, text, a cell array or a struct",
                hint="store it in MATLAB as a plain array",
            )
        return value  # pyright: ignore[reportReturnType]  # require() raised if it is None

    def require(self, *names: str) -> None:
        """Check that all these variables are present.

        Raises
        ------
        MissingField
            Names all that are missing, and lists those present.
        """
        missing = [name for name in names if self.find(name) is None]
        if missing:
            known = self.names()
            raise MissingField(
                f"no variable {', '.join(missing)}",
                path=self.path,
                found=list_names(known),
                hint=did_you_mean(missing[0], known),
            )

    def array(self, name: str) -> npt.NDArray[Any]:
        """A numeric or logical array, in its stored type.

        Raises
        ------
        MissingField, BadField
            If it is not there or not numeric.
        """
        value = self[name]
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            return value
        raise BadField("not numeric", path=self.path, location=name, expected="numbers", found=describe(value))

    def vector(self, name: str) -> Floats:
        """A row, a column or a single number as ``(n,)`` float64.

        Raises
        ------
        MissingField, BadField
            If it is not there, not real, empty, or has two axes longer than 1.
        """
        array = self.array(name)
        if array.dtype.kind == "c" or not array.size or sum(n > 1 for n in array.shape) > 1:
            raise BadField(
                "not a vector", path=self.path, location=name, expected="a row or a column", found=describe(array)
            )
        return array.astype(np.float64).ravel()

    def scalar(self, name: str) -> float:
        """A single number, however it is wrapped: ``()``, ``(1,)``, ``(1, 1)``.

        Raises
        ------
        MissingField, BadField
            If it is not there or not one real number.
        """
        return read_scalar(self.array(name), path=self.path, location=name)


def describe(value: Value) -> str:
    """In words, for messages: ``"(32, 1) cell array"``."""
    if isinstance(value, np.ndarray):
        kind = "cell array" if value.dtype == object else value.dtype.name
        return f"{value.shape} {kind}"
    if isinstance(value, dict):
        return f"a struct with {list_names(list(value))}"
    return "text" if isinstance(value, str) else f"a {value.what}"


def leaves(name: str, value: Value) -> list[str]:
    """Dotted names below one variable: its own, or those of a struct's fields."""
    if isinstance(value, dict):
        return [leaf for field, inner in value.items() for leaf in leaves(f"{name}.{field}", inner)]
    return [name]


def descend(value: Value | None, fields: list[str]) -> Value | None:
    """Follow struct fields; None where one is missing. A field of an array of structs is the array of its values."""
    for field in fields:
        if isinstance(value, np.ndarray) and value.dtype == object:
            inner = np.empty(value.shape, object)
            for index, struct in enumerate(value.flat):
                inner.flat[index] = struct.get(field) if isinstance(struct, dict) else None
            value = None if any(each is None for each in inner.flat) else inner
        else:
            value = value.get(field) if isinstance(value, dict) else None
    return value


def time_axis(variables: Variables, name: str, unit: float = 1.0) -> tuple[float, float]:
    """Start time [s] and sampling frequency [Hz] from a stored time axis.

    Parameters
    ----------
    variables, name
        The file and the vector in it.
    unit
        Seconds in one unit of the vector.

    Raises
    ------
    MissingField, BadField
        If the vector is not there or does not rise in equal steps.
    """
    time = variables.vector(name) * unit
    step = (time[-1] - time[0]) / max(time.size - 1, 1)
    if not (np.isfinite(step) and step > 0 and np.all(np.abs(np.diff(time) - step) <= 1e-3 * step)):
        raise BadField(
            "not a time axis", path=variables.path, location=name, expected="at least two times in equal rising steps"
        )
    return float(time[0]), 1 / float(step)
