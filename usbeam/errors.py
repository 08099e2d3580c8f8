"""Every error that usbeam raises on purpose, written for the person who reads it.

An error says which file, where in it, what is wrong, what was expected, what was found, and what to do::

    recording.h5: /transmit/delays: wrong shape (expected (n_tx=64, n_elements=64), found (64, 63))
    hint: ...

This module imports nothing of usbeam, so that every other module may raise from it.
"""

from __future__ import annotations

import os
from typing import ClassVar


def printable(text: str) -> str:
    """Text from a file that may be shown: what is no character, or steers the terminal, is replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


class UsbeamError(Exception):
    """Root of the tree: catching it catches everything that usbeam raises on purpose.

    Parameters
    ----------
    what
        One line that says what is wrong.
    path
        The file concerned, if any.
    location
        Where in the file or request: an HDF5 path, a parameter's name, a frame and transmit.
    expected, found
        What should have been there and what was.
    hint
        What the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        path: str | os.PathLike[str] | None = None,
        location: str | None = None,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.path = None if path is None else os.fspath(path)
        self.location = location
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        """One line: ``<path>: <location>: <what> (expected ..., found ...)``."""
        sides = [f"{name} {value}" for name, value in (("expected", self.expected), ("found", self.found)) if value]
        line = ": ".join(part for part in (self.path, self.location, self.what) if part)
        return printable(" ".join((line + (f" ({', '.join(sides)})" if sides else "")).split()))


class FileAccessError(UsbeamError, OSError):
    """A file cannot be reached: missing, a folder, not permitted, locked, the disk is full."""

    exit_code = 3
    __str__ = UsbeamError.__str__


class FileFormatError(UsbeamError, ValueError):
    """A file is not what it should be."""

    exit_code = 3


class NotHDF5(FileFormatError):
    """The file is no HDF5 file at all."""


class TruncatedFile(FileFormatError):
    """The file ends before its own index says."""


class UnsupportedVersion(FileFormatError):
    """The file's format version is newer than this usbeam, or unreadable."""


class MissingField(FileFormatError):
    """Required fields are absent; all of them are named at once."""


class BadField(FileFormatError):
    """A field has the wrong type, shape, unit or value."""


class UnsafeFile(FileFormatError):
    """The file reaches outside itself, or needs code that usbeam does not run."""


class TooLarge(FileFormatError):
    """Reading would need more memory than allowed."""


class ChecksumMismatch(FileFormatError):
    """Stored bytes do not match their checksum."""


class GeometryError(UsbeamError, ValueError):
    """Positions, delays, angles or a grid that cannot be."""

    exit_code = 2


class ConfigError(UsbeamError, ValueError):
    """A request that cannot be met: an unknown name, an empty selection, a value out of range."""

    exit_code = 2


class MeasurementError(UsbeamError, ValueError):
    """A figure that this image and this place do not have: an empty region, no variance, no -6 dB crossing."""


class OutputExists(ConfigError):
    """The output is already there and ``overwrite`` was not given."""


class DeviceError(UsbeamError, RuntimeError):
    """The asked-for device cannot do the work."""

    exit_code = 4


class DeviceUnavailable(DeviceError):
    """The asked-for device is not usable, with the reason."""


class DeviceOutOfMemory(DeviceError):
    """The work does not fit into the device's memory, even in the smallest tiles."""


class CheckpointError(UsbeamError):
    """A training checkpoint cannot be used."""

    exit_code = 3


class TrainingDiverged(UsbeamError):
    """Training produced non-finite numbers."""

    exit_code = 5
