"""The file contracts of ``data_specs/*.toml`` as typed objects.

The same TOML drives the writer, the reader, the validator and the documentation, so that they cannot drift apart.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from usbeam.errors import ConfigError


def spec_folder() -> Path:
    """Where the contracts are: inside the installed package, or beside it in a source checkout."""
    packaged = Path(__file__).parents[1] / "data_specs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data_specs"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the contract says of every value, be it a dataset or an attribute.

    Parameters
    ----------
    location
        ``/path`` of a dataset, ``/path:name`` of an attribute.
    required
        Whether every file must have it.
    required_when
        Location -> values: required in files where each of these holds one of the values.
    choices
        The only values allowed, if any.
    minimum, above, maximum
        Limits of numbers; `above` excludes its limit.
    member
        Where the value lives in the Python object that the file holds, e.g. ``probe.center_frequency``.
    description, notes, hint
        What it is; what else to know; what to say to someone whose file has it wrong.
    """

    location: str
    required: bool = False
    required_when: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    member: str | None = None
    description: str
    notes: str = ""
    hint: str | None = None

    def is_required(self, values: Mapping[str, Any]) -> bool:
        """Whether a file that holds `values` (location -> value) must have this entry."""
        if not self.required_when:
            return self.required
        return all(_holds_one_of(values.get(location), wanted) for location, wanted in self.required_when.items())


def _holds_one_of(value: Any, wanted: list[Any]) -> bool:
    return any(each in wanted for each in value) if isinstance(value, tuple) else value in wanted


@dataclass(frozen=True, kw_only=True)
class Attribute(Entry):
    """One HDF5 attribute.

    Parameters
    ----------
    name
        Its name.
    dtype
        str, float64, bool, or json (text that holds a JSON object).
    """

    name: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class Field(Entry):
    """One HDF5 dataset; ``*`` as the last part of its path stands for any name.

    Parameters
    ----------
    path
        Its place in the file.
    dtypes
        Types allowed; the writer takes the first that it can.
    shapes
        Shapes allowed, in named dimensions and fixed counts; ``()`` is a scalar.
    units
        SI symbol, ``1``, or ``arbitrary``; empty for text.
    streamed
        Too large to be read with the header.
    attributes
        Those beside ``units`` and ``description``, which every dataset has.
    """

    path: str
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[str | int, ...], ...]
    units: str = ""
    streamed: bool = False
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """One HDF5 group that has attributes.

    Parameters
    ----------
    path
        Its place in the file.
    attributes
        Those that the contract names.
    member
        A mapping of texts in the Python object that holds all the group's attributes, further ones included.
    """

    path: str
    description: str
    attributes: tuple[Attribute, ...]
    member: str | None = None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One file format: its name and version, its dimensions (name -> meaning), groups and fields."""

    name: str
    version: str
    summary: str
    dimensions: Mapping[str, str]
    groups: tuple[Group, ...]
    fields: tuple[Field, ...]

    def attributes(self) -> Iterator[tuple[str, Attribute]]:
        """Every attribute with the path of its owner."""
        for owner in (*self.groups, *self.fields):
            for attribute in owner.attributes:
                yield owner.path, attribute

    def entries(self) -> Iterator[Entry]:
        """Every field and attribute."""
        yield from self.fields
        for _, attribute in self.attributes():
            yield attribute

    def __getitem__(self, location: str) -> Entry:
        """The entry at a location such as ``/samples`` or ``/samples:kind``."""
        return next(entry for entry in self.entries() if entry.location == location)


def _attributes(owner: str, tables: list[dict[str, Any]]) -> tuple[Attribute, ...]:
    return tuple(Attribute(location=f"{owner}:{table['name']}", **_tuples(table)) for table in tables)


def _field(table: dict[str, Any]) -> Field:
    attributes = _attributes(table["path"], table.get("attribute", []))
    others = _tuples({key: value for key, value in table.items() if key != "attribute"})
    return Field(location=table["path"], attributes=attributes, **others)


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    """A TOML table with its lists, and the lists in them, as tuples."""
    frozen: dict[str, Any] = {}
    for key, value in table.items():
        items = (tuple(each) if isinstance(each, list) else each for each in value) if isinstance(value, list) else ()
        frozen[key] = tuple(items) if isinstance(value, list) else value
    return frozen


@cache
def load_spec(name: str) -> Spec:
    """The contract of a format.

    Parameters
    ----------
    name
        ``channel_data``, ``image`` or ``pairs``: the TOML file's name.

    Raises
    ------
    ConfigError
        If there is no such contract.

    Examples
    --------
    >>> load_spec("channel_data")["/sound_speed"].description
    'Nominal speed of sound in the medium; a user may override it.'
    """
    path = spec_folder() / f"{name}.toml"
    if not path.is_file():
        known = sorted(each.stem for each in spec_folder().glob("*.toml"))
        raise ConfigError(f"no file format {name!r}", expected=", ".join(known))
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Spec(
        name=table["name"],
        version=table["version"],
        summary=table["summary"],
        dimensions=table["dimensions"],
        groups=tuple(
            Group(
                path=group["path"],
                description=group["description"],
                attributes=_attributes(group["path"], group["attribute"]),
                member=group.get("member"),
            )
            for group in table["group"]
        ),
        fields=tuple(_field(each) for each in table["field"]),
    )


@cache
def specs_by_format() -> Mapping[str, Spec]:
    """Every contract, by the name that its files bear in their attribute ``format``."""
    specs = (load_spec(path.stem) for path in sorted(spec_folder().glob("*.toml")))
    return {spec.name: spec for spec in specs}
