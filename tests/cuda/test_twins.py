"""Twins: the kernels of both devices have the same names, parameters and documents."""

from __future__ import annotations

import importlib
import inspect
from types import FunctionType
from typing import Any

import pytest

from usbeam.kernels.backend import MODULES


def _surface(name: str, device: str) -> dict[str, list[str]]:
    """Public functions of a module and their parameters."""
    module = importlib.import_module(f"usbeam.kernels.{name}_{device}")
    found: dict[str, list[str]] = {}
    for key, value in vars(module).items():
        function: Any = getattr(value, "py_func", value)  # what Numba compiled
        if not key.startswith("_") and isinstance(function, FunctionType) and function.__module__ == module.__name__:
            found[key] = list(inspect.signature(function).parameters)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_twins_have_the_same_functions_and_parameters(name: str) -> None:
    assert _surface(name, "gpu") == _surface(name, "cpu")
