"""The mapping importer: a TOML file says where each physical fact stands in a laboratory's own file.

A mapping names variables of a ``.mat`` (v5, v7.3), ``.h5``, ``.npz`` or ``.npy`` file by dotted names
(`usbeam.io.convert.matlab`), states their units, and gives as constants what the file does not say::

    format = "usbeam-mapping"
    format_version = "1.0"
    sampling_frequency = {variable = "fs", unit = "MHz"}
    start_time = "39.3us"
    sound_speed = "1480m/s"

    [samples]
    variable = "data"                # a cell array with one (sample, receive) matrix for each transmit
    cells = "transmit"
    axes = ["sample", "receive"]

    [probe]
    n_elements = 32
    pitch = "1mm"
    center_frequency = "3.5MHz"

    [transmit]
    kind = "element"

How a quantity is written (`usbeam.io.convert.quantities`): a number (SI), a text with a unit (``"-0.7us"``), a variable
with the unit it is stored in (``{variable = "fs", unit = "MHz"}``; also ``sign = -1`` and ``transpose = true``), a list
of these, or ``{sum = [...]}``. Nothing in a mapping is ever evaluated as code. Unknown keys are errors.

Every key is described, with a full annotated example, in ``data_specs/mappings/README.md``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import ConfigError, UnsupportedVersion
from usbeam.io.convert.firing import read_transmits
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.quantities import Section
from usbeam.io.convert.recorded import read_samples
from usbeam.io.convert.variables import Variables, time_axis
from usbeam.io.safe import access_error
from usbeam.probe import MAX_ELEMENTS, Probe

FORMAT = "usbeam-mapping"
MAX_BYTES = 2**20
_TOP = (
    "format",
    "format_version",
    "title",
    "license",
    "sampling_frequency",
    "start_time",
    "time_axis",
    "sound_speed",
    "frame_rate",
    "tgc_applied",
    "samples",
    "probe",
    "transmit",
    "receive",
    "provenance",
)
_PROBE_SIZES = {
    "bandwidth": "ratio",
    "element_width": "length",
    "element_height": "length",
    "lens_delay": "time",
}
_PROBE_TEXTS = ("name", "kind", "manufacturer")
_PROBE = (
    "center_frequency",
    "n_elements",
    "pitch",
    "x",
    "y",
    "z",
    "positions",
    "normals",
    *_PROBE_SIZES,
    *_PROBE_TEXTS,
)


def read(path: str | os.PathLike[str], mapping: str | os.PathLike[str]) -> Acquisition:
    """Read a recording as a mapping describes it.

    Parameters
    ----------
    path
        The laboratory's file.
    mapping
        The TOML file.

    Raises
    ------
    ConfigError, UnsupportedVersion
        If the mapping is no TOML, has unknown or missing keys, or contradicts itself.
    MissingField, BadField
        If the data file lacks variables that the mapping names (all are named at once), or they do not fit.
    """
    table = load_mapping(mapping)
    with open_variables(path) as variables:
        top = Section(table, variables, os.fspath(mapping))
        top.check_keys(*_TOP)
        variables.require(*top.variable_names())
        probe = _probe(top.section("probe"))
        start_time, sampling_frequency = _times(top, variables)
        sound_speed = top.positive("sound_speed", "speed")
        samples = read_samples(top.section("samples"), probe, start_time, sampling_frequency)
        n_frames = samples.array.shape[0]
        return Acquisition(
            samples=samples.array,
            kind=samples.kind,
            sampling_frequency=sampling_frequency,
            demodulation_frequency=samples.demodulation_frequency,
            scale=samples.scale,
            start_time=start_time,
            sound_speed=sound_speed,
            probe=probe,
            transmits=read_transmits(top.section("transmit"), probe, sound_speed, samples.array.shape[1]),
            receive_elements=_receivers(top),
            frame_times=np.arange(n_frames) / top.positive("frame_rate", "frequency") if "frame_rate" in top else None,
            tgc_applied=top.flag("tgc_applied"),
            title=top.text("title") or os.path.basename(os.fspath(path)),
            license=top.text("license"),
            provenance=_provenance(top),
        )


def load_mapping(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Read a mapping's TOML and check that it is one.

    Raises
    ------
    FileAccessError, ConfigError, UnsupportedVersion
        If it cannot be reached, is no TOML, no mapping, or of a newer version.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise access_error(error, path) from error
    try:
        if len(content) > MAX_BYTES:
            raise ConfigError("too long for a mapping", path=path, expected=f"at most {MAX_BYTES} bytes")
        table = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("not TOML", path=path, found=str(error)) from error
    if table.get("format") != FORMAT:
        raise ConfigError(
            "not a mapping", path=path, location="format", expected=repr(FORMAT), found=repr(table.get("format"))
        )
    version = str(table.get("format_version"))
    if version.split(".")[0] != "1":
        raise UnsupportedVersion(
            "this mapping needs another usbeam", path=path, location="format_version", expected="1.0", found=version
        )
    return table


def _times(top: Section, variables: Variables) -> tuple[Any, float]:
    """Start time (a number, or one for each transmit) and sampling frequency."""
    if "time_axis" not in top:
        return top.numbers("start_time", "time"), top.positive("sampling_frequency", "frequency")
    top.exclude("time_axis", "start_time", "sampling_frequency")
    name, unit = top.variable("time_axis", "time")
    return time_axis(variables, name, unit)


def _probe(section: Section) -> Probe:
    section.check_keys(*_PROBE)
    others: dict[str, Any] = {
        name: section.number(name, dimension) for name, dimension in _PROBE_SIZES.items() if name in section
    }
    others |= {name: section.text(name) for name in _PROBE_TEXTS if name in section}
    frequency = section.number("center_frequency", "frequency")
    if "normals" in section:
        others["element_normals"] = section.numbers("normals", "ratio")
    if "positions" not in section and "x" not in section:
        section.exclude("pitch", "y", "z")
        if not {"pitch", "n_elements"} <= set(section):
            raise section.error("where are the elements?", expected="pitch and n_elements, or x, or positions")
        n_elements = section.integer("n_elements")
        if not 1 <= n_elements <= MAX_ELEMENTS:
            raise section.error(
                "not a number of elements", "n_elements", expected=f"1..{MAX_ELEMENTS}", found=n_elements
            )
        return Probe.linear(n_elements, section.positive("pitch", "length"), frequency, **others)
    others.setdefault("kind", "custom")
    return Probe(element_positions=_positions(section), center_frequency=frequency, **others)


def _positions(section: Section) -> Floats:
    """``(n_elements, 3)`` from ``positions``, or from ``x`` and, where they are not 0, ``y`` and ``z``."""
    if "positions" in section:
        section.exclude("positions", "pitch", "n_elements", "x", "y", "z")
        return np.atleast_2d(section.numbers("positions", "length"))
    section.exclude("x", "pitch", "n_elements")
    x = np.atleast_1d(section.numbers("x", "length"))
    axes = [x, *(section.numbers(axis, "length") if axis in section else np.zeros(x.size) for axis in "yz")]
    if any(axis.shape not in ((), x.shape) for axis in axes):
        raise section.error("x, y and z differ in length", found=[axis.size for axis in axes])
    return np.stack(np.broadcast_arrays(*axes), axis=1)


def _receivers(top: Section) -> Any:
    if "receive" not in top:
        return None
    section = top.section("receive")
    section.check_keys("elements", "first_index")
    return section.indices("elements")


def _provenance(top: Section) -> dict[str, str]:
    if "provenance" not in top:
        return {}
    section = top.section("provenance")
    return {name: section.text(name) for name in section}
