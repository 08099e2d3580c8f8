"""Reading and checking the header of a file against its contract: everything but the streamed fields.

This is the first layer of `usbeam.io.validate`, and the same pass is what `usbeam.io.load` reads: a file is never
judged by one piece of code and read by another.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import h5py
import numpy as np

from usbeam.errors import FileFormatError, MissingField, UnsupportedVersion
from usbeam.io import safe
from usbeam.io.findings import Finding, Importance
from usbeam.io.read import attribute_names, read_attribute, read_dataset, read_text
from usbeam.io.spec import Attribute, Entry, Field, Spec
from usbeam.io.values import as_type, check_value, dtype_name

_T = TypeVar("_T")


@dataclass(frozen=True)
class Contents:
    """A header as read.

    Parameters
    ----------
    values
        Location -> value, for every entry that is present and right; a streamed field is not in it, but its
        type is, as ``/samples:dtype``. Text is str, text arrays are tuples, numbers are NumPy arrays or float.
    dimensions
        Name -> length.
    findings
        What is wrong with the header.
    unknown
        Locations that the contract does not name and that do not begin with ``x_``.
    """

    values: Mapping[str, Any]
    dimensions: Mapping[str, int]
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]

    def members(self, spec: Spec) -> dict[str, Any]:
        """Values by the names of the Python object that the file holds, nested: ``{"probe": {"kind": ...}}``."""
        nested: dict[str, Any] = {}
        for entry in (*spec.groups, *spec.entries()):
            location = entry.path if not isinstance(entry, Entry) else entry.location
            if entry.member is None or location not in self.values:
                continue
            *owners, name = entry.member.split(".")
            place = nested
            for owner in owners:
                place = place.setdefault(owner, {})
            place[name] = self.values[location]
        return nested


def read_contents(file: h5py.File, spec: Spec, *, max_gb: float | None = None) -> Contents:
    """Read every entry of the contract but the streamed fields, and note all that is wrong.

    Parameters
    ----------
    file
        As opened by `usbeam.io.safe.safe_open`.
    spec
        The contract.
    max_gb
        Gigabytes that one field may take.
    """
    return _Reader(file, spec, max_gb).read()


class _Reader:
    """One pass over one file."""

    def __init__(self, file: h5py.File, spec: Spec, max_gb: float | None) -> None:
        self.file, self.spec, self.max_gb = file, spec, max_gb
        self.nodes = dict(safe.walk(file))
        self.attributes = {path: attribute_names(node) for path, node in self.nodes.items()}
        self.present: set[str] = set()
        self.values: dict[str, Any] = {}
        self.dimensions: dict[str, int] = {}
        self.findings: list[Finding] = []

    def read(self) -> Contents:
        for group in self.spec.groups:
            self.read_group(group.path, group.attributes, group.member)
        for field in self.spec.fields:
            self.read_field(field)
        self.check_version()
        for entry in self.spec.entries():
            owner = self.nodes.get(entry.location.partition(":")[0])
            if isinstance(entry, Attribute) and owner is None:
                continue
            if entry.location not in self.present and entry.is_required(self.values):
                condition = " and ".join(
                    f"{location} is {' or '.join(str(each) for each in wanted)}"
                    for location, wanted in entry.required_when.items()
                )
                self.report(entry, "missing" + (f" although {condition}" if condition else ""), error=MissingField)
        unknown = tuple(self.unknown())
        for location in unknown:
            self.findings.append(
                Finding(
                    importance=Importance.WARNING,
                    location=location,
                    message=f"not part of {self.spec.name} {self.spec.version}; it is not read",
                    hint="names that begin with x_ are never reported",
                )
            )
        return Contents(self.values, self.dimensions, tuple(self.findings), unknown)

    def report(self, entry: Entry, message: str, **others: Any) -> None:
        others.setdefault("hint", entry.hint)
        self.findings.append(Finding(importance=Importance.ERROR, location=entry.location, message=message, **others))

    def attempt(self, entry: Entry, read: Callable[[], _T], limits: Entry | None = None) -> _T | None:
        """A value that can be read and keeps to the limits, by default the entry's own; else None and a finding."""
        try:
            value = read()
            check_value(limits or entry, value)
        except FileFormatError as error:
            self.findings.append(Finding.of(error, entry.location, entry.hint))
            return None
        return value

    def read_group(self, path: str, attributes: tuple[Attribute, ...], member: str | None) -> None:
        node = self.nodes.get(path)
        if node is None:
            return
        if not isinstance(node, h5py.Group):
            self.findings.append(
                Finding(importance=Importance.ERROR, location=path, message="a dataset where a group belongs")
            )
            return
        self.read_attributes(path, attributes)
        if member is not None:
            texts = {name: self.attempt_text(node, path, name) for name in self.attributes[path]}
            self.values[path] = {name: text for name, text in texts.items() if text is not None}

    def attempt_text(self, node: h5py.Group, path: str, name: str) -> str | None:
        """A text attribute of a group that may hold any; a finding and None if it is no text."""
        entry = Entry(location=f"{path}:{name}", description="")
        return self.attempt(entry, lambda: read_text(read_attribute(node, name)))

    def read_attributes(self, path: str, attributes: tuple[Attribute, ...]) -> None:
        node = self.nodes[path]
        for attribute in attributes:
            if attribute.name not in self.attributes[path]:
                continue
            self.present.add(attribute.location)
            value = self.attempt(attribute, lambda a=attribute: as_type(read_attribute(node, a.name), a.dtype))
            if value is not None:
                self.values[attribute.location] = value

    def read_field(self, field: Field) -> None:
        if field.path.endswith("/*"):
            owner = field.path.removesuffix("/*")
            found = {path: node for path, node in self.nodes.items() if fnmatch.fnmatchcase(path, field.path)}
            named = {path.rpartition("/")[2]: self.read_dataset(field, path, node) for path, node in found.items()}
            if owner in self.nodes:
                self.values[field.path] = {name: value for name, value in named.items() if value is not None}
            return
        node = self.nodes.get(field.path)
        if node is not None:
            self.present.add(field.path)
            value = self.read_dataset(field, field.path, node)
            if value is not None:
                self.values[field.path] = value

    def read_dataset(self, field: Field, path: str, node: safe.Node) -> Any:
        """The value of a dataset that fits its contract; else, and for a streamed one, None."""
        entry = field if path == field.path else Entry(location=path, description="", hint=field.hint)
        if not isinstance(node, h5py.Dataset):
            self.report(entry, "a group where a dataset belongs")
            return None
        dtype = dtype_name(node)
        right = dtype in field.dtypes
        if not right:
            self.report(entry, "wrong type", expected=" or ".join(field.dtypes), found=dtype)
        self.check_units(field, path, node)
        self.read_attributes(path, field.attributes)
        if not self.fits_shape(field, entry, node.shape) or not right:
            return None
        if field.streamed:
            self.values[f"{path}:dtype"] = dtype
            return None
        value = self.attempt(entry, lambda: read_dataset(node, max_gb=self.max_gb), field)
        return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value

    def check_units(self, field: Field, path: str, node: h5py.Dataset) -> None:
        if not field.units:
            return
        entry = Entry(location=f"{path}:units", description="")
        if "units" not in self.attributes[path]:
            self.report(entry, "no units", expected=field.units, error=MissingField)
            return
        units = self.attempt(entry, lambda: read_text(read_attribute(node, "units")))
        if units is not None and units != field.units:
            self.report(entry, "wrong units", expected=field.units, found=repr(units), hint="convert the values to SI")

    def fits_shape(self, field: Field, entry: Entry, shape: tuple[int, ...] | None) -> bool:
        """Whether one of the contract's shapes fits; the first field that has a dimension names its length."""
        if shape is None or 0 in shape:
            self.report(entry, "empty", expected=self.describe(field), found=shape)
            return False
        for names in field.shapes:
            lengths = [self.dimensions.get(name, None) if isinstance(name, str) else name for name in names]
            if len(names) == len(shape) and all(n in (None, m) for n, m in zip(lengths, shape, strict=True)):
                self.dimensions.update(
                    {name: length for name, length in zip(names, shape, strict=True) if isinstance(name, str)}
                )
                return True
        lengths = [self.dimensions.get(name, name) if isinstance(name, str) else name for name in field.shapes[0]]
        transposed = len(shape) > 1 and tuple(lengths[::-1]) == tuple(shape)
        self.report(
            entry,
            "wrong shape",
            expected=self.describe(field),
            found=shape,
            hint="the array looks transposed" if transposed else field.hint,
        )
        return False

    def describe(self, field: Field) -> str:
        def one(names: tuple[str | int, ...]) -> str:
            known = [f"{n}={self.dimensions[n]}" if n in self.dimensions else str(n) for n in map(str, names)]
            return f"({', '.join(known)})" if names else "() (a scalar)"

        return " or ".join(one(names) for names in field.shapes)

    def check_version(self) -> None:
        entry = self.spec["/:format_version"]
        found = self.values.get(entry.location)
        if found is None:
            return
        match = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", found)
        major, minor = (int(part) for part in self.spec.version.split("."))
        if not match or int(match[1]) != major:
            newer = bool(match) and int(match[1]) > major  # type: ignore[index]
            self.report(
                entry,
                "a newer format" if newer else "no version of this format",
                expected=self.spec.version,
                found=repr(found),
                hint="a newer usbeam reads it: pip install --upgrade usbeam" if newer else None,
                error=UnsupportedVersion,
            )
        elif int(match[2]) > minor:
            self.findings.append(
                Finding(
                    importance=Importance.WARNING,
                    location=entry.location,
                    message="a newer minor version; what it adds is not read",
                    expected=self.spec.version,
                    found=found,
                )
            )

    def unknown(self) -> Iterator[str]:
        """What the contract does not name."""
        fields = [field.path for field in self.spec.fields]
        attributes = {f"{path}:{attribute.name}" for path, attribute in self.spec.attributes()}
        free = {group.path for group in self.spec.groups if group.member is not None}
        groups = {"/", *(group.path for group in self.spec.groups)}
        groups |= {path.rpartition("/")[0] for path in fields} | {"/truth" for path in fields if "/truth/" in path}
        for path, node in self.nodes.items():
            if any(part.startswith("x_") for part in path.split("/")):
                continue
            is_field = any(fnmatch.fnmatchcase(path, pattern) for pattern in fields)
            if not is_field and path not in groups:
                yield path
                continue
            if path in free:
                continue
            always = {"units", "description"} if isinstance(node, h5py.Dataset) else set[str]()
            for name in sorted(set(self.attributes[path]) - always):
                if not name.startswith("x_") and f"{path}:{name}" not in attributes:
                    yield f"{path}:{name}"
