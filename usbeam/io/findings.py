"""What a check of a file says, and how it becomes an error."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from usbeam.errors import BadField, FileFormatError, MissingField, UnsupportedVersion, printable


class Importance(StrEnum):
    """How much a finding matters."""

    ERROR = "ERROR"
    """The file cannot be used as it is."""
    WARNING = "WARNING"
    """The file can be used, but probably does not say what was meant."""
    HINT = "HINT"
    """Worth a look."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a check found.

    Parameters
    ----------
    importance
        How much it matters.
    location
        HDF5 path, with ``:name`` for an attribute.
    message
        What is wrong, in one line.
    expected, found
        What should have been there and what was.
    hint
        What to do about it.
    error
        What `usbeam.io.load` raises for it.
    """

    importance: Importance
    location: str
    message: str
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    error: type[FileFormatError] = BadField

    @classmethod
    def of(cls, error: FileFormatError, location: str, hint: str | None = None) -> Finding:
        """An error as a finding at a place, with a hint for where it has none of its own."""
        return cls(
            importance=Importance.ERROR,
            location=location,
            message=error.what,
            expected=error.expected,
            found=error.found,
            hint=error.hint or hint,
            error=type(error),
        )

    def __str__(self) -> str:
        """One line: ``ERROR /transmit/delays wrong shape (expected ..., found ...)``."""
        sides = [f"{name} {value}" for name, value in (("expected", self.expected), ("found", self.found)) if value]
        line = f"{self.importance} {self.location} {self.message}" + (f" ({', '.join(sides)})" if sides else "")
        return printable(" ".join(line.split()))


def raise_errors(findings: Iterable[Finding], path: str | os.PathLike[str]) -> None:
    """Raise what the ERROR findings call for, if there are any: all missing fields in one, else the first.

    Raises
    ------
    UnsupportedVersion, MissingField, BadField, FileFormatError
        As the findings say.
    """
    errors = [each for each in findings if each.importance is Importance.ERROR]
    if not errors:
        return
    first = min(errors, key=lambda each: (each.error is not UnsupportedVersion, each.error is not MissingField))
    together = [each for each in errors if each.error is MissingField] if first.error is MissingField else [first]
    others = len(errors) - len(together)
    hints = [each.hint for each in together if each.hint][:1]
    if others:
        hints.append(f"`usbeam validate` lists {others} more")
    raise first.error(
        first.message if len(together) == 1 else f"{len(together)} required fields are missing",
        path=path,
        location=", ".join(each.location for each in together),
        expected=first.expected,
        found=first.found,
        hint="; ".join(hints) or None,
    )
