"""What a case of a bad input is: a number of the list, what provokes it, and what a person is told."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from usbeam.errors import UsbeamError

TOLD = "bad input"
"""Property of a test's report: number, title and line, for the table at the end of a run."""


@dataclass(frozen=True)
class Desk:
    """Where a case is provoked.

    Parameters
    ----------
    folder
        Empty, for its files.
    recording
        A valid recording there, to be spoilt.
    patch
        Undone after the case.
    fixture
        Any fixture of this folder's tests by its name; made when asked for.
    """

    folder: Path
    recording: Path
    patch: pytest.MonkeyPatch
    fixture: Callable[[str], Any]


@dataclass(frozen=True)
class Case:
    """One bad input.

    Parameters
    ----------
    number
        In the list of 70.
    title
        The input.
    provoke
        Raises the error, or gives the lines that say what happens instead.
    kind
        The error; None where the input works or is warned of.
    words
        Part of what is told, or of the hint that goes with it.
    """

    number: int
    title: str
    provoke: Callable[[Desk], object]
    kind: type[UsbeamError] | None
    words: str

    def told(self, desk: Desk) -> str:
        """The one line that a person gets; checks that it is that."""
        if self.kind is None:
            line = told = str(self.provoke(desk))
        else:
            with pytest.raises(UsbeamError) as caught:
                self.provoke(desk)
            assert type(caught.value) is self.kind, repr(caught.value)
            line = str(caught.value)
            told = f"{line} {caught.value.hint or ''}"
        assert self.words in told, told
        assert line.isprintable()
        return line.replace(f"{desk.folder}/", "")


CASES: list[Case] = []


def refused(
    number: int, title: str, kind: type[UsbeamError], words: str
) -> Callable[[Callable[[Desk], object]], Callable[[Desk], object]]:
    """Register a case that raises an error."""

    def register(provoke: Callable[[Desk], object]) -> Callable[[Desk], object]:
        CASES.append(Case(number, title, provoke, kind, words))
        return provoke

    return register


def answered(number: int, title: str, words: str) -> Callable[[Callable[[Desk], object]], Callable[[Desk], object]]:
    """Register a case that works, or works with a warning; the function gives the line that says so."""

    def register(provoke: Callable[[Desk], object]) -> Callable[[Desk], object]:
        CASES.append(Case(number, title, provoke, None, words))
        return provoke

    return register


def warned(work: Callable[[], object]) -> str:
    """The one warning that some work gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    (warning,) = caught
    return f"warning: {warning.message}"
