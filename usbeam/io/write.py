"""Writing the header of a file from a Python object, as its contract says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np

import usbeam
from usbeam.errors import ConfigError
from usbeam.io.spec import Attribute, Field, Spec

_Object: TypeAlias = h5py.Group | h5py.Dataset | h5py.Datatype
_LONGEST_TEXT = 60_000


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
            _describe(file[field.path], field)
    for path, attribute in spec.attributes():
        value = values.get(attribute.location, _constant(attribute, values))
        if path in file and value is not None and value != "":
            write_attribute(file[path], attribute.name, value)
    for group in spec.groups:
        for name, text in values.get(group.path, {}).items():
            if not isinstance(text, str):
                raise ConfigError("not text", location=f"{group.path}:{name}", found=type(text).__name__)
            write_attribute(file.require_group(group.path), name, text)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    mark = {
        "format_version": spec.version,
        "created": now,
        "software": "usbeam",
        "software_version": usbeam.__version__,
    }
    for name, text in mark.items():
        write_attribute(file, name, text)


def write_attribute(node: _Object, name: str, value: Any) -> None:
    """Write one attribute; text of fixed length, which is read without the heap that damaged files break first.

    Raises
    ------
    ConfigError
        For text above 60 000 bytes, or a name that HDF5 cannot hold.
    """
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        if len(text) > _LONGEST_TEXT:
            raise ConfigError(
                "text too long for an HDF5 attribute",
                location=f"{node.name}:{name}",
                expected=f"at most {_LONGEST_TEXT} bytes",
                found=len(text),
            )
        value = np.array(text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))
    node.attrs[_link_name(name, node.name or "/")] = value


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
    _describe(file.create_dataset(path, data=array), field)


def _describe(dataset: _Object, field: Field) -> None:
    if field.units:
        write_attribute(dataset, "units", field.units)
    write_attribute(dataset, "description", field.description)
