"""One value of a file: its type as the contract names types, and whether it keeps to the contract's limits."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField
from usbeam.io.read import read_scalar, read_text
from usbeam.io.spec import Entry


def dtype_name(dataset: h5py.Dataset) -> str:
    """Type of a dataset as contracts name it, whatever its byte order: ``float64``, ``str``, ..."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return "str"
    return dataset.dtype.newbyteorder("=").name if dataset.dtype.names is None else "compound"


def as_type(value: Any, dtype: str) -> Any:
    """An attribute as the contract types it."""
    if dtype == "str":
        return read_text(value)
    if dtype == "bool":
        if not isinstance(value, bool | np.bool_):
            raise BadField("wrong type", expected="true or false", found=repr(value))
        return bool(value)
    if dtype == "float64":
        return read_scalar(value)
    try:
        settings = json.loads(read_text(value))
    except (ValueError, RecursionError) as error:
        raise BadField("not JSON", found=str(error)) from error
    if not isinstance(settings, dict):
        raise BadField("not a JSON object", found=type(settings).__name__)
    return settings


def check_value(entry: Entry, value: Any) -> None:
    """Refuse a value that has the right type and shape but breaks the limits of its entry.

    Raises
    ------
    BadField
        For a choice that is not offered, numbers that are not finite, and numbers out of range.
    """
    if entry.choices:
        wrong = [each for each in (value if isinstance(value, tuple) else (value,)) if each not in entry.choices]
        if wrong:
            choices = " or ".join(str(choice) for choice in entry.choices)
            raise BadField("unknown value", expected=choices, found=repr(wrong[0]))
    elif isinstance(value, float | np.ndarray):
        _check_numbers(entry, np.asarray(value))


def _check_numbers(entry: Entry, numbers: npt.NDArray[Any]) -> None:
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        first = tuple(int(index) for index in np.argwhere(wrong)[0])
        where = f", the first at index {first}" if first else ""
        raise BadField(
            f"{wrong.sum()} value(s) not finite{where}", expected="finite numbers", found=str(numbers[first])
        )
    if np.iscomplexobj(numbers):
        return
    low, high = float(numbers.min()), float(numbers.max())
    if entry.above is not None and low <= entry.above:
        raise BadField("out of range", expected=f"> {entry.above}", found=f"{low:g}")
    if entry.minimum is not None and low < entry.minimum:
        raise BadField("out of range", expected=f">= {entry.minimum}", found=f"{low:g}")
    if entry.maximum is not None and high > entry.maximum:
        raise BadField("out of range", expected=f"<= {entry.maximum}", found=f"{high:g}")
