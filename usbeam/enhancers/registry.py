"""What an enhancer is: a function of an image's values, with its facts and its checked parameters.

An enhancer is written as a function that takes a `Task` and keyword parameters, each annotated with a `Range` or a
`Choice` and a default, and decorated with `enhancer`::

    @enhancer(title="Gaussian filter", domain="display", reference="...", licence="...")
    def gaussian(task: Task, *, sigma: Annotated[float, Range(0, 1e-2, "m"), "Standard deviation"] = 0.1e-3) -> Values:
        ...

Its name, parameters, units, ranges and defaults are read from there, and nowhere else.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from usbeam import device as devices
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.kernels.backend import Backend, backend
from usbeam.units import parse_quantity

Values = npt.NDArray[np.floating[Any]]
Domain = Literal["envelope", "display"]
"""envelope: linear, above 0. display: 1 + dB / dynamic range, from 0 (the floor) to 1 (the image's maximum)."""

_DIMENSIONS = {"m": "length", "s": "time", "Hz": "frequency"}


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, both allowed, in `unit`."""

    least: float
    most: float = math.inf
    unit: str = ""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        span = f"{self.least:g} to {self.most:g}" if math.isfinite(self.most) else f"at least {self.least:g}"
        return f"{span} {self.unit}".strip()


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return " or ".join(self.words)


@dataclass(frozen=True)
class Parameter:
    """One parameter of an enhancer.

    Parameters
    ----------
    name, default, kind
        As in the signature; `kind` is int, float, bool or str. A default of None: chosen from the image.
    allowed
        Which values are.
    description
        In a few words.
    """

    name: str
    default: Any
    kind: type
    allowed: Range | Choice | None
    description: str

    def parsed(self, text: str) -> Any:
        """The value that a text means, lengths and times with their units; `checked` refuses a text that means none.

        Raises
        ------
        ConfigError
            If a length, time or frequency cannot be read.
        """
        unit = self.allowed.unit if isinstance(self.allowed, Range) else ""
        if unit in _DIMENSIONS:
            return parse_quantity(text, _DIMENSIONS[unit])
        if self.kind is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        try:
            return text if self.kind is str else float(text.removesuffix(unit))
        except ValueError:
            return text

    def checked(self, value: Any, owner: str) -> Any:
        """The value in its type.

        Raises
        ------
        ConfigError
            If it is of another type or not allowed.
        """
        if value is None and self.default is None:
            return None
        given: Any = value.item() if isinstance(value, np.generic) else value
        if type(given) in (int, float) and (self.kind is float or (self.kind is int and float(given).is_integer())):
            given = self.kind(given)
        if type(given) is not self.kind or (self.allowed is not None and given not in self.allowed):
            raise ConfigError(
                "not a value of this parameter",
                location=f"{owner}.{self.name}",
                expected=", ".join(str(each) for each in (self.kind.__name__, self.allowed) if each),
                found=value,
            )
        return given


def _no_progress(_: float) -> None:
    pass


@dataclass
class Task:
    """What an enhancer is given.

    Parameters
    ----------
    values : (n_z, n_x)
        In the enhancer's domain, finite, not all zero. Not to be changed in place.
    grid
        Where they lie.
    dynamic_range
        Displayed range [dB]: what a display value of 0 is below one of 1.
    looks
        Further images of the same place, each with speckle of its own; for methods that take them.
    progress
        To be called with the fraction done, by an enhancer that takes its time.
    notes
        What is to be known about how it went; kept in the settings of the enhanced image.
    source
        The image as it was given, in a state that may tell more; for methods that want to know.
    device
        Where to work, as it was asked for: ``auto``, ``cpu`` or ``gpu``; for methods that can work on a GPU.
    """

    values: Values
    grid: Grid
    dynamic_range: float = 60.0
    looks: tuple[Values, ...] = ()
    progress: Callable[[float], None] = _no_progress
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
    source: Image | None = None
    device: str = "auto"

    @property
    def spacing(self) -> tuple[float, float]:
        """``(z, x)`` [m] between pixels."""
        return self.grid.spacing

    @property
    def backend(self) -> Backend:
        """Arrays and kernels of the device that `usbeam.device.resolve` makes of what was asked for."""
        return backend(devices.resolve(self.device))


@dataclass(frozen=True)
class Enhancer:
    """A method that makes an image better, or claims to.

    Parameters
    ----------
    name, title
        For commands, and for people.
    domain
        What values it takes and gives.
    reference
        The paper or library that it comes from.
    licence
        What is to be known about rights in it.
    parameters
        By name.
    on_gpu
        Whether it can work on a GPU, too.
    function
        From a `Task` and parameters to values of the same shape.
    """

    name: str
    title: str
    domain: Domain
    reference: str
    licence: str
    parameters: Mapping[str, Parameter]
    on_gpu: bool
    function: Callable[..., Values]

    def resolved(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters: those given, checked, and the defaults of the others.

        Raises
        ------
        ConfigError
            For a parameter that there is not, or a value that is not allowed.
        """
        for name in given:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ConfigError("no such parameter", location=f"{self.name}.{name}", expected=known, found=name)
        return {
            name: parameter.checked(given[name], self.name) if name in given else parameter.default
            for name, parameter in self.parameters.items()
        }


def enhancer(
    *, title: str, domain: Domain, reference: str, licence: str = "", on_gpu: bool = False
) -> Callable[[Callable[..., Values]], Enhancer]:
    """Make an `Enhancer` of a function; its name has hyphens where the function's has underscores."""

    def made(function: Callable[..., Values]) -> Enhancer:
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = {
            name: _parameter(name, hints[name], found.default)
            for name, found in inspect.signature(function).parameters.items()
            if found.kind is found.KEYWORD_ONLY
        }
        name = function.__name__.replace("_", "-")
        return Enhancer(name, title, domain, reference, licence, parameters, on_gpu, function)

    return made


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    kind, *facts = typing.get_args(hint)
    kinds = [each for each in typing.get_args(kind) or (kind,) if each is not type(None)]
    allowed = next((fact for fact in facts if isinstance(fact, Range | Choice)), None)
    return Parameter(name, default, kinds[0], allowed, next(fact for fact in facts if isinstance(fact, str)))
