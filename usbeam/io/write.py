"""Writing the header of a file from a Python object, as its contract says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

import usbeam
from usbeam.errors import ConfigError
from usbeam.io.spec import Attribute, Field, Spec


def write_contents(file: h5py.File, spec: Spec, holder: object) -> None:
    """Write every entry of the contract that `holder` has a value for, and the mark of this format and program.

    Parameters
    ----------
    file
        Open for writing. Streamed fields are there already; they only get their attributes.
    spec
        The contract.
    holder
        The object whose members the contract names: an `Acquisition`, an `Image`.

    Raises
    ------
    ConfigError
        If a value cannot be stored.
    """
    values = dict(_values(spec, holder))
    for field in spec.fields:
        if field.path.endswith("/*"):
            for name, value in values.get(field.path, {}).items():
                _write_dataset(file, field, field.path.removesuffix("*") + _link_name(name, field.path), value)
        elif field.path in values or field.streamed:
            if not field.streamed:
                _write_dataset(file, field, field.path, values[field.path])
            file[field.path].attrs["units"] = field.units
            file[field.path].attrs["description"] = field.description
    for path, attribute in spec.attributes():
        value = values.get(attribute.location, _constant(attribute, values))
        if path in file and value is not None and value != "":
            file[path].attrs[attribute.name] = value
    for group in spec.groups:
        for name, text in values.get(group.path, {}).items():
            if not isinstance(text, str):
                raise ConfigError("not text", location=f"{group.path}:{name}", found=type(text).__name__)
            file.require_group(group.path).attrs[name] = text
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    mark = {
        "format_version": spec.version,
        "created": now,
        "software": "usbeam",
        "software_version": usbeam.__version__,
    }
    file.attrs.update(mark)


def _values(spec: Spec, holder: object) -> Iterator[tuple[str, Any]]:
    """Location and value of every member that is there."""
    for group in spec.groups:
        if group.member is not None:
            yield group.path, _member(holder, group.member)
    for entry in spec.entries():
        value: Any = None if entry.member is None else _member(holder, entry.member)
        if isinstance(entry, Field) and entry.streamed:
            yield f"{entry.path}:dtype", value.dtype.name
        elif isinstance(entry, Attribute) and entry.dtype == "json" and value is not None:
            yield entry.location, _json(value, entry.location)
        elif value is not None and np.size(value):
            yield entry.location, value


def _member(holder: object, member: str) -> Any:
    """``probe.kind`` of an acquisition; None where a part is None."""
    for name in member.split("."):
        holder = None if holder is None else getattr(holder, name)
    return holder


def _json(value: Mapping[str, Any], location: str) -> str:
    try:
        return json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cannot be written as JSON: {error}", location=location, expected="plain values") from error


def _constant(attribute: Attribute, values: Mapping[str, Any]) -> Any:
    """The value of an attribute that can have only one, where it is required."""
    return attribute.choices[0] if len(attribute.choices) == 1 and attribute.is_required(values) else None


def _link_name(name: str, path: str) -> str:
    if not name or "/" in name or "\0" in name or name == ".":
        raise ConfigError("a name that HDF5 cannot hold", location=path, found=repr(name))
    return name


def _write_dataset(file: h5py.File, field: Field, path: str, value: Any) -> None:
    if field.dtypes == ("str",):
        array = np.array([text.encode() for text in value])
    else:
        own = np.asarray(value)
        array = own.astype(next(dtype for dtype in field.dtypes if np.can_cast(own.dtype, dtype, "same_kind")))
    dataset = file.create_dataset(path, data=array)
    if field.units:
        dataset.attrs["units"] = field.units
    dataset.attrs["description"] = field.description
