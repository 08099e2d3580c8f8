"""Other people's recordings to ours: one module per format, one registry.

A format is a name, one line that says what it is, ``sniff(path) -> bool`` and ``read(path) -> Acquisition``. To add
one, write its module and register it in `FORMATS`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbeam import __version__
from usbeam.acquisition import Acquisition
from usbeam.errors import BadField, ConfigError, FileFormatError, GeometryError, TooLarge, UsbeamError
from usbeam.io.atomic import check_output
from usbeam.io.channel_data import save
from usbeam.io.convert import brain, must, picmus, uff, verasonics, zea
from usbeam.io.convert.mapping import read as read_mapping
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.variables import did_you_mean, list_names
from usbeam.io.safe import access_error

Source = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A file format that can be recognised and read.

    Parameters
    ----------
    summary
        What it is, in one line.
    sniff
        Whether a file is of this format; False for files of no known kind.
    read
        The file as an acquisition.
    """

    summary: str
    sniff: Callable[[Source], bool]
    read: Callable[[Source], Acquisition]


FORMATS: dict[str, Format] = {
    "brain": Format("BRAIN exp_data: full-matrix capture in .mat v5 or v7.3", brain.sniff, brain.read),
    "picmus": Format("PICMUS HDF5: plane waves, RF or IQ", picmus.sniff, picmus.read),
    "uff": Format("UFF channel data of USTB and pyuff: plane, spherical, photoacoustic; RF or IQ", uff.sniff, uff.read),
    "zea": Format("zea HDF5, of version 0.1 and of the older layout with stored counts", zea.sniff, zea.read),
    "verasonics": Format("Verasonics workspaces: Trans, TX, Receive, RcvData", verasonics.sniff, verasonics.read),
    "must": Format("MUST and PyMUST: a param struct beside RF or IQ, in .mat or .npz", must.sniff, must.read),
}
MAPPING = "mapping"
"""The format of any file that a mapping describes; it is never sniffed."""
NATIVE = ("usbeam-channel-data", "usbeam-image", "usbeam-pairs")


def read(source: Source, *, format: str | None = None, mapping: Source | None = None) -> Acquisition:  # noqa: A002
    """Read a recording of any known format.

    Parameters
    ----------
    source
        The file.
    format
        One of `FORMATS`, or ``mapping``; recognised from the file if not given.
    mapping
        A mapping file (`usbeam.io.convert.mapping`), for format ``mapping``.

    Returns
    -------
    Acquisition
        With provenance ``source_format``, ``source_file``, ``source_sha256`` and ``converter``; where there is a
        mapping also ``mapping_sha256``.

    Raises
    ------
    FileFormatError
        If the format is not recognised, or the file is not what it should be.
    ConfigError
        For an unknown format name, or a mapping where none belongs.
    """
    name = _format_name(source, format, mapping)
    try:
        # Numbers that overflow float32 become infinite, which writing refuses with their place.
        with np.errstate(over="ignore", invalid="ignore"):
            acquisition = FORMATS[name].read(source) if mapping is None else read_mapping(source, mapping)
    except GeometryError as error:  # here the file is wrong, not the request
        raise BadField(
            error.what,
            path=source,
            location=error.location,
            expected=error.expected,
            found=error.found,
            hint=error.hint,
        ) from error
    except MemoryError as error:
        raise TooLarge("not enough memory to convert this", path=source) from error
    except UsbeamError as error:
        error.path = error.path or os.fspath(source)
        raise
    provenance = {
        **acquisition.provenance,
        "source_format": name,
        "source_file": Path(source).name,
        "source_sha256": sha256(source),
        "converter": f"usbeam {__version__}",
        **({} if mapping is None else {"mapping_sha256": sha256(mapping)}),
    }
    return acquisition.replace(provenance=provenance)


def convert(
    source: Source,
    out: Source,
    *,
    format: str | None = None,  # noqa: A002
    mapping: Source | None = None,
    overwrite: bool = False,
) -> Acquisition:
    """Read a recording of any known format and write it as a ``usbeam-channel-data`` file.

    Parameters
    ----------
    source, format, mapping
        As for `read`.
    out
        The file to be written.
    overwrite
        Whether a file that is there may be replaced.

    Returns
    -------
    Acquisition
        What was written.

    Raises
    ------
    OutputExists, FileAccessError
        If the output is there or cannot be written; said before the source is read.
    FileFormatError, ConfigError
        As for `read`.

    Examples
    --------
    >>> import usbeam as ub
    >>> ub.convert("exp_data.mat", "recording.h5").samples.shape  # doctest: +SKIP
    (1, 64, 64, 300)
    """
    check_output(out, overwrite=overwrite)
    acquisition = read(source, format=format, mapping=mapping)
    save(acquisition, out, overwrite=overwrite)
    return acquisition


def recognise(source: Source) -> str:
    """Name of the format of a file.

    Raises
    ------
    FileAccessError
        If it cannot be reached.
    FileFormatError
        If no format knows it; says what it looks like.
    """
    for name, known in FORMATS.items():
        if known.sniff(source):
            return name
    with open_variables(source) as variables:
        native = variables.find("@format")
        names = list_names(variables.top_level())
    if native in NATIVE:
        raise FileFormatError(
            "this is a file of usbeam's own", path=source, found=native, hint="it needs no conversion"
        )
    raise FileFormatError(
        "format not recognised",
        path=source,
        expected=", ".join(FORMATS),
        found=f"a file with the variables {names}",
        hint="describe it in a mapping file and give --mapping; see data_specs/mappings/README.md",
    )


def _format_name(source: Source, name: str | None, mapping: Source | None) -> str:
    """The format to read with, checked against the mapping."""
    if name is None:
        return recognise(source) if mapping is None else MAPPING
    known = [*FORMATS, MAPPING]
    if name not in known:
        raise ConfigError(
            "unknown format", location="--from", expected=", ".join(known), found=name, hint=did_you_mean(name, known)
        )
    if (name == MAPPING) != (mapping is not None):
        raise ConfigError(
            "the format mapping needs a mapping file" if mapping is None else "a mapping belongs to the format mapping",
            location="--mapping",
            found=f"--from {name}",
        )
    return name


def sha256(path: Source) -> str:
    """Of a file's bytes, in hexadecimal; raises `FileAccessError` where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise access_error(error, path) from error
