"""One MATLAB struct, or an array of them, read field by field."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.variables import Value, Variables, describe


class Structs:
    """The structs behind one name; MATLAB writes a single one otherwise than an array of them, here both are a list.

    Parameters
    ----------
    variables
        The open file.
    name
        Dotted name: ``"Receive"``, ``"Resource.RcvBuffer"``.
    """

    def __init__(self, variables: Variables, name: str) -> None:
        self._variables = variables
        self._name = name
        self._count: int | None = None
        self._values: dict[str, list[Value]] = {}

    def __contains__(self, field: str) -> bool:
        """Whether the structs have this field."""
        return self._variables.find(f"{self._name}.{field}") is not None

    def values(self, field: str) -> list[Value]:
        """The field's value in each struct.

        Raises
        ------
        MissingField, BadField
            If it is not there, cannot be read, or other fields have another number of values.
        """
        if field in self._values:
            return self._values[field]
        value = self._variables[f"{self._name}.{field}"]
        values: list[Value] = [value]
        if isinstance(value, np.ndarray) and value.dtype == object:
            values = list(value.ravel(order="F"))
        self._count = self._count or len(values)
        if len(values) != self._count or not values:
            raise BadField(
                "not a value for each struct",
                path=self._variables.path,
                location=f"{self._name}.{field}",
                expected=self._count,
                found=len(values),
            )
        self._values[field] = values
        return values

    def numbers(self, field: str, default: float | None = None) -> Floats:
        """One number of each struct ``(n,)``.

        Parameters
        ----------
        field
            Its name.
        default
            What an empty value counts as; if not given, an empty value is an error.

        Raises
        ------
        MissingField, BadField
            If it is not there or is not one finite number in each struct.
        """
        values = self.values(field)
        found = np.empty(len(values))
        for index in range(len(values)):
            number = self.array(field, index)
            if number.size == 0 and default is not None:
                found[index] = default
                continue
            if number.size != 1:
                raise self._error("not a single number", field, index, "1 value", describe(number))
            found[index] = number.item()
        if not np.all(np.isfinite(found)):
            raise self._error("not finite", field, int(np.argmin(np.isfinite(found))), "a number", None)
        return found

    def array(self, field: str, index: int) -> npt.NDArray[Any]:
        """The real numbers of one struct, in their stored type and shape.

        Raises
        ------
        MissingField, BadField
            If it is not there or not numeric.
        """
        value = self.values(field)[index]
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return value
        raise self._error("not numeric", field, index, "real numbers", describe(value))

    def vector(self, field: str, index: int, length: int) -> Floats:
        """The row or column of one struct ``(length,)``.

        Raises
        ------
        MissingField, BadField
            If it is not there or has another length.
        """
        array = self.array(field, index)
        if array.size != length or max(array.shape, default=1) != array.size:
            raise self._error("wrong length", field, index, f"{length} values", describe(array))
        return array.astype(np.float64).ravel()

    def texts(self, field: str) -> list[str]:
        """The text of each struct.

        Raises
        ------
        MissingField, BadField
            If it is not there or not text.
        """
        values = self.values(field)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self._error("not text", field, index, "text", describe(value))
        return [str(value) for value in values]

    def _error(self, what: str, field: str, index: int, expected: str, found: str | None) -> BadField:
        where = f"{self._name}({index + 1}).{field}"
        return BadField(what, path=self._variables.path, location=where, expected=expected, found=found)
