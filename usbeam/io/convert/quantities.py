"""The small language of mappings: quantities as constants, variables with units, lists and sums.

=====================================================  ==========================================================
``1540`` or ``"1540m/s"``, ``"-0.7us"``                a constant; a bare number is SI
``{variable = "fs", unit = "MHz"}``                    a variable and the unit it is stored in (SI if not given)
``{variable = "d", unit = "0.05us"}``                  the unit may be any quantity: here d counts steps of 50 ns
``{variable = "angles", unit = "deg", sign = -1}``     with the opposite sign
``{variable = "delays", transpose = true}``            with its two axes exchanged
``["-1deg", "0deg", "1deg"]``                          a list of constants
``{sum = [{variable = "t0", unit = "us"}, "-0.7us"]}``  a sum of any of these
=====================================================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import ConfigError, UsbeamError
from usbeam.io.convert.variables import Variables, did_you_mean
from usbeam.units import parse_quantity

_TERM = ("variable", "unit", "sign", "transpose")
MAX_NESTING = 8


class Section:
    """One table of a mapping, whose values are read as quantities, texts or tables.

    Parameters
    ----------
    table
        As TOML gives it.
    variables
        The data file.
    path
        The mapping's own file, for messages.
    name
        Where the table stands in the mapping; empty at the top.
    """

    def __init__(self, table: Mapping[str, Any], variables: Variables, path: str, name: str = "") -> None:
        self._table = table
        self.variables = variables
        self.path = path
        self.name = name

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def error(
        self, what: str, key: str = "", *, expected: object = None, found: object = None, hint: str | None = None
    ) -> ConfigError:
        """An error about this table or one of its keys, to raise."""
        location = ".".join(part for part in (self.name, key) if part)
        return ConfigError(what, path=self.path, location=location, expected=expected, found=found, hint=hint)

    def check_keys(self, *known: str) -> None:
        """Refuse any key that is not known.

        Raises
        ------
        ConfigError
            For the first unknown key, with the nearest known one.
        """
        for key in self._table:
            if key not in known:
                raise self.error("unknown key", key, expected=", ".join(known), hint=did_you_mean(key, list(known)))

    def exclude(self, key: str, *others: str) -> None:
        """Refuse keys that contradict one that is given.

        Raises
        ------
        ConfigError
            If any of the others is given.
        """
        for other in others:
            if other in self._table:
                raise self.error(f"{other} does not go together with {key}", other)

    def section(self, key: str) -> Section:
        """A table inside this one.

        Raises
        ------
        ConfigError
            If it is not there or no table.
        """
        table = self._value(key)
        if not isinstance(table, dict):
            raise self.error("not a table", key, expected=f"[{key}]", found=repr(table))
        return Section(table, self.variables, self.path, ".".join(part for part in (self.name, key) if part))

    def _value(self, key: str) -> Any:
        if key not in self._table:
            raise self.error("missing", key, hint="every physical fact is stated, none is guessed")
        return self._table[key]

    def text(self, key: str) -> str:
        """A text; empty if it is not there."""
        value = self._table.get(key, "")
        if not isinstance(value, str):
            raise self.error("not a text", key, expected='"..."', found=repr(value))
        return value

    def flag(self, key: str) -> bool | None:
        """True or false; None if it is not there."""
        value = self._table.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error("neither true nor false", key, found=repr(value))
        return value

    def is_flag(self, key: str) -> bool:
        """Whether the value is true or false rather than a quantity."""
        return isinstance(self._table.get(key), bool)

    def texts(self, key: str) -> list[str]:
        """A list of texts.

        Raises
        ------
        ConfigError
            If it is not there or anything else.
        """
        value = self._value(key)
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise self.error("not a list of names", key, expected='["...", "..."]', found=repr(value)[:60])
        return list(value)

    def choice(self, key: str, *allowed: str) -> str:
        """A text out of a few.

        Raises
        ------
        ConfigError
            If it is not there or another.
        """
        value = self._value(key)
        if value not in allowed:
            raise self.error(
                "unknown choice",
                key,
                expected=" or ".join(map(repr, allowed)),
                found=repr(value),
                hint=did_you_mean(value, list(allowed)) if isinstance(value, str) else None,
            )
        return value

    def variable_names(self) -> list[str]:
        """Every variable that this table and those inside it name, free text apart."""
        tables = {key: value for key, value in self._table.items() if key != "provenance"}
        return list(dict.fromkeys(_variable_names(tables, 0)))

    def variable(self, key: str, dimension: str) -> tuple[str, float]:
        """Name of a variable and the SI value of its unit.

        Raises
        ------
        ConfigError
            If the value is anything else.
        """
        term = self._value(key)
        if not (isinstance(term, dict) and isinstance(term.get("variable"), str)):
            raise self.error("not a variable", key, expected='{variable = "...", unit = "..."}', found=repr(term))
        Section(term, self.variables, self.path, f"{self.name}.{key}".strip(".")).check_keys(*_TERM)
        return term["variable"], self._unit(term, key, dimension)

    def numbers(self, key: str, dimension: str) -> Floats:
        """A quantity of any shape in SI: 0-d for one number, ``(n,)`` for a row, a column or a list.

        Raises
        ------
        ConfigError
            If it cannot be read as that dimension.
        MissingField, BadField
            If a variable is not there or not real numbers.
        """
        value = self._numbers(self._value(key), key, dimension, 0)
        if not np.all(np.isfinite(value)):
            raise self.error("not finite", key, found=value[~np.isfinite(value)][0] if value.ndim else value)
        return value

    def number(self, key: str, dimension: str) -> float:
        """One SI number.

        Raises
        ------
        ConfigError, MissingField, BadField
            As for `numbers`, and if there are several.
        """
        value = self.numbers(key, dimension)
        if value.size != 1:
            raise self.error("not one number", key, found=f"{value.size} numbers")
        return float(value.reshape(()))

    def positive(self, key: str, dimension: str) -> float:
        """One SI number above zero.

        Raises
        ------
        ConfigError, MissingField, BadField
            As for `number`, and if it is zero or negative.
        """
        value = self.number(key, dimension)
        if value <= 0:
            raise self.error("not a positive number", key, found=value)
        return value

    def integer(self, key: str) -> int:
        """One whole number.

        Raises
        ------
        ConfigError, MissingField, BadField
            As for `number`, and if it is not whole.
        """
        value = self.number(key, "ratio")
        if value != round(value):
            raise self.error("not a whole number", key, found=value)
        return int(value)

    def indices(self, key: str) -> npt.NDArray[np.int64]:
        """0-based indices; ``first_index`` beside them says whether the file counts from 0 or from 1.

        Raises
        ------
        ConfigError, MissingField, BadField
            As for `numbers`, and if they are not whole.
        """
        value = np.atleast_1d(self.numbers(key, "ratio"))
        first = self.integer("first_index")
        if first not in (0, 1):
            raise self.error("not a way to count", "first_index", expected="0 or 1", found=first)
        if not np.all(value == np.round(value)):
            raise self.error("not whole numbers", key)
        return value.astype(np.int64) - first

    def _numbers(self, term: Any, key: str, dimension: str, depth: int) -> Floats:
        if isinstance(term, bool) or depth > MAX_NESTING:
            raise self.error("not a quantity", key, found=repr(term)[:60])
        if isinstance(term, int | float):
            return np.asarray(term, np.float64)
        if isinstance(term, str):
            return np.asarray(self._parse(term, key, dimension))
        if isinstance(term, list):
            return self._joined(np.stack, [self._numbers(item, key, dimension, depth + 1) for item in term], key)
        if isinstance(term, dict) and set(term) == {"sum"} and isinstance(term["sum"], list):
            return self._joined(sum, [self._numbers(item, key, dimension, depth + 1) for item in term["sum"]], key)
        if isinstance(term, dict) and isinstance(term.get("variable"), str):
            return self._stored(term, key, dimension)
        raise self.error(
            "not a quantity",
            key,
            expected='a number, "1.5mm", {variable = "...", unit = "..."}, {sum = [...]} or a list',
            found=repr(term)[:60],
        )

    def _joined(self, join: Any, values: list[Floats], key: str) -> Floats:
        try:
            return np.asarray(join(values), np.float64)
        except ValueError as error:
            raise self.error("the parts do not fit each other", key, found=[v.shape for v in values]) from error

    def _stored(self, term: Mapping[str, Any], key: str, dimension: str) -> Floats:
        Section(term, self.variables, self.path, ".".join(part for part in (self.name, key) if part)).check_keys(*_TERM)
        sign, transpose = term.get("sign", 1), term.get("transpose", False)
        if sign not in (1, -1) or not isinstance(transpose, bool):
            raise self.error("sign is 1 or -1, transpose true or false", key, found=f"{sign!r}, {transpose!r}")
        array = self.variables.array(term["variable"])
        if array.dtype.kind == "c":
            raise self.error(f"the variable {term['variable']} is complex", key, expected="real numbers")
        if sum(n > 1 for n in array.shape) <= 1:  # a row, a column or a scalar: MATLAB has no others
            array = array.ravel() if array.size != 1 else array.reshape(())
        value = array.astype(np.float64) * (sign * self._unit(term, key, dimension))
        return value.T if transpose else value

    def _unit(self, term: Mapping[str, Any], key: str, dimension: str) -> float:
        unit = term.get("unit")
        if unit is None:
            return 1.0
        if not isinstance(unit, str) or not unit:
            raise self.error("not a unit", key, found=repr(unit))
        return self._parse(unit if unit[0] in "+-.0123456789" else f"1{unit}", key, dimension)

    def _parse(self, text: str, key: str, dimension: str) -> float:
        try:
            return parse_quantity(text, dimension)
        except UsbeamError as error:
            raise self.error(error.what, key, expected=error.expected, hint=error.hint) from error


def _variable_names(value: Any, depth: int) -> Iterator[str]:
    if depth > MAX_NESTING:
        return
    if isinstance(value, dict):
        if isinstance(value.get("variable"), str):
            yield value["variable"]
        for inner in value.values():
            yield from _variable_names(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _variable_names(inner, depth + 1)
