"""``usbeam info``: what a file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, result
from usbeam.errors import printable
from usbeam.units import format_quantity

if TYPE_CHECKING:
    from usbeam.io.spec import Spec
    from usbeam.io.structure import Contents


def info(
    file: Annotated[Path, typer.Argument(help="A recording, an image or a pairs file.", show_default=False)],
    json_output: Json = False,
) -> None:
    """Say what a file is: its shape, its probe, its times, and everything that it holds."""
    from usbeam.io.findings import raise_errors
    from usbeam.io.identify import find_spec
    from usbeam.io.safe import safe_open
    from usbeam.io.structure import read_contents

    with safe_open(file) as handle:
        spec = find_spec(handle)
        contents = read_contents(handle, spec)
    raise_errors(contents.findings, file)
    facts = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "format": spec.name,
        "format_version": contents.values["/:format_version"],
        "dimensions": dict(contents.dimensions),
        "fields": {location: _fact(value) for location, (value, _) in _present(spec, contents).items()},
        "unknown": list(contents.unknown),
    }
    result(facts, json_output, _lines(facts, spec, contents))


def _present(spec: Spec, contents: Contents) -> dict[str, tuple[Any, str]]:
    """Location -> (value, units) of all that the file has, in order; a streamed field has its type for value."""
    found = {
        f"{group.path}:{name}": (text, "")
        for group in spec.groups
        for name, text in contents.values.get(group.path, {}).items()
    }
    for entry in spec.entries():
        value = contents.values.get(entry.location, contents.values.get(f"{entry.location}:dtype"))
        if value is not None:
            found[entry.location] = (value, getattr(entry, "units", ""))
    return dict(sorted(found.items()))


def _fact(value: Any) -> Any:
    """A value as JSON holds it: arrays by shape and range, lists of words by the words that occur."""
    if isinstance(value, tuple):
        return {"shape": [len(value)], "values": sorted(set(value))}
    if hasattr(value, "shape"):
        sides = {} if value.dtype.kind == "c" else {"minimum": value.min().item(), "maximum": value.max().item()}
        return {"shape": list(value.shape), **sides}
    return {name: _fact(each) for name, each in value.items()} if isinstance(value, dict) else value


def _lines(facts: dict[str, Any], spec: Spec, contents: Contents) -> Iterator[str]:
    """The same for people."""
    yield f"{facts['file']}: {spec.name} {facts['format_version']}, {format_quantity(facts['bytes'], 'B')}"
    yield "  " + ", ".join(f"{name} = {length}" for name, length in facts["dimensions"].items())
    if "/start_time" in contents.values and "n_samples" in contents.dimensions:
        yield f"  {_depths(contents)}"
    width = max(len(location) for location in facts["fields"])
    for location, (value, units) in _present(spec, contents).items():
        yield f"  {location:<{width}}  {_text(value, units)}"
    for location in facts["unknown"]:
        yield f"  {location:<{width}}  (not part of {spec.name}; not read)"


def _depths(contents: Contents) -> str:
    """From where to where a recording can show anything, if echoes come straight back."""
    start, values = float(contents.values["/start_time"].min()), contents.values
    end = start + contents.dimensions["n_samples"] / values["/sampling_frequency"]
    first, last = (format_quantity(max(time, 0.0) * values["/sound_speed"] / 2, "m") for time in (start, end))
    return f"records echoes from depths of {first} to {last}"


def _text(value: Any, units: str) -> str:
    """A value in one short line."""
    units = "" if units in ("1", "arbitrary") else units
    fact = _fact(value)
    if isinstance(value, float):
        return format_quantity(value, units).strip()
    if not isinstance(fact, dict):
        return printable(str(fact))
    if "shape" not in fact:
        return ", ".join(f"{name}: {_text(each, units)}" for name, each in value.items())
    shape = f"({', '.join(str(n) for n in fact['shape'])})"
    if "values" in fact:
        return f"{shape} {', '.join(fact['values'])}"
    if "minimum" not in fact:
        return shape
    low, high = (format_quantity(fact[side], units).strip() for side in ("minimum", "maximum"))
    return f"{shape} {low}" if low == high else f"{shape} {low} to {high}"
