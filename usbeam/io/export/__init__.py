"""Our recordings to other people's formats: one module per format, one registry.

A format is a name, one line that says what it is, and ``write(acquisition, path, *, overwrite=False)``, which writes
the whole file or none (`usbeam.io.atomic`). To add one, write its module and register it in `WRITERS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from usbeam.acquisition import Acquisition
from usbeam.io.export import uff, zea


class Write(Protocol):
    """What a format's ``write`` must be."""

    def __call__(self, acquisition: Acquisition, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a recording; raises `OutputExists` where a file is there and `overwrite` is false."""
        ...


@dataclass(frozen=True)
class Writer:
    """A file format that a recording can be written as.

    Parameters
    ----------
    summary
        What it is, in one line.
    write
        Writes a recording.
    """

    summary: str
    write: Write


WRITERS: dict[str, Writer] = {
    "uff": Writer("UFF channel data, as USTB and pyuff read it", uff.write),
    "zea": Writer("zea HDF5, as zea 0.1 reads it", zea.write),
}
